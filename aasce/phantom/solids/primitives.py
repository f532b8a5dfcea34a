"""Stored bone templates and simple closed bodies: rods, rings, balls, boxes, discs.

The stored bones are modelled by tools/phantom/build_body.py. Vertices are (V, 3) mm, faces (F, 3) counter-clockwise
seen from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from aasce.phantom.solids.loft import circle, close, loft_faces, signed_volume, unit
from aasce.types import Array
from aasce.xray.mesh import Mesh

DATA = Path(__file__).parents[1] / "data" / "body.npz"

Solid = tuple[Array, Array]
"""Vertices (V, 3) and faces (F, 3) of one closed body."""


@lru_cache(maxsize=32)
def stored(name: str) -> Solid:
    """A bone of data/body.npz: vertices float64 mm of the average adult and faces int64, both read-only."""
    with np.load(DATA) as file:
        solid = file[f"{name}:vertices"].astype(np.float64) / 100, file[f"{name}:faces"].astype(np.int64)
    for array in solid:
        array.setflags(write=False)
    return solid


@lru_cache(maxsize=32)
def normals(name: str) -> Array:
    """Unit vertex normals (V, 3) of a stored bone."""
    vertices, faces = stored(name)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = np.cross(b - a, c - a)
    total = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(total, faces[:, k], area)
    return unit(total)


def thinned(name: str, cortex: float, mean: float) -> Array:
    """Vertices (V, 3) of a stored marrow below a cortex of another thickness.

    Args:
        name: of the marrow in data/body.npz.
        cortex: factor on the thickness of the cortex.
        mean: mean thickness of the cortex in the template, mm.
    """
    return np.asarray(stored(name)[0] + normals(name) * (1 - cortex) * mean)


def mesh_of(
    name: str, material: str, inside: str, vertices: torch.Tensor | Array, faces: Array, dtype: torch.dtype
) -> Mesh:
    """A `Mesh` with the faces as given."""
    placed = (
        vertices if isinstance(vertices, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(vertices))
    )
    return Mesh(name, material, inside, placed.to(dtype), torch.tensor(faces.copy()))


def merged(name: str, material: str, inside: str, solids: Iterable[Solid], dtype: torch.dtype) -> Mesh:
    """One mesh of several closed bodies, with the faces of each pointing outwards."""
    parts, faces, count = [], [], 0
    for vertices, triangles in solids:
        parts.append(vertices)
        faces.append((triangles if signed_volume(vertices, triangles) > 0 else triangles[:, ::-1]) + count)
        count += len(vertices)
    return mesh_of(name, material, inside, np.concatenate(parts), np.concatenate(faces), dtype)


def rod(
    points: Array | Sequence[Sequence[float]], radii: Array | float, sides: int = 6, bulge: float = 0.3
) -> Solid:
    """A rod of round section along points.

    Args:
        points: (N, 3) mm.
        radii: (N,) mm, or one number.
        sides: points per ring.
        bulge: distance of the poles from the end rings, as a share of their radius.
    """
    line = np.asarray(points, float)
    first, second = _carried(line)
    radius = np.broadcast_to(np.asarray(radii, float), (len(line),))
    corner = circle(sides)
    offset = corner[0][:, None] * first[:, None] + corner[1][:, None] * second[:, None]
    rings = line[:, None] + radius[:, None, None] * offset
    start = line[0] - bulge * radius[0] * unit(line[1] - line[0])
    stop = line[-1] + bulge * radius[-1] * unit(line[-1] - line[-2])
    return close(rings, start, stop), loft_faces(len(line), sides)


def _carried(line: Array) -> tuple[Array, Array]:
    """Two unit normals (N, 3) along a line, transported without twist; a right-handed frame with the tangent."""
    tangent = unit(np.gradient(line, axis=0))
    first = np.empty_like(line)
    side = np.eye(3)[np.abs(tangent[0]).argmin()]
    for index, direction in enumerate(tangent):
        side = unit(side - (side @ direction) * direction)
        first[index] = side
    return first, np.cross(tangent, first)


def ring(points: Array, radius: float, sides: int = 5) -> Solid:
    """A closed loop of wire of the given radius (mm) through points (N, 3)."""
    line = np.asarray(points, float)
    tangent = unit(np.roll(line, -1, 0) - np.roll(line, 1, 0))
    normal = unit(np.cross(line - line.mean(0), tangent).sum(0))
    out = unit(np.cross(tangent, normal))
    angle = 2 * np.pi * np.arange(sides) / sides
    wire = line[:, None] + radius * (
        np.cos(angle)[:, None] * out[:, None]
        + np.sin(angle)[:, None] * np.broadcast_to(normal, out.shape)[:, None]
    )
    count = len(line)
    here = np.arange(count)[:, None] * sides + np.arange(sides)
    beside = np.arange(count)[:, None] * sides + (np.arange(sides) + 1) % sides
    there, beyond = np.roll(here, -1, 0), np.roll(beside, -1, 0)
    faces = np.concatenate([np.stack([here, beside, beyond], -1), np.stack([here, beyond, there], -1)])
    return wire.reshape(-1, 3), faces.reshape(-1, 3)


def loop(centre: Sequence[float] | Array, across: Array, up: Array, count: int = 12) -> Array:
    """(count, 3) points of an ellipse with half axes `across` and `up`."""
    angle = 2 * np.pi * np.arange(count)[:, None] / count
    return np.asarray(centre + np.cos(angle) * across + np.sin(angle) * up)


def disc(centre: Array, normal: Array, radius: float, thickness: float, sides: int = 12) -> Solid:
    """A flat round plate; centre (3,) mm, normal (3,), radius and thickness in mm."""
    half = unit(np.asarray(normal, float)) * thickness / 2
    return rod(np.stack([centre - half, centre + half]), radius, sides, 0.0)


def box(centre: Array, axes: Array) -> Solid:
    """A cuboid around `centre` (3,) mm; the rows of `axes` (3, 3) mm are its half axes."""
    signs = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], float)
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    faces = np.array([[(a, b, c), (a, c, d)] for a, b, c, d in quads]).reshape(-1, 3)
    return centre + signs @ np.asarray(axes, float), faces


@lru_cache(maxsize=4)
def unit_ball(detail: int) -> Solid:
    """Icosahedron subdivided `detail` times on the unit sphere: 20, 80, 320 faces."""
    golden = (1 + 5**0.5) / 2
    corners = [(-1, golden, 0), (1, golden, 0), (-1, -golden, 0), (1, -golden, 0)]
    points = unit(
        np.array([(p[k], p[(k + 1) % 3], p[(k + 2) % 3]) for k in (0, 2, 1) for p in corners], float)
    )
    near = np.linalg.norm(points[:, None] - points, axis=-1) < 1.2
    faces = np.array(
        [
            (i, j, k) if np.linalg.det(points[[i, j, k]]) > 0 else (i, k, j)
            for i in range(12)
            for j in range(i + 1, 12)
            for k in range(j + 1, 12)
            if near[i, j] and near[j, k] and near[i, k]
        ]
    )
    for _ in range(detail):
        points, faces = _subdivided(points, faces)
    return points, faces


def _subdivided(points: Array, faces: Array) -> Solid:
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, inverse = np.unique(edges, axis=0, return_inverse=True)
    middles = unit(points[unique].mean(1))
    ab, bc, ca = (inverse.reshape(-1, 3) + len(points)).T
    a, b, c = faces.T
    four = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate([points, middles]), np.concatenate([np.stack(f, -1) for f in four])


def ball(centre: Array | Sequence[float], radius: float, detail: int = 1) -> Solid:
    """A sphere; centre (3,) and radius in mm, `detail` as of `unit_ball`."""
    points, faces = unit_ball(detail)
    return np.asarray(centre) + radius * points, faces


def bead(centre: Array, radius: float) -> Solid:
    """An octahedron with the volume of a sphere: the ball with the fewest faces."""
    points = np.concatenate([np.eye(3), -np.eye(3)]) * radius * np.pi ** (1 / 3)
    faces = np.array([(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)])
    return centre + points, faces


def spline(points: Array, per_span: int) -> Array:
    """Points of a Catmull-Rom curve through (N, 3) points: `per_span` for each span, and the last point."""
    padded = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    t = (np.arange(per_span) / per_span)[:, None, None]
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([curve.transpose(1, 0, 2).reshape(-1, 3), points[-1:]])
