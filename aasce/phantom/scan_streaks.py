"""Streaks that metal throws across the slices of a CT."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from aasce.types import Array


def streaks(metal: Array, spacing: Array, axis: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(X, Y, Z) HU of the bright and dark streaks of metal.

    Every voxel of metal throws rays whose brightness varies with the direction, is the same on both sides and falls
    with the distance, as those of missing and beam-hardened projections do.

    Args:
        metal: (X, Y, Z) bool, where there is metal.
        spacing: (3,) mm per voxel.
        axis: of the grid, across the slices.
        rng: source of the rays.
    """
    plane = [a for a in range(3) if a != axis]
    ends = [np.arange(-(metal.shape[a] - 1), metal.shape[a]) * float(spacing[a]) for a in plane]
    x, y = np.meshgrid(*ends, indexing="ij")
    angle, distance = np.arctan2(y, x), np.hypot(x, y)
    rays = np.zeros_like(angle)
    for _ in range(12):
        rays += rng.normal() * np.cos(2 * int(rng.integers(1, 20)) * angle + rng.uniform(0, 2 * np.pi))
    rays /= distance + 4.0
    kernel = np.expand_dims(rays, axis).astype(np.float32)
    thrown = signal.fftconvolve(metal.astype(np.float32), kernel, mode="same", axes=plane)
    largest = max(float(np.abs(thrown).max()), 1e-6)
    return np.asarray(thrown * (float(rng.uniform(80, 700)) / largest), np.float32)
