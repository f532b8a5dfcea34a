"""Signed distance fields on a grid, and closed meshes from them, for tools/phantom/build_body.py.

Distances are in mm, negative inside. Needs scikit-image and fast-simplification.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import fast_simplification
import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.measure import marching_cubes

Field = NDArray[np.float32]
Point = Sequence[float]


class Grid:
    """A box of voxels in mm on which bones are modelled as signed distances."""

    def __init__(self, low: Point, high: Point, pitch: float) -> None:
        self.low, self.pitch = np.array(low, float), pitch
        sides = [np.arange(a, b + pitch / 2, pitch, dtype=np.float32) for a, b in zip(low, high, strict=True)]
        self.x, self.y, self.z = np.meshgrid(*sides, indexing="ij", sparse=True)
        self.shape = tuple(len(s) for s in sides)
        self.both_sides = False

    def folded(self) -> Grid:
        """The same grid, on which shapes at x > 0 appear at -x too."""
        other = copy(self)
        other.x, other.both_sides = abs(self.x), True
        return other

    def ball(self, centre: Point, radius: float) -> Field:
        """A sphere."""
        return self.ellipsoid(centre, (radius, radius, radius))

    def ellipsoid(self, centre: Point, axes: Point) -> Field:
        """An ellipsoid; the distance is exact at the surface and approximate elsewhere."""
        u, v, w = ((c - m) / a for c, m, a in zip((self.x, self.y, self.z), centre, axes, strict=True))
        inner = np.sqrt(u * u + v * v + w * w) + 1e-6
        slope = np.sqrt((u / axes[0]) ** 2 + (v / axes[1]) ** 2 + (w / axes[2]) ** 2) / inner + 1e-6
        return ((inner - 1) / slope).astype(np.float32)

    def box(self, centre: Point, half: Point, rounding: float = 3.0) -> Field:
        """A box with rounded edges."""
        q = [
            abs(c - m) - (h - rounding)
            for c, m, h in zip((self.x, self.y, self.z), centre, half, strict=True)
        ]
        outside = np.sqrt(sum(np.maximum(c, 0) ** 2 for c in q))
        return (outside + np.minimum(np.maximum(np.maximum(q[0], q[1]), q[2]), 0) - rounding).astype(
            np.float32
        )

    def half_space(self, point: Point, normal: Point) -> Field:
        """The half space on the side of a plane opposite to its normal."""
        n = np.array(normal, float) / np.linalg.norm(normal)
        inner = (self.x - point[0]) * n[0] + (self.y - point[1]) * n[1] + (self.z - point[2]) * n[2]
        return np.broadcast_to(inner, self.shape).astype(np.float32)

    def stroke(self, points: Sequence[Point], radii: Sequence[float]) -> Field:
        """A rounded bar along a polyline, with its radius interpolated linearly from point to point."""
        field = np.full(self.shape, 1e3, np.float32)
        for a, b, ra, rb in zip(points, points[1:], radii, radii[1:], strict=False):
            a, d = np.array(a, np.float32), np.subtract(b, a).astype(np.float32)
            px, py, pz = self.x - a[0], self.y - a[1], self.z - a[2]
            t = np.clip((px * d[0] + py * d[1] + pz * d[2]) / float(d @ d), 0, 1)
            distance = np.sqrt((px - t * d[0]) ** 2 + (py - t * d[1]) ** 2 + (pz - t * d[2]) ** 2)
            np.minimum(field, distance - (ra + t * (rb - ra)), out=field)
        return field

    def sheet(self, points: NDArray[np.float64], radii: NDArray[np.float64]) -> Field:
        """A curved plate: the union of many small balls with middles (N, 3) mm and radii (N,) mm."""
        if self.both_sides:
            points = np.concatenate([points, points * (-1, 1, 1)])
            radii = np.concatenate([radii, radii])
        x = (self.low[0] + self.pitch * np.arange(self.shape[0], dtype=np.float32))[:, None, None]
        field = np.full(self.shape, 12.0, np.float32)
        for centre, radius in zip(points, radii, strict=True):
            reach = radius + 6
            low = np.maximum(((centre - reach - self.low) / self.pitch).astype(int), 0)
            high = np.minimum(((centre + reach - self.low) / self.pitch).astype(int) + 2, self.shape)
            if (high <= low).any():
                continue
            i, j, k = (slice(a, b) for a, b in zip(low, high, strict=True))
            square = (
                (x[i] - centre[0]) ** 2 + (self.y[:, j] - centre[1]) ** 2 + (self.z[..., k] - centre[2]) ** 2
            )
            np.minimum(field[i, j, k], np.sqrt(square) - radius, out=field[i, j, k])
        return field

    def sample(self, field: Field, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) values of a field at (N, 3) mm, by linear interpolation."""
        return map_coordinates(field, ((points - self.low) / self.pitch).T, order=1, mode="nearest")


def join(*fields: Field, blend: float = 5.0) -> Field:
    """Union with fillets of about `blend` mm (polynomial smooth minimum)."""
    result = fields[0]
    for field in fields[1:]:
        h = np.clip(0.5 + 0.5 * (result - field) / blend, 0, 1)
        result = (result * (1 - h) + field * h - blend * h * (1 - h)).astype(np.float32)
    return result


def cut(field: Field, *holes: Field, blend: float = 1.5) -> Field:
    """Difference of a field and holes, with edges rounded over about `blend` mm."""
    for hole in holes:
        field = -join(-field, hole, blend=blend)
    return field


def patch(
    curves: Sequence[Sequence[Point]], radii: Sequence[Sequence[float]], step: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (N, 3) and radii (N,) of a plate between curves, by monotone cubics along and across them.

    Args:
        curves: (C, K, 3) control points of C neighbouring curves with K points each.
        radii: (C, K) half thickness at the control points.
    """
    control = np.concatenate([np.array(curves, float), np.array(radii, float)[..., None]], -1)
    rows, columns = control.shape[:2]
    along = PchipInterpolator(np.arange(columns), control, axis=1)
    length = np.linalg.norm(np.diff(control[..., :3], axis=1), axis=-1).sum(1).max()
    wide = along(np.linspace(0, columns - 1, int(length / step) + 2))
    across = PchipInterpolator(np.arange(rows), wide, axis=0)
    height = np.linalg.norm(np.diff(control[..., :3], axis=0), axis=-1).sum(0).max()
    dense = across(np.linspace(0, rows - 1, int(height / step) + 2)).reshape(-1, 4)
    return dense[:, :3], dense[:, 3]


def surface(grid: Grid, field: Field, faces: int, smooth: float = 0.6, pieces: int = 1) -> trimesh.Trimesh:
    """The zero surface of a field as a closed mesh with faces that point outward.

    Args:
        grid: of the field.
        field: signed distances.
        faces: approximate number of triangles.
        smooth: standard deviation of a Gaussian filter of the field, in voxels.
        pieces: number of the largest components to keep.
    """
    field = gaussian_filter(field, smooth)
    padded = np.pad(field, 1, constant_values=5.0)
    vertices, triangles, _, _ = marching_cubes(padded, 0.0, spacing=(grid.pitch,) * 3)
    dense = trimesh.Trimesh(vertices + grid.low - grid.pitch, triangles, process=True)
    parts = sorted(dense.split(only_watertight=False), key=lambda m: -abs(m.area))[:pieces]
    trimesh.smoothing.filter_taubin(dense := trimesh.util.concatenate(parts), iterations=6)
    mesh = _simplify(dense, faces)
    for _ in range(4):
        mesh.vertices = mesh.vertices - project(grid, field, mesh)
    trimesh.repair.fix_normals(mesh, multibody=True)
    return mesh


def _simplify(dense: trimesh.Trimesh, faces: int) -> trimesh.Trimesh:
    """Collapses edges; thin shells sometimes tear, then other random offsets and parameters are tried."""
    triangles, rng = dense.faces.astype(np.int32), np.random.default_rng(0)
    for attempt in range(60):
        points = (dense.vertices + rng.normal(0, 0.01 + 0.002 * attempt, dense.vertices.shape)).astype(
            np.float32
        )
        simple = fast_simplification.simplify(
            points, triangles, target_count=int(faces), agg=(7, 8, 6)[attempt % 3]
        )
        mesh = trimesh.Trimesh(*simple, process=True)
        if mesh.is_watertight and mesh.is_winding_consistent and len(mesh.faces) <= 1.02 * faces:
            return mesh
    raise SystemExit(f"{faces} faces: the mesh tears; make the bone less thin or give it more faces")


def project(grid: Grid, field: Field, mesh: trimesh.Trimesh) -> NDArray[np.float64]:
    """(V, 3) mm, the step along the vertex normals that moves each vertex towards the zero surface, at most 0.35 mm."""
    value = grid.sample(field, np.asarray(mesh.vertices))
    return np.clip(value, -0.5, 0.5)[:, None] * 0.7 * np.asarray(mesh.vertex_normals)
