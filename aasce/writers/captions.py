"""What an overlay says of a film in words: the lines of text above it, and the title of each curve."""

from __future__ import annotations

import numpy as np

from aasce.geometry.description import UNDER, Curve, SpineDescription, level_name
from aasce.scoring.bootstrap import Interval
from aasce.scoring.conformal import NO_INTERVALS, Intervals
from aasce.types import VERTEBRAE, CobbAngles, FilmFacts, Side, SpinePrediction
from aasce.writers.describe import upright_left
from aasce.writers.page import AMBER, PALE, WHITE, Colour

# Okabe and Ito's palette, which colour-blind readers can tell apart; brightened for a dark film.
COLOURS: tuple[Colour, ...] = ((255, 176, 0), (95, 200, 255), (240, 130, 200))
"""Of an1, an2 and an3."""

UNSURE = "levels_unsure"
SHORT = {"proximal thoracic": "PT", "main thoracic": "MT", "thoracolumbar": "TL", "lumbar": "L"}


def strip(
    facts: FilmFacts,
    prediction: SpinePrediction,
    angles: CobbAngles | None,
    description: SpineDescription | None,
    intervals: Intervals = NO_INTERVALS,
    coverage: float | None = None,
) -> list[tuple[str, Colour]]:
    """The lines of text above a film, each with its colour.

    Args:
        facts: of the film as read.
        prediction: of that film.
        angles: as measured, None where none are shown.
        description: of these angles.
        intervals: around them, degrees.
        coverage: of the intervals.
    """
    lines: list[tuple[str, Colour]] = [(facts.film_id, WHITE)]
    if description is not None:
        shifts = description.apex_shift_mm
        lines += [
            (curve_line(curve, shifts[j], intervals[j]), COLOURS[j])
            for j, curve in enumerate(description.curves)
        ]
    lines += [(warning, AMBER) for warning in _warnings(prediction)]
    if description is not None:
        left = upright_left(facts, prediction.orientation.turns)
        lines.append((description.pattern, WHITE))
        balance = balance_line(description, prediction.first_level, left)
        lines += [(balance, WHITE)] if balance else []
        lines.append((_sources(facts, left), PALE))
    about = [prediction.solver or "unnamed solver"]
    if angles is not None:
        about.append(f"{angles.definition} definition")
        about += [] if coverage is None else [f"{interval_words(coverage)} in brackets"]
    if prediction.failure is None:
        about.append(f"confidence {prediction.confidence:.2f}")
    lines.append((" · ".join(about), PALE))
    return lines


def _warnings(prediction: SpinePrediction) -> list[str]:
    lines = []
    if prediction.flags:
        lines.append("flags: " + ", ".join(flag.replace("_", " ") for flag in prediction.flags))
    if UNSURE in prediction.flags:
        lines.append("?: the names of vertebrae and curves may be a level off")
    return lines


def title(curve: Curve) -> str:
    """Short, to stand beside the lines of a curve: "MT 43.8°", "5.2°" for a curve without a name."""
    return f"{SHORT.get(curve.region, '')} {curve.degrees:.1f}°".strip()


def curve_line(curve: Curve, apex_shift_mm: float | None, interval: Interval | None = None) -> str:
    """All that is said of one curve in one line."""
    parts = [f"{curve.region or f'an{curve.number}'} {curve.degrees:.1f}°{bracket(interval)}"]
    if curve.upper and curve.upper != curve.lower:
        parts.append(f"{curve.upper}–{curve.lower}")
    if curve.severity == UNDER:
        return " · ".join(parts)
    if curve.apex:
        off = f", {abs(apex_shift_mm):.0f} mm off T1–L5" if apex_shift_mm is not None else ""
        parts.append(f"apex {curve.apex}{off}")
    if curve.side:
        parts.append(f"convex {curve.side}")
    return " · ".join([*parts, curve.severity])


def bracket(interval: Interval | None) -> str:
    """As " (37.9 to 46.2)" to stand behind an angle; nothing without an interval."""
    return "" if interval is None else f" ({interval[0]:.1f} to {interval[1]:.1f})"


def interval_words(coverage: float) -> str:
    """As "90 % intervals"."""
    return f"{100 * coverage:g} % intervals"


def balance_line(description: SpineDescription, first_level: int, patient_left: Side | None) -> str:
    """Tilt and shift of T1, height of the trunk and the vertebra wedged most; "" where nothing is known."""
    parts: list[str] = []
    if description.t1_tilt_deg is not None:
        tilt = round(description.t1_tilt_deg, 1)
        lower = f", {_side(tilt, patient_left)} side lower" if tilt else ""
        parts.append(f"T1 tilt {abs(tilt):.1f}°{lower}")
    if description.t1_shift_mm is not None:
        shift = round(description.t1_shift_mm)
        parts.append(f"T1 {abs(shift)} mm {_side(shift, patient_left)} of L5" if shift else "T1 over L5")
    if description.trunk_height_mm is not None:
        parts.append(f"T1–L5 {description.trunk_height_mm:.0f} mm high")
    wedging = np.abs(np.round(description.wedging_deg, 1))
    if wedging.any():
        v = int(np.argmax(wedging))
        parts.append(f"most wedged {level_name(first_level, v)} {wedging[v]:.1f}°")
    return " · ".join(parts)


def _side(signed: float, patient_left: Side | None) -> str:
    """In words: "right" is the patient's, "image right" the film's; positive is the film's right."""
    side: Side = "right" if signed > 0 else "left"
    if patient_left is None:
        return f"image {side}"
    return "left" if side == patient_left else "right"


def _sources(facts: FilmFacts, patient_left: Side | None) -> str:
    sides = "the patient's left and right unknown"
    if patient_left is not None:
        sides = f"sides by {facts.patient_left_source or 'the film'}"
    spacing = "no mm: pixel spacing unknown"
    if facts.spacing is not None:
        spacing = f"mm by {facts.spacing_source or 'the film'}"
    return f"{sides} · {spacing}"


def vertebra_label(prediction: SpinePrediction, vertebra: int) -> str:
    """Name of a vertebra, with a question mark where the names are unsure."""
    unsure = UNSURE in prediction.flags or not 0 <= prediction.first_level + vertebra < len(VERTEBRAE)
    return level_name(prediction.first_level, vertebra) + ("?" if unsure else "")
