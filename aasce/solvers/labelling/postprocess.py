"""From centroids to angles: the smoothed curve through them, its tangents, their correction, the challenge's rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import make_smoothing_spline

from aasce.geometry.centerline import arc_lengths
from aasce.geometry.correction import Correction, sliced_angles
from aasce.solvers.labelling.settings import CurveSettings
from aasce.solvers.shared.samples import Floats
from aasce.types import Array, as_float

FINE = 10
"""Points of the curve from a level to the next."""

UNSEEN = 0.05
"""Weight in the curve of a level that is not seen, against 1 of one that is seen clearly."""


@dataclass(frozen=True, slots=True)
class LevelCurve:
    """The smoothed curve through the centroids of consecutive levels.

    Attributes:
        points: (N, 2) px from the top, `FINE` a level, half a level beyond the outermost centroids at both ends.
        levels: (V,) indices of the points at the levels.
        tangents: (V,) degrees, tilts of the normal at the levels, positive when the right side is lower.
    """

    points: Floats
    levels: Array
    tangents: Floats

    @property
    def length(self) -> float:
        """Px along the curve."""
        return float(arc_lengths(self.points)[-1])

    @property
    def positions(self) -> Floats:
        """(V,) px of the levels along the curve."""
        return arc_lengths(self.points)[self.levels]


def fit_levels(centroids: Array, seen: Array, smoothing: float) -> LevelCurve:
    """Smoothing spline of x and of y over the level; beyond levels that are not seen it continues straight.

    Args:
        centroids: (V, 2) px of consecutive levels from the top, V >= 5.
        seen: (V,) how clearly each is seen, from 0 to 1.
        smoothing: see `CurveSettings`.
    """
    points = as_float(centroids)
    level = np.arange(len(points), dtype=np.float64)
    weights = np.clip(as_float(seen), UNSEEN, 1.0)
    splines = [make_smoothing_spline(level, values, w=weights, lam=smoothing) for values in points.T]
    fine = np.arange(-FINE // 2, FINE * (len(points) - 1) + FINE // 2 + 1) / FINE
    x, y = (spline.derivative()(level) for spline in splines)
    return LevelCurve(
        np.stack([spline(fine) for spline in splines], axis=1),
        FINE // 2 + FINE * np.arange(len(points)),
        np.asarray(np.degrees(np.arctan2(-x, y)), np.float64),
    )


def features(tangents: Array, tilts: Array | None) -> Floats:
    """What the correction is applied to: tangents, and beside them the tilts of a map of tilts.

    Args:
        tangents: (..., V) degrees.
        tilts: (..., V) degrees; None without a map.

    Returns:
        (..., V) or (..., 2 V) degrees.
    """
    return (
        as_float(tangents) if tilts is None else np.concatenate([tangents, tilts], axis=-1, dtype=np.float64)
    )


def plain_correction(levels: int, tilt_share: float | None) -> Correction:
    """The mean of tangents and tilts, from which the fitted correction begins.

    Args:
        levels: number of vertebrae.
        tilt_share: share of the tilts; None without a map of tilts.
    """
    places = (0.5 + np.arange(levels)) / levels
    if tilt_share is None:
        return Correction(np.eye(levels), places)
    return Correction(np.hstack([(1 - tilt_share) * np.eye(levels), tilt_share * np.eye(levels)]), places)


def curve_angles(
    curve: LevelCurve, tilts: Array, origin: Array, height: int, settings: CurveSettings
) -> Floats:
    """(3,) degrees of a curve by the challenge's rule.

    Args:
        curve: px of the film.
        tilts: (V,) degrees of the vertebrae.
        origin: (x, y) px of the rectangle of the film that is measured.
        height: its rows.
        settings: of the uncertainty of the tilts.
    """
    points = curve.points - as_float(origin)
    found = sliced_angles(points, as_float(tilts), curve.positions, height, settings.tilt_sd_deg)
    return np.asarray(found.degrees, np.float64)
