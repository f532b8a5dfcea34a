"""The words above a film."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aasce.ensemble import Measurement
from aasce.types import Array, CobbAngles, FilmFacts, SpinePrediction
from aasce.writers.captions import curve_line, strip, title, vertebra_label
from aasce.writers.describe import description_of

ANGLES = CobbAngles(
    np.array([41.2, 15.0, 4.0]), "challenge", ((5, 12), (0, 5), (12, 16)), regions=("TL/L", "MT", "PT")
)
FACTS = FilmFacts("film 1", None, None, (900, 600), (0.5, 0.5), "PixelSpacing", "left", "PatientOrientation")


def spine() -> Array:
    """T10 40 px to the right of T6 and L1; T1 24 px left of L5 and its upper endplate turned by atan(3 / 4)."""
    x = 300 + np.interp(np.arange(17), [0, 5, 9, 12, 16], [0.0, 0, 40, 0, 24])
    box = np.array([[-20, -15], [20, -15], [-20, 15], [20, 15]])
    points = np.stack([x, 100.0 + 40 * np.arange(17)], axis=1)[:, None] + box
    points[0, 1] += [0, 30]
    points[5, [1, 3]] -= [0, 10]
    return points


def texts(facts: FilmFacts, **about: object) -> list[str]:
    prediction = SpinePrediction("film 1", (900, 600), spine(), confidence=0.9, solver="s", **about)  # type: ignore[arg-type]
    return [
        text
        for text, _ in strip(
            facts, prediction, ANGLES, description_of(facts, Measurement(prediction, ANGLES))
        )
    ]


def test_curves_are_named_by_their_apex_and_the_flags_follow() -> None:
    lines = texts(FACTS, flags=("burned_in_annotation", "levels_unsure"))
    assert lines[0] == "film 1"
    assert lines[1].startswith("main thoracic 41.2° · T6–L1 · apex T10, ")
    assert lines[1].endswith("convex right · severe")
    assert lines[3] == "an3 4.0° · L1–L5"
    assert lines[4] == "flags: burned in annotation, levels unsure"
    assert lines[5] == "?: the names of vertebrae and curves may be a level off"
    assert lines[6].startswith("double: ")
    assert lines[7].startswith("T1 tilt 36.9°, right side lower · T1 12 mm left of L5 · ")
    assert lines[8] == "sides by PatientOrientation · mm by PixelSpacing"


def test_intervals_stand_behind_the_angles() -> None:
    prediction = SpinePrediction("film 1", (900, 600), spine(), confidence=0.9, solver="s")
    description = description_of(FACTS, Measurement(prediction, ANGLES))
    found = strip(FACTS, prediction, ANGLES, description, ((37.9, 46.2), None, (0.0, 9.04)), 0.9)
    lines = [text for text, _ in found]
    assert lines[1].startswith("main thoracic 41.2° (37.9 to 46.2) · T6–L1 · apex T10, ")
    assert "(" not in lines[2]
    assert lines[3] == "an3 4.0° (0.0 to 9.0) · L1–L5"
    assert lines[-1].endswith(" definition · 90 % intervals in brackets · confidence 0.90")


def test_without_spacing_and_sides_there_are_no_mm_and_the_films_sides() -> None:
    lines = texts(
        replace(FACTS, spacing=None, spacing_source=None, patient_left=None, patient_left_source=None)
    )
    assert not any(" mm " in line for line in lines[:-2])
    assert lines[-2] == "the patient's left and right unknown · no mm: pixel spacing unknown"
    assert "convex image right" in lines[1]


def test_titles_are_short() -> None:
    prediction = SpinePrediction("film 1", (900, 600), spine())
    description = description_of(FACTS, Measurement(prediction, ANGLES))
    assert description is not None
    assert [title(curve) for curve in description.curves] == ["MT 41.2°", "PT 15.0°", "4.0°"]
    bare = description_of(
        FACTS, Measurement(replace(prediction, landmarks=None), CobbAngles(ANGLES.degrees, "challenge"))
    )
    assert bare is not None
    assert curve_line(bare.curves[0], None) == "an1 41.2° · severe"


def test_unsure_names_have_a_question_mark() -> None:
    prediction = SpinePrediction("film 1", (900, 600), first_level=2)
    assert vertebra_label(prediction, 3) == "T6"
    assert vertebra_label(prediction, 15) == "#18?"
    assert vertebra_label(replace(prediction, flags=("levels_unsure",)), 3) == "T6?"
