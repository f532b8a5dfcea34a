"""From the map of a centreline to angles: mid-curve, heat equation, tangents, their correction, the rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.centerline import (
    arc_lengths,
    heat_smooth,
    levels_on,
    resample,
    straight_tips,
    tangent_tilts,
    upper_major_lower,
)
from aasce.geometry.correction import Correction, sliced_angles
from aasce.solvers.centerline.settings import CenterlineConfig, CurveSettings
from aasce.targets.curves import decode_centerline, follow_ridge
from aasce.types import Array, as_float

Floats = NDArray[np.float64]

_GUIDE = 200
"""Points of the rough curve that says in which direction the line runs."""

_GUIDE_STEPS = 900
"""Its smoothing: 900 steps of 0.01 are 4 of 200 points, a third of a vertebra."""

_BASE = 0.06
"""Share of the curve that its tips are drawn on from: a vertebra."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a map says.

    Attributes:
        curve: (points, 2) map px, smoothed, from the top.
        tilts: (levels,) degrees, of the tangents evenly along the curve.
    """

    curve: Floats
    tilts: Floats


def read_curve(share: Array, config: CenterlineConfig) -> Floats | None:
    """Smoothed centreline of a map, None where there is none.

    Args:
        share: (h, w) probability of the centreline.
        config: its curve and target settings.

    Returns:
        (points, 2) map px from the top.
    """
    s = config.curve
    rough = decode_centerline(share, s.threshold, s.min_part)
    if rough is None or len(rough) < s.min_length * share.shape[0]:
        return None
    guide = heat_smooth(resample(rough, _GUIDE), _GUIDE_STEPS, 0.01)
    line = resample(follow_ridge(share, guide, config.target.width * share.shape[0], s.threshold), _GUIDE)
    whole = straight_tips(line, s.tip, _BASE)
    return heat_smooth(resample(whole, s.points), s.steps, s.rate, s.ends)


def read_tangents(share: Array, config: CenterlineConfig) -> Reading | None:
    """Curve and tangents of a map (h, w), None where there is no curve."""
    curve = read_curve(share, config)
    if curve is None:
        return None
    return Reading(curve, tangent_tilts(curve, levels_on(curve, config.curve.levels)))


def to_canvas(points: Array, stride: int) -> Floats:
    """(..., 2) map px to canvas px."""
    return (as_float(points) + 0.5) * stride - 0.5


def curve_angles(
    curve: Array, tangents: Array, height: int, correction: Correction, settings: CurveSettings
) -> Floats:
    """(3,) degrees of a curve by the rule of the settings.

    Args:
        curve: (N, 2) px of the film (or of its crop). tangents: (levels,) degrees along it.
        height: rows of the film (or crop); the challenge's rule depends on it.
        correction: applied where the settings have one.
    """
    length = float(arc_lengths(curve)[-1])
    if settings.correction is not None:
        tilts, positions = correction.apply(tangents), correction.places * length
    else:
        tilts, positions = as_float(tangents), levels_on(curve, len(tangents))
    if settings.angles == "paper":
        return upper_major_lower(tilts)[0]
    return np.asarray(
        sliced_angles(curve, tilts, positions, height, settings.tilt_sd_deg).degrees, np.float64
    )
