"""Outlines as support functions: convex hulls of balls at each height, and surfaces built from them.

The support function of a set is its extent in each direction. That of the hull of two sets is their maximum, and
a layer of some thickness is added as a sum, which keeps nested surfaces nested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aasce.phantom.solids.loft import smoothstep
from aasce.types import Array

DIRECTIONS = 64
STEP = 12.0
"""Distance in mm at scale 1 between the heights at which hulls are computed."""


def directions() -> Array:
    """(2, DIRECTIONS) unit vectors in the horizontal plane, from the patient's right by way of the front."""
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    return np.stack([np.cos(angles), np.sin(angles)])


def cloud_support(points: Array, radii: Array, heights: Array, scale: float) -> Array:
    """Support (Z, D) mm of balls in bands about the heights.

    Args:
        points: (N, 3) mm, middles of the balls.
        radii: (N,) mm.
        heights: (Z,) mm, evenly spaced.
        scale: of the person.

    Returns:
        (Z, D) mm; a large negative number in a band without balls.
    """
    toward = directions()
    step = heights[1] - heights[0]
    bins = np.rint((points[:, 2] - heights[0]) / step).astype(int)
    inside = (bins >= 0) & (bins < len(heights))
    points, radii, bins = points[inside], radii[inside], bins[inside]
    order = np.argsort(bins, kind="stable")
    support = points[order, :2] @ toward + radii[order, None]
    starts = np.flatnonzero(np.diff(bins[order], prepend=-1))
    hull = np.full((len(heights), toward.shape[1]), -1e4)
    hull[bins[order][starts]] = np.maximum.reduceat(support, starts)
    # A ball extends a little above and below its own band, which also fills bands between two ribs.
    spread = hull.copy()
    for shift, loss in ((1, 2.5), (2, 10.0)):
        spread[shift:] = np.maximum(spread[shift:], hull[:-shift] - loss * scale)
        spread[:-shift] = np.maximum(spread[:-shift], hull[shift:] - loss * scale)
    return spread


def smooth_hull(hull: Array) -> Array:
    """Averages each height with its neighbours twice and each direction once, but reduces nothing by over 1.5 mm."""
    soft = hull
    for _ in range(2):
        padded = np.pad(soft, ((1, 1), (0, 0)), mode="edge")
        soft = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    soft = 0.25 * np.roll(soft, 1, 1) + 0.5 * soft + 0.25 * np.roll(soft, -1, 1)
    return np.asarray(np.maximum(soft, hull - 1.5))


@dataclass(frozen=True, slots=True)
class Armpits:
    """The connection of arms and trunk, mm.

    Attributes:
        height: z of the horizontal plane in which trunk and arms meet.
        arms: (2, 2), x and y of the arms' middles in that plane.
        radius: of the arms there.
        rise: height of the hollow between arm and chest above that plane.
        clear: height of the next ring of the trunk above that plane.
    """

    height: float
    arms: Array
    radius: float
    rise: float
    clear: float


def hull_surface(
    hull: Array,
    shouldered: Array,
    heights: Array,
    centre: Array,
    armpits: Armpits,
    crotch: float,
    size: tuple[int, int],
    web: float,
) -> Array:
    """Rings (R, S, 3) mm of the trunk.

    Args:
        hull: (Z, DIRECTIONS) support about `centre` in mm, of the trunk without shoulders and arms.
        shouldered: the same with shoulders and arms; used above the plane of the armpits.
        heights: (Z,) mm.
        centre: (Z, 2) mm.
        armpits: defines that plane.
        crotch: height, mm.
        size: (R, S).
        web: half the thickness of the bridge that joins the thighs below the crotch, mm.
    """
    rings, sides = size
    at, chest = _with_armpits(_ring_heights(heights, rings - 3), armpits)
    place = np.interp(at, heights, np.arange(len(heights)))
    low = np.minimum(place.astype(int), len(heights) - 2)
    share = (place - low)[:, None]
    parts = [v[low] * (1 - share) + v[low + 1] * share for v in (hull, shouldered)]
    hull = np.where((np.arange(rings) > chest + 1)[:, None], parts[1], parts[0])
    middle = centre[low] * (1 - share) + centre[low + 1] * share
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    around = 2 * np.pi * np.arange(sides) / sides
    cosine = np.cos(angles[:, None] - around)
    reach = np.where(cosine > 0.25, hull[..., None] / np.maximum(cosine, 0.25), np.inf).min(1)
    reach = _thighs(reach, at, around, crotch, web)
    z = np.repeat(at[:, None], sides, 1)
    _hollow(reach, z, chest, around, middle[chest], armpits)
    x = middle[:, :1] + reach * np.cos(around)
    y = middle[:, 1:] + reach * np.sin(around)
    return np.stack([x, y, z], -1)


def _with_armpits(at: Array, armpits: Armpits) -> tuple[Array, int]:
    """Heights with three additional rings, so that four lie in the armpits' plane, and the index of the first of
    them."""
    below, above = at[at < armpits.height], at[at >= armpits.height]
    below = at[0] + (below - at[0]) * (armpits.height - at[0]) / (below[-1] - at[0])
    above = at[-1] - (at[-1] - above) * (at[-1] - armpits.height - armpits.clear) / (at[-1] - above[0])
    level = armpits.height + np.array([-0.02, -0.01, 0.0, 0.0])
    return np.concatenate([below[:-1], level, above]), len(below) - 1


def _hollow(reach: Array, z: Array, chest: int, around: Array, middle: Array, armpits: Armpits) -> None:
    """Raises the surface between arm and chest to a hollow, from ring `chest` to the shoulder three rings later."""
    inner, outer = reach[chest], reach[chest + 3]
    ray = np.stack([np.cos(around), np.sin(around)], -1)
    near, missed = outer.copy(), np.ones(len(around), dtype=bool)
    for arm in armpits.arms - middle:
        along = ray @ arm
        root = along**2 - arm @ arm + armpits.radius**2
        hit = (root > 0) & (along > 0)
        near = np.where(hit, np.minimum(near, along - np.sqrt(np.maximum(root, 0))), near)
        missed &= ~hit
    outer = np.maximum(outer, inner)
    near = np.clip(near, inner, outer)
    reach[chest + 3], reach[chest + 2], reach[chest + 1] = outer, near, 0.5 * (inner + near)
    lift = armpits.rise * np.clip((near - inner) / (1.2 * armpits.rise), 0, 1)
    z[chest + 1] += lift
    # In front of and behind the arm the fold between chest and arm ends at the height of the hollow.
    z[chest + 2 : chest + 4] += lift * missed


def _ring_heights(heights: Array, rings: int) -> Array:
    """Heights of the rings, denser where the outline changes quickly: crotch, shoulders, neck, top of the head."""
    share = np.linspace(0, 1, 400)
    dense = 1 + 1.6 * np.exp(-(((share - 0.155) / 0.025) ** 2)) + 1.5 * np.exp(-(((share - 0.66) / 0.1) ** 2))
    dense = dense + 1.6 * np.exp(-(((share - 0.99) / 0.05) ** 2))
    walk = np.concatenate([[0.0], np.cumsum(0.5 * (dense[1:] + dense[:-1]))])
    even = np.interp(np.linspace(0, walk[-1], rings), walk, share)
    return np.asarray(heights[0] + even * (heights[-1] - heights[0]))


def _thighs(reach: Array, heights: Array, around: Array, crotch: float, web: float) -> Array:
    """Narrows the rings below the crotch to two ellipses that touch in the middle."""
    sides = len(around)
    half = 0.5 * (reach[:, :1] + reach[:, sides // 2, None]) / 2
    deep = 0.5 * (reach[:, sides // 4, None] + reach[:, 3 * sides // 4, None])
    cosine, sine = np.abs(np.cos(around)), np.abs(np.sin(around))
    lobes = 2 * cosine / half / np.maximum((cosine / half) ** 2 + (sine / deep) ** 2, 1e-12)
    lobes = np.maximum(np.minimum(lobes, reach), web)
    below = smoothstep(0.0, 1.0, (crotch - heights) / (0.3 * np.abs(crotch)))[:, None]
    return np.asarray(reach * (1 - below) + lobes * below)
