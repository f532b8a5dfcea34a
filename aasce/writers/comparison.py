"""What `aasce compare` finds, as plain JSON and as a picture of both films side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.ensemble.combine import Measurement
from aasce.geometry.change import CurveChange, Match
from aasce.geometry.cobb import apex
from aasce.geometry.description import level_name
from aasce.geometry.spine import turn_points
from aasce.types import CobbAngles, FilmFacts, Radiograph, as_float
from aasce.writers.overlay import draw_overlay

Pixels = NDArray[np.uint8]

THRESHOLD = 7.5
"""Degrees: two hand labellings of one exposure differ by less in 95 of 100 curves.

1.96 * sqrt(2) * SEM. The challenge's training films hold 21 pairs of one exposure, exported and labelled twice;
measured between the same end vertebrae, their labels have an SEM of 2.7 degrees (82 curves of the challenge's rule).
Morrissy and others (Journal of Bone and Joint Surgery 72A, 1990, 320-327) give 7.2 degrees between readers.
"""

SOURCE = "95 % of two hand labellings of one exposure differ by less: 1.96 * sqrt(2) * SEM of 2.7 degrees, 21 pairs"

GAP = 16
"""Px between the two overlays."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two films.

    Attributes:
        facts: of the film.
        measurement: of the film; its angles chose the film's curves.
        film: its pixels, None where they are not at hand.
    """

    facts: FilmFacts
    measurement: Measurement
    film: Radiograph | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two films of one patient.

    Attributes:
        earlier, later: the films.
        curves: see `aasce.geometry.change.changes`.
        match: how the vertebrae of the films belong together.
        threshold: degrees that a change must exceed.
        remarks: what makes the comparison unsafe, a line each.
    """

    earlier: Side
    later: Side
    curves: tuple[CurveChange, ...]
    match: Match
    threshold: float
    remarks: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """Of all curves: "no change", "change", or "not comparable" where no curve is on both films."""
        found = {verdict(curve, self.threshold) for curve in self.curves}
        if found <= {"not comparable"}:
            return "not comparable"
        return "change" if found & {"increase", "decrease"} else "no change"


def verdict(curve: CurveChange, threshold: float) -> str:
    """In a word: increase or decrease beyond the threshold, no change, or not comparable where a film lacks a level."""
    if curve.change is None:
        return "not comparable"
    if abs(curve.change) <= threshold:
        return "no change"
    return "increase" if curve.change > 0 else "decrease"


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """Plain JSON types; nothing of a header."""
    return {
        "verdict": comparison.verdict,
        "threshold_deg": comparison.threshold,
        "threshold_source": SOURCE if comparison.threshold == THRESHOLD else "given by --threshold",
        "level_offset": comparison.match.offset,
        "mirrored": comparison.match.mirrored,
        "earlier": _side(comparison.earlier),
        "later": _side(comparison.later),
        "curves": [
            {
                "upper": level_name(curve.upper, 0),
                "lower": level_name(curve.lower, 0),
                "ends_from": curve.source,
                "earlier_deg": _rounded(curve.earlier),
                "later_deg": _rounded(curve.later),
                "change_deg": _rounded(curve.change),
                "verdict": verdict(curve, comparison.threshold),
            }
            for curve in comparison.curves
        ],
        "remarks": list(comparison.remarks),
    }


def _side(side: Side) -> dict[str, Any]:
    prediction, angles = side.measurement.prediction, side.measurement.angles
    return {
        "film": side.facts.film_id,
        "solver": prediction.solver,
        "definition": None if angles is None else angles.definition,
        "confidence": round(prediction.confidence, 4),
        "flags": list(prediction.flags),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4) + 0.0


def draw_comparison(comparison: Comparison) -> Pixels | None:
    """Both overlays side by side, each with the lines of the first three curves; None without both films' pixels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    pair = []
    for side, offset in ((comparison.earlier, 0), (comparison.later, comparison.match.offset)):
        if side.film is None:
            return None
        shown = [curve for curve in comparison.curves if curve.change is not None][:3]
        angles = _angles(side, shown, offset, side is comparison.earlier)
        pair.append(draw_overlay(side.film, side.measurement.prediction, angles))
    height = max(len(overlay) for overlay in pair)
    earlier, later = (_as_high(overlay, height) for overlay in pair)
    gap = np.full((height, GAP, 3), 255, np.uint8)
    return np.concatenate([earlier, gap, later], axis=1)


def _angles(side: Side, curves: Sequence[CurveChange], offset: int, earlier: bool) -> CobbAngles | None:
    """The compared curves as angles of one film; None without any."""
    prediction, angles = side.measurement.prediction, side.measurement.angles
    if prediction.landmarks is None or angles is None or not curves:
        return None
    upright = turn_points(as_float(prediction.landmarks), prediction.size, prediction.orientation.turns)
    degrees, ends, apices = np.zeros(3), [], []
    for j, curve in enumerate(curves):
        degrees[j] = abs((curve.earlier if earlier else curve.later) or 0.0)
        upper, lower = (level + offset - prediction.first_level for level in (curve.upper, curve.lower))
        ends.append((upper, lower))
        apices.append(apex(upright, upper, lower))
    spare = 3 - len(curves)
    return CobbAngles(
        degrees, angles.definition, (*ends, *(None,) * spare), (*apices, *(None,) * spare), ("", "", "")
    )


def _as_high(overlay: Pixels, height: int) -> Pixels:
    if len(overlay) == height:
        return overlay
    width = round(overlay.shape[1] * height / len(overlay))
    return np.asarray(cv2.resize(overlay, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
