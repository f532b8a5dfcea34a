"""Reading voxels of one grid at the places of another."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aasce.ct.base import Grid
from aasce.ct.shared.randomize import AIR_HU
from aasce.types import Array
from aasce.volume import Volume

Bounds = NDArray[np.float64]


def corners(volume: Volume) -> Bounds:
    """(2, 3) mm that a scan's voxels cover."""
    shape = volume.shape
    ends = np.array(list(product(*((-0.5, n - 0.5) for n in shape))))
    world = volume.to_world(ends)
    return np.stack([world.min(0), world.max(0)])


def reach(grid: Grid, shift: Array | None) -> Bounds:
    """(2, 3) world mm, lower and upper corner of what a grid reads."""
    ends = np.array(list(product(*((0, n - 1) for n in grid.shape))))
    world = ends @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    low, high = world.min(0), world.max(0)
    if shift is not None:
        flat = shift.reshape(-1, 3)
        low, high = low + flat.min(0), high + flat.max(0)
    return np.stack([low, high])


def indices(grid: Grid, affine: Array, shift: Array | None) -> tuple[list[Array], Array]:
    """Where a grid's voxels lie in another: three arrays that broadcast to (X, Y, Z), and (3, 3) a voxel's step."""
    inverse = np.linalg.inv(affine)
    both = inverse @ grid.affine
    x, y, z = np.ogrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    index = []
    for row in range(3):
        a, b, c, t = both[row]
        # Axes that do not matter stay flat, so that grids parallel to the map are read quickly.
        terms = [np.float32(f) * v.astype(np.float32) for f, v in ((a, x), (b, y), (c, z)) if abs(f) > 1e-9]
        total = np.float32(t) + sum(terms[1:], terms[0])
        if shift is not None:
            total = total + np.asarray(shift, np.float32) @ inverse[row, :3].astype(np.float32)
        index.append(np.asarray(total, np.float32))
    return index, both[:3, :3]


def looked_up(data: Array, index: list[Array], offset: Array) -> Array:
    """(X, Y, Z) nearest voxels of `data`, 0 beyond it."""
    flat: Array | int = 0
    good: Array | bool = True
    for axis, place in enumerate(index):
        nearest = np.floor(place + np.float32(0.5 + offset[axis])).astype(np.int32)
        good = good & (nearest >= 0) & (nearest < data.shape[axis])
        np.clip(nearest, 0, data.shape[axis] - 1, out=nearest)
        flat = flat * np.int32(data.shape[axis]) + nearest
    return np.where(good, np.take(data.reshape(-1), flat), 0).astype(data.dtype)


def interpolated(scan: Volume, index: list[Array], spacing: float) -> Array:
    """(X, Y, Z) HU at places of a scan, smoothed first where voxels of `spacing` mm are coarser than its own."""
    sigma = np.maximum(spacing / scan.spacing - 1, 0) / 2
    margin = np.ceil(4 * sigma) + 2
    low = [max(int(place.min() - m), 0) for place, m in zip(index, margin, strict=True)]
    high = [int(place.max() + m) + 1 for place, m in zip(index, margin, strict=True)]
    part = scan.data[tuple(slice(a, max(b, 0)) for a, b in zip(low, high, strict=True))]
    shape = np.broadcast_shapes(*(place.shape for place in index))
    if 0 in part.shape:
        return np.full(shape, AIR_HU, np.float32)
    data = np.asarray(part, np.float32)
    if (sigma > 0.1).any():
        data = ndimage.gaussian_filter(data, sigma, mode="nearest")
    places = np.stack([np.broadcast_to(place - a, shape) for place, a in zip(index, low, strict=True)])
    return np.asarray(ndimage.map_coordinates(data, places, order=1, cval=AIR_HU), np.float32)
