"""The two tables of `aasce predict`: the challenge's submission, and the full one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aasce.ensemble.combine import Measurement
from aasce.files import atomic_write
from aasce.geometry.description import SpineDescription
from aasce.readers.identity import TAGS
from aasce.scoring.tables import HEADER, spreadsheet_safe
from aasce.types import FilmFacts
from aasce.writers.describe import DESCRIPTION_COLUMNS, NUMBERS, description_of, description_row

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

DEGREES = HEADER[1:]
LEVELS: tuple[str, ...] = tuple(f"{what}{j}" for j in (1, 2, 3) for what in ("upper", "lower", "apex"))
"""upper1 and lower1 are the end vertebrae of an1, apex1 its apical vertebra or disc ("T11-12"), and so on."""

BOUNDS: tuple[str, ...] = tuple(f"an{j}_{end}" for j in (1, 2, 3) for end in ("low", "high"))
"""Ends of each angle's interval, degrees, which covers the angle on the share of films that `coverage` says."""

COLUMNS: tuple[str, ...] = (
    *HEADER,
    *BOUNDS,
    "coverage",
    "confidence",
    *LEVELS,
    "flags",
    "failure",
    "solver",
    "definition",
    *DESCRIPTION_COLUMNS,
)
"""Of predictions.csv and of the data frame that `aasce.measure` returns."""


def submission_rows(measurements: Iterable[Measurement], median: ArrayLike) -> dict[str, Floats]:
    """Film name to (3,) degrees for a submission; a failed film gets the training median.

    Args:
        measurements: one a film.
        median: (3,) degrees, the training medians. The manifest names the films that got them.

    Raises:
        ValueError: two measurements of one film.
    """
    rows: dict[str, Floats] = {}
    for m in measurements:
        if m.film_id in rows:
            raise ValueError(f"film {m.film_id!r} is measured twice")
        rows[m.film_id] = np.asarray(median if m.angles is None else m.angles.degrees, dtype=np.float64)
    return rows


def write_submission(path: Path | str, rows: Mapping[str, ArrayLike]) -> None:
    """Writes the challenge's format: `name,an1,an2,an3`, films sorted as text, whole or not at all.

    Args:
        path: the CSV.
        rows: film name (without extension) to (3,) degrees.

    Raises:
        ValueError: a row is not three finite, nonnegative angles.
        AasceError: the file cannot be written.
    """
    import pandas as pd

    names = sorted(rows)
    degrees = [_checked(name, rows[name]) for name in names]
    frame = pd.DataFrame(degrees, columns=list(DEGREES), dtype=np.float64)
    frame.insert(0, HEADER[0], [spreadsheet_safe(name) for name in names])
    write_csv(path, frame, "%.4f")


def predictions_frame(
    measurements: Iterable[Measurement], facts: Mapping[str, FilmFacts] | None = None
) -> pd.DataFrame:
    """One row a film, in the order given, in the columns of predictions.csv.

    Angles are degrees, NaN for a film that failed; `failure` then says why. Ends of intervals are NaN where there is
    none. The end vertebrae and the apex of each
    angle are given by name ("T5"), "" where unknown. Flags are parted by ";".

    Args:
        measurements: one a film.
        facts: by film; without a film's, its row has no mm and names no side of the patient.

    Raises:
        ValueError: an angle is negative or not finite.
    """
    import pandas as pd

    known = facts or {}
    rows = [_full_row(m, known.get(m.film_id)) for m in measurements]
    kinds = dict.fromkeys((*DEGREES, *BOUNDS, "coverage", "confidence", *NUMBERS), np.float64)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(kinds)


def write_predictions(
    path: Path | str,
    measurements: Iterable[Measurement],
    facts: Mapping[str, FilmFacts] | None = None,
    patients: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Writes predictions.csv (`COLUMNS`), films sorted as text, whole or not at all.

    A failed film keeps its row: its angles are empty and `failure` says why. Names are written as
    `aasce.scoring.tables.spreadsheet_safe` has them.

    Args:
        path: the CSV.
        measurements: one a film.
        facts: see `predictions_frame`.
        patients: by film, what `aasce.readers.identity` says of it: further columns, where it is asked for.

    Raises:
        AasceError: the file cannot be written.
    """
    frame = predictions_frame(sorted(measurements, key=lambda m: m.film_id), facts)
    texts = ["name", "failure"]
    if patients is not None:
        for key in TAGS:
            frame[key] = [patients[name][key] for name in frame["name"]]
        texts += TAGS
    for column in texts:
        frame[column] = frame[column].map(spreadsheet_safe)
    frame["confidence"] = frame["confidence"].map("{:.3f}".format)
    write_csv(path, frame, "%.4f")


def write_csv(path: Path | str, frame: pd.DataFrame, float_format: str) -> None:
    """Writes a data frame without its index, whole or not at all; a missing value is an empty cell.

    Raises:
        AasceError: the file cannot be written.
    """
    with atomic_write(path) as temporary:
        frame.to_csv(temporary, index=False, float_format=float_format, lineterminator="\n", compression=None)


def _checked(name: str, degrees: ArrayLike) -> Floats:
    values = np.asarray(degrees, dtype=np.float64)
    if values.shape != (3,) or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"film {name!r}: a row is three finite angles, 0 or more, not {values.tolist()}")
    return np.asarray(values + 0.0)  # + 0.0: no "-0.0000"


def _full_row(m: Measurement, facts: FilmFacts | None) -> tuple[object, ...]:
    p, description = m.prediction, description_of(facts, m)
    return (
        p.film_id,
        *(_checked(m.film_id, m.angles.degrees) if m.angles is not None else (np.nan,) * 3),
        *(end for interval in m.intervals for end in interval or (np.nan, np.nan)),
        np.nan if m.coverage is None else m.coverage,
        p.confidence,
        *_levels(description),
        ";".join(p.flags),
        " ".join((p.failure or "").split()),
        p.solver,
        m.angles.definition if m.angles is not None else "",
        *description_row(description, facts, p.first_level),
    )


def _levels(description: SpineDescription | None) -> list[str]:
    """Upper end, lower end and apex of each curve by name; empty where unknown."""
    if description is None:
        return [""] * len(LEVELS)
    return [name for curve in description.curves for name in (curve.upper, curve.lower, curve.apex)]
