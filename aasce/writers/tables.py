"""The two tables of `aasce predict`: the challenge's submission, and the full one."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aasce.ensemble.combine import Measurement
from aasce.files import atomic_write
from aasce.scoring.tables import HEADER
from aasce.types import VERTEBRAE

Floats = NDArray[np.float64]

COLUMNS: tuple[str, ...] = (
    *HEADER,
    "confidence",
    *(f"{what}{j}" for j in (1, 2, 3) for what in ("upper", "lower", "apex")),
    "flags",
    "failure",
    "solver",
    "definition",
)
"""Of predictions.csv: upper1 and lower1 are the end vertebrae of an1, apex1 its apex, and so on."""


def level_name(first_level: int, vertebra: int) -> str:
    """Name of a vertebra by its index in the landmarks; "#18" where the 17 levels of the challenge end."""
    level = first_level + vertebra
    return VERTEBRAE[level] if 0 <= level < len(VERTEBRAE) else f"#{level + 1}"


def submission_rows(measurements: Iterable[Measurement], median: ArrayLike) -> dict[str, Floats]:
    """Film name to (3,) degrees for a submission; a failed film gets the training median.

    Args:
        measurements: one a film.
        median: (3,) degrees, the training medians. The manifest tells which films got them.

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
    lines = [[name, *_cells(name, rows[name])] for name in sorted(rows)]
    _write(path, HEADER, lines)


def write_predictions(path: Path | str, measurements: Iterable[Measurement]) -> None:
    """Writes predictions.csv (`COLUMNS`), films sorted as text, whole or not at all.

    A failed film keeps its row: its angles are empty and `failure` says why. Flags are parted by ";".

    Raises:
        AasceError: the file cannot be written.
    """
    _write(path, COLUMNS, [_full_row(m) for m in sorted(measurements, key=lambda m: m.film_id)])


def _write(path: Path | str, header: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)


def _cells(name: str, degrees: ArrayLike) -> list[str]:
    values = np.asarray(degrees, dtype=np.float64)
    if values.shape != (3,) or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"film {name!r}: a row is three finite angles, 0 or more, not {values.tolist()}")
    return [f"{value + 0.0:.4f}" for value in values]  # + 0.0: no "-0.0000"


def _full_row(m: Measurement) -> list[str]:
    p = m.prediction
    angles = _cells(m.film_id, m.angles.degrees) if m.angles is not None else ["", "", ""]
    failure = " ".join((p.failure or "").split())
    definition = m.angles.definition if m.angles is not None else ""
    return [
        p.film_id,
        *angles,
        f"{p.confidence:.3f}",
        *_vertebrae(m),
        ";".join(p.flags),
        failure,
        p.solver,
        definition,
    ]


def _vertebrae(m: Measurement) -> list[str]:
    """Upper end, lower end and apex of each curve by name; empty where unknown."""
    cells: list[str] = []
    for j in range(3):
        ends = m.angles.end_vertebrae[j] if m.angles is not None else None
        apex = m.angles.apices[j] if m.angles is not None else None
        levels = [*(ends or (None, None)), apex]
        cells += ["" if v is None else level_name(m.prediction.first_level, v) for v in levels]
    return cells
