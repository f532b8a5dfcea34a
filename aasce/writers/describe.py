"""A measured film in a clinician's words: its description on the film set upright."""

from __future__ import annotations

from aasce.ensemble.combine import Measurement
from aasce.geometry.description import SpineDescription, describe
from aasce.geometry.spine import turn_points
from aasce.types import FilmFacts, Side, as_float


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
