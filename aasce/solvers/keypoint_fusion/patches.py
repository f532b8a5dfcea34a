"""Rectangles cut from a canvas, and heatmaps of corner tags: what HRNet and Simple Baseline II read and are taught.

Frame: px of the canvas that they are cut from, or of the cut-out where it says so. A tag is one of TL, TR, BL, BR.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from aasce.preprocess.crop import View, similarity
from aasce.preprocess.intensity import Bytes
from aasce.solvers.shared.tta import network_pass
from aasce.targets.heatmap import Maps, encode_heatmaps
from aasce.types import CORNERS, VERTEBRAE, Array, as_float

Floats = NDArray[np.float64]

ENDPLATES = (2, 3, 4, 5, 6)
"""Endplates in a patch, two points each: 4, 6, 8, 10 or 12 points of one to three vertebrae, halves allowed."""

MIRRORED = [1, 0, 3, 2]
"""Tags of the mirror image in the order of `CORNERS`."""


def patch_windows(vertebrae: int = len(VERTEBRAE)) -> list[tuple[int, int]]:
    """Every patch of a column, from the top: (first endplate, endplate after the last one).

    Endplate 2 v is the upper one of vertebra v, 2 v + 1 its lower one. A patch of two endplates is a whole vertebra or
    two halves of neighbours (section 2.2).
    """
    plates = 2 * vertebrae
    return [(top, top + n) for top in range(plates - 1) for n in ENDPLATES if top + n <= plates]


def window_boxes(landmarks: Array, windows: Sequence[tuple[int, int]]) -> Floats:
    """(N, 4) x0, y0, x1, y1 px, the smallest boxes around the points of patches.

    Args:
        landmarks: (V, 4, 2) px.
        windows: see `patch_windows`.
    """
    plates = as_float(landmarks).reshape(-1, 2, 2)
    parts = [plates[top:end].reshape(-1, 2) for top, end in windows]
    return np.array([[*part.min(axis=0), *part.max(axis=0)] for part in parts]).reshape(-1, 4)


def jittered(boxes: Floats, spread: float, rng: np.random.Generator) -> Floats:
    """(N, 4) boxes moved and scaled at random.

    Args:
        boxes: (N, 4) x0, y0, x1, y1 px.
        spread: standard deviation of either, as a share of the longer side.
        rng: source of the draw.
    """
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 + rng.normal(0, spread, (len(boxes), 2)) * side
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * np.exp(rng.normal(0, spread, (len(boxes), 1)))
    return np.concatenate([middle - half, middle + half], axis=1)


def box_view(box: Array, size: tuple[int, int], grow: float) -> View:
    """View of a box, enlarged and as large as it fits on the cut-out, its aspect kept.

    Args:
        box: (4,) x0, y0, x1, y1 px of the canvas.
        size: (H, W) of the cut-out.
        grow: factor by which the box is enlarged.
    """
    width, height = (grow * np.maximum(box[2:] - box[:2], 2.0)).tolist()
    return similarity((box[:2] + box[2:]) / 2, min(size[1] / width, size[0] / height), 0.0, size)


def cut(canvas: Bytes, views: Sequence[View]) -> Bytes:
    """(N, H, W) the cut-outs; a cut-out from beyond the canvas is black there."""
    # Directly and not by View.render, which would reduce the whole canvas for each; views shrink it by half at most.
    found = [
        cv2.warpAffine(canvas, view.matrix, (view.size[1], view.size[0]), flags=cv2.INTER_LINEAR)
        for view in views
    ]
    return np.asarray(found, np.uint8)


def tag_heatmaps(points: Array, size: tuple[int, int], sigma: float, stride: int) -> Maps:
    """(4, H / stride, W / stride) one heatmap a tag with a Gaussian at the corner of every vertebra shown.

    Args:
        points: (V, 4, 2) px of the cut-out; corners off it are left out.
        size: (H, W) of the cut-out.
        sigma: px of the map.
        stride: px of the cut-out per px of the map.
    """
    p = as_float(points)
    edge = np.array([size[1], size[0]]) - 0.5
    shown = np.all((p >= -0.5) & (p <= edge), axis=-1)
    empty = np.zeros((1, size[0] // stride, size[1] // stride), np.float32)
    tags = range(len(CORNERS))
    maps = [np.concatenate([empty, encode_heatmaps(p[shown[:, t], t], size, sigma, stride)]) for t in tags]
    return np.stack([part.max(axis=0) for part in maps])


def heatmap_loss(found: Tensor, wanted: Tensor, balance: float) -> Tensor:
    """Squared error of heatmaps, relative to that of empty ones.

    Most of a heatmap is empty, so that an error counts 1 + `balance` times the wanted value.

    Args:
        found, wanted: (B, K, h, w).
        balance: see above.
    """
    weight = 1 + balance * wanted
    return (weight * (found - wanted).square()).sum() / (weight * wanted.square()).sum().clamp(min=1.0)


def two_passes(net: nn.Module, images: Bytes) -> NDArray[np.float32]:
    """(2, B, K, h, w) heatmaps of images, from the images and from their mirror images, both in the images' frame.

    Args:
        net: gives K heatmaps, K a multiple of 4: corner tags in the order of `CORNERS`.
        images: (B, H, W) uint8, B at least 1.
    """
    count = len(images)
    pair = np.concatenate([images, images[:, :, ::-1]])
    maps = np.asarray(network_pass(net, pair).float().cpu().numpy(), np.float32)
    mirrored = maps[count:, :, :, ::-1]
    tags = mirrored.reshape(count, -1, len(CORNERS), *mirrored.shape[2:])[:, :, MIRRORED]
    return np.stack([maps[:count], tags.reshape(mirrored.shape)])


def both_ways(net: nn.Module, images: Bytes) -> NDArray[np.float32]:
    """(B, K, h, w) mean heatmaps of two passes, see `two_passes`."""
    return np.asarray(two_passes(net, images).mean(axis=0), np.float32)
