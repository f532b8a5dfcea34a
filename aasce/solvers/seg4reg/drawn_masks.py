"""Masks drawn from landmarks, which `shared.corruption` then makes similar to predicted ones.

A departure from the paper, whose regressor is trained on predicted masks alone: a mask needs no film, so that any
number of curves with exactly known angles can be drawn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aasce.targets.mask import encode_mask
from aasce.types import Array, as_float

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]


def shake_vertebrae(landmarks: Array, rng: np.random.Generator) -> Floats:
    """Rotates (about 1.5 degrees), scales (5 %) and moves (3 % of its height) each vertebra independently.

    Args:
        landmarks: (V, 4, 2) px.
        rng: source of every draw.

    Returns:
        (V, 4, 2) px.
    """
    points = as_float(landmarks)
    centres = points.mean(axis=1, keepdims=True)
    count = len(points)
    turn = np.radians(rng.normal(0, 1.5, count))
    scale = np.exp(rng.normal(0, 0.05, count))
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)
    height = np.linalg.norm(points[:, 2:].mean(axis=1) - points[:, :2].mean(axis=1), axis=1)
    moved = rng.normal(0, 0.03, (count, 1, 2)) * height[:, None, None]
    turned = np.einsum("vij,vkj->vki", rotation * scale[:, None, None], points - centres)
    return np.asarray(turned + centres + moved, np.float64)


def draw_mask(landmarks: Array, size: tuple[int, int], rng: np.random.Generator) -> Floats32:
    """(h, w, 2) area shares of vertebra and gap, sometimes with C7 and S1, which are on films but have no labels."""
    points = as_float(landmarks)
    if rng.random() < 0.25:
        points = np.concatenate([2 * points[:1] - points[1:2], points])
    if rng.random() < 0.25:
        points = np.concatenate([points, 2 * points[-1:] - points[-2:-1]])
    return np.ascontiguousarray(encode_mask(points, size, oversample=3)[1:].transpose(1, 2, 0))
