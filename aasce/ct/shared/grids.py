"""Voxel grids of networks: parallel to the world's axes, filled from a scan of any grid, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TypeAlias

import numpy as np
from nibabel import orientations
from numpy.typing import NDArray
from scipy import ndimage

from aasce.ct.base import Grid
from aasce.types import Array, as_float
from aasce.volume import Volume

Floats: TypeAlias = NDArray[np.float64]
Shares: TypeAlias = NDArray[np.float32]
Box: TypeAlias = tuple[slice, slice, slice]

AIR = -1000.0
"""HU of what lies outside a scan."""


BONE = 100.0
"""HU that bone exceeds, and water, fat and soft tissue without contrast medium do not, averaged over a voxel."""


def holds_bone(hu: Array) -> bool:
    """Whether anything may be bone. Networks with a norm see patterns in the noise of an empty scan."""
    return bool((hu > BONE).any())


def world_grid(centre: Sequence[float] | Array, spacing: float, shape: Sequence[int]) -> Grid:
    """A grid whose axes are the world's.

    Args:
        centre: (3,) world mm, the middle of the grid.
        spacing: mm per voxel.
        shape: (X, Y, Z) voxels.
    """
    x, y, z = (int(n) for n in shape)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = np.asarray(centre, np.float64) - (np.array([x, y, z]) - 1) / 2 * spacing
    return Grid((x, y, z), affine)


def turned_grid(grid: Grid, degrees: float) -> Grid:
    """The grid turned about its middle in the plane of x and z: its z axis leans by so much towards +x."""
    if degrees == 0:
        return grid
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
    index = (np.array(grid.shape) - 1) / 2
    affine = grid.affine.copy()
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = to_world(grid.affine, index) - affine[:3, :3] @ index
    return Grid(grid.shape, affine)


def to_world(affine: Array, index: Array) -> Floats:
    """Indices (..., 3) of a grid to world mm."""
    return np.asarray(np.asarray(index, np.float64) @ affine[:3, :3].T + affine[:3, 3])


def to_index(affine: Array, world: Array) -> Floats:
    """World mm (..., 3) to indices of a grid, not rounded, also outside it."""
    return to_world(np.linalg.inv(affine), world)


def scan_bounds(scan: Volume) -> Floats:
    """(2, 3) world mm, lower and upper corner of the middles of a scan's voxels."""
    found = to_world(scan.affine, _corners(np.zeros(3), np.array(scan.shape) - 1.0))
    return np.stack([found.min(axis=0), found.max(axis=0)])


def sample_scan(scan: Volume, grid: Grid) -> Shares:
    """HU of a scan on a grid: means of its voxels where the grid is much coarser, then linear interpolation.

    Only the part under the grid is read, and no copy of it in its own resolution is made.

    Args:
        scan: any grid, also oblique or mirrored.
        grid: the voxels to fill.

    Returns:
        (X, Y, Z) float32, `AIR` outside the scan.
    """
    data, affine = _towards_world(scan)
    between = np.linalg.inv(affine) @ grid.affine
    found = to_world(between, _corners(np.zeros(3), np.array(grid.shape) - 1.0))
    spacing: Floats = np.linalg.norm(affine[:3, :3], axis=0)
    finest = float(np.linalg.norm(grid.affine[:3, :3], axis=0).min())
    factors = np.maximum(np.floor(finest / spacing + 1e-6), 1).astype(int)
    low = np.maximum(np.floor(found.min(axis=0)).astype(int) - factors, 0)
    high = np.minimum(np.ceil(found.max(axis=0)).astype(int) + factors + 1, data.shape)
    if (high <= low).any():
        return np.full(grid.shape, AIR, np.float32)
    factors = np.minimum(factors, high - low)
    part = block_means(data[low[0] : high[0], low[1] : high[1], low[2] : high[2]], factors)
    matrix = np.asarray(between[:3, :3] / factors[:, None], np.float64)
    offset: Floats = (between[:3, 3] - low - (factors - 1) / 2) / factors
    return _transformed(part, matrix, offset, grid.shape, AIR)


def block_means(data: Array, factors: Sequence[int] | Array) -> Array:
    """Means over blocks of voxels; what does not fill a block at the far ends is left out.

    Args:
        data: (X, Y, Z) numbers.
        factors: (3,) voxels of a block along each axis; 1 all over gives back `data` itself.
    """
    for axis in np.argsort(factors)[::-1].tolist():
        factor = int(factors[axis])
        if factor == 1:
            continue
        kept = data.shape[axis] // factor * factor
        parts = [np.moveaxis(data, axis, 0)[start:kept:factor] for start in range(factor)]
        total = parts[0].astype(np.float32)
        for part in parts[1:]:
            total += part
        data = np.moveaxis(total / np.float32(factor), 0, axis)
    return data


def onto_scan(values: Shares, grid: Grid, scan: Volume) -> tuple[Box, Shares] | None:
    """Values of a grid, interpolated at the voxels of a scan that lie inside the grid's box.

    Args:
        values: (X, Y, Z) on the grid.
        grid: where they are.
        scan: whose voxels are asked.

    Returns:
        The part of the scan's array, and the values there (0 outside the grid); None where they do not meet.
    """
    into = np.linalg.inv(scan.affine) @ grid.affine
    found = to_world(into, _corners(np.zeros(3), np.array(grid.shape) - 1.0))
    low = np.maximum(np.ceil(found.min(axis=0) - 1e-6), 0).astype(int)
    high = np.minimum(np.floor(found.max(axis=0) + 1e-6) + 1, scan.shape).astype(int)
    if (high <= low).any():
        return None
    back = np.linalg.inv(into)
    shape = tuple(int(n) for n in high - low)
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    return box, _transformed(values, as_float(back[:3, :3]), to_world(back, low), shape, 0.0)


def _transformed(data: Array, matrix: Floats, offset: Floats, shape: Sequence[int], outside: float) -> Shares:
    """Linear interpolation of `data` at `matrix` @ index + `offset`."""
    matrix = np.where(np.abs(matrix) < 1e-9, 0.0, matrix)
    if np.count_nonzero(matrix - np.diag(np.diag(matrix))) == 0:
        matrix = np.diag(matrix)  # an axis at a time, which is faster
    found = ndimage.affine_transform(
        data, matrix, offset, tuple(shape), output=np.float32, order=1, mode="constant", cval=outside
    )
    return np.asarray(found)


def _towards_world(scan: Volume) -> tuple[Array, Floats]:
    """Views of the same voxels with axes nearest to the world's, so that a mirrored grid is read the same."""
    current = orientations.io_orientation(scan.affine)
    data = orientations.apply_orientation(scan.data, current)
    return data, np.asarray(scan.affine @ orientations.inv_ornt_aff(current, scan.shape), np.float64)


def _corners(low: Array, high: Array) -> Floats:
    return np.array(list(product(*zip(low, high, strict=True))), np.float64)
