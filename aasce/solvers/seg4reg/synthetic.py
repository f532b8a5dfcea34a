"""Masks drawn from landmarks and spoilt until they look like predicted ones.

A departure from the paper, whose regressor sees predicted masks alone: a mask needs no film, so that any
number of curves can be drawn whose angles are exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aasce.targets.mask import encode_mask
from aasce.types import Array, as_float

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]


def shake_vertebrae(landmarks: Array, rng: np.random.Generator) -> Floats:
    """Each vertebra turned (by about 1.5 degrees), scaled (5 %) and moved (3 % of its height) by itself.

    Args:
        landmarks: (V, 4, 2) px.
        rng: source of chance.
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
    """(h, w, 2) shares of vertebra and gap; now and then with the neighbours that no label knows (C7, S1)."""
    points = as_float(landmarks)
    if rng.random() < 0.25:
        points = np.concatenate([2 * points[:1] - points[1:2], points])
    if rng.random() < 0.25:
        points = np.concatenate([points, 2 * points[-1:] - points[-2:-1]])
    return np.ascontiguousarray(encode_mask(points, size, oversample=3)[1:].transpose(1, 2, 0))
