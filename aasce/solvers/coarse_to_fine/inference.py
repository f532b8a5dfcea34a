"""Passes of the networks over canvases and regions, and what is read from their maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.preprocess.crop import Box, View
from aasce.preprocess.intensity import Bytes
from aasce.solvers.coarse_to_fine.network import LEVELS, CoarseToFineNet, under_mask
from aasce.solvers.coarse_to_fine.settings import LocalSettings
from aasce.solvers.shared.detection import detections_of
from aasce.solvers.shared.samples import Floats, to_input
from aasce.solvers.shared.tta import mirrored_back, with_mirror
from aasce.targets.boxes import mirrored_boxes
from aasce.targets.heatmap import decode_mean, from_map
from aasce.targets.mask import Shares


@dataclass(frozen=True, slots=True)
class MaskPass:
    """What the U-nets A, B and C see on a rectangle of a film, mean of the canvas and its mirror image.

    Attributes:
        box: the rectangle, film px.
        view: film px to canvas px.
        film: (2, 1, H, W) canvases under A's mask: plain and mirrored.
        target: (h, w) B's mask of T1 to L5, on the map of C.
        boxes: (17, h, w) C's masks.
        stride: canvas px per px of these maps.
    """

    box: Box
    view: View
    film: Tensor
    target: Shares
    boxes: Shares
    stride: int


@torch.inference_mode()
def mask_pass(nets: CoarseToFineNet, canvas: Bytes, view: View, box: Box, stride: int) -> MaskPass:
    """Passes a canvas through A, and the canvas under A's mask through B and C.

    Args:
        nets: all networks.
        canvas: (H, W) of a rectangle of the film.
        view: film px to canvas px.
        box: the rectangle.
        stride: of C's maps.
    """
    image = to_input(with_mirror(canvas)).to(next(nets.parameters()).device)
    film = under_mask(image, nets.whole(image).sigmoid())
    boxes = nets.boxes(film).softmax(dim=1)[:, :LEVELS]
    target = F.interpolate(
        nets.target(film).sigmoid(), boxes.shape[-2:], mode="bilinear", align_corners=False
    )
    seen = _both(torch.cat([boxes, target], dim=1))
    return MaskPass(box, view, film, seen[LEVELS], seen[:LEVELS], stride)


def _both(maps: Tensor) -> Shares:
    """(K, h, w) mean of maps (2, K, h, w) of a canvas and of its mirror image."""
    return np.asarray(mirrored_back(maps.float().cpu().numpy()).mean(axis=0), np.float32)


@dataclass(frozen=True, slots=True)
class Detections:
    """What the Mask R-CNN detects on a canvas and on its mirror image together, in the frame of the canvas.

    Attributes:
        boxes: (N, 4) x0, y0, x1, y1 px of the canvas.
        levels: (N,) index of the vertebra from the top, from 0.
        scores: (N,) in [0, 1].
        mask: (H, W) in [0, 1], largest of the vertebrae's masks on the plain canvas.
    """

    boxes: Floats
    levels: NDArray[np.int64]
    scores: Floats
    mask: Shares


@torch.inference_mode()
def detection_pass(nets: CoarseToFineNet, film: Tensor) -> Detections:
    """Passes a canvas under A's mask and its mirror image through the Mask R-CNN.

    Args:
        nets: all networks.
        film: (2, 1, H, W), see `MaskPass`.
    """
    plain, mirrored = nets.detector(list(film))
    boxes, levels, scores = detections_of(plain)
    others, other_levels, other_scores = detections_of(mirrored)
    back = mirrored_boxes(others, film.shape[-1])
    masks = plain["masks"][:, 0].cpu().numpy()
    return Detections(
        np.concatenate([boxes, back]),
        np.concatenate([levels, other_levels]) - 1,
        np.concatenate([scores, other_scores]),
        masks.max(axis=0) if len(masks) else np.zeros(film.shape[-2:], np.float32),
    )


@torch.inference_mode()
def local_maps(nets: tuple[nn.Module, nn.Module], regions: Bytes) -> Shares:
    """(B, 4, h, w) heatmaps of E multiplied by the mask of D.

    Args:
        nets: D and E.
        regions: (B, H, W) around a vertebra each.
    """
    box, corners = nets
    image = to_input(regions).to(next(corners.parameters()).device)
    heat = corners(image).softmax(dim=1)[:, :4]
    mask = F.interpolate(box(image).sigmoid(), heat.shape[-2:], mode="bilinear", align_corners=False)
    return np.asarray((heat * mask).cpu().numpy(), np.float32)


def local_corners(
    nets: tuple[Any, Any], regions: Bytes, settings: LocalSettings
) -> tuple[Floats, NDArray[np.float64]]:
    """The corners of the vertebra in the middle of each region: mean place of the px above the level.

    Where no px of a heatmap is above it, the level is that share of the map's largest value.

    Args:
        nets: D and E.
        regions: (B, H, W).
        settings: level and stride.

    Returns:
        (B, 4, 2) px of the region, and (B, 4) the largest values.
    """
    maps = local_maps(nets, regions)
    return read_corners(maps, settings.level, settings.corners.stride)


def read_corners(maps: Shares, level: float, stride: int) -> tuple[Floats, NDArray[np.float64]]:
    """See `local_corners`; maps are (B, 4, h, w)."""
    flat = maps.reshape(-1, *maps.shape[2:])
    peaks = flat.max(axis=(1, 2))
    low = np.where(peaks > level, 1.0, np.maximum(peaks, 1e-9))
    points, _ = decode_mean(flat / low[:, None, None], level)
    return from_map(points, stride).reshape(-1, 4, 2), peaks.reshape(-1, 4).astype(np.float64)
