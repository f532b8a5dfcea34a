"""What a scanner does to the values: slice thickness, kernel, noise, bias, range."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aasce.ct.shared.randomize import HIGHEST_HU, LOWEST_HU, RandomizeSettings, along, smooth_noise
from aasce.phantom.scan_streaks import streaks
from aasce.types import Array

Floats = NDArray[np.float32]


def slices(count: int, spacing: float, thickness: float, phase: float) -> tuple[Floats, Floats]:
    """Matrices that average voxels to slices, and that interpolate slices back to voxels.

    Args:
        count: voxels along the axis.
        spacing: mm per voxel.
        thickness: mm of a slice, also the distance between slices.
        phase: in [0, 1), where within a slice the first voxel lies.

    Returns:
        (slices, count) whose rows sum to 1, and (count, slices), whose rows do as well.
    """
    ratio = max(thickness / spacing, 1.0)
    number = int(np.ceil((count - 1) / ratio)) + 2
    middles = (np.arange(number) - phase) * ratio
    voxels = np.arange(count)
    # Overlap of each voxel's extent with the slice's; slices beyond the ends take the outermost voxel.
    near = np.clip(middles, 0, count - 1)[:, None]
    down = np.clip((ratio + 1) / 2 - np.abs(voxels - near), 0, 1)
    down /= down.sum(1, keepdims=True)
    place = voxels / ratio + phase
    first = np.clip(np.floor(place).astype(int), 0, number - 2)
    up = np.zeros((count, number))
    up[voxels, first] = 1 - (place - first)
    up[voxels, first + 1] = place - first
    return down.astype(np.float32), up.astype(np.float32)


def scanned(
    value: Floats,
    metal: Array,
    spacing: Array,
    axis: int,
    rng: np.random.Generator,
    settings: RandomizeSettings,
) -> Floats:
    """HU as a scanner with drawn thickness, kernel and noise gives them, on the same voxels.

    Args:
        value: (X, Y, Z) HU of the body.
        metal: (X, Y, Z) bool, where there is metal.
        spacing: (3,) mm per voxel.
        axis: of the grid, across the slices.
        rng: source of every draw.
        settings: see `RandomizeSettings`.
    """
    if metal.any() and rng.random() < settings.metal:
        value = value + streaks(metal, spacing, axis, rng)
    low, high = np.log(settings.thickness_mm)
    thickness = float(np.exp(rng.uniform(low, high)))
    down, up = slices(value.shape[axis], float(spacing[axis]), thickness, float(rng.random()))
    value = _kernel(along(value, down, axis), spacing, axis, rng)
    sd = float(np.exp(rng.uniform(np.log(3.0), np.log(max(settings.noise_hu, 3.0)))))
    value += _noise(value.shape, spacing, axis, sd, rng)
    value = along(value, up, axis)
    if rng.random() < 0.3:
        value += float(rng.uniform(3, 15)) * smooth_noise(value.shape, 40.0 / spacing, rng)
    return np.clip(value, LOWEST_HU, HIGHEST_HU)


def _kernel(value: Floats, spacing: Array, axis: int, rng: np.random.Generator) -> Floats:
    """Soft kernels blur in the slice, sharp ones overshoot at edges."""
    softness = float(rng.uniform(-0.7, 1.0))
    sharp = softness < 0
    out = value
    for other in (a for a in range(3) if a != axis):
        sigma = (0.9 if sharp else softness) / float(spacing[other])
        if sigma > 0.15:
            out = ndimage.gaussian_filter1d(out, sigma, other, mode="nearest", truncate=3.0)
    return np.array(value - np.float32(softness) * (value - out) if sharp else out, np.float32)


def _noise(shape: tuple[int, ...], spacing: Array, axis: int, sd: float, rng: np.random.Generator) -> Floats:
    """Noise of filtered back-projection, see `aasce.xray.voxels.add_ct_noise`, independent between slices."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    width = float(rng.uniform(0.5, 1.2))
    narrow = wide = noise
    for other in (a for a in range(3) if a != axis):
        sigma = max(width / float(spacing[other]), 0.3)
        narrow = ndimage.gaussian_filter1d(narrow, sigma, other, mode="wrap", truncate=3.0)
        wide = ndimage.gaussian_filter1d(wide, 2.5 * sigma, other, mode="wrap", truncate=3.0)
    noise = narrow - np.float32(0.9) * wide
    return np.asarray(noise * np.float32(sd / max(float(noise.std()), 1e-6)), np.float32)
