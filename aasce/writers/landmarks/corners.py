"""A CSV of corners: one row a corner, in px of the film as read."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from aasce.ensemble.combine import Measurement
from aasce.files import atomic_write
from aasce.readers.landmarks.corners import COLUMNS
from aasce.scoring.tables import spreadsheet_safe
from aasce.types import FilmFacts
from aasce.writers.landmarks.corner_points import vertebrae_of


def write(folder: Path, rows: Sequence[tuple[FilmFacts, Measurement]]) -> None:
    """Writes corners.csv; a film without landmarks has no row.

    Raises:
        AasceError: the file cannot be written.
    """
    with (
        atomic_write(folder / "corners.csv") as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(COLUMNS)
        for facts, measurement in rows:
            film = spreadsheet_safe(facts.film_id)
            for vertebra in vertebrae_of(measurement):
                for corner, (x, y) in vertebra.corners.items():
                    confidence = vertebra.confidence.get(corner, "")
                    table.writerow((film, vertebra.level, corner, x, y, confidence, *facts.size))
