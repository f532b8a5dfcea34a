"""From a centreline to angles: smoothing by the heat equation, tangents, and the paper's three angles.

Dubost et al.: Automated Estimation of the Spinal Curvature via Spine Centerline Extraction with Ensembles of
Cascaded Neural Networks, AASCE 2019, section 2.3.

Frame: px, x right, y down; curves run from the top of the spine. A tilt is that of the normal of the curve,
with the sign of `geometry.cobb.tilts`: positive when the right side is lower.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, dst, idct, idst

from aasce.geometry.spine import DISC_SHARE
from aasce.types import Array, as_float

Floats = NDArray[np.float64]
Ends = Literal["fixed", "free"]

STEPS, RATE = 65_000, 0.01
"""Number of Euler steps and heat transfer coefficient of the paper."""

VERTEBRA_PLACES: tuple[float, ...] = (
    0.014, 0.056, 0.102, 0.151, 0.202, 0.255, 0.309, 0.364, 0.419, 0.477, 0.540, 0.606, 0.676, 0.748, 0.823, 0.900,
    0.975,
)  # fmt: skip
"""Centres of T1 to L5 on the curve from T1's upper to L5's lower endplate, as shares of its length: means of the
challenge's training films. Their standard deviation is 0.02, a third of a vertebra."""


def heat_smooth(curve: Array, steps: int = STEPS, rate: float = RATE, ends: Ends = "fixed") -> Floats:
    """Smooths a curve by the heat equation: the result of `steps` Euler steps, computed in closed form.

    A step is u_i += rate (u_{i-1} - 2 u_i + u_{i+1}). It multiplies the k-th sine (or cosine) of the curve by
    1 - rate (2 - 2 cos w_k), so all steps multiply it by that factor to the power of `steps`. In the middle of a long
    curve this is a Gaussian of standard deviation sqrt(2 rate steps) points, 36 points for the paper's numbers.

    Args:
        curve: (N,) or (N, D), N >= 2, evenly spaced.
        steps: 0 or more.
        rate: of one step, in (0, 0.5]; the iteration diverges beyond it.
        ends: "fixed" keeps the first and last point in place, as the paper's loop over inner points does; "free" lets
            no heat through the ends, which makes the curve vertical there.

    Returns:
        As `curve`, float64.

    Raises:
        ValueError: fewer than two points, a negative count, or a rate outside (0, 0.5].
    """
    points = as_float(curve)
    if len(points) < 2 or steps < 0 or not 0 < rate <= 0.5:
        raise ValueError("heat_smooth takes two points or more, steps >= 0 and 0 < rate <= 0.5")
    if ends == "free":
        waves = np.arange(len(points)) * np.pi / len(points)
        return np.asarray(idct(_column(_decay(waves, steps, rate), points) * dct(points, axis=0), axis=0))
    if len(points) == 2:
        return points.copy()
    share = _column(np.linspace(0, 1, len(points)), points)
    chord = (1 - share) * points[0] + share * points[-1]  # smoothing does not change a straight line
    waves = np.arange(1, len(points) - 1) * np.pi / (len(points) - 1)
    heat = dst((points - chord)[1:-1], type=1, axis=0)
    inner = idst(_column(_decay(waves, steps, rate), points) * heat, type=1, axis=0)
    chord[1:-1] += inner
    return np.asarray(chord, np.float64)


def _decay(waves: Floats, steps: int, rate: float) -> Floats:
    return np.asarray((1 - rate * (2 - 2 * np.cos(waves))) ** steps, np.float64)


def _column(values: Floats, like: Floats) -> Floats:
    return values.reshape(-1, *([1] * (like.ndim - 1)))


def arc_lengths(curve: Array) -> Floats:
    """(N,) px along the curve from its first point."""
    steps = np.linalg.norm(np.diff(as_float(curve), axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def points_on(curve: Array, positions: Array) -> Floats:
    """(P, 2) px points of an (N, 2) curve at (P,) px along it; beyond its ends the end point."""
    along, points = arc_lengths(curve), as_float(curve)
    return np.stack([np.interp(positions, along, points[:, k]) for k in (0, 1)], axis=-1)


def resample(curve: Array, count: int) -> Floats:
    """(count, 2) points at even distances along an (N, 2) curve, its ends included."""
    return points_on(curve, levels_on(curve, count))


def straight_tips(curve: Array, tip: float, base: float) -> Floats:
    """A curve whose outermost parts are replaced by straight lines, fitted to the parts next to them.

    Args:
        curve: (N, 2) px, evenly spaced.
        tip: share of the points to replace at each end; 0 replaces none.
        base: share of the points, next to those, that the lines are fitted to.

    Returns:
        (N, 2) px.
    """
    points = as_float(curve).copy()
    drop, fit = round(tip * len(points)), round(base * len(points))
    if drop < 1 or fit < 2 or drop + fit > len(points):
        return points
    at = np.arange(drop, drop + fit, dtype=np.float64)
    for side in (slice(None), slice(None, None, -1)):
        x, y = points[side].T
        for values in (x, y):
            values[:drop] = np.polyval(np.polyfit(at, values[drop : drop + fit], 1), np.arange(drop))
    return points


def levels_on(curve: Array, count: int) -> Floats:
    """(count,) px along an (N, 2) curve, evenly from its first to its last point (the paper uses 19)."""
    return np.linspace(0.0, arc_lengths(curve)[-1], count)


def tangent_tilts(curve: Array, positions: Array) -> Floats:
    """Tilt of the normal of a curve.

    Args:
        curve: (N, 2) px, N >= 2, from the top; neighbours do not coincide.
        positions: (P,) px along it, see `levels_on`.

    Returns:
        (P,) degrees, positive when the right side is lower.
    """
    points = as_float(curve)
    along = arc_lengths(points)
    slope = np.gradient(points, along, axis=0)
    x, y = (np.interp(positions, along, slope[:, k]) for k in (0, 1))
    return np.asarray(np.degrees(np.arctan2(-x, y)), np.float64)


def slice_landmarks(curve: Array, tilts: Array, positions: Array, width: float) -> Floats:
    """Boxes like vertebrae along a curve, so that `geometry.cobb` can measure the curve by any of its rules.

    Middles of endplates lie on the curve, with the usual share of a disc between boxes; the midline of each box has the
    given tilt.

    Args:
        curve: (N, 2) px, from the top.
        tilts: (V,) degrees.
        positions: (V,) px along the curve, ascending; V >= 2.
        width: of the boxes, px; no angle depends on it.

    Returns:
        (V, 4, 2) px corners TL, TR, BL, BR.
    """
    along = as_float(positions)
    half = (1 - DISC_SHARE) / 2 * np.gradient(along)
    turn = np.radians(as_float(tilts))
    right = width / 2 * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    upper, lower = points_on(curve, along - half), points_on(curve, along + half)
    return np.stack([upper - right, upper + right, lower - right, lower + right], axis=1)


def upper_major_lower(tilts: Array) -> tuple[Floats, tuple[tuple[int, int], ...]]:
    """The paper's own three angles (equation 1).

    The major angle lies between the largest and the smallest tilt of all; the upper and the lower angle are the largest
    ones in the regions above and below these two, which belong to both regions. The angle of equation 1 is computed
    as the difference of tilts, because its arc tangent is wrong beyond 90 degrees.

    Args:
        tilts: (P,) degrees from the top, P >= 2.

    Returns:
        (3,) degrees: major, upper, lower; and the pair of indices (upper, lower) of each.
    """
    tilt = as_float(tilts)
    major = _extremes(tilt, 0, len(tilt) - 1)
    pairs = (major, _extremes(tilt, 0, major[0]), _extremes(tilt, major[1], len(tilt) - 1))
    return np.array([abs(tilt[i] - tilt[j]) for i, j in pairs]), pairs


def _extremes(tilt: Floats, first: int, last: int) -> tuple[int, int]:
    """Indices of the smallest and largest tilt in first..last, in their order along the curve."""
    part = tilt[first : last + 1]
    found = first + int(np.argmin(part)), first + int(np.argmax(part))
    return min(found), max(found)
