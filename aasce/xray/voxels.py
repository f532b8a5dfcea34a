"""Voxelisation of closed meshes to a CT in HU or to labels, by an exact test of which voxel centres lie inside.

Along every column of voxels the crossings of the surface are found and signed; a voxel is inside where more surfaces
were entered than left below it. Columns are tested against triangles in integer arithmetic (coordinates rounded to
1/65,536 of a voxel), and ties are broken as if every column were moved by an infinitesimal step (simulation of
simplicity, Edelsbrunner and Mücke 1990). So no column passes between two triangles, and a closed surface is left as
often as it is entered, for any vertices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from aasce.types import AasceError, Array
from aasce.volume import Kind, Volume
from aasce.xray.materials import MATERIALS, check_material, linear_attenuation
from aasce.xray.mesh import Mesh
from aasce.xray.repair import check_mesh

Values: TypeAlias = Mapping[str, float] | Callable[[Mesh], float | None]

CT_KEV = 70.0
"""Effective energy of a CT at 120 kVp, to which HU refer."""

_WATER = (0.2059, 0.1837)  # cm2/g at 60 and 80 keV, NIST table 4
_STEPS = 1 << 16  # integer steps per voxel
_FARTHEST = 1 << 13  # voxels from the grid's origin up to which products of differences fit into 64 bits
_CANDIDATES = 1 << 21  # pairs of triangle and column tested at once


@cache
def hounsfield(material: str) -> float:
    """HU of a material at its usual density, by its attenuation at 70 keV (air -1000, water 0).

    Raises:
        AasceError: an unknown material.
    """
    check_material(material)
    water = np.exp(np.interp(np.log(CT_KEV), np.log([60.0, 80.0]), np.log(_WATER))) / 10
    air, mu = (float(linear_attenuation(name, [CT_KEV])[0]) for name in ("air", material))
    return float(1000 * (mu - water) / (water - air))


def hounsfield_table() -> dict[str, float]:
    """HU by material, for all materials of the phantom."""
    return {material: hounsfield(material) for material in MATERIALS}


def voxelise(
    meshes: Sequence[Mesh],
    spacing: float | Sequence[float],
    bounds: ArrayLike,
    values: Values | None = None,
    *,
    kind: Kind = "ct",
    background: float | None = None,
    supersample: int = 1,
) -> Volume:
    """A volume of meshes on a grid parallel to the world's axes.

    Where meshes overlap the later one counts, so outer meshes come first.

    Args:
        meshes: closed and consistently oriented.
        spacing: mm per voxel, one number or one per axis.
        bounds: (2, 3) mm, lower and upper corner of the outermost voxels' faces; the upper one moves outwards to a
            whole number of voxels.
        values: HU by material (`hounsfield` when None), or a function that gives a mesh's value or label, and None for
            a mesh that is to be left out.
        kind: "ct", or "label" for integers from a function.
        background: value of voxels outside all meshes; when None -1000 for a CT, 0 otherwise.
        supersample: samples per axis and voxel, of which the mean is stored (partial volumes); 1 for labels.

    Raises:
        AasceError: a mesh with a hole, an unknown material, empty bounds, or supersampled labels.
    """
    grid = _grid(spacing, bounds)
    for mesh in meshes:
        check_mesh(mesh)
    if kind == "label" and supersample != 1:
        raise AasceError(
            f"labels of {supersample} samples a voxel: means of labels mean nothing; use supersample=1"
        )
    fill = (-1000.0 if kind == "ct" else 0.0) if background is None else background
    painted = [(mesh, value) for mesh in meshes if (value := _value(mesh, values)) is not None]
    if kind == "label":
        dtype = np.uint8 if max((value for _, value in painted), default=0) < 256 else np.uint16
        return Volume(_painted(painted, grid, fill, np.zeros(3), dtype), grid.affine, kind)
    total = np.zeros(grid.shape, np.float32)
    shifts = (np.arange(supersample) + 0.5) / supersample - 0.5
    for shift in product(shifts, repeat=3):
        total += _painted(painted, grid, fill, np.array(shift), np.float32)
    return Volume(total / np.float32(supersample**3), grid.affine, kind)


def add_ct_noise(
    volume: Volume, rng: np.random.Generator, sd: float = 15.0, correlation_mm: float = 0.9
) -> Volume:
    """The same CT with noise as of a scanner.

    Noise of filtered back-projection is correlated in the slice and has no low frequencies: its power rises with
    frequency and falls again where the reconstruction kernel ends. A difference of two Gaussians has such a spectrum.

    Args:
        volume: a CT.
        rng: source of the noise.
        sd: standard deviation of the noise, HU.
        correlation_mm: standard deviation of the narrower Gaussian; larger for a softer kernel.
    """
    white = rng.standard_normal(volume.shape, dtype=np.float32)
    narrow = np.maximum(correlation_mm / volume.spacing * np.array([1, 1, 0.5]), 0.3)
    wide = narrow * np.array([2.5, 2.5, 1.0])
    noise = ndimage.gaussian_filter(white, narrow, mode="wrap") - ndimage.gaussian_filter(
        white, wide, mode="wrap"
    )
    noise *= sd / max(float(noise.std()), 1e-6)
    return Volume(np.asarray(volume.data, np.float32) + noise, volume.affine, volume.kind)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Voxels along the world's axes: mm of the first one's centre, mm between centres, number per axis."""

    origin: NDArray[np.float64]
    spacing: NDArray[np.float64]
    shape: tuple[int, int, int]

    @property
    def affine(self) -> NDArray[np.float64]:
        affine = np.diag([*self.spacing, 1.0])
        affine[:3, 3] = self.origin
        return affine


def _grid(spacing: float | Sequence[float], bounds: ArrayLike) -> _Grid:
    step = np.broadcast_to(np.asarray(spacing, dtype=np.float64), (3,)).copy()
    low, high = np.asarray(bounds, dtype=np.float64).reshape(2, 3)
    if not (np.isfinite(step).all() and (step > 0).all() and (high > low).all()):
        raise AasceError(
            f"grid of {spacing} mm over {np.asarray(bounds).tolist()}: give a lower and an upper corner"
        )
    shape = np.maximum(np.ceil((high - low) / step - 1e-9), 1).astype(int)
    if shape.max() > _FARTHEST:
        raise AasceError(
            f"grid of {shape.tolist()} voxels: more than {_FARTHEST} along an axis; take a larger spacing"
        )
    return _Grid(low + step / 2, step, (int(shape[0]), int(shape[1]), int(shape[2])))


def _value(mesh: Mesh, values: Values | None) -> float | None:
    if values is None:
        return hounsfield(mesh.material)
    if callable(values):
        return values(mesh)
    if mesh.material not in values:
        raise AasceError(
            f"mesh {mesh.name!r}: no value for {mesh.material!r}; there are {', '.join(sorted(values))}"
        )
    return values[mesh.material]


def _painted(
    painted: Sequence[tuple[Mesh, float]],
    grid: _Grid,
    fill: float,
    shift: NDArray[np.float64],
    dtype: type[np.generic],
) -> Array:
    """(X, Y, Z) values at the voxels' centres moved by `shift` voxels."""
    data = np.full(grid.shape, fill, dtype)
    for mesh, value in painted:
        where, inside = _inside(mesh, grid, shift)
        if inside is not None:
            data[where][inside] = value
    return data


def _inside(
    mesh: Mesh, grid: _Grid, shift: NDArray[np.float64]
) -> tuple[tuple[slice, slice, slice], Array | None]:
    """The block of voxels around a mesh, and (x, y, z) bool of those inside it; None if it lies outside the grid."""
    vertices = (mesh.vertices.detach().cpu().double().numpy() - grid.origin) / grid.spacing - shift
    low = np.clip(np.ceil(vertices.min(0) - 1e-3), 0, grid.shape).astype(int)
    high = np.clip(np.floor(vertices.max(0) + 1e-3) + 1, 0, grid.shape).astype(int)
    where = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    if (high <= low).any():
        return where, None
    if np.abs(vertices).max() > _FARTHEST:
        raise AasceError(f"mesh {mesh.name!r}: reaches far beyond the grid; check its vertices (mm)")
    size = high - low
    depth = int(size[2])
    # One layer more than the block's height takes the crossings above it.
    winding = np.zeros((int(size[0]) * int(size[1]), depth + 1), np.int16)
    for column, z, sign in _crossings(vertices, mesh.faces.detach().cpu().numpy(), low, high):
        layer = np.clip(np.ceil(z) - low[2], 0, depth).astype(np.int64)
        np.add.at(winding.reshape(-1), column * (depth + 1) + layer, sign)
    np.cumsum(winding, axis=1, out=winding)
    if winding[:, -1].any():
        raise AasceError(f"mesh {mesh.name!r}: has a hole or flipped faces; close it (check_mesh says where)")
    return where, (winding[:, :-1] != 0).reshape(int(size[0]), int(size[1]), depth)


def _crossings(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64]
) -> Iterator[tuple[Array, Array, Array]]:
    """Crossings of a surface and columns: (N,) column number, z in voxels, +1 where it is entered, -1 where left."""
    points = np.rint(vertices[:, :2] * _STEPS).astype(np.int64)
    corners = points[faces]  # (F, 3, 2)
    first = np.maximum(-(-corners.min(1) // _STEPS), low[:2])
    last = np.minimum(corners.max(1) // _STEPS, high[:2] - 1)
    columns = np.maximum(last - first + 1, 0)
    counts = columns[:, 0] * columns[:, 1]
    useful = np.flatnonzero(counts)
    for part in _parts(useful, counts):
        face = np.repeat(part, counts[part])
        start = np.cumsum(counts[part]) - counts[part]
        number = np.arange(len(face)) - np.repeat(start, counts[part])
        x = first[face, 0] + number // columns[face, 1]
        y = first[face, 1] + number % columns[face, 1]
        column = np.stack([x, y], -1) * _STEPS
        a, b, c = (corners[face, i] for i in range(3))
        areas = np.stack([_area(b, c, column), _area(c, a, column), _area(a, b, column)])
        upper = (areas[:, :, 1] > 0).all(0)
        hit = upper | (areas[:, :, 1] < 0).all(0)
        weight = areas[:, hit, 0].astype(np.float64)
        total = weight.sum(0)
        flat = total == 0  # a triangle that is hit but has no area is seen edge-on: its middle is used
        weight[:, flat], total[flat] = 1.0, 3.0
        sign = np.where(np.asarray(upper)[hit], -1, 1).astype(np.int16)
        z = (weight * vertices[faces[face[hit]], 2].T).sum(0) / total
        yield (x[hit] - low[0]) * (high[1] - low[1]) + y[hit] - low[1], z, sign


def _parts(useful: NDArray[np.int64], counts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Groups of faces, each with about as many candidates as fit into memory."""
    group = np.cumsum(counts[useful]) // _CANDIDATES
    for number in np.unique(group):
        yield useful[group == number]


def _area(a: NDArray[np.int64], b: NDArray[np.int64], p: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N, 2) twice the signed area of a, b, p, and its sign once ties are broken.

    On a tie the sign is positive from the lexicographically smaller end to the larger, as for a point moved by
    (-epsilon^2, epsilon). Both triangles at an edge get consistent signs.
    """
    forward = (a[:, 0] < b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] < b[:, 1]))
    area = (b[:, 0] - a[:, 0]) * (p[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (p[:, 0] - a[:, 0])
    sign = np.sign(area)
    same = (a == b).all(1)
    return np.stack([area, np.where((sign == 0) & ~same, np.where(forward, 1, -1), sign)], -1)
