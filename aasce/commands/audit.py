"""Labels to the list of their faults, and what "fixed" does about each."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aasce.commands.progress import progress
from aasce.datasets import FilmSet, LabelledFilm, film_faults, read_challenge, repeated_films
from aasce.datasets.challenge import Labels
from aasce.datasets.exposures import repeated_exposures
from aasce.files import atomic_write
from aasce.geometry.audit import Fault
from aasce.geometry.cobb import cobb_angles
from aasce.readers import read_film
from aasce.types import VERTEBRAE, SpinePrediction
from aasce.writers.overlay import draw_overlay, save_overlay

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("film", "vertebra", "fault", "detail", "repair")
ROWS = 40
"""Faults shown on the terminal; `--out` writes all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of one film's labels; `repair` is what labels "fixed" do about it."""

    film_id: str
    fault: Fault

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """Text of `COLUMNS`; the vertebra is named by its place in the file, "" for the film as a whole."""
        v = self.fault.vertebra
        name = "" if v is None else VERTEBRAE[v] if v < len(VERTEBRAE) else f"#{v + 1}"
        return self.film_id, name, self.fault.kind, self.fault.detail, self.fault.repair


def audit(
    data: Path,
    part: str = "training",
    labels: Labels = "official",
    out: Path | None = None,
    overlays: Path | None = None,
) -> tuple[FilmSet, list[Finding]]:
    """Finds the label faults of a data set by geometry.

    Args:
        data: folder that holds data/ and labels/, or the one above that holds aasce19/.
        part: of the data set.
        labels: "official" as released, "fixed" for what is left after the repairs.
        out: CSV of all faults.
        overlays: folder for a picture of each film with a fault, its labels drawn over.

    Raises:
        AasceError: a label file cannot be read, or an output cannot be written.
    """
    films = read_challenge(data, part, labels)
    repeated = _repeated(films)
    findings: list[Finding] = []
    for film in progress(films, len(films), "auditing"):
        faults = film_faults(film) + repeated.get(film.film_id, [])
        findings += [Finding(film.film_id, fault) for fault in faults]
        if faults and film.landmarks is not None and overlays is not None:
            draw_labels(overlays / f"{film.film_id}.jpg", film, faults)
    if out is not None:
        with atomic_write(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *(f.cells for f in findings)])
    return films, findings


def _repeated(films: FilmSet) -> dict[str, list[Fault]]:
    """Film id -> what of it stands in the set before: its file, its labels, or its exposure under another name."""
    found = repeated_films(films)
    for pair in repeated_exposures(films):
        first, second = films[pair.first], films[pair.second]
        known = found.setdefault(second.film_id, [])
        if any(fault.kind == "same_film" for fault in known):
            continue
        detail = f"the exposure of {first.film_id} again, exported and labelled anew"
        if first.angles is not None and second.angles is not None:
            apart = " ".join(f"{degrees:.1f}" for degrees in np.abs(first.angles - second.angles))
            detail += f"; the labelled angles differ by {apart} degrees"
        known.append(Fault(None, "same_exposure", detail))
    return found


def draw_labels(path: Path, film: LabelledFilm, faults: Sequence[Fault]) -> None:
    """Writes a film with its labels drawn over and the kinds of its faults as flags."""
    radiograph = read_film(film.path)
    assert film.landmarks is not None
    kinds = tuple(dict.fromkeys(fault.kind for fault in faults))
    labelled = SpinePrediction(
        film.film_id, radiograph.size, film.landmarks, confidence=1.0, flags=kinds, solver="labels"
    )
    save_overlay(path, draw_overlay(radiograph, labelled, cobb_angles(film.landmarks, radiograph.height)))


def fault_table(findings: Sequence[Finding]) -> Table:
    """The first `ROWS` faults for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for heading in COLUMNS:
        table.add_column(heading, overflow="fold")
    for finding in findings[:ROWS]:
        table.add_row(*(Text(cell) for cell in finding.cells))
    return table


def summary(films: FilmSet, findings: Sequence[Finding]) -> str:
    """One line: how many films have how many faults, and of which kinds."""
    kinds = Counter(finding.fault.kind for finding in findings)
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    faulty = len({finding.film_id for finding in findings})
    tail = f": {listed}" if listed else ""
    return f"{len(films)} films, labels {films.labels}: {len(findings)} faults on {faulty} films{tail}"
