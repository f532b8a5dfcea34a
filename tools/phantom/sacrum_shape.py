"""The sacrum with a fused coccyx, as a signed distance field around its curved axis."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from aasce.phantom.spine.anthropometry import means, reach
from aasce.types import Array
from tools.phantom.vertebra_fields import Bone, Grid, ball, intersection, rod, step, superellipse, union

AXIS = np.array(
    [[-1.5, 15], [0, 0], [-0.5, -27], [4.5, -50], [14.5, -67.5], [27.5, -79], [38, -84], [50, -86]]
)
"""(y, z) of the middles of the upper endplate, S1 to S5 and two coccygeal segments: a kyphosis of about 65 degrees
between S1 and S5."""

FORAMINA = ((13.8, 17.5, 5.0), (39.5, 15.5, 4.8), (61.0, 13.5, 4.0), (80.0, 11.5, 3.2))
"""(length along the axis from the middle of S1, distance from the middle plane, radius) of the four pairs, mm."""


def along_axis(g: Grid) -> tuple[Array, Array]:
    """Curved coordinates: length along the axis from the middle of S1 down, and distance in front of it, mm."""
    y, z = _smooth_axis()
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(y), np.diff(z)))])
    start = lengths[np.argmin(np.hypot(y, z))]
    plane_y, plane_z = g.y[0], g.z[0]
    distance = np.hypot(plane_y[..., None] - y, plane_z[..., None] - z)
    nearest = distance.argmin(-1)
    tangent = np.stack([np.gradient(y), np.gradient(z)], -1)
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
    ty, tz = tangent[nearest, 0], tangent[nearest, 1]
    dy, dz = plane_y - y[nearest], plane_z - z[nearest]
    way = lengths[nearest] - start + dy * ty + dz * tz
    front = -dy * tz + dz * ty
    return np.broadcast_to(way, g.x.shape), np.broadcast_to(front, g.x.shape)


def _smooth_axis() -> tuple[Array, Array]:
    knots = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(AXIS, axis=0).T))])
    curve = CubicSpline(knots, AXIS)(np.linspace(-12, knots[-1] + 10, 260))
    return curve[:, 0], curve[:, 1]


def sacrum(g: Grid) -> Bone:
    """Half of the sacrum: fused bodies, wings, canal, four foramina, crests."""
    size = means()["S1"]
    up, _ = reach("S1")
    way, front = along_axis(g)
    knots = [-15, 0, 13, 27, 39, 52, 61, 73, 80, 90, 99, 106, 118]
    wide = np.interp(
        way, knots, np.array([25.3, 23.9, 20.6, 18.0, 16.6, 14.6, 13.8, 12.0, 11.4, 9.6, 8.4, 5.5, 3.6])
    )
    deep = np.interp(
        way, knots, np.array([18.2, 15.9, 12.2, 10.0, 8.8, 7.4, 6.8, 5.8, 5.4, 4.8, 4.4, 3.6, 2.8])
    )
    ridge = sum(np.exp(-(((way - s) / 2.0) ** 2)) for s in (13.8, 39.5, 61.0, 80.0))
    wall, q = superellipse(g.x, front + 0.4, wide, deep + 0.7 * ridge * (front > 0), 2.4)
    end = (g.z - up) + size.upper_concavity * (1 - step(0.3, 0.92, q))
    trunk = intersection(intersection(wall, end, 2.2), way - 120, 3.0)
    bone = Bone(trunk)
    bone.cover(trunk, 0.55 + 0.4 * np.exp(-((end / 2.0) ** 2)))
    _wings(g, bone, way, front)
    _rear(g, bone, way, front)
    for s, x, r in FORAMINA:
        radius = r * (1 + 0.035 * np.clip(front, -8, 12))
        hole = np.hypot((g.x - x - 0.05 * front) / 1.05, way - s) - radius
        bone.cut(hole, 2.5)
    return bone


def _wings(g: Grid, bone: Bone, way: Array, front: Array) -> None:
    """Adds the alae with the joint surfaces for the ilia, tapering to the lower lateral angles."""
    half = means()["S1"].transverse_span / 2
    border = np.interp(
        way,
        [-16, -8, 2, 14, 28, 40, 52, 64, 78, 90, 99],
        half + 1.0 + np.array([-13, -4, 0, -0.5, -5, -13, -19.5, -23.5, -27, -33, -43]),
    )
    x = np.clip(g.x / half, 0, 1)
    centre = np.interp(way, [-12, 5, 25, 50, 75, 95], [-5.5, -6.5, -5.0, -3.0, -1.5, -0.5]) - 14.0 * x**2.2
    thick = np.interp(way, [-14, -4, 8, 25, 42, 60, 80, 98], [9.5, 13.5, 14.5, 12.0, 8.5, 6.0, 4.4, 3.6])
    thick = thick * (1 - 0.34 * x**2)
    roof = (g.z - 11.5) + 0.36 * np.clip(g.x - 22, 0, None) - 0.25 * np.clip(-front - 6, 0, 20)
    side = g.x - border + 0.22 * np.clip(-front - 8, 0, 30)
    slab = intersection(np.abs(front - centre) - thick, side, 5.0)
    slab = intersection(intersection(slab, roof, 4.0), way - 99, 5.0)
    bone.add(slab, 5.0, 0.6 + 0.5 * np.exp(-((side / 2.5) ** 2)))


def _rear(g: Grid, bone: Bone, way: Array, front: Array) -> None:
    """Adds the laminae over the sacral canal, the median crest and the upper articular processes."""
    size = means()["S1"]
    a = np.interp(way, [-14, 10, 40, 75, 95], [size.canal_width / 2, 13.5, 10.5, 7.0, 4.5])
    b = np.interp(way, [-14, 10, 40, 75, 95], [size.canal_depth / 2, 6.6, 5.0, 3.6, 2.4])
    centre = -np.interp(way, [-15, 0, 27, 52, 73, 90], [16.5, 15.2, 10.0, 7.4, 5.8, 4.8]) - b + 0.5
    canal, _ = superellipse(g.x, front - centre, a, b, 2.0)
    cover, _ = superellipse(g.x, front - centre, a + 4.0, b + 4.0, 2.0)
    roof = intersection(intersection(cover, -way - 9 + 0.25 * front, 3.0), way - 84, 4.0)
    bone.add(roof, 3.0, 1.2)
    crest = np.full_like(g.x, 50.0)
    for s, tall in ((0.0, 8.0), (26.0, 6.5), (48.0, 5.0), (67.0, 3.5)):
        near = centre - b - 3.0
        lump = np.sqrt(((way - s) / 8.5) ** 2 + (g.x / 3.2) ** 2 + ((front - near) / tall) ** 2)
        crest = union(crest, (lump - 1) * 3.2, 2.0)
    bone.add(crest, 3.0, 1.2)
    x = size.canal_width / 2 + 6.5
    bone.add(rod(g, (x, -20, 4), (x + 1.5, -22.5, 19.0), (5.0, 4.0), (4.6, 4.6)), 4.0, 1.3)
    bone.add(ball(g, (30, -27, 4), (6, 4.5, 7)), 5.0, 1.1)
    bone.cut(intersection(canal, way - 92, 3.0), 1.5)
