"""Films to angles: reading, measuring, and the folder that holds the answer."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aasce.api import Ensemble, Measures, Single, load_ensemble, load_single
from aasce.commands.progress import progress
from aasce.commands.staging import staged
from aasce.config import Settings
from aasce.ensemble import Measurement
from aasce.readers import film_name, read_film
from aasce.solvers.base import Solver
from aasce.solvers.registry import DEFAULT_SOLVER
from aasce.types import AasceError, Definition, Radiograph, SpinePrediction
from aasce.weights import load_solver
from aasce.writers import Manifest, submission_rows, write_manifest, write_predictions, write_submission
from aasce.writers.overlay import draw_overlay, save_overlay

if TYPE_CHECKING:
    from rich.table import Table

BATCH = 4
"""Films in memory at a time."""

ROWS = 20
"""Films shown on the terminal; the files hold all."""

Seen = tuple[Radiograph | None, Measurement]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call of `predict` measured, and where it wrote it."""

    measurements: tuple[Measurement, ...]
    table: Path
    failures: int


def choose_members(solver: str | None, ensemble: str | None, device: str) -> Single | Ensemble:
    """Loads who is to measure.

    Args:
        solver: released name or run folder, None for the default solver.
        ensemble: YAML of members, "" for the kit's own ensemble, None for a single solver.
        device: see `aasce.load`.

    Raises:
        AasceError: both are named, weights cannot be found, or there is no such device.
    """
    if ensemble is None:
        return load_single(solver or DEFAULT_SOLVER, device)
    if solver is not None:
        raise AasceError("--solver and --ensemble exclude each other; leave one out")
    return load_ensemble(Path(ensemble) if ensemble else None, device)


def predict(
    paths: Sequence[Path],
    members: Single | Ensemble,
    out: Path,
    overlay: bool = False,
    definition: Definition = "challenge",
) -> Answer:
    """Measures films and writes predictions.csv, submission.csv, manifest.json and overlays/<film>.jpg.

    Args:
        paths: the films, no two of one name (`find_films`).
        members: who measures.
        out: a folder; or a name in .csv, which gets the challenge's table, with manifest.json beside it.
        overlay: draw a picture of each measured film.
        definition: of the angles.

    Raises:
        AasceError: the solver cannot answer by this definition, or the files cannot be written; nothing stays
            then.
    """
    single = out.suffix.lower() == ".csv"
    with staged(out.parent if single else out) as folder:
        measured = []
        for film, measurement in measure_films(paths, members, definition):
            measured.append(measurement)
            if overlay and film is not None:
                picture = draw_overlay(film, measurement.prediction, measurement.angles)
                save_overlay(folder / "overlays" / f"{film.film_id}.jpg", picture)
        write_tables(folder, out.name if single else None, measured, members, definition)
    table = out if single else out / "predictions.csv"
    return Answer(tuple(measured), table, sum(m.failure is not None for m in measured))


def measure_films(paths: Sequence[Path], members: Measures, definition: Definition) -> Iterator[Seen]:
    """Reads and measures films in batches, in order; one line on stderr for each that failed.

    Yields:
        The film (None when it cannot be read) and its measurement.
    """
    seen = _measured(paths, members, definition)
    for path, (film, measurement) in zip(paths, progress(seen, len(paths), "measuring"), strict=True):
        if measurement.failure is not None:
            print(f"{path}: {measurement.failure}", file=sys.stderr)
        yield film, measurement


def _measured(paths: Sequence[Path], members: Measures, definition: Definition) -> Iterator[Seen]:
    for start in range(0, len(paths), BATCH):
        read = [_read(path) for path in paths[start : start + BATCH]]
        films = [film for film in read if isinstance(film, Radiograph)]
        answers = iter(members.measure(films, definition) if films else [])
        for film in read:
            if isinstance(film, Radiograph):
                yield film, _with_flags(next(answers), film)
            else:
                yield None, film


def _read(path: Path) -> Radiograph | Measurement:
    """The film, or the row that an unreadable one keeps in every table."""
    try:
        return read_film(path)
    except AasceError as error:
        reason = str(error).removeprefix(f"{path}: ")
        return Measurement(SpinePrediction(film_name(path), (0, 0), failure=reason), None)


def _with_flags(measurement: Measurement, film: Radiograph) -> Measurement:
    """What the reader found odd about a film is told with its angles, whichever the solver."""
    prediction = measurement.prediction
    flags = tuple(dict.fromkeys((*film.flags, *prediction.flags)))
    return replace(measurement, prediction=replace(prediction, flags=flags))


def write_tables(
    folder: Path,
    name: str | None,
    measured: Sequence[Measurement],
    members: Single | Ensemble,
    definition: Definition,
) -> None:
    """Writes tables and manifest into `folder`; with a `name`, the challenge's table alone under it."""
    median = training_median()
    write_submission(folder / (name or "submission.csv"), submission_rows(measured, median))
    if name is None:
        write_predictions(folder / "predictions.csv", measured)
    settings = {who: settings_of(solver) for who, solver in zip(members.names, members.solvers, strict=True)}
    manifest = Manifest.of(measured, members.names, members.weights, definition, median, settings)
    write_manifest(folder / "manifest.json", manifest)


def settings_of(solver: Solver) -> dict[str, Any]:
    """A solver's resolved settings as plain values; {} for one from outside that keeps none."""
    config = getattr(solver, "config", None)
    return config.model_dump(mode="json") if isinstance(config, Settings) else {}


def training_median() -> NDArray[np.float64]:
    """(3,) degrees: the medians of the challenge's training films, which stand in for a film that failed."""
    constant = load_solver("constant")
    prediction = constant.predict([Radiograph("", np.zeros((1, 1), np.uint8))])[0]
    assert prediction.angles is not None
    return prediction.angles.degrees


def summary(answer: Answer) -> str:
    """One line: how many films were measured, how many failed, and where the rest is."""
    count = len(answer.measurements)
    more = f"; the first {ROWS} are shown" if count > ROWS else ""
    failed = f", {answer.failures} failed" if answer.failures else ""
    return f"{answer.table}: {count} film{'s' if count > 1 else ''}{failed}{more}"


def angle_table(measured: Iterable[Measurement]) -> Table:
    """The first `ROWS` films for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    table.add_column("film", overflow="fold")
    for heading in ("an1", "an2", "an3", "confidence"):
        table.add_column(heading, justify="right")
    table.add_column("remarks", overflow="fold")
    for m in list(measured)[:ROWS]:
        cells = ["-"] * 3 if m.angles is None else [f"{value:.1f}°" for value in m.angles.degrees]
        remarks = Text(m.failure, style="red") if m.failure else Text(", ".join(m.prediction.flags))
        table.add_row(Text(m.film_id), *cells, f"{m.prediction.confidence:.2f}", remarks)
    return table
