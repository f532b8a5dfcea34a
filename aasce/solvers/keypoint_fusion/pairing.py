"""From clusters of four corner tags to vertebrae, by where they lie along the spine.

The paper (Chen et al., section 2.3) joins the k-th cluster of every tag. Where one tag lacks a cluster in the middle,
all vertebrae below are then joined from two neighbours. Here clusters are joined that lie at one place along a smooth
curve through all of them: both corners of an endplate lie at nearly the same place, whatever its tilt to the film,
because an endplate is nearly perpendicular to the spine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aasce.types import CORNERS

Floats = NDArray[np.float64]

DEGREE = 5
"""Of the polynomial x(y) through all clusters."""

NEAR = 0.5
"""Largest distance along the spine, in steps, between the two corners of an endplate."""

DEPTH = (0.4, 1.1)
"""Distances along the spine, in steps, from an upper endplate to the lower one of its vertebra."""

BODY = 0.75
"""Usual height of a vertebra in steps."""

ROUNDS = 3
"""Of the curve: through all clusters first, then through the middles of the endplates found."""

LEAST_FOUND = 2
"""Corners of a vertebra that must be found; the others are filled in."""


def along_spine(points: Floats, every: Floats) -> Floats:
    """(N,) px, place of points (N, 2) along a smooth curve through `every` (M, 2), by the foot of the perpendicular.

    The curve is a polynomial x(y), straight beyond the outermost points of `every`.
    """
    low, high = every[:, 1].min(), every[:, 1].max()
    middle, half = (low + high) / 2, max((high - low) / 2, 1.0)
    degree = min(DEGREE, max(1, len(every) // 6))
    curve = np.polynomial.Polynomial.fit((every[:, 1] - middle) / half, every[:, 0], degree, domain=[-1, 1])
    grid = np.linspace(low - half, high + half, 1200)
    inside = np.clip((grid - middle) / half, -1, 1)
    slope = curve.deriv()(inside) / half
    x = curve(inside) + slope * (grid - middle - half * inside)
    steps = np.sqrt(1 + slope**2)
    length = np.concatenate([[0.0], np.cumsum((steps[1:] + steps[:-1]) / 2 * np.diff(grid))])
    foot = points[:, 1].astype(np.float64)
    for _ in range(8):  # the foot of the perpendicular, step by step along the tangent
        m = np.interp(foot, grid, slope)
        off = points - np.stack([np.interp(foot, grid, x), foot], axis=1)
        foot = np.clip(foot + (off[:, 0] * m + off[:, 1]) / (1 + m**2), grid[0], grid[-1])
    return np.asarray(np.interp(foot, grid, length))


def in_steps(places: Sequence[Floats], step: float) -> list[Floats]:
    """Places along the spine in steps from vertebra to vertebra.

    Steps grow from T1 to L5; a straight line is fitted to them.

    Args:
        places: (K,) px of each tag.
        step: px, the usual step.
    """
    pairs = [(np.sort(p)[1:], np.sort(p)[:-1]) for p in places]
    middle = np.concatenate([(low + high) / 2 for high, low in pairs])
    length = np.concatenate([high - low for high, low in pairs])
    kept = (length > 0.5 * step) & (length < 1.6 * step)
    if kept.sum() < 8:
        return [p / step for p in places]
    slope, start = np.polyfit(middle[kept], length[kept], 1)
    every = np.concatenate(list(places))
    grid = np.linspace(every.min(), every.max(), 400)
    density = 1 / np.clip(start + slope * grid, 0.5 * step, 2 * step)
    steps = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(grid))])
    return [np.asarray(np.interp(p, grid, steps)) for p in places]


def nearest_pairs(first: Floats, second: Floats, low: float, high: float) -> list[tuple[int, int]]:
    """Mutually nearest members of two lists of places.

    Args:
        first: (N,). second: (M,).
        low, high: limits of second minus first.

    Returns:
        (index of the first, index of the second), in order; each index once at most.
    """
    if not len(first) or not len(second):
        return []
    apart = second[None] - first[:, None]
    cost = np.where((apart >= low) & (apart <= high), np.abs(apart - (low + high) / 2), np.inf)
    best, back = cost.argmin(axis=1), cost.argmin(axis=0)
    return [(k, int(j)) for k, j in enumerate(best) if np.isfinite(cost[k, j]) and back[j] == k]


def _endplates(places: Sequence[Floats]) -> list[tuple[float, int, int]]:
    """Place, index of the left and index of the right corner of each endplate, -1 where one is not found."""
    left, right = places
    pairs = nearest_pairs(left, right, -NEAR, NEAR)
    found = [((left[a] + right[b]) / 2, a, b) for a, b in pairs]
    found += [(left[a], a, -1) for a in range(len(left)) if a not in {p[0] for p in pairs}]
    found += [(right[b], -1, b) for b in range(len(right)) if b not in {p[1] for p in pairs}]
    return sorted((float(s), a, b) for s, a, b in found)


def paired(centres: Sequence[Floats], step: float) -> tuple[Floats, NDArray[np.intp]]:
    """Vertebrae of clusters.

    Args:
        centres: (K, 2) px of the clusters of each tag, TL, TR, BL, BR.
        step: px, usual distance between vertebrae.

    Returns:
        (V, 4, 2) px from the top, and (V, 4) the index of each corner's cluster, -1 where it was filled in. Vertebrae
        with fewer than two corners found are left out; V is 0 if no vertebra has all four.
    """
    every = np.concatenate(list(centres))
    if len(every) < 2 * len(CORNERS):
        return np.zeros((0, 4, 2)), np.zeros((0, 4), np.intp)
    curve = every
    for _ in range(ROUNDS):
        places = in_steps([along_spine(tag, curve) if len(tag) else np.zeros(0) for tag in centres], step)
        upper, lower = _endplates(places[:2]), _endplates(places[2:])
        middles = [(centres[k][a] + centres[k + 1][b]) / 2 for k, plates in ((0, upper), (2, lower))
                   for _, a, b in plates if a >= 0 and b >= 0]  # fmt: skip
        curve = np.array(middles) if len(middles) >= len(CORNERS) else every
    bodies = nearest_pairs(np.array([u[0] for u in upper]), np.array([low[0] for low in lower]), *DEPTH)
    rows = [(upper[a][0], (*upper[a][1:], *lower[b][1:])) for a, b in bodies]
    rows += [(u[0], (*u[1:], -1, -1)) for k, u in enumerate(upper) if k not in {a for a, _ in bodies}]
    taken = {b for _, b in bodies}
    rows += [(low[0] - BODY, (-1, -1, *low[1:])) for k, low in enumerate(lower) if k not in taken]
    index = np.array([r[1] for r in sorted(rows)], np.intp).reshape(-1, 4)
    index = index[(index >= 0).sum(axis=1) >= LEAST_FOUND]
    corners = np.full((len(index), 4, 2), np.nan)
    for tag, points in enumerate(centres):
        seen = index[:, tag] >= 0
        corners[seen, tag] = points[index[seen, tag]]
    whole = (index >= 0).all(axis=1)
    if not whole.any():
        return np.zeros((0, 4, 2)), np.zeros((0, 4), np.intp)
    return _filled(corners, whole), index


def _filled(corners: Floats, whole: NDArray[np.bool_]) -> Floats:
    """Missing corners (NaN) from the shape of the nearest whole vertebrae, placed by the corners that were found."""
    filled = corners.copy()
    complete = np.flatnonzero(whole)
    for v in np.flatnonzero(~whole):
        near = complete[np.argsort(np.abs(complete - v), kind="stable")[:2]]
        shape = (corners[near] - corners[near].mean(axis=1, keepdims=True)).mean(axis=0)
        seen = np.isfinite(corners[v, :, 0])
        shift = (corners[v, seen] - shape[seen]).mean(axis=0)
        filled[v, ~seen] = shape[~seen] + shift
    return filled
