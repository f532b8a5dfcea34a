"""The water pipe: from the walls of a segmented spine to the function that the spine runs along.

Zhao, Wang, Yang, Li: Automatic Spine Curvature Estimation by a Top-Down Approach, AASCE 2019, section 2.2. The
spine is a soft pipe; its two borders are the wall. Each point of a wall is joined to the nearest one of the other
wall, the middles of these joins are where water flows, and a function fitted to them by least squares is the
spine: x over y, in px. Two things are added, since the angles at T1 and L5 count as much as the others: the
openings of the pipe are found and left out of the walls, and water leaves the pipe square to its openings.

Frame: px, x right, y down; curves run from the top. A tilt is that of the normal of the function, with the sign
of `geometry.cobb.tilts`: positive when the right side is lower.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.spatial import KDTree

from aasce.types import Array, as_float

Floats = NDArray[np.float64]

STEEP = 75.0
"""Degrees: no opening is believed to stand steeper."""

ROUNDS = 2
"""How often walls, openings and function are found from one another."""

_MARGIN = 0.5  # of the pipe's width at an end: what the first fit leaves out there
_END = 0.22  # of the spine's height: over which the width of the pipe at an end is taken


@dataclass(frozen=True, slots=True)
class Opening:
    """Upper or lower end of the pipe.

    Attributes:
        middle: (2,) px.
        tilt: degrees.
    """

    middle: Floats
    tilt: float

    def depth(self, points: Array) -> Floats:
        """(N,) px of (N, 2) points below the opening, square to it."""
        turn = np.radians(self.tilt)
        return np.asarray((as_float(points) - self.middle) @ np.array([-np.sin(turn), np.cos(turn)]))


@dataclass(frozen=True, slots=True)
class SpineFunction:
    """x over y between two rows; a polynomial is a spline of one piece.

    Attributes:
        top, bottom: px, rows where the spine begins and ends.
        spline: over [0, 1] for y from top to bottom.
    """

    top: float
    bottom: float
    spline: BSpline

    def derivative(self, rows: Array, order: int) -> Floats:
        """(N,) derivative of x by y at rows y; rows outside count as the nearest one inside."""
        run = self.bottom - self.top
        at = np.clip((as_float(rows) - self.top) / run, 0.0, 1.0)
        return np.asarray(self.spline(at, order) / run**order, np.float64)

    def tilts(self, rows: Array) -> Floats:
        """(N,) degrees of the normal."""
        return np.asarray(np.degrees(-np.arctan(self.derivative(rows, 1))))

    def curvature(self, rows: Array) -> Floats:
        """(N,) 1 / px, signed: x'' / (1 + x'^2)^(3/2)."""
        slope, bend = self.derivative(rows, 1), self.derivative(rows, 2)
        return np.asarray(bend / (1 + slope**2) ** 1.5)

    def curve(self, count: int) -> Floats:
        """(count, 2) px, evenly spaced in y."""
        rows = np.linspace(self.top, self.bottom, count)
        return np.stack([self.derivative(rows, 0), rows], axis=1)


@dataclass(frozen=True, slots=True)
class MainCurve:
    """The paper's own reading of a function: the curve around the position of maximal curvature.

    Attributes:
        apex: px, row of the largest curvature.
        upper, lower: px, rows above and below it where the curve ends, steepest: its end vertebrae.
        degrees: between the normals there, its Cobb angle.
    """

    apex: float
    upper: float
    lower: float
    degrees: float


def pipe_midpoints(left: Array, right: Array) -> tuple[Floats, Floats]:
    """Middles of the joins from each point of one wall to the nearest of the other, both ways.

    Args:
        left, right: (N, 2) and (M, 2) px, at least one point each.

    Returns:
        (N + M, 2) px middles and (N + M,) px lengths of the joins, those from the left wall first.
    """
    a, b = as_float(left), as_float(right)
    over, back = b[KDTree(b).query(a)[1]], a[KDTree(a).query(b)[1]]
    starts, ends = np.concatenate([a, b]), np.concatenate([over, back])
    return (starts + ends) / 2, np.linalg.norm(ends - starts, axis=1)


def fit_spine(
    midpoints: Array,
    top: float,
    bottom: float,
    degree: int = 3,
    pieces: int = 7,
    openings: tuple[float, float] | None = None,
    weight: float = 0.3,
) -> SpineFunction:
    """Least-squares spine function through midpoints.

    Args:
        midpoints: (N, 2) px; those above `top` and below `bottom` are left out.
        top, bottom: px, rows between which the function is wanted, top < bottom.
        degree: of the polynomial pieces, 1 to 12. pieces: 1 is a polynomial.
        openings: degrees, tilts that the normals shall have at both ends.
        weight: of each of these: so many px a midpoint may be off for each px that the function, drawn on
            straight over the height of the spine, misses where the normal points. 10 leaves no choice.
    """
    points = as_float(midpoints)
    points = points[(points[:, 1] >= top) & (points[:, 1] <= bottom)]
    run = bottom - top
    inner = np.linspace(0, 1, pieces + 1)
    knots = np.concatenate([np.zeros(degree), inner, np.ones(degree)])
    basis = BSpline(knots, np.eye(len(knots) - degree - 1), degree)
    rows, values = [basis((points[:, 1] - top) / run)], [points[:, 0]]
    if openings is not None:
        rows.append(basis(np.array([0.0, 1.0]), 1) * weight)
        values.append(-np.tan(np.radians(np.clip(openings, -STEEP, STEEP))) * run * weight)
    found = np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]
    return SpineFunction(top, bottom, BSpline(knots, found, degree))


def find_opening(edge: Array, middle: Array, tilt: float, width: float) -> Opening | None:
    """Straight line through the end of the pipe.

    Args:
        edge: (N, 2) px, upper (or lower) border of the spine, column by column.
        middle: (2,) px, where the opening is expected.
        tilt: degrees, of the pipe's normal there.
        width: px, of the pipe there.

    Returns:
        The opening; None where fewer than four columns of the border lie across the pipe.
    """
    turn = np.radians(tilt)
    right, down = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    offset = as_float(edge) - as_float(middle)
    across, along = offset @ right, offset @ down
    near = (np.abs(across) < 0.36 * width) & (np.abs(along) < 0.8 * width)
    if near.sum() < 4:
        return None
    line = np.polyfit(across[near], along[near], 1)
    off = np.abs(along - np.polyval(line, across))
    kept = near & (off <= max(2.5 * float(np.median(off[near])), 0.3))
    if kept.sum() >= 4:
        line = np.polyfit(across[kept], along[kept], 1)
    direction = right + line[0] * down
    return Opening(
        as_float(middle) + line[1] * down, float(np.degrees(np.arctan2(direction[1], direction[0])))
    )


def trace_pipe(
    walls: tuple[Array, Array],
    ends: tuple[Array, Array],
    degree: int = 3,
    pieces: int = 7,
    openings: float = 0.3,
    inset: float = 1.0,
) -> SpineFunction | None:
    """Spine function of a segmented spine.

    Args:
        walls: left and right border, (N, 2) px row by row.
        ends: upper and lower border, (M, 2) px column by column.
        degree, pieces: of the function, see `fit_spine`.
        openings: weight of the openings' tilts there; 0 leaves openings out of the fit.
        inset: px from an opening at which the walls begin.

    Returns:
        The function from opening to opening; None where the spine is not much higher than wide.
    """
    left, right = (as_float(w) for w in walls)
    if len(left) < 8:
        return None
    first, last = float(left[0, 1]), float(left[-1, 1])
    middles, lengths = pipe_midpoints(left, right)
    reach = _END * (last - first)
    near = (middles[:, 1] < first + reach, middles[:, 1] > last - reach)
    widths = [float(np.median(lengths[side])) for side in near]
    span = first + _MARGIN * widths[0], last - _MARGIN * widths[1]
    if span[1] - span[0] < widths[0] + widths[1]:
        return None
    inside = [(w[:, 1] >= span[0]) & (w[:, 1] <= span[1]) for w in (left, right)]
    flow, _ = pipe_midpoints(left[inside[0]], right[inside[1]])
    function = fit_spine(flow, *span, 3, 6)
    rows = [(first + span[0]) / 2, (last + span[1]) / 2]
    for _ in range(ROUNDS):
        found = [_opening(function, *of) for of in zip(ends, rows, widths, strict=True)]
        rows = [float(opening.middle[1]) for opening in found]
        inside = [(found[0].depth(w) > inset) & (found[1].depth(w) < -inset) for w in (left, right)]
        if rows[1] - rows[0] < widths[0] + widths[1] or not (inside[0].any() and inside[1].any()):
            return function
        flow, _ = pipe_midpoints(left[inside[0]], right[inside[1]])
        tilts = (found[0].tilt, found[1].tilt) if openings > 0 else None
        function = fit_spine(flow, rows[0], rows[1], degree, pieces, tilts, openings)
    return function


def _opening(function: SpineFunction, edge: Array, row: float, width: float) -> Opening:
    """The opening near a row; square to the function where the mask shows none."""
    at = np.array([row])
    x, slope, tilt = (
        float(v[0]) for v in (function.derivative(at, 0), function.derivative(at, 1), function.tilts(at))
    )
    inner = min(max(row, function.top), function.bottom)
    middle = np.array([x + slope * (row - inner), row])
    return find_opening(edge, middle, tilt, width) or Opening(middle, tilt)


def main_curve(function: SpineFunction, count: int = 400) -> MainCurve:
    """The position of maximal curvature, and the Cobb angle around it.

    The paper obtains the angle directly from there: the curve goes on, above and below, as long as it bends to
    the same side, and ends where it is steepest. The outermost twentieths hold no apex: the ends of a fit bend
    as they like.
    """
    rows = np.linspace(function.top, function.bottom, count)
    bend = function.curvature(rows)
    edge = count // 20
    apex = edge + int(np.argmax(np.abs(bend[edge : count - edge])))
    other = np.sign(bend) != np.sign(bend[apex])
    above, below = np.flatnonzero(other[:apex]), np.flatnonzero(other[apex:])
    upper = int(above[-1]) + 1 if len(above) else 0
    lower = apex + int(below[0]) - 1 if len(below) else count - 1
    tilts = function.tilts(rows[[upper, lower]])
    return MainCurve(
        float(rows[apex]), float(rows[upper]), float(rows[lower]), float(abs(tilts[1] - tilts[0]))
    )
