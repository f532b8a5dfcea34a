"""`aasce predict`: films to angles, and the folder that holds them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aasce.api import Ensemble, Single, load_ensemble, load_single, measure_films
from aasce.commands.exports import Export
from aasce.commands.progress import watched
from aasce.commands.staging import staged
from aasce.ensemble import Measurement
from aasce.solvers.registry import DEFAULT_SOLVER
from aasce.types import AasceError, Definition, FilmFacts, Radiograph
from aasce.weights import load_solver
from aasce.writers import Manifest, submission_rows, write_manifest, write_predictions, write_submission
from aasce.writers.overlay import draw_overlay, save_overlay

if TYPE_CHECKING:
    from rich.table import Table

ROWS = 20
"""Films shown on the terminal; the files hold all."""


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """What a call of `predict` leaves, and where.

    Attributes:
        out: a folder; or a name in .csv, which gets the challenge's table, with manifest.json beside it.
        definition: of the angles.
        overlay: draw an overlay of each measured film.
        exports: further outputs, see `aasce.commands.exports`.
        resume: go on with an interrupted run in `out`.
    """

    out: Path
    definition: Definition = "challenge"
    overlay: bool = False
    exports: tuple[Export, ...] = ()
    resume: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call of `predict` measured, and where it wrote it.

    Attributes:
        measurements: one a film.
        table: the file to open first.
        failures: films that could not be measured.
        faults: outputs that could not be written.
    """

    measurements: tuple[Measurement, ...]
    table: Path
    failures: int
    faults: int = 0


def choose_measurer(solver: str | None, ensemble: str | None, device: str) -> Single | Ensemble:
    """Loads the solver or the ensemble that is to measure.

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


def predict(paths: Sequence[Path], measurer: Single | Ensemble, options: PredictOptions) -> Outcome:
    """Measures films and writes predictions.csv, submission.csv, manifest.json and what the options ask for.

    Args:
        paths: the films, no two of one name (`find_films`).
        measurer: the solver or the ensemble.
        options: see `PredictOptions`.

    Raises:
        AasceError: the solver has no angles of this definition, or the files cannot be written; nothing stays
            then.
    """
    out = options.out
    single = out.suffix.lower() == ".csv"
    faults = 0
    with staged(out.parent if single else out) as folder:
        measured: list[Measurement] = []
        facts: list[FilmFacts] = []
        films = watched(measure_films(paths, measurer, options.definition), paths)
        for path, (film, measurement) in zip(paths, films, strict=True):
            measured.append(measurement)
            facts.append(facts_of(path, film, measurement))
            if options.overlay and film is not None:
                drawn = draw_overlay(film, measurement.prediction, measurement.angles)
                save_overlay(folder / "overlays" / f"{film.film_id}.jpg", drawn)
            if film is not None:
                faults += sum(not added(export, folder, film, measurement) for export in options.exports)
        for export in options.exports:
            export.close(folder, sorted(zip(facts, measured, strict=True), key=lambda pair: pair[0].film_id))
        write_tables(folder, out.name if single else None, measured, measurer, options.definition)
    table = out if single else out / "predictions.csv"
    return Outcome(tuple(measured), table, sum(m.failure is not None for m in measured), faults)


def facts_of(path: Path, film: Radiograph | None, measurement: Measurement) -> FilmFacts:
    """Those of a film; of one that could not be read, its name and path alone."""
    if film is not None:
        return film.facts
    return FilmFacts(measurement.film_id, path, None, (0, 0), None, None, None, None)


def added(export: Export, folder: Path, film: Radiograph, measurement: Measurement) -> bool:
    """Whether the export took the film; where it did not, a line on stderr says why."""
    try:
        export.add(folder, film, measurement)
    except AasceError as error:
        print(error, file=sys.stderr)
        return False
    return True


def write_tables(
    folder: Path,
    name: str | None,
    measured: Sequence[Measurement],
    measurer: Single | Ensemble,
    definition: Definition,
) -> None:
    """Writes tables and manifest into `folder`; with a `name`, the challenge's table alone under it."""
    median = training_median()
    write_submission(folder / (name or "submission.csv"), submission_rows(measured, median))
    if name is None:
        write_predictions(folder / "predictions.csv", measured)
    pairs = zip(measurer.names, measurer.solvers, strict=True)
    settings = {member: solver.config.model_dump(mode="json") for member, solver in pairs}
    manifest = Manifest.of(measured, measurer.names, measurer.weights, definition, median, settings)
    write_manifest(folder / "manifest.json", manifest)


def training_median() -> NDArray[np.float64]:
    """(3,) degrees: the medians of the challenge's training films, which a film that failed gets in a submission."""
    constant = load_solver("constant")
    prediction = constant.predict([Radiograph("", np.zeros((1, 1), np.uint8))])[0]
    assert prediction.angles is not None
    return np.asarray(prediction.angles.degrees)


def summary(outcome: Outcome) -> str:
    """One line: how many films were measured, how many failed, and where the rest is."""
    count = len(outcome.measurements)
    more = f"; the first {ROWS} are shown" if count > ROWS else ""
    failed = f", {outcome.failures} failed" if outcome.failures else ""
    return f"{outcome.table}: {count} film{'s' if count > 1 else ''}{failed}{more}"


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
