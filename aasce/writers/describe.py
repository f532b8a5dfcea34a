"""A measured film in a clinician's words: its description on the film set upright, and as a row of a table."""

from __future__ import annotations

import math

from aasce.ensemble.combine import Measurement
from aasce.geometry.description import SpineDescription, describe
from aasce.geometry.spine import turn_points
from aasce.types import VERTEBRAE, FilmFacts, Side, as_float

CURVE_TEXTS: tuple[str, ...] = tuple(
    f"{what}{j}" for j in (1, 2, 3) for what in ("region", "convex", "severity")
)
NUMBERS: tuple[str, ...] = (
    "t1_tilt_deg",
    "t1_shift_mm",
    *(f"apex_shift{j}_mm" for j in (1, 2, 3)),
    "trunk_height_mm",
    *(f"wedging_{level}_deg" for level in VERTEBRAE),
)
DESCRIPTION_COLUMNS: tuple[str, ...] = (*CURVE_TEXTS, "pattern", "sides_from", "spacing_from", *NUMBERS)
"""The description in predictions.csv.

`convex1` is "right" or "left" of the patient, as `sides_from` says it is known ("PatientOrientation", "marker"), else
"image right" or "image left" of the film set upright. mm are those of `spacing_from` ("PixelSpacing", ...). See
`aasce.geometry.description.SpineDescription` for what is measured, and for the signs.
"""


def description_of(facts: FilmFacts | None, measurement: Measurement) -> SpineDescription | None:
    """Describes a measured film as it looks set upright.

    Args:
        facts: of the film; None leaves the patient's sides and mm unknown.
        measurement: of this film.

    Returns:
        None for a film that failed.
    """
    prediction, angles = measurement.prediction, measurement.angles
    if angles is None:
        return None
    turns = prediction.orientation.turns % 4
    points = prediction.landmarks
    upright = None if points is None else turn_points(as_float(points), prediction.size, turns)
    spacing = None if facts is None else facts.spacing
    if spacing is not None and turns % 2:
        spacing = spacing[::-1]
    return describe(angles, upright, prediction.first_level, upright_left(facts, turns), spacing)


def upright_left(facts: FilmFacts | None, turns: int) -> Side | None:
    """Side of the film set upright on which the patient's left lies.

    None where unknown, and for a film on its side: its left and right are then the patient's head and feet.

    Args:
        facts: of the film as read.
        turns: clockwise quarter turns that set it upright.
    """
    if facts is None or facts.patient_left is None or turns % 2:
        return None
    if turns % 4 == 2:
        return "right" if facts.patient_left == "left" else "left"
    return facts.patient_left


def description_row(
    found: SpineDescription | None, facts: FilmFacts | None, first_level: int
) -> tuple[object, ...]:
    """One film in `DESCRIPTION_COLUMNS`: texts "" and numbers NaN where unknown.

    Args:
        found: None for a film that failed.
        facts: of the film, for the sources.
        first_level: index into `VERTEBRAE` of the uppermost vertebra described.
    """
    if found is None:
        return (*("",) * (len(DESCRIPTION_COLUMNS) - len(NUMBERS)), *(math.nan,) * len(NUMBERS))
    texts = [text for c in found.curves for text in (c.region, c.side, c.severity)]
    sided = any(curve.convex for curve in found.curves)
    sides_from = facts.patient_left_source if sided and facts is not None else None
    spacing_from = None if facts is None else facts.spacing_source
    first, wedges = first_level, found.wedging_deg
    wedging = [wedges[k - first] if 0 <= k - first < len(wedges) else None for k in range(len(VERTEBRAE))]
    numbers = (found.t1_tilt_deg, found.t1_shift_mm, *found.apex_shift_mm, found.trunk_height_mm, *wedging)
    return (
        *texts,
        found.pattern,
        sides_from or "",
        spacing_from or "",
        *(
            math.nan if number is None else round(float(number), 4) + 0.0 for number in numbers
        ),  # no "-0.0000"
    )
