"""Landmarks to a field of votes (encode) and a field of votes to landmarks (decode).

The field is a grid of cells of `STRIDE` by `STRIDE` canvas px; the centre of cell (r, c) is at canvas px
x = STRIDE * c + (STRIDE - 1) / 2, y = STRIDE * r + (STRIDE - 1) / 2. A cell belongs to a vertebra if its centre is
inside the vertebra's outline; it votes for that vertebra's centre and four corners.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aasce.geometry.spine import centres, heights
from aasce.types import Array, as_float

Floats = NDArray[np.float64]
STRIDE = 4
LEVELS = 17
SPACING = 1.38
"""Distance of neighbouring centres over the mean height of the two bodies: median of the challenge's labels."""

SPACING_SPREAD = 0.14
"""Standard deviation of its logarithm; in the labels it is 0.09 to 0.13 by level (robust estimate)."""

MASS_GAIN = 6.0
"""Gain of a column for a fully supported vertebra: larger than the usual costs of a link and of uncertain levels, so
that a column continues as long as there are vertebrae."""

VOTES_FROM = 0.15
"""Smallest objectness of a cell that votes."""

REACH = 0.6
"""Largest distance between a vote and the centre it counts for, in heights of a vertebra."""

ROOM = 0.65
"""Smallest distance between two detected vertebrae, as a share of the expected one, for another to be interpolated
between them."""

BEYOND = 4.0
"""Steps between vertebrae beyond an unnamed column within which there may be further vertebrae of T1 to L5: the first
labelled one is T3 at the lowest on the films looked at, the last one L4 at the highest."""

UNSURE = -1.3
"""Mean log-probability of a column's levels below which the names of its vertebrae are uncertain."""

PASSED_COST = 18.0
"""Cost of leaving out a fully supported vertebra inside the column: more than that of a column with all levels off by
one."""


def cell_centres(rows: int, columns: int) -> NDArray[np.float32]:
    """(rows, columns, 2) canvas px (x, y) of the cell centres."""
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    return np.asarray(np.stack([x, y], -1) * STRIDE + (STRIDE - 1) / 2, dtype=np.float32)


def encode_members(landmarks: Array, size: tuple[int, int]) -> NDArray[np.int8]:
    """Which vertebra each cell belongs to.

    Args:
        landmarks: (V, 4, 2) canvas px, TL, TR, BL, BR.
        size: (H, W) of the canvas, multiples of STRIDE.

    Returns:
        (H / STRIDE, W / STRIDE) int8, the vertebra's index or -1.
    """
    members = np.full((size[0] // STRIDE, size[1] // STRIDE), -1, dtype=np.int16)
    outline = (as_float(landmarks)[:, [0, 1, 3, 2]] - (STRIDE - 1) / 2) / STRIDE
    for index, polygon in enumerate(outline):
        cv2.fillConvexPoly(members, np.round(polygon * 16).astype(np.int32), index, shift=4)
    return members.astype(np.int8)


def encode_taught(landmarks: Array, size: tuple[int, int], ends: int, margin: float) -> NDArray[np.bool_]:
    """Where a label without names of levels says whether a cell lies on a vertebra T1 to L5.

    It does inside the inner vertebrae, and away from the column. It does not at the ends, where T1 and L5 lie
    anywhere within a few vertebrae, between the boxes, which cover the bodies roughly, and beside them.

    Args:
        landmarks: (V, 4, 2) canvas px, TL, TR, BL, BR, V more than twice `ends`.
        size: (H, W) of the canvas, multiples of STRIDE.
        ends: vertebrae at either end that may not be of T1 to L5.
        margin: width of the unknown on either side, as a share of a vertebra's width.

    Returns:
        (H / STRIDE, W / STRIDE), the cells whose objectness is known.
    """
    points = as_float(landmarks)
    sides = np.stack([points[:, [0, 2]].mean(axis=1), points[:, [1, 3]].mean(axis=1)], axis=1)  # (V, 2, 2)
    across = sides[:, 1] - sides[:, 0]
    sides = sides + margin * np.stack([-across, across], axis=1)
    above, below = sides[0] - sides[1], sides[-1] - sides[-2]
    column = np.concatenate([sides[:1] + BEYOND * above, sides, sides[-1:] + BEYOND * below])
    band = np.full((size[0] // STRIDE, size[1] // STRIDE), -1, dtype=np.int16)
    for index, (upper, lower) in enumerate(itertools.pairwise(column)):
        quad = (np.stack([upper[0], upper[1], lower[1], lower[0]]) - (STRIDE - 1) / 2) / STRIDE
        cv2.fillConvexPoly(band, np.round(quad * 16).astype(np.int32), index, shift=4)
    members = encode_members(points, size)
    inner = (members >= ends) & (members < len(points) - ends)
    return np.asarray(inner | ((band < 0) & (members < 0)), np.bool_)


@dataclass(frozen=True, slots=True)
class Field:
    """Output maps of a network for one canvas (R rows, C columns of cells; float32).

    Attributes:
        objectness: (R, C) in [0, 1], probability that the cell lies on a vertebra T1 to L5.
        levels: (17, R, C) log-probabilities of the level.
        centre: (2, R, C) canvas px of the centre that the cell votes for.
        corners: (4, 2, R, C) canvas px of the corners that the cell votes for.
        weight: (4, R, C) logarithm of the weight of each corner's vote.
        spread: (4, R, C) logarithm of the expected corner error, canvas px.
    """

    objectness: Array
    levels: Array
    centre: Array
    corners: Array
    weight: Array
    spread: Array


@dataclass(frozen=True, slots=True)
class Candidates:
    """K candidate vertebrae found from the votes, before a column is chosen.

    Attributes:
        corners: (K, 4, 2) canvas px.
        levels: (K, 17) mean log-probability of each level.
        mass: (K,) support: share of the vertebra's area whose cells vote for it, about [0, 1].
        spread: (K, 4) expected corner error, canvas px.
    """

    corners: Floats
    levels: Floats
    mass: Floats
    spread: Floats


def gather_votes(field: Field, threshold: float = VOTES_FROM, least: float = 0.2) -> Candidates:
    """Clusters the cells by the centre that they vote for; each cluster's weighted mean is a candidate.

    Args:
        field: maps of one canvas.
        threshold: smallest objectness of a cell that votes.
        least: smallest mass of a candidate.
    """
    rows, columns = np.nonzero(field.objectness > threshold)
    if not len(rows):
        return Candidates(np.zeros((0, 4, 2)), np.zeros((0, LEVELS)), np.zeros(0), np.zeros((0, 4)))
    strength = as_float(field.objectness[rows, columns])
    centre = as_float(field.centre[:, rows, columns]).T
    corners = np.moveaxis(as_float(field.corners[:, :, rows, columns]), -1, 0)
    owner = _owners(centre, corners, strength, field.objectness.shape)
    count = int(owner.max()) + 1
    picked = [
        _candidate(field, rows[m], columns[m], strength[m], corners[m])
        for m in (owner == k for k in range(count))
        if m.any()
    ]
    kept = [c for c in picked if c[2] >= least]
    if not kept:
        return Candidates(np.zeros((0, 4, 2)), np.zeros((0, LEVELS)), np.zeros(0), np.zeros((0, 4)))
    return Candidates(*(np.stack([np.asarray(c[i]) for c in kept]) for i in range(4)))


def _owners(centre: Floats, corners: Floats, strength: Floats, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """(N,) index of the peak of centre votes to which each cell belongs; -1 for none."""
    heat = np.zeros(shape, dtype=np.float64)
    at = np.round((centre - (STRIDE - 1) / 2) / STRIDE).astype(int)
    inside = (at >= 0).all(axis=1) & (at[:, 1] < shape[0]) & (at[:, 0] < shape[1])
    np.add.at(heat, (at[inside, 1], at[inside, 0]), strength[inside])
    sides = np.linalg.norm(corners[:, [0, 1]] - corners[:, [2, 3]], axis=-1).mean(axis=1)
    height = float(np.median(sides))
    sigma = max(0.7, 0.18 * height / STRIDE)
    heat = ndimage.gaussian_filter(heat, sigma)
    reach = 2 * max(1, round(0.35 * height / STRIDE)) + 1
    peak = (heat == ndimage.maximum_filter(heat, size=reach)) & (heat > 0.05 * heat.max())
    peaks = np.argwhere(peak)[:, ::-1] * float(STRIDE) + (STRIDE - 1) / 2
    distance = np.linalg.norm(centre[:, None] - peaks[None], axis=-1)
    owner: NDArray[np.intp] = distance.argmin(axis=1)
    owner[distance.min(axis=1) > REACH * np.maximum(sides, 4.0)] = -1
    return owner


def _candidate(
    field: Field, rows: Array, columns: Array, strength: Floats, corners: Floats
) -> tuple[Floats, Floats, float, Floats]:
    logit = as_float(field.weight[:, rows, columns]).T
    weight = strength[:, None] * np.exp(logit - logit.max(axis=0))
    weight /= weight.sum(axis=0)
    mean = np.einsum("nk,nkd->kd", weight, corners)
    share = strength / strength.sum()
    levels = as_float(field.levels[:, rows, columns]) @ share
    spread = np.exp(np.einsum("nk,kn->k", weight, as_float(field.spread[:, rows, columns])))
    area = max(_area(mean) / STRIDE**2, 1.0)
    return mean, levels, float(strength.sum() / area), spread


def _area(quad: Floats) -> float:
    """Area of a quadrilateral TL, TR, BL, BR: half the cross product of its diagonals."""
    a, b = quad[3] - quad[0], quad[2] - quad[1]
    return float(abs(a[0] * b[1] - a[1] * b[0]) / 2)


@dataclass(frozen=True, slots=True)
class Column:
    """The chosen column of vertebrae.

    Attributes:
        corners: (V, 4, 2) canvas px, from the top, consecutive levels.
        spread: (V, 4) expected corner error, canvas px.
        mass: (V,) support by votes; 0 for a vertebra interpolated between its neighbours.
        first: level of the uppermost vertebra, index into T1..L5.
        gain: value that `choose_column` maximised; larger the better the vertebrae are visible.
        evidence: mean log-probability of the levels of the detected vertebrae; low if they contradict each other.
    """

    corners: Floats
    spread: Floats
    mass: Floats
    first: int
    gain: float
    evidence: float

    @property
    def squeezed(self) -> int:
        """Number of vertebrae interpolated between two that are too close to each other, see `ROOM`."""
        centre, height = centres(self.corners), heights(self.corners)
        gap = np.linalg.norm(np.diff(centre, axis=0), axis=1)
        share = gap / (SPACING * (height[1:] + height[:-1]) / 2)
        return int(((self.mass[1:] == 0) & (share < ROOM)).sum())


def choose_column(
    candidates: Candidates, skip_cost: float = 1.5, absent_cost: float = 2.0, room: float = 0.0
) -> Column | None:
    """Chooses the column T1..L5 by dynamic programming over candidates and levels.

    A column gains by the mass and the level evidence of its vertebrae. It loses by uneven spacing, by sideways
    steps, by skipped levels (interpolated afterwards) and by levels absent at either end.

    Args:
        candidates: of one canvas.
        skip_cost: of a skipped level.
        absent_cost: of a level absent at an end.
        room: smallest distance, as a share of the expected one, across skipped levels; 0 for no limit. On a film that
            shows only a part of the spine, level evidence is contradictory (T1 at its top, L5 at its bottom), and
            without this limit missing vertebrae are interpolated where there is no room for them.

    Returns:
        None if fewer than four vertebrae form a column.
    """
    if len(candidates.mass) < 4:
        return None
    order = np.argsort(candidates.corners.mean(axis=1)[:, 1])
    c = Candidates(
        *(np.asarray(getattr(candidates, n))[order] for n in ("corners", "levels", "mass", "spread"))
    )
    unary = MASS_GAIN * np.minimum(c.mass, 1.0)[:, None] + np.maximum(c.levels, -6.0)
    link = _links(c, room)
    steps = link.shape[0]
    count = len(c.mass)
    best = unary - absent_cost * np.arange(LEVELS)[None]
    back = np.full((count, LEVELS, 2), -1, dtype=int)
    for level in range(1, LEVELS):
        for step in range(1, min(steps, level) + 1):
            gain = best[:, level - step][:, None] + link[step - 1] - skip_cost * (step - 1)
            source = gain.argmax(axis=0)
            value = gain[source, np.arange(count)] + unary[:, level]
            better = value > best[:, level]
            best[better, level] = value[better]
            back[better, level] = np.stack([source, np.full(count, step)], -1)[better]
    final = best - absent_cost * (LEVELS - 1 - np.arange(LEVELS))[None]
    last = np.unravel_index(int(final.argmax()), final.shape)
    return _trace(c, back, last, float(final[last]))


def _links(c: Candidates, room: float, steps: int = 3) -> Floats:
    """(steps, K, K) gain, at most 0, of a link from candidate i down to candidate j over 1, 2, ... levels."""
    centre = c.corners.mean(axis=1)
    down = c.corners[:, 2:].mean(axis=1) - c.corners[:, :2].mean(axis=1)
    height = np.linalg.norm(down, axis=1)
    gap = centre[None] - centre[:, None]
    distance = np.linalg.norm(gap, axis=-1)
    expected = SPACING * (height[:, None] + height[None]) / 2
    axis = down[:, None] / height[:, None, None] + down[None] / height[None, :, None]
    along = (gap * axis).sum(-1) / np.maximum(np.linalg.norm(axis, axis=-1) * distance, 1e-6)
    bend = 6.0 * (1 - np.clip(along, -1, 1))
    ratio = distance / np.maximum(expected, 1e-6)
    allowed = (along > 0.5) & (distance > 0.4 * expected)
    passed = _passed_over(c.mass, gap, distance)
    gains = []
    for step in range(1, steps + 1):
        # Heavy-tailed like the labels: a gap of a whole vertebra costs more than a skipped level, and one unusual
        # disc does not break a column.
        uneven = 2.2 * np.log1p((np.log(np.maximum(ratio, 1e-3) / step) / SPACING_SPREAD) ** 2)
        roomy = allowed if step == 1 else allowed & (ratio > room * step)
        gains.append(np.where(roomy, -uneven - bend - PASSED_COST * passed, -np.inf))
    return np.stack(gains)


def _passed_over(mass: Floats, gap: Floats, distance: Floats) -> Floats:
    """(K, K) mass of the candidates that lie between two others and would be left out by a link.

    Without this cost, a spine with 18 visible vertebrae would be fitted best with one left out in the middle.

    Args:
        mass: (K,) of the candidates.
        gap: (K, K, 2) px from candidate i to candidate j.
        distance: (K, K) px, its length.
    """
    way = gap / np.maximum(distance, 1e-6)[..., None]
    along = np.einsum("ikd,ijd->ijk", gap, way)
    aside = np.abs(gap[:, None, :, 0] * way[:, :, None, 1] - gap[:, None, :, 1] * way[:, :, None, 0])
    length = distance[..., None]
    between = (along > 0.2 * length) & (along < 0.8 * length) & (aside < 0.3 * length)
    return np.asarray((between * np.minimum(mass, 1.0)).sum(axis=-1), dtype=np.float64)


def _trace(c: Candidates, back: Array, last: tuple[np.intp, ...], gain: float) -> Column | None:
    index, level = int(last[0]), int(last[1])
    members = {level: index}
    while back[index, level, 0] >= 0:
        source, step = (int(v) for v in back[index, level])
        index, level = source, level - step
        members[level] = index
    if len(members) < 4:
        return None
    found = np.array(sorted(members))
    levels = np.arange(found[0], found[-1] + 1)
    picked = [members[int(v)] for v in found]
    flat = c.corners[picked].reshape(len(found), -1)
    corners = np.stack([np.interp(levels, found, column) for column in flat.T], -1).reshape(-1, 4, 2)
    spread = np.stack([np.interp(levels, found, column) for column in c.spread[picked].T], -1)
    mass = np.array([c.mass[members[int(v)]] if int(v) in members else 0.0 for v in levels])
    evidence = float(np.mean(c.levels[picked, found]))
    return Column(corners, spread, mass, int(found[0]), gain, evidence)
