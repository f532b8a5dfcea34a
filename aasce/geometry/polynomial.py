"""Polynomials of the spine: corners smoothed along it, and corners set right by its curve.

`smooth_x` is the post-processing of Khanal et al. 2020 (AASCE 2019, LNCS 11963, section 4). `fit_curve` and
`refine_on_curve` are the "Polynomial Curve Refine" of Zhong et al. 2020 (the same volume, pp. 101-106, section 2).

Frame: px, x right, y down; landmarks are (V, 4, 2), TL, TR, BL, BR, from the top. Polynomials give x for a row y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Legendre
from numpy.typing import NDArray

from aasce.geometry.column import usual_spacing
from aasce.types import Array, as_float

Floats = NDArray[np.float64]

SPREAD = 1.4826
"""Standard deviation of a normal distribution whose median absolute deviation is 1."""

LEAST_FAR = 0.05
"""Shares of the usual spacing that a point may be off the curve in any case: spines need not be polynomials."""


def smooth_x(landmarks: Array, order: int = 6) -> Floats:
    """Landmarks whose x is the polynomial of y through their row: all top left corners, all top right ones, ...

    Args:
        landmarks: (V, 4, 2) px.
        order: of the polynomials; less for fewer than `order` + 1 vertebrae.

    Returns:
        (V, 4, 2) px, y as given.
    """
    smooth = as_float(landmarks).copy()
    for corner in range(smooth.shape[1]):
        x, y = smooth[:, corner].T
        smooth[:, corner, 0] = _polynomial(y, x, min(order, len(y) - 1))(y)
    return smooth


@dataclass(frozen=True, slots=True)
class SpineCurve:
    """The curve x(y) through the spine: a polynomial between two rows, and others that continue it at both ends.

    Attributes:
        top, bottom: px, rows between which `middle` holds.
        middle: x of y.
        upper, lower: coefficients c of the ends, x = middle(join) + sum of c[k] (y - join)^(k + 1) above `top` and
            below `bottom`.
        kept: (N,) which of the points it was fitted to were kept.
    """

    top: float
    bottom: float
    middle: Legendre
    upper: Floats
    lower: Floats
    kept: NDArray[np.bool_]

    def x(self, rows: Array) -> Floats:
        """(N,) px at (N,) rows."""
        y = as_float(rows)
        inside = np.asarray(self.middle(np.clip(y, self.top, self.bottom)), np.float64)
        return (
            inside
            + _end(self.upper, np.minimum(y - self.top, 0))
            + _end(self.lower, np.maximum(y - self.bottom, 0))
        )

    def slope(self, rows: Array) -> Floats:
        """(N,) dx / dy at (N,) rows."""
        y = as_float(rows)
        inside = np.asarray(self.middle.deriv()(y), np.float64)
        above, below = _end_slope(self.upper, y - self.top), _end_slope(self.lower, y - self.bottom)
        return np.asarray(np.where(y < self.top, above, np.where(y > self.bottom, below, inside)))

    def tilts(self, rows: Array) -> Floats:
        """(N,) degrees, tilt of the normal at (N,) rows: positive when its right side is lower."""
        return np.asarray(-np.degrees(np.arctan(self.slope(rows))))


def fit_curve(
    points: Array, degree: int = 9, ends: int = 1, far: float = 3.0, rounds: int = 3, end_steps: float = 2.0
) -> SpineCurve:
    """The spine's curve through its points by least squares, again without points far from it until none is.

    Args:
        points: (N, 2) px on the spine in any order, N at least 3; a vertebra may have several.
        degree: of the polynomial through the middle; at most the number of kept points less 3.
        ends: degree of the polynomials at both ends.
        far: a point is dropped when it is farther from the curve in x than so many standard deviations (from the
            median distance), and than `LEAST_FAR` of the usual spacing.
        rounds: largest number of fits.
        end_steps: usual spacings that each end is long.

    Raises:
        ValueError: fewer than 3 points, or all in one row.
    """
    p = as_float(points)
    p = p[np.argsort(p[:, 1], kind="stable")]
    if len(p) < 3 or p[0, 1] == p[-1, 1]:
        raise ValueError("fit_curve takes 3 points or more of different rows")
    spacing = _spacing(p)
    kept = np.ones(len(p), bool)
    for _ in range(max(1, rounds)):
        curve = _fitted(p, kept, degree, ends, end_steps * spacing)
        off = np.abs(p[:, 0] - curve.x(p[:, 1]))
        limit = max(far * SPREAD * float(np.median(off[kept])), LEAST_FAR * spacing)
        near = off <= limit
        if near.sum() < 3 or (near == kept).all():
            break
        kept = near
    order = np.argsort(as_float(points)[:, 1], kind="stable")
    given = np.zeros(len(p), bool)
    given[order] = curve.kept
    return SpineCurve(curve.top, curve.bottom, curve.middle, curve.upper, curve.lower, given)


def _spacing(points: Floats) -> float:
    """px between vertebrae: points nearer than a third of the mean step of 17 levels count as one vertebra."""
    rows = points[:, 1]
    least = (rows[-1] - rows[0]) / 48
    groups = np.split(points, np.flatnonzero(np.diff(rows) > least) + 1)
    return usual_spacing(np.stack([group.mean(axis=0) for group in groups])) or float(rows[-1] - rows[0])


def _fitted(p: Floats, kept: NDArray[np.bool_], degree: int, ends: int, reach: float) -> SpineCurve:
    x, y = p[kept].T
    middle = _polynomial(y, x, max(1, min(degree, len(y) - 3)))
    half = (y[-1] - y[0]) / 2
    top, bottom = float(y[0] + min(reach, half)), float(y[-1] - min(reach, half))
    upper = _end_fit(x[y <= top] - middle(top), y[y <= top] - top, ends)
    lower = _end_fit(x[y >= bottom] - middle(bottom), y[y >= bottom] - bottom, ends)
    return SpineCurve(top, bottom, middle, upper, lower, kept.copy())


def _polynomial(y: Floats, x: Floats, degree: int) -> Legendre:
    """Least squares in Legendre polynomials over the rows, which keeps degree 9 well conditioned."""
    low, high = float(y.min()), float(y.max())
    found: Legendre = Legendre.fit(y, x, max(0, degree), domain=[low, max(high, low + 1e-9)])
    return found


def _end_fit(x: Floats, y: Floats, degree: int) -> Floats:
    """(degree,) coefficients of y, y^2, ... that give x best: 0 at y = 0, where an end joins the middle."""
    powers = y[:, None] ** np.arange(1, degree + 1)
    return np.asarray(np.linalg.lstsq(powers, x, rcond=None)[0], np.float64)


def _end(coefficients: Floats, y: Floats) -> Floats:
    powers = np.arange(1, len(coefficients) + 1)
    return np.asarray((y[..., None] ** powers) @ coefficients)


def _end_slope(coefficients: Floats, y: Floats) -> Floats:
    powers = np.arange(len(coefficients))
    return np.asarray((y[..., None] ** powers) @ (coefficients * (powers + 1)))


def refine_on_curve(landmarks: Array, curve: SpineCurve, share: float = 1.0, unusual: float = 0.0) -> Floats:
    """Endplates that differ from the curve's normal, rotated towards it.

    The line through the left and the right corner of an endplate meets the curve in a point; the normal of the curve
    there is where both corners should be. Both are rotated about that point.

    Args:
        landmarks: (V, 4, 2) px.
        curve: of the spine.
        share: of the angle to the normal by which an endplate is rotated; 1 brings it onto the normal.
        unusual: degrees; endplates that differ less stay as they are.

    Returns:
        (V, 4, 2) px.
    """
    plates = as_float(landmarks).reshape(-1, 2, 2)
    pivot = _crossings(plates, curve)
    across = plates[:, 1] - plates[:, 0]
    tilt = np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    angle = (curve.tilts(pivot[:, 1]) - tilt + 180) % 360 - 180
    turn = np.radians(np.where(np.abs(angle) > unusual, share * angle, 0.0))
    cosine, sine = np.cos(turn), np.sin(turn)
    rotation = np.stack([cosine, -sine, sine, cosine], axis=1).reshape(-1, 2, 2)
    moved = pivot[:, None] + np.einsum("nij,nkj->nki", rotation, plates - pivot[:, None])
    return np.asarray(moved.reshape(np.shape(landmarks)))


def _crossings(plates: Floats, curve: SpineCurve, samples: int = 61) -> Floats:
    """(N, 2) px where the lines through endplates (N, 2 corners, 2) meet the curve; their middles where they do not.

    Looked for up to one length of the endplate beyond each corner, the crossing nearest to its middle counts.
    """
    at = np.linspace(-1.0, 2.0, samples)
    line = plates[:, :1] + at[:, None] * (plates[:, 1:] - plates[:, :1])  # (N, samples, 2)
    beside = line[..., 0] - curve.x(line[..., 1])
    before, after = beside[:, :-1], beside[:, 1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        where = at[:-1] + (at[1] - at[0]) * before / (before - after)
    crosses = (before * after <= 0) & np.isfinite(where)
    distance = np.where(crosses, np.abs(where - 0.5), np.inf)
    best = distance.argmin(axis=1)
    rows = np.arange(len(plates))
    share = np.where(crosses.any(axis=1), where[rows, best], 0.5)
    return np.asarray(plates[:, 0] + share[:, None] * (plates[:, 1] - plates[:, 0]))
