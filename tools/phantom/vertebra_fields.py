"""Signed distance fields from which tools/phantom/build_vertebrae.py makes the vertebrae: mm, negative inside the bone.

The right half of a vertebra (x >= 0) in its own frame: x to the right, y forward, z up. Each part is a field with the
thickness of its cortex; smooth unions join the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from aasce.types import Array

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Grid:
    """Points of a regular grid, (nx, ny, nz) each in mm."""

    x: Array
    y: Array
    z: Array


@dataclass(slots=True)
class Bone:
    """Parts joined so far, and their cortex.

    Attributes:
        field: the union's signed distance.
        weight, cortex: sums, over parts, of softmin weights and of these weights times the cortical thickness.
    """

    field: Array
    weight: Array = field(init=False)
    cortex: Array = field(init=False)

    def __post_init__(self) -> None:
        self.weight = np.zeros_like(self.field)
        self.cortex = np.zeros_like(self.field)

    def cover(self, part: Array, cortex: Array | float) -> None:
        """Adds a part's cortex only."""
        share = np.exp(-np.clip(part, -2, 12) / 1.2)
        self.weight += share
        self.cortex += share * cortex

    def add(self, part: Array, blend: float, cortex: Array | float = 1.0) -> None:
        """Joins a part, with the seam rounded over `blend` mm."""
        self.field = union(self.field, part, blend)
        self.cover(part, cortex)

    def cut(self, part: Array, blend: float) -> None:
        """Subtracts a part, with the edge rounded over `blend` mm."""
        self.field = intersection(self.field, -part, blend)


def union(a: Array, b: Array, blend: float) -> Array:
    """Polynomial smooth minimum; adds up to blend / 4 mm of bone in the seam."""
    share = np.clip(0.5 + 0.5 * (b - a) / blend, 0, 1)
    return b * (1 - share) + a * share - blend * share * (1 - share)


def intersection(a: Array, b: Array, blend: float) -> Array:
    """Smooth maximum: an edge rounded over `blend` mm."""
    return -union(-a, -b, blend)


def step(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high` (or the other way round), smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def superellipse(x: Array, y: Array, a: Array | float, b: Array | float, power: float) -> tuple[Array, Array]:
    """First-order distance to a superellipse with half axes a and b, and the relative radius, which is 1 on it."""
    u, v = np.abs(x) / a, np.abs(y) / b
    q = np.maximum((u**power + v**power) ** (1 / power), 1e-3)
    slope = q ** (1 - power) * np.hypot(u ** (power - 1) / a, v ** (power - 1) / b)
    return (q - 1) / np.maximum(slope, 0.4 / np.maximum(a, b)), q


def rod(
    g: Grid,
    start: Point,
    end: Point,
    wide: tuple[float, float],
    tall: tuple[float, float],
    across: Point = (1, 0, 0),
) -> Array:
    """Rod of elliptical cross-section with round ends.

    Args:
        g: sampling points.
        start, end: mm.
        wide, tall: half axes at (start, end); `wide` is the one along `across`.
        across: direction, made perpendicular to the rod.
    """
    a, b = np.array(start), np.array(end)
    length = float(np.linalg.norm(b - a))
    axis = (b - a) / length
    first = np.array(across) - axis * (axis @ np.array(across))
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    p = (g.x - a[0], g.y - a[1], g.z - a[2])
    s, u, v = (p[0] * d[0] + p[1] * d[1] + p[2] * d[2] for d in (axis, first, second))
    t = np.clip(s / length, 0, 1)
    w, h = wide[0] + (wide[1] - wide[0]) * t, tall[0] + (tall[1] - tall[0]) * t
    over = s - t * length
    cap = np.minimum(w, h)
    q = np.sqrt((u / w) ** 2 + (v / h) ** 2 + (over / cap) ** 2)
    slope = np.sqrt((u / w**2) ** 2 + (v / h**2) ** 2 + (over / cap**2) ** 2)
    return np.where(q < 0.05, -cap, q * (q - 1) / np.maximum(slope, 1e-6))


def chain(g: Grid, points: Sequence[Point], wide: float, tall: float, across: Point) -> Array:
    """Rods of one cross-section along a polyline."""
    parts = [rod(g, a, b, (wide, wide), (tall, tall), across) for a, b in pairwise(points)]
    out = parts[0]
    for part in parts[1:]:
        out = union(out, part, 1.0)
    return out


def ball(g: Grid, centre: Point, radii: Point) -> Array:
    """First-order distance to an ellipsoid."""
    p = [(c - m) for c, m in zip((g.x, g.y, g.z), centre, strict=True)]
    q = np.sqrt(sum((c / r) ** 2 for c, r in zip(p, radii, strict=True)))
    slope = np.sqrt(sum((c / r**2) ** 2 for c, r in zip(p, radii, strict=True)))
    return np.where(q < 0.05, -min(radii), q * (q - 1) / np.maximum(slope, 1e-6))


def plate(g: Grid, start: Point, end: Point, thick: float, bottom: float, top: float, lean: float) -> Array:
    """Vertical plate of thickness `thick` over a segment of the xy plane, inclined forward by `lean` mm per mm of z."""
    middle = (bottom + top) / 2
    a, d = np.array(start[:2]), np.array(end[:2]) - np.array(start[:2])
    px, py = g.x - a[0], g.y - lean * (g.z - middle) - a[1]
    t = np.clip((px * d[0] + py * d[1]) / (d @ d), 0, 1)
    flat = np.hypot(px - t * d[0], py - t * d[1]) - thick / 2
    return intersection(flat, np.abs(g.z - middle) - (top - bottom) / 2, min(thick, 3.0))


def blade(
    g: Grid, start: Point, length: float, drop: float, half: tuple[float, float], tall: tuple[float, float]
) -> Array:
    """Flat spinous process in the middle plane.

    Args:
        g: sampling points.
        start: mm.
        length: mm.
        drop: inclination below the horizontal, degrees; it runs backward.
        half: half thickness at (start, tip).
        tall: half height at (start, tip).
    """
    c, s = np.cos(np.deg2rad(drop)), np.sin(np.deg2rad(drop))
    along = -(g.y - start[1]) * c - (g.z - start[2]) * s
    up = -(g.y - start[1]) * s + (g.z - start[2]) * c
    t = np.clip(along / length, 0, 1)
    side = g.x - (half[0] + (half[1] - half[0]) * t**3)
    height = tall[0] + (tall[1] - tall[0]) * t
    corner = 0.75 * min(tall)
    over_up, over_end = np.abs(up) - height + corner, np.maximum(along - length + corner, -along - 2)
    outline = np.hypot(np.maximum(over_up, 0), np.maximum(over_end, 0)) + np.minimum(
        np.maximum(over_up, over_end), 0
    )
    return intersection(side, outline - corner, 3.0)
