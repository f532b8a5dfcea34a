"""The spine as a function x(y), fitted to the borders of a segmented spine.

Zhao, Wang, Yang, Li: Automatic Spine Curvature Estimation by a Top-Down Approach, AASCE 2019, section 2.2 (there the
spine is called a water pipe, and its borders the walls). Each point of a border is joined to the nearest point of the
other border; a function fitted by least squares to the middles of these joins is the spine: x over y, in px. Two steps
are added, because the angles at T1 and L5 count as much as the others: the upper and lower ends of the segmentation are
found and left out of the borders, and the function is fitted to run perpendicular to these ends.

Frame: px, x right, y down; curves run from the top. A tilt is that of the normal of the function, with the sign
of `geometry.cobb.tilts`: positive when the right side is lower.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.spatial import KDTree

from aasce.geometry.cobb import limit_tilts
from aasce.types import Array, as_float

Floats = NDArray[np.float64]

STEEPEST_END = 75.0
"""Degrees: limit of the tilt of an end of the spine; larger ones are errors of the segmentation."""

ROUNDS = 2
"""Number of iterations in which borders, ends and function are found from one another."""

_MARGIN = 0.5  # times the spine's width at an end: what the first fit leaves out there
_END = 0.22  # share of the spine's height over which its width at an end is measured


@dataclass(frozen=True, slots=True)
class SpineEnd:
    """Upper or lower end of a segmented spine.

    Attributes:
        middle: (2,) px.
        tilt: degrees.
    """

    middle: Floats
    tilt: float

    def depth(self, points: Array) -> Floats:
        """(N,) px by which (N, 2) points lie below this end, perpendicular to it."""
        turn = np.radians(self.tilt)
        return np.asarray((as_float(points) - self.middle) @ np.array([-np.sin(turn), np.cos(turn)]))


@dataclass(frozen=True, slots=True)
class SpineFunction:
    """The function x(y) between two rows; a polynomial is a spline of one piece.

    Attributes:
        top, bottom: px, rows where the spine begins and ends.
        spline: x in px over [0, 1], which stands for y from top to bottom.
    """

    top: float
    bottom: float
    spline: BSpline

    def derivative(self, rows: Array, order: int) -> Floats:
        """(N,) derivative of x by y at (N,) rows y; for rows outside, that of the nearest row inside."""
        run = self.bottom - self.top
        at = np.clip((as_float(rows) - self.top) / run, 0.0, 1.0)
        return np.asarray(self.spline(at, order) / run**order, np.float64)

    def tilts(self, rows: Array) -> Floats:
        """(N,) degrees, tilt of the normal at (N,) rows."""
        return np.asarray(np.degrees(-np.arctan(self.derivative(rows, 1))))

    def curvature(self, rows: Array) -> Floats:
        """(N,) signed curvature in 1 / px at (N,) rows: x'' / (1 + x'^2)^(3/2)."""
        slope, bend = self.derivative(rows, 1), self.derivative(rows, 2)
        return np.asarray(bend / (1 + slope**2) ** 1.5)

    def curve(self, count: int) -> Floats:
        """(count, 2) px, evenly spaced in y."""
        rows = np.linspace(self.top, self.bottom, count)
        return np.stack([self.derivative(rows, 0), rows], axis=1)


@dataclass(frozen=True, slots=True)
class MainCurve:
    """The paper's main curve: the one around the position of maximal curvature.

    Attributes:
        apex: px, row of the largest curvature.
        upper, lower: px, rows above and below it where the curve is steepest and ends: its end vertebrae.
        degrees: angle between the normals there, its Cobb angle.
    """

    apex: float
    upper: float
    lower: float
    degrees: float


def border_midpoints(left: Array, right: Array) -> tuple[Floats, Floats]:
    """Middles of the joins from each point of a border to the nearest point of the other border, in both directions.

    Args:
        left, right: (N, 2) and (M, 2) px, at least one point each.

    Returns:
        (N + M, 2) px middles and (N + M,) px lengths of the joins, those from the left border first.
    """
    a, b = as_float(left), as_float(right)
    over, back = b[KDTree(b).query(a)[1]], a[KDTree(a).query(b)[1]]
    starts, ends = np.concatenate([a, b]), np.concatenate([over, back])
    return (starts + ends) / 2, np.linalg.norm(ends - starts, axis=1)


def fit_midpoints(
    midpoints: Array,
    top: float,
    bottom: float,
    degree: int = 3,
    pieces: int = 7,
    end_tilts: tuple[float, float] | None = None,
    end_weight: float = 0.3,
) -> SpineFunction:
    """Least-squares spine function through midpoints.

    Args:
        midpoints: (N, 2) px; those above `top` and below `bottom` are left out.
        top, bottom: px, rows between which the function is wanted, top < bottom.
        degree: of the polynomial pieces, 1 to 12.
        pieces: number of pieces; 1 is a polynomial.
        end_tilts: degrees, tilts that the normals should have at the upper and the lower end; None for no such
            condition.
        end_weight: weight of each of these two conditions against one midpoint. The residual of a condition is, in px,
            how far the end's tangent, continued over the height of the spine, misses the wanted one. 10 enforces it.
    """
    points = as_float(midpoints)
    points = points[(points[:, 1] >= top) & (points[:, 1] <= bottom)]
    run = bottom - top
    inner = np.linspace(0, 1, pieces + 1)
    knots = np.concatenate([np.zeros(degree), inner, np.ones(degree)])
    basis = BSpline(knots, np.eye(len(knots) - degree - 1), degree)
    rows, values = [basis((points[:, 1] - top) / run)], [points[:, 0]]
    if end_tilts is not None:
        rows.append(basis(np.array([0.0, 1.0]), 1) * end_weight)
        values.append(-np.tan(np.radians(limit_tilts(np.array(end_tilts), STEEPEST_END))) * run * end_weight)
    found = np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]
    return SpineFunction(top, bottom, BSpline(knots, found, degree))


def find_end(edge: Array, middle: Array, tilt: float, width: float) -> SpineEnd | None:
    """Straight line through the upper or lower border of the spine.

    Args:
        edge: (N, 2) px, upper (or lower) border of the spine, column by column.
        middle: (2,) px, where the end is expected.
        tilt: degrees, of the spine's normal there.
        width: px, of the spine there.

    Returns:
        The end; None if fewer than four columns of the border lie across the spine.
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
    return SpineEnd(
        as_float(middle) + line[1] * down, float(np.degrees(np.arctan2(direction[1], direction[0])))
    )


def fit_borders(
    sides: tuple[Array, Array],
    ends: tuple[Array, Array],
    degree: int = 3,
    pieces: int = 7,
    end_weight: float = 0.3,
    inset: float = 1.0,
) -> SpineFunction | None:
    """Spine function of a segmented spine.

    Args:
        sides: left and right border, (N, 2) px row by row.
        ends: upper and lower border, (M, 2) px column by column.
        degree, pieces: of the function, see `fit_midpoints`.
        end_weight: weight of the ends' tilts, see `fit_midpoints`; 0 fits without them.
        inset: px between an end and the first point of the borders that is used.

    Returns:
        The function from end to end; None if the segmentation is not much higher than wide.
    """
    left, right = (as_float(side) for side in sides)
    if len(left) < 8:
        return None
    first, last = float(left[0, 1]), float(left[-1, 1])
    middles, lengths = border_midpoints(left, right)
    reach = _END * (last - first)
    near = (middles[:, 1] < first + reach, middles[:, 1] > last - reach)
    widths = [float(np.median(lengths[side])) for side in near]
    span = first + _MARGIN * widths[0], last - _MARGIN * widths[1]
    if span[1] - span[0] < widths[0] + widths[1]:
        return None
    inside = [(w[:, 1] >= span[0]) & (w[:, 1] <= span[1]) for w in (left, right)]
    midpoints, _ = border_midpoints(left[inside[0]], right[inside[1]])
    function = fit_midpoints(midpoints, *span, 3, 6)
    rows = [(first + span[0]) / 2, (last + span[1]) / 2]
    for _ in range(ROUNDS):
        found = [_end(function, *of) for of in zip(ends, rows, widths, strict=True)]
        rows = [float(end.middle[1]) for end in found]
        inside = [(found[0].depth(w) > inset) & (found[1].depth(w) < -inset) for w in (left, right)]
        if rows[1] - rows[0] < widths[0] + widths[1] or not (inside[0].any() and inside[1].any()):
            return function
        midpoints, _ = border_midpoints(left[inside[0]], right[inside[1]])
        tilts = (found[0].tilt, found[1].tilt) if end_weight > 0 else None
        function = fit_midpoints(midpoints, rows[0], rows[1], degree, pieces, tilts, end_weight)
    return function


def _end(function: SpineFunction, edge: Array, row: float, width: float) -> SpineEnd:
    """The spine's end near a row; perpendicular to the function where the mask does not show one."""
    at = np.array([row])
    x, slope, tilt = (
        float(v[0]) for v in (function.derivative(at, 0), function.derivative(at, 1), function.tilts(at))
    )
    inner = min(max(row, function.top), function.bottom)
    middle = np.array([x + slope * (row - inner), row])
    return find_end(edge, middle, tilt, width) or SpineEnd(middle, tilt)


def main_curve(function: SpineFunction, count: int = 400) -> MainCurve:
    """The curve around the position of maximal curvature, and its Cobb angle.

    As in the paper, the curve continues above and below its apex as long as it bends to the same side, and ends where
    it is steepest. No apex is looked for in the first and last twentieth of the rows, where a fit is least certain.
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
