"""`aasce predict`: films to angles, and the folder that holds them."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aasce import __version__
from aasce.api import Ensemble, Single, load_ensemble, load_single, measure_groups, without_mask
from aasce.commands.exports import Export, exports_of
from aasce.commands.journal import Row, Run, open_run
from aasce.commands.progress import files_of, watched_groups
from aasce.commands.results import Earlier
from aasce.ensemble import Measurement
from aasce.examples import example_films
from aasce.files import file_name
from aasce.readers import FilmFile, list_films
from aasce.readers.identity import identity
from aasce.readers.listing import Listing
from aasce.scoring.conformal import COVERAGE, checked_coverage
from aasce.solvers.base import engines_of
from aasce.solvers.registry import DEFAULT_SOLVER
from aasce.types import AasceError, Definition, FilmFacts, Radiograph
from aasce.weights import load_solver
from aasce.writers import Manifest, submission_rows, write_manifest, write_predictions, write_submission
from aasce.writers.dicom import StatedStudy
from aasce.writers.overlay import draw_measured, save_overlay
from aasce.writers.records import write_records

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
        formats, dicom, report: further outputs, see `aasce.commands.exports.exports_of`.
        identify: tables, predictions.json and pages may say who the patient is.
        resume: go on with an interrupted run in `out`.
        stated: patient and study of films that are no DICOM, for their DICOM objects.
        coverage: share of films that the intervals of the angles are to cover, from 0.5 to 0.99.
    """

    out: Path
    definition: Definition = "challenge"
    overlay: bool = False
    formats: tuple[str, ...] = ()
    dicom: tuple[str, ...] = ()
    report: bool = False
    identify: bool = False
    resume: bool = False
    stated: StatedStudy = field(default_factory=StatedStudy)
    coverage: float = COVERAGE

    @property
    def single(self) -> bool:
        """Whether the challenge's table is all that is asked for."""
        return self.out.suffix.lower() == ".csv"

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.out.parent if self.single else self.out

    def exports(self) -> list[Export]:
        """The further outputs.

        Raises:
            AasceError: a name is unknown, `out` is no folder, or no interval can have this coverage.
        """
        checked_coverage(self.coverage)
        if self.single and (self.formats or self.dicom or self.report):
            raise AasceError(f"{self.out}: --format, --dicom and --report need a folder; name one with --out")
        if self.stated != StatedStudy() and not self.dicom:
            raise AasceError(
                "--patient-id, --patient-name and --study-date are for DICOM objects: add --dicom sr"
            )
        return exports_of(self.formats, self.dicom, self.report, self.identify, self.stated)


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


def choose_measurer(
    solver: str | None, ensemble: str | None, device: str, coverage: float = COVERAGE
) -> Single | Ensemble:
    """Loads the solver or the ensemble that is to measure.

    Args:
        solver: released name or run folder, None for the default solver.
        ensemble: YAML of members, "" for the kit's own ensemble, None for a single solver.
        device: see `aasce.load`.
        coverage: share of films that the intervals are to cover.

    Raises:
        AasceError: both are named, weights cannot be found, or there is no such device.
    """
    if ensemble is None:
        return load_single(solver or DEFAULT_SOLVER, device, coverage)
    if solver is not None:
        raise AasceError("--solver and --ensemble exclude each other; leave one out")
    return load_ensemble(Path(ensemble) if ensemble else None, device, coverage)


def films_of(patterns: Sequence[str | Path]) -> Listing:
    """The films that are named; without a name, those of the kit, which is said on stderr.

    Raises:
        AasceError: nothing that is named is a film.
    """
    if patterns:
        return list_films(patterns)
    listing = list_films(example_films())
    count = len(listing.files)
    print(f"no film named: measuring the {count} rendered example films of the kit", file=sys.stderr)
    return listing


def predict(files: Sequence[FilmFile], measurer: Single | Ensemble, options: PredictOptions) -> Outcome:
    """Measures films and writes predictions.csv, predictions.json, submission.csv, manifest.json and what is asked for.

    What is measured is kept as it comes (`aasce.commands.journal`): a call that is cut off can go on.

    Args:
        files: the films (`list_films`).
        measurer: the solver or the ensemble.
        options: see `PredictOptions`.

    Raises:
        AasceError: an option cannot be met, the solver has no angles of this definition, or the files cannot be
            written.
    """
    exports = options.exports()
    earlier = Earlier.of(options.folder, options.single)
    with open_run(options.folder, call_of(files, measurer, options), len(files), options.resume) as run:
        if not run.done:
            measure_all(run, files, measurer, options, exports)
            rows = sorted(run.rows, key=lambda row: row[0].film_id)
            close_all(run, exports, rows)
            write_tables(run.staging, rows, measurer, options)
        removed = run.finish(earlier.files)
    earlier.tell(removed)
    measured = tuple(measurement for _, measurement in run.rows)
    failures = sum(m.failure is not None for m in measured)
    return Outcome(
        measured, options.out if options.single else options.out / "predictions.csv", failures, run.faults
    )


def call_of(
    files: Sequence[FilmFile], measurer: Single | Ensemble, options: PredictOptions
) -> dict[str, Any]:
    """What the results depend on: a call that differs cannot go on with another's journal."""
    asked = asdict(replace(options, resume=False)) | {"out": str(options.out)}
    return {
        "version": __version__,
        "options": asked,
        "solvers": list(measurer.names),
        "weights": list(measurer.weights),
        "intervals": [rule.model_dump(mode="json") for rule in measurer.intervals],
        "training": [dict(solver.training) for solver in measurer.solvers],
        "settings": [solver.config.model_dump(mode="json") for solver in measurer.solvers],
        "films": [[str(file.path), file.film_id, *_stamp(file.path)] for file in files],
    }


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change of a file, zeros of one that is gone."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def measure_all(
    run: Run,
    files: Sequence[FilmFile],
    measurer: Single | Ensemble,
    options: PredictOptions,
    exports: Sequence[Export],
) -> None:
    """Measures the films that the run has not measured yet, and writes what needs their pixels."""
    rest = files[run.files :]
    groups = measure_groups(rest, measurer, options.definition, run.exposures)
    for group in watched_groups(groups, len(rest)):
        faults = 0
        rows = []
        for file, film, measurement in group:
            rows.append((facts_of(file, film), without_mask(measurement)))
            if film is not None:
                faults += write_outputs(run.staging, film, measurement, options.overlay, exports)
        run.add(rows, files_of(group), faults)


def write_outputs(
    folder: Path, film: Radiograph, measurement: Measurement, overlay: bool, exports: Sequence[Export]
) -> int:
    """Writes what needs the film's pixels; returns how many outputs could not be written, which stderr tells."""
    faults = 0
    if overlay:
        with told() as failed:
            drawn = draw_measured(film, measurement)
            save_overlay(folder / "overlays" / file_name(film.film_id, ".jpg"), drawn)
        faults += bool(failed)
    for export in exports:
        with told() as failed:
            export.add(folder, film, measurement)
        faults += bool(failed)
    return faults


def close_all(run: Run, exports: Sequence[Export], rows: Sequence[Row]) -> None:
    """Writes the outputs that tell of all films."""
    for k, export in enumerate(exports[run.closed :], run.closed + 1):
        with told() as failed:
            export.close(run.staging, rows)
        run.faults += bool(failed)
        run.closed = k


@contextmanager
def told() -> Iterator[list[str]]:
    """Says on stderr why an output cannot be written, and goes on; a full disk ends the call.

    Yields:
        A list that holds the line afterwards.
    """
    failed: list[str] = []
    try:
        yield failed
    except AasceError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        failed.append(str(error))
        print(error, file=sys.stderr)


def facts_of(file: FilmFile, film: Radiograph | None) -> FilmFacts:
    """Those of a film; of one that could not be read, its name and path alone."""
    if film is not None:
        return film.facts
    return FilmFacts(file.film_id, file.path, None, (0, 0), None, None, None, None)


def write_tables(
    folder: Path, rows: Sequence[Row], measurer: Single | Ensemble, options: PredictOptions
) -> None:
    """Writes tables and manifest into `folder`; of a single table, that and the manifest alone."""
    median = training_median()
    measured = [measurement for _, measurement in rows]
    made = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    write_submission(
        folder / (options.out.name if options.single else "submission.csv"), submission_rows(measured, median)
    )
    if not options.single:
        facts = {film.film_id: film for film, _ in rows}
        patients = {name: identity(film.path) for name, film in facts.items()} if options.identify else None
        write_predictions(folder / "predictions.csv", measured, facts, patients)
        write_records(folder / "predictions.json", rows, patients)
    pairs = zip(measurer.names, measurer.solvers, strict=True)
    settings = {member: solver.config.model_dump(mode="json") for member, solver in pairs}
    engines = dict(zip(measurer.names, map(engines_of, measurer.solvers), strict=True))
    notes = {"files": made, "engines": engines}
    manifest = Manifest.of(
        measured, measurer.names, measurer.weights, options.definition, median, settings, notes
    )
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
