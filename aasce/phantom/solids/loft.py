"""Closed surfaces from rings of points (lofts): tubes along curves, ellipsoids, and their faces.

Many similar shapes are built at once in NumPy: the leading axes of every array run over the shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from aasce.types import Array
from aasce.xray.mesh import Mesh


@lru_cache(maxsize=64)
def loft_faces(rings: int, sides: int) -> Array:
    """Faces (2 * sides * rings, 3) of `rings` rings of `sides` points each, closed by a pole at each end.

    Vertices are in order of the rings, then the first pole, then the last one. Normals point outwards if the rings run
    counter-clockwise as seen from the last pole.
    """
    ring, side = np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij")
    here, beside = ring * sides + side, ring * sides + (side + 1) % sides
    walls = [
        np.stack([here, beside, beside + sides], -1),
        np.stack([here, beside + sides, here + sides], -1),
    ]
    edge, following = np.arange(sides), (np.arange(sides) + 1) % sides
    last = (rings - 1) * sides
    first_pole, last_pole = np.full(sides, rings * sides), np.full(sides, rings * sides + 1)
    caps = [
        np.stack([first_pole, following, edge], -1),
        np.stack([last_pole, last + edge, last + following], -1),
    ]
    faces = np.concatenate([part.reshape(-1, 3) for part in (*walls, *caps)]).astype(np.int64)
    faces.setflags(write=False)
    return faces


def close(rings: Array, first: Array | None = None, last: Array | None = None) -> Array:
    """Vertices (..., R * S + 2, 3) for `loft_faces`, from rings (..., R, S, 3).

    Args:
        rings: mm.
        first, last: (..., 3) mm, the poles; the middles of the first and the last ring when None.
    """
    first = rings[..., 0, :, :].mean(-2) if first is None else first
    last = rings[..., -1, :, :].mean(-2) if last is None else last
    flat = rings.reshape(*rings.shape[:-3], -1, 3)
    return np.concatenate([flat, first[..., None, :], last[..., None, :]], -2)


def unit(vectors: Array) -> Array:
    """Vectors (..., 3) of length one; a zero vector stays zero."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))


def tangents(curve: Array) -> Array:
    """Unit tangents (..., N, 3) of curves (..., N, 3)."""
    return unit(np.gradient(curve, axis=-2))


def frames(curve: Array, along: Array) -> tuple[Array, Array]:
    """Two unit normals (..., N, 3) of a curve; the first lies in the plane of the tangent and `along`.

    With the tangent they form a right-handed frame (x, y, z), as `tube` needs it.
    """
    tangent = tangents(curve)
    along = np.broadcast_to(along, curve.shape)
    first = unit(along - (along * tangent).sum(-1, keepdims=True) * tangent)
    return first, np.cross(tangent, first)


@lru_cache(maxsize=32)
def circle(sides: int) -> Array:
    """Corners (2, sides) of a regular polygon with the area of the unit circle, the first one on the x axis."""
    angle = 2 * np.pi * np.arange(sides) / sides
    radius = np.sqrt(2 * np.pi / (sides * np.sin(2 * np.pi / sides)))
    return np.asarray(radius * np.stack([np.cos(angle), np.sin(angle)]))


def tube(curve: Array, first: Array, second: Array, radii: Array, sides: int, bulge: float = 0.35) -> Array:
    """Vertices of tubes with elliptic sections, for `loft_faces(N, sides)`.

    Args:
        curve: (..., N, 3) mm, the middle line.
        first, second: (..., N, 3) unit normals, see `frames`.
        radii: (..., N, 2) mm along the two normals.
        sides: points per ring.
        bulge: distance of the poles from the end rings, as a share of their mean radius.
    """
    corner = circle(sides)
    offset = (
        radii[..., 0, None, None] * corner[0][:, None] * first[..., None, :]
        + radii[..., 1, None, None] * corner[1][:, None] * second[..., None, :]
    )
    ends = unit(curve[..., [1, -1], :] - curve[..., [0, -2], :])
    out = bulge * radii[..., [0, -1], :].mean(-1)[..., None] * ends
    return close(
        curve[..., None, :] + offset, curve[..., 0, :] - out[..., 0, :], curve[..., -1, :] + out[..., 1, :]
    )


def ellipsoid(centre: Array, axes: Array, rings: int, sides: int) -> Array:
    """Vertices of an ellipsoid for `loft_faces(rings, sides)`; `axes` (3, 3): right-handed half axes as rows."""
    latitude = np.pi * (np.arange(1, rings + 1) / (rings + 1) - 0.5)
    longitude = 2 * np.pi * np.arange(sides) / sides
    around = np.stack([np.cos(longitude), np.sin(longitude), np.zeros(sides)], -1)
    ball = np.cos(latitude)[:, None, None] * around
    ball[..., 2] = np.sin(latitude)[:, None]
    return close(centre + ball @ axes, centre - axes[2], centre + axes[2])


def resample(curve: Array, count: int, start: float = 0.0, stop: float = 1.0) -> Array:
    """(count, 3) points of one curve (N, 3) at equal arc lengths between two shares of its length."""
    step = np.linalg.norm(np.diff(curve, axis=0), axis=-1)
    share = np.concatenate([[0.0], np.cumsum(step)]) / step.sum()
    at = np.linspace(start, stop, count)
    return np.stack([np.interp(at, share, curve[:, axis]) for axis in range(curve.shape[-1])], -1)


def at_shares(curves: Array, shares: Array) -> Array:
    """Points (..., M, 3) of curves (..., N, 3) at shares (M,), from 0 to 1, of their evenly spaced parameter."""
    place = np.clip(shares, 0, 1) * (curves.shape[-2] - 1)
    low = np.minimum(place.astype(int), curves.shape[-2] - 2)
    weight = (place - low)[:, None]
    return np.asarray(curves[..., low, :] * (1 - weight) + curves[..., low + 1, :] * weight)


def bezier(corners: Sequence[Array], count: int) -> Array:
    """Points (..., count, 3) of cubic Bezier curves with four corners (..., 3)."""
    u = np.linspace(0, 1, count)[:, None]
    a, b, c, d = (corner[..., None, :] for corner in corners)
    return np.asarray((1 - u) ** 3 * a + 3 * u * (1 - u) ** 2 * b + 3 * u**2 * (1 - u) * c + u**3 * d)


def smoothstep(low: float, high: float, values: Array) -> Array:
    """0 below `low`, 1 above `high`, smooth between."""
    u = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(u * u * (3 - 2 * u))


def signed_volume(vertices: Array, faces: Array) -> float:
    """Volume in cubic units of the vertices, positive if the faces point outwards."""
    a, b, c = (vertices[faces[:, corner]] - vertices[0] for corner in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def to_mesh(
    name: str, material: str, inside: str, vertices: Array, faces: Array, dtype: torch.dtype = torch.float64
) -> Mesh:
    """A `Mesh` with faces that point outwards, whatever the orientation of the given ones."""
    if signed_volume(vertices, faces) < 0:
        faces = faces[:, ::-1]
    return Mesh(name, material, inside, torch.tensor(vertices, dtype=dtype), torch.tensor(faces.copy()))
