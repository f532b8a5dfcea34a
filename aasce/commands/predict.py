"""`aasce predict`: films to angles, and the folder that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aasce.api import Ensemble, Single, load_ensemble, load_single, measure_films
from aasce.commands.progress import watched
from aasce.commands.staging import staged
from aasce.ensemble import Measurement
from aasce.solvers.registry import DEFAULT_SOLVER
from aasce.types import AasceError, Definition, Radiograph
from aasce.weights import load_solver
from aasce.writers import Manifest, submission_rows, write_manifest, write_predictions, write_submission
from aasce.writers.overlay import draw_overlay, save_overlay

if TYPE_CHECKING:
    from rich.table import Table

ROWS = 20
"""Films shown on the terminal; the files hold all."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call of `predict` measured, and where it wrote it."""

    measurements: tuple[Measurement, ...]
    table: Path
    failures: int


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


def predict(
    paths: Sequence[Path],
    measurer: Single | Ensemble,
    out: Path,
    overlay: bool = False,
    definition: Definition = "challenge",
) -> Outcome:
    """Measures films and writes predictions.csv, submission.csv, manifest.json and overlays/<film>.jpg.

    Args:
        paths: the films, no two of one name (`find_films`).
        measurer: the solver or the ensemble.
        out: a folder; or a name in .csv, which gets the challenge's table, with manifest.json beside it.
        overlay: draw an overlay of each measured film.
        definition: of the angles.

    Raises:
        AasceError: the solver has no angles of this definition, or the files cannot be written; nothing stays
            then.
    """
    single = out.suffix.lower() == ".csv"
    with staged(out.parent if single else out) as folder:
        measured = []
        for film, measurement in watched(measure_films(paths, measurer, definition), paths):
            measured.append(measurement)
            if overlay and film is not None:
                drawn = draw_overlay(film, measurement.prediction, measurement.angles)
                save_overlay(folder / "overlays" / f"{film.film_id}.jpg", drawn)
        write_tables(folder, out.name if single else None, measured, measurer, definition)
    table = out if single else out / "predictions.csv"
    return Outcome(tuple(measured), table, sum(m.failure is not None for m in measured))


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
