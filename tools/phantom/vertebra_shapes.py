"""Parts of the vertebrae by level, from the sizes in aasce.phantom.spine.anthropometry.

The sacrum is in sacrum_shape.py. Positions without measurements (ends of laminae, orientation of facets) follow
anatomical atlases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aasce.phantom.spine.anthropometry import Dimensions, means, reach
from aasce.types import Array
from tools.phantom.vertebra_fields import (
    Bone,
    Grid,
    Point,
    ball,
    blade,
    chain,
    intersection,
    plate,
    rod,
    step,
    superellipse,
)

BODY_CORTEX, RIM_CORTEX, ENDPLATE_CORTEX = 0.42, 0.35, 0.58
PEDICLE_CORTEX, ARCH_CORTEX, FACET_CORTEX, PROCESS_CORTEX = 1.15, 1.05, 1.15, 0.7
"""Thickness of the cortex, mm; that of the rim is added. The body's shell is thin: 0.35 mm (Silva et al., J Orthop Res
1994;12:409), and appears twice as thick in CT."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Positions of the parts of one level, right side, mm."""

    size: Dimensions
    up: float
    down: float
    back: float
    pedicle: Point
    pillar: Point
    lamina: Point
    spine: Point
    tip: Point
    transverse_base: Point
    transverse_tip: Point


def number(level: str) -> int:
    """Number of a level in its region: 1 for C1, T1, L1, S1."""
    return int(level[1:])


def marks(level: str) -> Marks:
    """Positions of the parts of C3 to L5, from the level's mean sizes."""
    size = means()[level]
    up, down = reach(level)
    region, n = level[0], number(level)
    back = -size.depth / 2
    middle = size.canal_width / 2 + size.pedicle_width / 2
    pedicle_z = {"C": 1.0, "T": up - size.pedicle_height / 2 - 0.3, "L": up - size.pedicle_height / 2 - 1.2}[
        region
    ]
    run = {"C": 5.0, "T": 8.0, "L": 9.0}[region]
    lean = np.tan(np.deg2rad(size.pedicle_angle))
    pillar_x = size.canal_width / 2 + 6.5 if region == "C" else middle + lean * (run - 3)
    pillar = (pillar_x, back - run - 2, pedicle_z - 1)
    wall = back - size.canal_depth
    spine_z = {"C": -3.0, "T": (pedicle_z - down) / 2 - 1, "L": -4.5 if n < 5 else -2.5}[region]
    spine = (0.0, wall - 1.5, spine_z)
    drop = np.deg2rad(size.spinous_drop)
    tip = (0.0, wall - size.spinous_length * np.cos(drop), spine_z - size.spinous_length * np.sin(drop))
    base, end = _transverse(level, size, pillar, pedicle_z, back)
    pedicle = (middle, back - 3, pedicle_z)
    return Marks(size, up, down, back, pedicle, pillar, (0.0, wall - 3.2, spine_z), spine, tip, base, end)


def _transverse(level: str, size: Dimensions, pillar: Point, z: float, back: float) -> tuple[Point, Point]:
    """(base, tip) of the right transverse process."""
    region, n = level[0], number(level)
    half = size.transverse_span / 2
    if region == "T":
        # McCormack et al., Neurosurgery 1995;37:303: 5.5 mm above the pedicle at T1, level at T6-T7, 6.6 below at T12.
        rise = np.interp(n, [1, 6.5, 12], [5.45, 0, -6.6])
        sweep = np.interp(n, [1, 2, 4, 10, 12], [14, 24, 36, 42, 35])
        base = (pillar[0] + 0.5, pillar[1] - 2.5, z - 1 + 0.4 * rise)
        x = half - club_radius(n)
        return base, (x, base[1] - (x - base[0]) * np.tan(np.deg2rad(sweep)), z + 1.3 * rise)
    if region == "L":
        base = (pillar[0] - 1, back - 5.5, z - 3)
        fall = {1: 3.0, 2: 2.0, 3: 1.0, 4: -3.0, 5: -4.0}[n]
        return base, (half - (3.7 if n == 5 else 2.4), back - (5.5 if n == 5 else 9.5), z - 3 - fall)
    return (pillar[0], pillar[1] + 1, -1.5), (
        half - 2.3,
        back + 3.0 - (5 if n == 7 else 0),
        -2.5 if n < 7 else 0.0,
    )


def club_radius(n: int) -> float:
    """Radius of the end of the transverse process of T1 to T12, mm."""
    return float(np.interp(n, [1, 8, 10, 11, 12], [4.6, 4.6, 4.2, 3.6, 3.4]))


def body(g: Grid, level: str, size: Dimensions) -> tuple[Array, Array, Array]:
    """Field of the body, thickness of its cortex, and distance to its side wall."""
    region, n = level[0], number(level)
    up, down = reach(level)
    middle = (up - down) / 2
    t = np.clip((g.z - middle) / ((up + down) / 2), -1.15, 1.15)
    high = (t + 1) / 2
    bulge = 1 - np.abs(np.clip(t, -1, 1)) ** 2.3
    flare = 0.016 * np.exp(-(((1 - np.abs(t)) / 0.16) ** 2))
    width = (size.lower_width + (size.upper_width - size.lower_width) * high) / 2
    depth = (size.lower_depth + (size.upper_depth - size.lower_depth) * high) / 2
    width = width * (1 - size.waist * bulge + flare)
    front, rear = depth * (1 - 0.9 * size.waist * bulge + flare), depth * (1 - 0.3 * size.waist * bulge)
    dent = {"C": 0.4, "T": 0.9, "L": 2.2}[region] if level != "L5" else 0.4
    taper = {"C": 0.05, "T": 0.13, "L": 0.04}[region]
    width = width * (
        1 - taper * np.clip(g.y / front, 0, 1.2) ** 2 - 0.6 * taper * np.clip(-g.y / rear, 0, 1.2) ** 2
    )
    rear = rear + dent * (1 - np.exp(-((g.x / (0.5 * width)) ** 2)))
    power = {"C": 2.7, "T": 2.35, "L": 2.5}[region]
    wall, q = superellipse(g.x, g.y, width, np.where(g.y > 0, front, rear), power)
    lean = (size.front_height - size.back_height) / 2 * g.y / size.depth
    hook = {"C": 4.5 if n < 7 else 3.0, "T": {1: 1.3, 2: 0.6}.get(n, 0.0), "L": 0.0}[region]
    hook = hook * step(0.6, 0.98, g.x / width) * step(0.8, -0.1, g.y / depth)
    _, shifted = superellipse(g.x, g.y + 0.12 * depth, width, depth, 2.2)
    top = up + lean + hook - size.upper_concavity * (1 - step(0.25, 0.9, q))
    bottom = -down - lean + size.lower_concavity * (1 - step(0.2, 0.9, np.maximum(q * 0.85, shifted)))
    ends = np.maximum(g.z - top, bottom - g.z)
    rim = np.exp(-((wall / 2.2) ** 2)) * np.exp(-((np.minimum(np.abs(ends), 6) / 2.0) ** 2))
    cortex = BODY_CORTEX + (ENDPLATE_CORTEX - BODY_CORTEX) * step(-3.0, 0.0, ends) + RIM_CORTEX * rim
    return intersection(wall, ends, 1.5 if region != "C" else 0.9), cortex, wall


def build(g: Grid, level: str, fitted: Dimensions) -> Bone:
    """The right half of a vertebra, C1 to L5.

    Args:
        g: sampling points.
        level: "C1" to "L5".
        fitted: sizes for the body's field, with which the meshed body has the mean sizes.
    """
    if level == "C1":
        return atlas(g)
    shape, cortex, _ = body(g, level, fitted)
    bone = Bone(shape)
    bone.cover(shape, cortex)
    if level == "C2":
        axis(g, bone)
        return bone
    m = marks(level)
    {"C": cervical_arch, "T": thoracic_arch, "L": lumbar_arch}[level[0]](g, level, m, bone)
    canal, _ = superellipse(
        g.x, g.y - m.back + m.size.canal_depth / 2, m.size.canal_width / 2, m.size.canal_depth / 2, 2.3
    )
    bone.cut(canal, 1.2)
    return bone


def pedicle(g: Grid, m: Marks, bone: Bone) -> None:
    """Adds a pedicle: an elliptical rod with thick cortex from the body to the articular pillar."""
    size = m.size
    lean = float(np.tan(np.deg2rad(size.pedicle_angle)))
    x, y, z = m.pedicle
    reach_in = 7.0 if size.pedicle_angle < 35 else 5.0
    start, end = (x - lean * reach_in, y + reach_in, z), (x + lean * 4.5, y - 4.5, z - 0.5)
    half, tall = size.pedicle_width / 2, size.pedicle_height / 2
    bone.add(rod(g, start, end, (half, half), (tall, tall)), 1.6, PEDICLE_CORTEX)


def thoracic_arch(g: Grid, level: str, m: Marks, bone: Bone) -> None:
    """Adds coronal facets, overlapping laminae, transverse processes with thick ends, a long spinous process."""
    n, size = number(level), m.size
    pedicle(g, m, bone)
    x, y, z = m.pillar
    bone.add(ball(g, (x, y, z - 1.5), (4.6, 4.2, 7.0)), 3.0, ARCH_CORTEX)
    top, low = z + size.pedicle_height * 0.22, -m.down - 2.0
    bone.add(plate(g, (x - 1, y - 1.0, 0), m.lamina, 5.4, low, top, 0.22), 2.5, ARCH_CORTEX)
    facet = size.canal_width / 2 + 4.2
    bone.add(
        rod(g, (facet, y + 0.8, z), (facet, y + 0.2, m.up + 3.6), (4.8, 4.4), (2.6, 2.0)), 2.5, FACET_CORTEX
    )
    inner, thin = facet - 2.2, (3.4, 4.6) if n == 12 else (2.8, 2.2)
    bone.add(
        rod(g, (inner, y - 4.2, 0), (inner, y - 5.2, -m.down - 4.2), (5.0, 4.4), thin), 3.0, FACET_CORTEX
    )
    club = club_radius(n)
    bone.add(
        rod(g, m.transverse_base, m.transverse_tip, (4.4, 3.6), (3.6, 3.2), (0, 0, 1)), 3.5, PROCESS_CORTEX
    )
    bone.add(ball(g, m.transverse_tip, (club, club * 0.95, club * 1.15)), 2.0, PROCESS_CORTEX)
    long = size.spinous_length - 1.5
    tall = (6.2, 3.2) if n < 9 else (7.0, 5.2 if n < 11 else 7.0)
    bone.add(blade(g, m.spine, long, size.spinous_drop, (3.0, 2.7), tall), 3.5, PROCESS_CORTEX)
    if n < 10:
        bone.add(ball(g, _short_of(m.tip, m.spine, 3.2), (3.6, 3.4, 3.6)), 2.5, PROCESS_CORTEX)


def _short_of(tip: Point, base: Point, by: float) -> Point:
    """The point `by` mm before the tip on the way from the base."""
    a, b = np.array(tip), np.array(base)
    x, y, z = a + (b - a) / np.linalg.norm(b - a) * by
    return (float(x), float(y), float(z))


def lumbar_arch(g: Grid, level: str, m: Marks, bone: Bone) -> None:
    """Adds sagittal facets, broad laminae, long thin transverse processes, a high spinous process."""
    n, size = number(level), m.size
    pedicle(g, m, bone)
    x, y, z = m.pillar
    upper = size.canal_width / 2 + (4.6 if n < 5 else 5.6)
    bone.add(ball(g, (min(x, upper + 1.5), y, z - 3.5), (4.8, 4.6, 7.5)), 3.0, ARCH_CORTEX)
    low = -m.down - (0.0 if n < 4 else -3.0)
    bone.add(plate(g, (min(x, upper) - 1, y - 1, 0), m.lamina, 6.2, low, z + 2.5, 0.26), 2.5, ARCH_CORTEX)
    bone.add(
        rod(g, (upper, y - 0.5, z), (upper + 0.6, y - 4.5, m.up + 6.0), (4.2, 3.4), (5.4, 5.2)),
        3.0,
        FACET_CORTEX,
    )
    bone.add(ball(g, (upper + 2.6, y - 6.5, m.up + 1.0), (3.2, 3.2, 4.2)), 2.0, FACET_CORTEX)
    inner = size.canal_width / 2 - (2.6 if n < 5 else -2.5)
    rear = m.back - size.canal_depth
    bone.add(
        rod(g, (inner, rear - 1.5, -4), (inner, rear - 0.5, -m.down - 7.5), (6.4, 4.2), (4.4, 5.2)),
        3.5,
        FACET_CORTEX,
    )
    wide, tall = (
        ((3.2, 2.3), (4.6, 3.6))
        if n < 4
        else ((3.4, 2.6), (4.8, 3.8))
        if n == 4
        else ((6.0, 4.0), (8.0, 4.6))
    )
    bone.add(rod(g, m.transverse_base, m.transverse_tip, wide, tall, (0, 1, 0)), 3.5, PROCESS_CORTEX)
    reach_back = size.spinous_length - 1.5
    tall = {1: (7.5, 9.0), 2: (8.0, 10.0), 3: (8.0, 10.5), 4: (7.5, 9.0), 5: (6.0, 6.0)}[n]
    bone.add(blade(g, m.spine, reach_back, size.spinous_drop, (2.7, 3.9), tall), 3.5, PROCESS_CORTEX)


def cervical_arch(g: Grid, level: str, m: Marks, bone: Bone) -> None:
    """Adds pillars with inclined facets, transverse processes around a foramen, a short bifid spinous process."""
    n, size = number(level), m.size
    pedicle(g, m, bone)
    x, y, _ = m.pillar
    wall, _ = superellipse(g.x - x, g.y - y, 6.0, 6.2, 2.4)
    slant = g.z - 0.75 * (g.y - y)
    bone.add(intersection(wall, np.abs(slant) - 6.2, 2.0), 2.0, FACET_CORTEX)
    bone.add(plate(g, (x - 2, y - 3, 0), m.lamina, 4.2, -7.5, 4.5, 0.3), 2.5, ARCH_CORTEX)
    side = size.upper_width / 2 - 1
    tx, ty, tz = m.transverse_tip
    bone.add(
        rod(g, (side, -0.5, -2.0), (tx - 0.5, ty + 1.5, tz), (2.2, 1.9), (2.6, 2.2), (0, 1, 0)),
        1.5,
        PROCESS_CORTEX,
    )
    bone.add(
        rod(g, (x, y + 3, -2), (tx, ty - 2.0, tz), (2.6, 2.2), (3.0, 2.6), (0, 1, 0)), 1.5, PROCESS_CORTEX
    )
    long = size.spinous_length - 1.2
    tall = (5.0, 3.4) if n < 7 else (5.5, 4.2)
    if n == 7:
        bone.add(blade(g, m.spine, long, size.spinous_drop, (3.2, 3.4), tall), 3.0, PROCESS_CORTEX)
        return
    bone.add(blade(g, m.spine, 0.7 * long, size.spinous_drop, (2.6, 2.6), tall), 3.0, PROCESS_CORTEX)
    fork = (3.8, m.tip[1] + 1.8, m.tip[2] + 0.6)
    bone.add(rod(g, _short_of(m.tip, m.spine, 0.5 * long), fork, (2.4, 1.8), (2.8, 2.2)), 2.0, PROCESS_CORTEX)


def axis(g: Grid, bone: Bone) -> None:
    """Adds the parts of C2: dens, inclined facets for C1, thick bifid spinous process."""
    size = means()["C2"]
    back = -size.depth / 2
    bone.add(rod(g, (0, 0.5, 3), (0, 0.5, 12), (4.6, 4.6), (4.8, 4.8)), 2.5, 1.0)
    bone.add(rod(g, (0, 0.5, 13), (0, -0.5, 19), (5.2, 4.4), (5.2, 4.6)), 2.5, 1.0)
    tilt = (g.z - 4.5) + 0.35 * (g.x - 15)
    disc, _ = superellipse(g.x - 15.5, g.y + 1.5, 8.2, 8.6, 2.0)
    bone.add(intersection(disc, np.abs(tilt) - 4.2, 2.5), 3.0, FACET_CORTEX)
    x, y = size.canal_width / 2 + 7.5, back - 6
    bone.add(rod(g, (15, -4, 2), (x, y, -6), (5, 5.4), (4, 5.0)), 3.0, ARCH_CORTEX)
    wall, _ = superellipse(g.x - x, g.y - y, 5.6, 6.0, 2.2)
    bone.add(intersection(wall, np.abs(g.z + 10 - 0.7 * (g.y - y)) - 5.5, 2.0), 2.5, FACET_CORTEX)
    lamina = (0.0, back - size.canal_depth - 3.5, 0.0)
    bone.add(plate(g, (x - 2, y - 3, 0), lamina, 5.6, -12, 0.5, 0.3), 2.5, ARCH_CORTEX)
    tip = (size.transverse_span / 2 - 2.6, -6.0, -6.0)
    bone.add(rod(g, (15, 1, 0), tip, (2.4, 2.0), (2.8, 2.2)), 2.0, PROCESS_CORTEX)
    bone.add(rod(g, (x, y + 3, -8), tip, (2.4, 2.0), (2.8, 2.2)), 2.0, PROCESS_CORTEX)
    start, drop = (0.0, lamina[1], -5.0), size.spinous_drop
    bone.add(blade(g, start, 0.6 * size.spinous_length, drop, (3.4, 3.8), (7.0, 6.0)), 3.0, PROCESS_CORTEX)
    end = (5.0, lamina[1] - size.spinous_length + 5.5, -11.0)
    bone.add(rod(g, (1.0, lamina[1] - 7, -7), end, (3.2, 2.4), (4.4, 3.0)), 2.0, PROCESS_CORTEX)
    canal, _ = superellipse(
        g.x, g.y - back + size.canal_depth / 2, size.canal_width / 2, size.canal_depth / 2, 2.2
    )
    bone.cut(canal, 1.2)


def atlas(g: Grid) -> Bone:
    """C1: a ring of two lateral masses, an anterior and a posterior arch, wide transverse processes with a foramen."""
    size = means()["C1"]
    outer = size.upper_width / 2
    wall, _ = superellipse(g.x - (outer - 6.8), g.y + 1.0, 7.2, 10.0, 2.2)
    top = 4.5 + 0.38 * (g.x - 14)
    bottom = -5.0 - 0.35 * (g.x - 14)
    mass = intersection(wall, np.maximum(g.z - top, bottom - g.z), 2.5)
    bone = Bone(mass)
    bone.cover(mass, FACET_CORTEX)
    front: list[Point] = [(13, 4.5, 0), (8.5, 7.8, 0), (4, 9.2, 0), (0, 9.6, 0)]
    bone.add(chain(g, front, 5.0, 2.9, (0, 0, 1)), 2.0, 1.2)
    rear: list[Point] = [(16.5, -8, 1.5)]
    turns = np.deg2rad(np.arange(26.0, 91, 8))
    rear += [(float(19.0 * np.cos(a)), float(-9 - 19.5 * np.sin(a)), 0.0) for a in turns]
    bone.add(chain(g, rear, 4.2, 3.2, (0, 0, 1)), 2.0, 1.3)
    bone.add(ball(g, (0, -31.0, 0), (3.5, 3.5, 4.5)), 2.0, 1.2)
    tip = (size.transverse_span / 2 - 3.6, -5.0, -1.0)
    bone.add(rod(g, (22, 3, -1), tip, (2.6, 2.8), (3.2, 3.4)), 2.0, PROCESS_CORTEX)
    bone.add(rod(g, (19, -10.5, 0), tip, (2.8, 3.0), (3.2, 3.6)), 2.0, PROCESS_CORTEX)
    hollow, _ = superellipse(g.x, g.y + 9.3, size.canal_width / 2, 16.6, 2.4)
    bone.cut(hollow, 1.5)
    return bone
