"""Labels to the list of their faults, as a CSV, on the terminal and drawn on the films."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aasce.commands.progress import progress
from aasce.datasets import FilmSet, LabelledFilm, audit_dataset, read_challenge
from aasce.datasets.challenge import Labels
from aasce.files import atomic_write
from aasce.geometry.cobb import cobb_angles
from aasce.readers import read_film
from aasce.types import SpinePrediction
from aasce.writers.overlay import draw_overlay, save_overlay

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

ROWS = 40
"""Faults shown on the terminal; `--out` writes all."""


def audit(
    data: Path,
    part: str = "training",
    labels: Labels = "official",
    out: Path | None = None,
    overlays: Path | None = None,
) -> tuple[FilmSet, pd.DataFrame]:
    """Finds the label faults of a data set by geometry.

    Args:
        data: folder that holds data/ and labels/, or the one above that holds aasce19/.
        part: of the data set.
        labels: "official" as released, "fixed" for what is left after the repairs.
        out: CSV of all faults.
        overlays: folder for an overlay of each film with a fault, its labels drawn on it.

    Returns:
        The films, and one row a fault (see `aasce.datasets.audit_dataset`).

    Raises:
        AasceError: a label file cannot be read, or an output cannot be written.
    """
    films = read_challenge(data, part, labels)
    faults = audit_dataset(films, watch=lambda films: progress(films, len(films), "auditing"))
    if overlays is not None:
        kinds = {str(film_id): tuple(rows["fault"]) for film_id, rows in faults.groupby("film")}
        faulty = [film for film in films if film.film_id in kinds]
        for film in progress(faulty, len(faulty), "drawing"):
            draw_labels(overlays / f"{film.film_id}.jpg", film, kinds[film.film_id])
    if out is not None:
        with atomic_write(out) as temporary:
            faults.to_csv(temporary, index=False, lineterminator="\n")
    return films, faults


def draw_labels(path: Path, film: LabelledFilm, kinds: Sequence[str]) -> None:
    """Writes a film with its labels drawn on it and the kinds of its faults as flags; nothing without landmarks."""
    if film.landmarks is None:
        return
    radiograph = read_film(film.path)
    flags = tuple(dict.fromkeys(kinds))
    labelled = SpinePrediction(
        film.film_id, radiograph.size, film.landmarks, confidence=1.0, flags=flags, solver="labels"
    )
    save_overlay(path, draw_overlay(radiograph, labelled, cobb_angles(film.landmarks, radiograph.height)))


def fault_table(faults: pd.DataFrame) -> Table:
    """The first `ROWS` faults for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for heading in faults.columns:
        table.add_column(heading, overflow="fold")
    for row in faults.head(ROWS).itertuples(index=False):
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


def summary(films: FilmSet, faults: pd.DataFrame) -> str:
    """One line: how many films have how many faults, and of which kinds."""
    listed = ", ".join(f"{count} {kind}" for kind, count in Counter(faults["fault"]).most_common())
    tail = f": {listed}" if listed else ""
    on = faults["film"].nunique()
    return f"{len(films)} films, labels {films.labels}: {len(faults)} faults on {on} films{tail}"
