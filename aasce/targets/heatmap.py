"""Points as heatmaps: a Gaussian with peak 1 for each, and the rules by which points are read from maps.

Frame: px with pixel centres at integers. A map of a canvas has a cell for every `stride` px, so that map and canvas px
are related by canvas = (map + 0.5) * stride - 0.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.types import Array, as_float

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]
Maps = NDArray[np.float32]
Ints = NDArray[np.intp]


def to_map(points: Array, stride: float) -> Floats:
    """(..., 2) canvas px to map px."""
    return np.asarray((as_float(points) + 0.5) / stride - 0.5)


def from_map(points: Array, stride: float) -> Floats:
    """(..., 2) map px to canvas px."""
    return np.asarray((as_float(points) + 0.5) * stride - 0.5)


def encode_heatmaps(points: Array, size: tuple[int, int], sigma: float, stride: int = 1) -> Maps:
    """(K, H / stride, W / stride) Gaussians with peak 1 at the points, exp(-d^2 / (2 sigma^2)).

    Args:
        points: (K, 2) canvas px; a point off the canvas gives what of its Gaussian reaches the canvas.
        size: (H, W) of the canvas.
        sigma: px of the map.
        stride: canvas px per px of the map.
    """
    p = to_map(points, stride)
    rows, columns = size[0] // stride, size[1] // stride
    across = np.exp(-0.5 * ((np.arange(columns) - p[:, :1]) / sigma) ** 2)
    down = np.exp(-0.5 * ((np.arange(rows) - p[:, 1:]) / sigma) ** 2)
    return np.asarray(down[:, :, None] * across[:, None, :], np.float32)


def decode_mean(maps: Array, level: float = 0.5) -> tuple[Floats, NDArray[np.bool_]]:
    """The mean place of all px above a level (Zhong et al. 2020, section 2, local stage).

    Args:
        maps: (K, h, w).
        level: of the maps' values.

    Returns:
        (K, 2) map px, and (K,) whether any px is above the level; without one, the place of the maximum.
    """
    values = np.asarray(maps)
    inside: Array = np.asarray(values > level)
    found = np.asarray(inside.any(axis=(1, 2)))
    weights = np.where(found[:, None, None], inside, values == values.max((1, 2), keepdims=True))
    return _centroids(weights.astype(np.float64)), found


def decode_peak(maps: Array, reach: int = 2) -> tuple[Floats, Floats]:
    """The maximum of each map, between pixels: the centroid of the values around it.

    Args:
        maps: (K, h, w).
        reach: px around the maximum that count.

    Returns:
        (K, 2) map px, and (K,) the values there.
    """
    values = np.asarray(maps, np.float64)
    count, rows, columns = values.shape
    flat = values.reshape(count, -1)
    best = flat.argmax(axis=1)
    y, x = best // columns, best % columns
    near = (np.abs(np.arange(rows) - y[:, None]) <= reach)[:, :, None]
    near = near & (np.abs(np.arange(columns) - x[:, None]) <= reach)[:, None, :]
    weights = np.where(near, values.clip(min=0), 0.0)
    weights[np.arange(count), y, x] += 1e-12  # a map without a positive value keeps its maximum
    return _centroids(weights), flat[np.arange(count), best]


def peaks(maps: Array, level: float) -> tuple[Ints, Floats, Floats]:
    """All local maxima of heatmaps.

    Args:
        maps: (N, h, w).
        level: least value; maxima in the outermost px, which the cut-out's edge makes, do not count.

    Returns:
        (P,) indices of their maps, (P, 2) map px between pixels, and (P,) values.
    """
    values = np.asarray(maps, np.float32)
    if not values.size:
        return np.zeros(0, np.intp), np.zeros((0, 2)), np.zeros(0)
    kernel = np.ones((3, 3), np.uint8)
    highest = np.stack([cv2.dilate(part, kernel) for part in values])
    top = (values >= highest) & (values >= level)
    top[:, [0, -1], :] = False
    top[:, :, [0, -1]] = False
    index, y, x = np.nonzero(top)
    return index, between_pixels(values, index, y, x), values[index, y, x].astype(np.float64)


def between_pixels(maps: Array, index: Ints, y: Ints, x: Ints) -> Floats:
    """(P, 2) places of maxima between pixels: the vertex of the parabola through the logarithms of three values.

    It is exact for a Gaussian (Zhang et al. 2020, DARK), and at most half a px from the highest px.

    Args:
        maps: (N, h, w).
        index, y, x: (P,) the highest px, not in the outermost ones.
    """
    logs = np.log(np.maximum(np.asarray(maps, np.float64), 1e-6))
    middle = logs[index, y, x]
    offsets = []
    for before, after in (
        (logs[index, y, x - 1], logs[index, y, x + 1]),
        (logs[index, y - 1, x], logs[index, y + 1, x]),
    ):
        bend = np.minimum(before - 2 * middle + after, -1e-9)
        offsets.append(np.clip((before - after) / (2 * bend), -0.5, 0.5))
    return np.stack([x + offsets[0], y + offsets[1]], axis=1)


def highest_peaks(maps: Array) -> tuple[Floats, Floats]:
    """The one peak of each heatmap.

    Args:
        maps: (N, h, w), h and w at least 3.

    Returns:
        (N, 2) map px between pixels, and (N,) values in [0, 1].
    """
    inner = np.asarray(maps)[:, 1:-1, 1:-1]
    best = inner.reshape(len(inner), -1).argmax(axis=1)
    y, x = best // inner.shape[2] + 1, best % inner.shape[2] + 1
    index = np.arange(len(inner))
    value = np.asarray(maps, np.float64)[index, y, x].clip(0, 1)
    return between_pixels(maps, index, y, x), value


def _centroids(weights: Floats) -> Floats:
    """(K, 2) px (x, y) of the centres of mass of (K, h, w)."""
    total = weights.sum(axis=(1, 2))
    y = (weights.sum(axis=2) @ np.arange(weights.shape[1])) / total
    x = (weights.sum(axis=1) @ np.arange(weights.shape[2])) / total
    return np.stack([x, y], axis=1)


def soft_argmax(maps: Tensor, beta: float = 1.0) -> Tensor:
    """Expected place under the softmax of maps, differentiable (Chapelle & Wu 2010).

    Args:
        maps: (..., h, w).
        beta: factor of the maps before the softmax; larger ones come nearer the maximum.

    Returns:
        (..., 2) map px (x, y).
    """
    import torch

    rows, columns = maps.shape[-2:]
    share = (beta * maps.flatten(-2)).softmax(dim=-1).reshape(maps.shape)
    y = (share.sum(dim=-1) * torch.arange(rows, device=maps.device, dtype=share.dtype)).sum(dim=-1)
    x = (share.sum(dim=-2) * torch.arange(columns, device=maps.device, dtype=share.dtype)).sum(dim=-1)
    return torch.stack([x, y], dim=-1)
