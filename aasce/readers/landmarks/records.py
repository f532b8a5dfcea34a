"""predictions.json back to predictions; `aasce.writers.records` writes it, docs/pages/files.md names its keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from aasce.readers.landmarks.fields import (
    Floats,
    Json,
    count,
    entries,
    get,
    number,
    numbers,
    optional_text,
    pair,
    share,
    shown,
    text,
)
from aasce.readers.landmarks.levels import level_index
from aasce.types import CORNERS, CobbAngles, Definition, FilmFacts, Orientation, Side, SpinePrediction

Choice = TypeVar("Choice")

VERSION = 1
"""Of predictions.json; it grows when a key changes its meaning or goes."""

DEFINITIONS: dict[str, Definition] = {"challenge": "challenge", "clinical": "clinical"}
SIDES: dict[str, Side] = {"left": "left", "right": "right"}


def films_of(content: Json) -> list[tuple[FilmFacts, SpinePrediction]]:
    """Facts and landmarks of each film, without the angles that a solver regressed: the landmarks are measured anew.

    A film whose landmarks cannot be read fails with the reason. One that failed and has landmarks, which somebody may
    have corrected, is to be measured. Flags, confidence and solver are the file's.

    Raises:
        ValueError: the file is of a later version, or what a film is cannot be read, in one line.
    """
    version = get(content, "version")
    if version != VERSION:
        raise ValueError(f"version {shown(version)} is not known to this kit, which reads version {VERSION}")
    films = []
    for k, record in enumerate(entries(content, "films")):
        try:
            facts = facts_of(record)
        except ValueError as error:
            raise ValueError(f"film {k + 1}: {error}") from None
        try:
            prediction = prediction_of({**record, "regressed": None})
            if prediction.landmarks is not None:
                prediction = replace(prediction, failure=None)
        except ValueError as error:
            prediction = SpinePrediction(facts.film_id, facts.size, failure=str(error))
        films.append((facts, prediction))
    return films


def facts_of(record: Json) -> FilmFacts:
    """What is known of the film.

    Raises:
        ValueError: a key is missing or holds something else than it should, in one line.
    """
    sides = entries(record, "size", 2)
    height, width = (
        (0, 0) if sides == [0, 0] else (count(side, "size") for side in sides)
    )  # 0: it was not read
    file, frame, left = optional_text(record, "file"), get(record, "frame"), get(record, "patient_left")
    return FilmFacts(
        film_id=text(record, "film"),
        path=None if file is None else Path(file),
        frame=None if frame is None else count(frame, "frame"),
        size=(height, width),
        spacing=pair(record, "spacing_mm"),
        spacing_source=optional_text(record, "spacing_source"),
        patient_left=_one_of(SIDES, left, "patient_left") if left is not None else None,
        patient_left_source=optional_text(record, "patient_left_source"),
    )


def prediction_of(record: Json) -> SpinePrediction:
    """What the solver said of the film; the mask is not kept.

    Raises:
        ValueError: as in `facts_of`.
    """
    first = level_index(text(record, "first_level"))
    landmarks, confidence = _landmarks(record, first)
    lay = get(record, "orientation")
    centreline = get(record, "centreline")
    return SpinePrediction(
        film_id=text(record, "film"),
        size=facts_of(record).size,
        landmarks=landmarks,
        landmark_confidence=confidence,
        centerline=None if centreline is None else _points(entries(record, "centreline"), "centreline"),
        angles=angles_of(get(record, "regressed"), first),
        orientation=Orientation(_turns(lay), bool(get(lay, "negative"))),
        confidence=share(get(record, "confidence"), "confidence"),
        flags=tuple(str(flag) for flag in entries(record, "flags")),
        solver=text(record, "solver"),
        failure=optional_text(record, "failure"),
        first_level=first,
    )


def angles_of(angles: Json | None, first_level: int) -> CobbAngles | None:
    """Angles of one definition.

    Args:
        angles: an entry of `angles`, or `regressed`.
        first_level: index into `VERTEBRAE` of the first vertebra of the landmarks.

    Raises:
        ValueError: as in `facts_of`.
    """
    if angles is None:
        return None

    def vertebra(curve: Json, key: str) -> int | None:
        level = optional_text(curve, key)
        return None if level is None else level_index(level) - first_level

    curves = entries(angles, "curves", 3)
    pairs = [(vertebra(curve, "upper"), vertebra(curve, "lower")) for curve in curves]
    shape = optional_text(angles, "shape")
    return CobbAngles(
        np.array([number(get(curve, "degrees"), "degrees") for curve in curves]),
        _one_of(DEFINITIONS, get(angles, "definition"), "definition"),
        tuple(None if upper is None or lower is None else (upper, lower) for upper, lower in pairs),
        tuple(vertebra(curve, "apex") for curve in curves),
        tuple(text(curve, "column") for curve in curves),
        None if shape is None else "C" if shape == "C" else "S",
    )


def _landmarks(record: Json, first: int) -> tuple[Floats | None, Floats | None]:
    """(V, 4, 2) px and (V, 4) confidence."""
    if get(record, "landmarks") is None:
        return None, None
    points, confidence = [], []
    for v, entry in enumerate(entries(record, "landmarks")):
        level = text(entry, "level")
        if level_index(level) != first + v:
            raise ValueError(f"{level} is out of order in 'landmarks': levels run down from 'first_level'")
        try:
            points.append([numbers(entry, corner, 2) for corner in CORNERS])
            confidence.append(None if get(entry, "confidence") is None else numbers(entry, "confidence", 4))
        except ValueError as error:
            raise ValueError(f"{level}: {error}") from None
    known = [values for values in confidence if values is not None]
    landmarks = np.array(points, dtype=np.float64).reshape(-1, 4, 2)
    return landmarks, np.array(known) if known and len(known) == len(points) else None


def _turns(lay: Json) -> int:
    turns = get(lay, "turns")
    if turns not in (0, 1, 2, 3):
        raise ValueError(f"'turns' is 0, 1, 2 or 3, not {shown(turns)}")
    return int(turns)


def _points(values: Any, key: str) -> Floats:
    """(N, 2) px."""
    return np.array([numbers({key: point}, key, 2) for point in values], dtype=np.float64).reshape(-1, 2)


def _one_of(choices: Mapping[str, Choice], value: Any, key: str) -> Choice:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{key!r} is {' or '.join(map(repr, choices))}, not {shown(value)}")
    return choices[value]
