"""predictions.json: all that was found on each film, and back. docs/pages/files.md names every key.

Numbers that a measurement rests on are written in the shortest form that reads back to the same float64, so that the
angles of landmarks read back are those of the landmarks written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aasce import __version__
from aasce.ensemble.combine import Measurement, MemberShare
from aasce.files import short_lists, write_text
from aasce.geometry.cobb import cobb_angles
from aasce.geometry.description import level_name
from aasce.geometry.spine import set_upright
from aasce.readers.landmarks.records import VERSION, angles_of, facts_of, prediction_of
from aasce.scoring.conformal import NO_INTERVALS, Intervals
from aasce.types import CORNERS, Array, CobbAngles, Definition, FilmFacts, SpinePrediction
from aasce.writers.describe import description_of

DEFINITIONS: tuple[Definition, ...] = ("challenge", "clinical")

DECIMALS = 4
"""Of what follows from other numbers of the file."""


def write_records(
    path: Path | str,
    rows: Sequence[tuple[FilmFacts, Measurement]],
    patients: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Writes predictions.json, films in the order given, whole or not at all.

    Args:
        path: the JSON file.
        rows: of the films.
        patients: by film, what `aasce.readers.identity` says of it: its key `patient`, where it is asked for.

    Raises:
        AasceError: the file cannot be written.
    """
    films = [film_record(facts, measurement) for facts, measurement in rows]
    if patients is not None:
        for film in films:
            film["patient"] = dict(patients[film["film"]])
    content = {"version": VERSION, "kit": f"aasce {__version__}", "films": films}
    write_text(path, pretty(content))


def pretty(content: Mapping[str, Any]) -> str:
    """Indented JSON with each list of numbers in one line.

    A file name that is no UTF-8 stays readable: its odd bytes are written as JSON's escapes.
    """
    text = short_lists(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False))
    return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


def film_record(facts: FilmFacts, measurement: Measurement, *, whole_path: bool = False) -> dict[str, Any]:
    """One film as plain JSON types.

    Args:
        facts: of the film.
        measurement: of this film; its mask is left out.
        whole_path: keep the path as it was given, for a journal that stays with the user. Without it the file's
            name alone is kept: folders tell of people.
    """
    p = measurement.prediction
    path = facts.path
    return {
        "film": facts.film_id,
        "file": None if path is None else str(path) if whole_path else path.name,
        "frame": facts.frame,
        "size": [int(side) for side in facts.size],
        "spacing_mm": None if facts.spacing is None else [float(mm) for mm in facts.spacing],
        "spacing_source": facts.spacing_source,
        "patient_left": facts.patient_left,
        "patient_left_source": facts.patient_left_source,
        "orientation": {"turns": int(p.orientation.turns), "negative": bool(p.orientation.negative)},
        "definition": None if measurement.angles is None else measurement.angles.definition,
        "angles": _both(measurement),
        "interval": _interval(measurement),
        "coverage": measurement.coverage,
        "description": _description(facts, measurement),
        "confidence": float(p.confidence),
        "flags": list(p.flags),
        "failure": p.failure,
        "solver": p.solver,
        "members": [
            {
                "solver": share.solver,
                "weight": float(share.weight),
                "failure": share.failure,
                "degrees": None if share.degrees is None else list(share.degrees),
            }
            for share in measurement.members
        ],
        "first_level": level_name(p.first_level, 0),
        "landmarks": _landmarks(p),
        "centreline": None if p.centerline is None else _numbers(p.centerline),
        "regressed": None if p.angles is None else _angles(p.angles, p.first_level),
    }


def read_record(record: Mapping[str, Any]) -> tuple[FilmFacts, Measurement]:
    """The facts and the measurement that `film_record` was given, without the mask.

    Raises:
        ValueError: a key is missing or holds something else than it should, in one line.
    """
    facts, prediction = facts_of(record), prediction_of(record)
    try:
        definition = record["definition"]
        angles = None if definition is None else record["angles"][definition]
        members = tuple(_member(m) for m in record["members"])
        intervals, coverage = _intervals(record["interval"]), record["coverage"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"key {error} is missing or of another kind") from None
    own = angles_of(angles, prediction.first_level)
    return facts, Measurement(prediction, own, members, intervals, coverage)


def _member(member: Mapping[str, Any]) -> MemberShare:
    degrees = member["degrees"]
    an1, an2, an3 = (None,) * 3 if degrees is None else map(float, degrees)
    known = None if an1 is None or an2 is None or an3 is None else (an1, an2, an3)
    return MemberShare(str(member["solver"]), float(member["weight"]), member["failure"], known)


def _interval(measurement: Measurement) -> list[list[float] | None] | None:
    """[low, high] of each angle, None for an angle without; None where no angle has one."""
    found = [None if one is None else [float(end) for end in one] for one in measurement.intervals]
    return found if any(found) else None


def _intervals(written: Sequence[Sequence[float] | None] | None) -> Intervals:
    if written is None:
        return NO_INTERVALS
    an1, an2, an3 = (None if one is None else (float(one[0]), float(one[1])) for one in written)
    return an1, an2, an3


def _both(measurement: Measurement) -> dict[str, Any]:
    """Angles by each definition: the measurement's own, and those that its landmarks have by the other."""
    p, own = measurement.prediction, measurement.angles
    found: dict[str, Any] = {}
    for definition in DEFINITIONS:
        if own is not None and own.definition == definition:
            angles: CobbAngles | None = own
            regressed = p.angles is not None and p.angles.definition == definition
            source = "members" if measurement.members else "regression" if regressed else "landmarks"
        else:
            angles, source = None if own is None else _anew(p, definition), "landmarks"
        found[definition] = None if angles is None else {"source": source, **_angles(angles, p.first_level)}
    return found


def _anew(prediction: SpinePrediction, definition: Definition) -> CobbAngles | None:
    """Angles of the landmarks alone; None without landmarks that can be measured."""
    if prediction.landmarks is None:
        return None
    try:
        upright, (height, _) = set_upright(
            prediction.landmarks, prediction.size, prediction.orientation.turns
        )
        return cobb_angles(upright, height, definition)
    except ValueError:
        return None


def _angles(angles: CobbAngles, first_level: int) -> dict[str, Any]:
    def name(vertebra: int | None) -> str | None:
        return None if vertebra is None else level_name(first_level, int(vertebra))

    curves = []
    for j, degrees in enumerate(np.asarray(angles.degrees, dtype=np.float64)):
        upper, lower = angles.end_vertebrae[j] or (None, None)
        curves.append(
            {
                "angle": f"an{j + 1}",
                "degrees": _number(degrees + 0.0),  # no "-0.0"
                "upper": name(upper),
                "lower": name(lower),
                "apex": name(angles.apices[j]),
                "column": angles.regions[j],
            }
        )
    return {"definition": angles.definition, "shape": angles.shape, "curves": curves}


def _description(facts: FilmFacts, measurement: Measurement) -> dict[str, Any] | None:
    """What a clinician reads, derived from the rest and so rounded, to `DECIMALS`."""
    found = description_of(facts, measurement)
    if found is None:
        return None
    first = measurement.prediction.first_level
    curves = [
        {
            "angle": f"an{curve.number}",
            "apex": curve.apex or None,
            "region": curve.region or None,
            "convex_image": curve.convex_image,
            "convex_patient": curve.convex,
            "severity": curve.severity,
            "apex_shift_px": _rounded(found.apex_shift_px[j]),
            "apex_shift_mm": _rounded(found.apex_shift_mm[j]),
        }
        for j, curve in enumerate(found.curves)
    ]
    return {
        "pattern": found.pattern,
        "curves": curves,
        "wedging_deg": {
            level_name(first, v): _rounded(degrees) for v, degrees in enumerate(found.wedging_deg)
        },
        "t1_tilt_deg": _rounded(found.t1_tilt_deg),
        "t1_shift_px": _rounded(found.t1_shift_px),
        "t1_shift_mm": _rounded(found.t1_shift_mm),
        "trunk_height_px": _rounded(found.trunk_height_px),
        "trunk_height_mm": _rounded(found.trunk_height_mm),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), DECIMALS) + 0.0


def _landmarks(p: SpinePrediction) -> list[dict[str, Any]] | None:
    if p.landmarks is None:
        return None
    entries = []
    for v, corners in enumerate(p.landmarks):
        points = dict(zip(CORNERS, _numbers(corners), strict=True))
        confidence = None if p.landmark_confidence is None else _numbers(p.landmark_confidence[v])
        entries.append({"level": level_name(p.first_level, v), **points, "confidence": confidence})
    return entries


def _numbers(values: Array | Iterable[Any]) -> list[Any]:
    """Nested lists of float; what is not finite becomes None, as JSON has no name for it."""
    return [_numbers(v) if np.ndim(v) else _number(v) for v in np.asarray(values, dtype=np.float64)]


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
