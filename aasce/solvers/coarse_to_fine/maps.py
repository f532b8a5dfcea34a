"""What the U-nets A to E are taught: masks and heatmaps made from landmarks.

Frame: px of a canvas; a map of stride s has a cell for every s px, see `aasce.targets.heatmap`.
"""

from __future__ import annotations

import cv2
import numpy as np

from aasce.preprocess.intensity import Bytes
from aasce.solvers.shared.samples import Floats
from aasce.targets.heatmap import encode_heatmaps, to_map
from aasce.targets.mask import Shares, encode_mask


def spine_mask(landmarks: Floats, size: tuple[int, int], stride: int, blur: float, extend: int) -> Shares:
    """(H / stride, W / stride) in [0, 1]: 1 on the spine, falling off outside it.

    Args:
        landmarks: (V, 4, 2) px of the canvas.
        size: (H, W) of the canvas.
        stride: of the map.
        blur: px of the canvas, standard deviation of the blur; the mask is widened by as much first, so that
            vertebrae are inside it.
        extend: vertebrae by which the spine goes on above T1 and below L5, in a straight line.
    """
    steps = np.arange(extend, 0, -1)[:, None, None]
    above = landmarks[0] - steps * (landmarks[1] - landmarks[0])
    below = landmarks[-1] + steps[::-1] * (landmarks[-1] - landmarks[-2])
    points = to_map(np.concatenate([above, landmarks, below]), stride)
    inside = 1 - encode_mask(points, (size[0] // stride, size[1] // stride), oversample=2)[0]
    reach = 2 * max(1, round(blur / stride)) + 1
    wide = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), blur / stride), np.float32)


def box_masks(landmarks: Floats, size: tuple[int, int], stride: int, core: float) -> Shares:
    """(V, H / stride, W / stride) area shares of the middle region of each vertebra.

    Args:
        landmarks: (V, 4, 2) px of the canvas.
        size: (H, W) of the canvas.
        stride: of the maps.
        core: size of the region, as a share of the vertebra's.
    """
    middle = landmarks.mean(axis=1, keepdims=True)
    points = to_map(middle + core * (landmarks - middle), stride)
    shape = (size[0] // stride, size[1] // stride)
    return np.stack([encode_mask(quad[None], shape)[1] for quad in points])


def instance_masks(landmarks: Floats, size: tuple[int, int]) -> Bytes:
    """(V, H, W) 0 or 1: each vertebra on the canvas.

    Args:
        landmarks: (V, 4, 2) px of the canvas.
        size: (H, W) of the canvas.
    """
    masks = np.zeros((len(landmarks), *size), np.uint8)
    for mask, quad in zip(masks, landmarks, strict=True):
        cv2.fillConvexPoly(mask, cv2.convexHull(np.round(quad).astype(np.int32)), (1,))
    return masks


def region_box(corners: Floats, size: tuple[int, int], stride: int, grow: float) -> Shares:
    """(H / stride, W / stride) area shares of the vertebra in the middle of a region, made larger.

    Args:
        corners: (4, 2) px of the region, TL, TR, BL, BR.
        size: (H, W) of the region.
        stride: of the map.
        grow: px by which every side moves out.
    """
    across = corners[[1, 3]].mean(axis=0) - corners[[0, 2]].mean(axis=0)
    down = corners[2:].mean(axis=0) - corners[:2].mean(axis=0)
    across, down = (grow * v / max(float(np.hypot(*v)), 1e-6) for v in (across, down))
    moved = corners + np.stack([-across - down, across - down, -across + down, across + down])
    shape = (size[0] // stride, size[1] // stride)
    return np.asarray(encode_mask(to_map(moved[None], stride), shape, oversample=2)[1], np.float32)


def corner_maps(corners: Floats, size: tuple[int, int], stride: int, sigma: float) -> Shares:
    """(4, H / stride, W / stride) Gaussians with peak 1 at the corners; where they overlap, their sum is at most 1.

    Args:
        corners: (4, 2) px of the region.
        size: (H, W) of the region.
        stride: of the maps.
        sigma: px of the region, their standard deviation.
    """
    maps = encode_heatmaps(corners, size, sigma / stride, stride)
    return np.asarray(maps / np.maximum(maps.sum(axis=0), 1.0), np.float32)
