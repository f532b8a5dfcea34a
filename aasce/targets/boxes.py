"""Vertebrae as boxes: upright ones (x0, y0, x1, y1) and rotated ones (cx, cy, w, h, theta).

Frame: px, x right, y down, pixel centres at integers. theta is the rotation of the box's width, along the endplates,
against x in radians, in (-pi/2, pi/2), positive clockwise as seen: the sign of `geometry.cobb.tilts`, positive when
the right side is lower.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aasce.types import Array, as_float

Floats = NDArray[np.float64]


def encode_boxes(landmarks: Array, grow: tuple[float, float] = (0.0, 0.0)) -> Floats:
    """(V, 4) the smallest upright box x0, y0, x1, y1 around each vertebra's corners, made larger.

    Args:
        landmarks: (V, 4, 2) px.
        grow: px by which width and height increase, half on either side.
    """
    points = as_float(landmarks)
    half = np.array(grow, np.float64) / 2
    return np.concatenate([points.min(axis=1) - half, points.max(axis=1) + half], axis=1)


def encode_rotated(landmarks: Array, grow: tuple[float, float] = (0.0, 0.0)) -> Floats:
    """(V, 5) rotated box cx, cy, w, h, theta around each vertebra's corners, made larger.

    The box lies along the vertebra's midline (from the middle of its left to that of its right side) and is the
    smallest one in that direction that holds the four corners.

    Args:
        landmarks: (V, 4, 2) px, TL, TR, BL, BR.
        grow: px by which width and height increase, half on either side.
    """
    points = as_float(landmarks)
    midline = points[:, 1] + points[:, 3] - points[:, 0] - points[:, 2]
    theta = np.arctan(midline[:, 1] / np.where(np.abs(midline[:, 0]) > 1e-9, midline[:, 0], 1e-9))
    along = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    down = np.stack([-along[:, 1], along[:, 0]], axis=1)
    axes = np.stack([along, down], axis=1)  # (V, 2 axes, 2)
    middle = points.mean(axis=1)
    local = np.einsum("vkd,vad->vka", points - middle[:, None], axes)
    low, high = local.min(axis=1), local.max(axis=1)
    centre = middle + np.einsum("va,vad->vd", (low + high) / 2, axes)
    return np.concatenate([centre, high - low + np.array(grow, np.float64), theta[:, None]], axis=1)


def box_overlaps(first: Array, second: Array) -> Floats:
    """(N, M) intersection over union of upright boxes (N, 4) and (M, 4), x0, y0, x1, y1."""
    a, b = as_float(first).reshape(-1, 1, 4), as_float(second).reshape(1, -1, 4)
    inner = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    both = inner.clip(min=0).prod(axis=-1)
    areas = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1)
    return np.asarray(both / np.maximum(areas - both, 1e-9))


def mirrored_boxes(boxes: Array, width: int) -> Floats:
    """(N, 4) upright boxes on the mirror image.

    Args:
        boxes: (N, 4) px x0, y0, x1, y1.
        width: of the image, px.
    """
    b = as_float(boxes).reshape(-1, 4)
    return np.stack([width - 1 - b[:, 2], b[:, 1], width - 1 - b[:, 0], b[:, 3]], axis=1)
