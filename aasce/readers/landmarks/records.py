"""One film of predictions.json back to a prediction; `aasce.writers.records` writes it and names its keys."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from aasce.readers.landmarks.levels import level_index
from aasce.types import CORNERS, CobbAngles, Definition, FilmFacts, Orientation, Side, SpinePrediction

Floats = NDArray[np.float64]
Json = Mapping[str, Any]

VERSION = 1
"""Of predictions.json; it grows when a key changes its meaning or goes."""


def facts_of(record: Json) -> FilmFacts:
    """What is known of the film.

    Raises:
        ValueError: a key is missing or holds something else than it should, in one line.
    """
    height, width = (_whole(record, "size", v) for v in _list(record, "size", 2))
    spacing = _list(record, "spacing_mm", 2) if _key(record, "spacing_mm") is not None else None
    return FilmFacts(
        film_id=_text(record, "film"),
        path=Path(_text(record, "file")) if _key(record, "file") is not None else None,
        frame=None if _key(record, "frame") is None else _whole(record, "frame", record["frame"]),
        size=(height, width),
        spacing=None if spacing is None else (float(spacing[0]), float(spacing[1])),
        spacing_source=record.get("spacing_source"),
        patient_left=cast("Side | None", record.get("patient_left")),
        patient_left_source=record.get("patient_left_source"),
    )


def prediction_of(record: Json) -> SpinePrediction:
    """What the solver said of the film; the mask is not kept.

    Raises:
        ValueError: as in `facts_of`.
    """
    first = level_index(_text(record, "first_level"))
    landmarks, confidence = _landmarks(record, first)
    turns = _key(record, "orientation")
    failure = _key(record, "failure")
    centreline = _key(record, "centreline")
    return SpinePrediction(
        film_id=_text(record, "film"),
        size=facts_of(record).size,
        landmarks=landmarks,
        landmark_confidence=confidence,
        centerline=None if centreline is None else _points(centreline, "centreline"),
        angles=angles_of(_key(record, "regressed"), first),
        orientation=Orientation(int(turns["turns"]), bool(turns["negative"])),
        confidence=float(_key(record, "confidence")),
        flags=tuple(str(flag) for flag in _key(record, "flags")),
        solver=str(_key(record, "solver")),
        failure=None if failure is None else str(failure),
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
    definition, shape, curves = (_key(angles, key) for key in ("definition", "shape", "curves"))

    def vertebra(curve: Json, key: str) -> int | None:
        level = _key(curve, key)
        return None if level is None else level_index(level) - first_level

    ends: list[tuple[int, int] | None] = []
    for curve in curves:
        upper, lower = vertebra(curve, "upper"), vertebra(curve, "lower")
        ends.append(None if upper is None or lower is None else (upper, lower))
    return CobbAngles(
        np.array([_number(_key(curve, "degrees")) for curve in curves]),
        cast(Definition, definition),
        tuple(ends),
        tuple(vertebra(curve, "apex") for curve in curves),
        tuple(str(_key(curve, "column")) for curve in curves),
        cast("Literal['C', 'S'] | None", shape),
    )


def _landmarks(record: Json, first: int) -> tuple[Floats | None, Floats | None]:
    """(V, 4, 2) px and (V, 4) confidence."""
    entries = _key(record, "landmarks")
    if entries is None:
        return None, None
    for v, entry in enumerate(entries):
        if level_index(_text(entry, "level")) != first + v:
            raise ValueError(f"level {entry['level']!r} is out of order; levels run down from `first_level`")
    points = [[_list(entry, corner, 2) for corner in CORNERS] for entry in entries]
    landmarks = _points(points, "landmarks").reshape(-1, 4, 2)
    if any(_key(entry, "confidence") is None for entry in entries) or not entries:
        return landmarks, None
    return landmarks, _points([_list(entry, "confidence", 4) for entry in entries], "confidence")


def _key(record: Json, key: str) -> Any:
    if not isinstance(record, Mapping):
        raise ValueError(f"{key!r} is looked for in {str(record)[:40]!r}, which is no object")
    if key not in record:
        raise ValueError(f"key {key!r} is missing")
    return record[key]


def _text(record: Json, key: str) -> str:
    value = _key(record, key)
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is a text, not {str(value)[:40]}")
    return value


def _list(record: Json, key: str, length: int) -> Sequence[Any]:
    value = _key(record, key)
    if not isinstance(value, list) or len(value) != length:
        raise ValueError(f"{key!r} is a list of {length} numbers, not {str(value)[:40]}")
    return value


def _whole(record: Json, key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{key!r} is a whole number of 1 or more, not {str(record[key])[:40]}")
    return value


def _number(value: Any) -> float:
    """JSON knows no NaN: what was not finite stands as null."""
    return math.nan if value is None else float(value)


def _points(value: Any, key: str) -> Floats:
    try:
        return np.array(value, dtype=np.float64)  # null becomes NaN
    except (TypeError, ValueError):
        raise ValueError(f"{key!r} holds something that is no number") from None
