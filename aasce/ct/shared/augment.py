"""Augmentation of training samples: the grid turned, scaled, moved and mirrored, elastic deformation, intensity.

The transformations of Payer et al. (2019), section 3. Geometry is applied to the grid before a scan is sampled on it,
so that nothing is interpolated twice.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import ndimage

from aasce.config import Degrees, Settings, Share, Weight
from aasce.ct.base import Grid
from aasce.ct.shared.grids import Floats, Shares, to_index, to_world
from aasce.types import Array

CONTROLS = 5
"""Control points of a deformation along each axis."""


class AugmentSettings(Settings):
    """How samples are varied; each is drawn anew from its range.

    Attributes:
        rotation: degrees about each axis, from minus to plus so much.
        scale: share by which the grid is made finer or coarser at most.
        shift: mm by which the grid is moved along each axis at most.
        mirror_share: of samples, left and right exchanged.
        elastic: mm by which a control point is moved along each axis at most.
        elastic_share: of samples that are deformed.
        brightness, contrast: shift and scale of the values that the network reads (which span -1 to 1), at most.
        noise: largest standard deviation of normal noise on these values.
        cut_share: of samples, cut off above or below a random plane across z, as a scan's field of view ends.
    """

    rotation: Degrees = 12.0
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.15
    shift: Weight = 20.0
    mirror_share: Share = 0.5
    elastic: Weight = 10.0
    elastic_share: Share = 0.5
    brightness: Weight = 0.1
    contrast: Share = 0.15
    noise: Weight = 0.02
    cut_share: Share = 0.3


def changed_grid(grid: Grid, settings: AugmentSettings, rng: np.random.Generator) -> Grid:
    """The grid turned, scaled and mirrored about its middle, and moved."""
    angles = np.radians(rng.uniform(-settings.rotation, settings.rotation, 3))
    size = 1 + rng.uniform(-settings.scale, settings.scale)
    mirror = np.diag([-1.0 if rng.random() < settings.mirror_share else 1.0, 1.0, 1.0])
    linear = _rotation(angles) @ mirror @ grid.affine[:3, :3] * size
    half = (np.array(grid.shape) - 1) / 2
    centre = to_world(grid.affine, half) + rng.uniform(-settings.shift, settings.shift, 3)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = linear, centre - linear @ half
    return Grid(grid.shape, affine)


def _rotation(angles: Array) -> Floats:
    """(3, 3) from angles about x, y and z."""
    turned = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        one = np.eye(3)
        one[[a, b], [a, b]], one[a, b], one[b, a] = np.cos(angle), -np.sin(angle), np.sin(angle)
        turned = one @ turned
    return turned


def deformation(grid: Grid, settings: AugmentSettings, rng: np.random.Generator) -> Shares | None:
    """(X, Y, Z, 3) mm by which each voxel is read elsewhere, a cubic spline of random control points; or None."""
    if settings.elastic == 0 or rng.random() >= settings.elastic_share:
        return None
    controls = rng.uniform(-settings.elastic, settings.elastic, (CONTROLS, CONTROLS, CONTROLS, 3))
    x, y, z = (_spread(n) for n in grid.shape)
    return np.asarray(np.einsum("xa,yb,zc,abcd->xyzd", x, y, z, controls.astype(np.float32), optimize=True))


def _spread(count: int) -> Shares:
    """(count, CONTROLS) weights of the control points at each voxel of an axis."""
    places = np.linspace(0, CONTROLS - 1, count)
    columns = [ndimage.map_coordinates(unit, [places], order=3, mode="nearest") for unit in np.eye(CONTROLS)]
    return np.stack(columns, axis=1).astype(np.float32)


def placed(world: Array, grid: Grid, shift: Array | None) -> Floats:
    """Indices of a grid at which points appear, after a deformation.

    Args:
        world: (N, 3) world mm.
        grid: the sample's.
        shift: as `deformation` gives it; a voxel at p shows what lies at p + shift.

    Returns:
        (N, 3), not rounded, also outside the grid.
    """
    index = to_index(grid.affine, world)
    if shift is None or not len(index):
        return index
    for _ in range(8):  # p = c - shift(p), a contraction as long as the deformation folds nothing
        at = index.T
        moved = [ndimage.map_coordinates(shift[..., k], at, order=1, mode="nearest") for k in range(3)]
        index = to_index(grid.affine, world - np.stack(moved, axis=-1))
    return index


def changed_values(values: Shares, settings: AugmentSettings, rng: np.random.Generator) -> Shares:
    """Another brightness and contrast, and noise.

    Args:
        values: as the network reads them, about -1 to 1.
    """
    size = 1 + rng.uniform(-settings.contrast, settings.contrast)
    offset = rng.uniform(-settings.brightness, settings.brightness)
    spread = np.float32(rng.uniform(0, settings.noise))
    found = values * np.float32(size) + np.float32(offset)
    if spread > 0:
        found += spread * rng.standard_normal(values.shape, dtype=np.float32)
    return found
