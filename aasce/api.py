"""Solvers ready to use, with their localizer: one by itself, or several as an ensemble, and films to angles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

import numpy as np

from aasce.config import load_settings
from aasce.ensemble import EnsembleSettings, Measurement, combine, with_angles
from aasce.ensemble.intervals import read_intervals, with_intervals
from aasce.readers import FilmFile, film_name, list_films, read_films
from aasce.scoring.conformal import COVERAGE, IntervalRule, checked_coverage
from aasce.solvers.base import Solver, read_state
from aasce.solvers.registry import DEFAULT_SOLVER
from aasce.solvers.shared.screened import screened
from aasce.types import AasceError, Definition, FilmFacts, Radiograph, SpinePrediction
from aasce.weights import load_solver, released, resolve

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_ENSEMBLE = Path(__file__).parent / "ensemble" / "default.yaml"

BATCH = 4
"""Films measured at a time."""

SAME_EXPOSURE = "same_exposure"
"""Flag of a film that is, pixel by pixel, another film of the same call."""

MeasuredFile: TypeAlias = tuple[FilmFile, Radiograph | None, Measurement]


class Measurer(Protocol):
    """Whoever turns films into angles."""

    def measure(self, films: Sequence[Radiograph], definition: Definition = "challenge") -> list[Measurement]:
        """One measurement a film, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Several solvers that measure as one.

    Attributes:
        names: a member's released name or run folder.
        solvers: one a member.
        weights: one a member, 0 or more.
        max_disagreement_deg: see `aasce.ensemble.EnsembleSettings`.
        intervals: rules that stand beside the YAML; without any the angles have no intervals.
        coverage: share of films that an interval is to cover.
    """

    name: ClassVar[str] = "ensemble"
    names: tuple[str, ...]
    solvers: tuple[Solver, ...]
    weights: tuple[float, ...]
    max_disagreement_deg: float
    intervals: tuple[IntervalRule, ...] = ()
    coverage: float = COVERAGE

    def measure(self, films: Sequence[Radiograph], definition: Definition = "challenge") -> list[Measurement]:
        """Weighted mean of the members' angles, film by film; see `aasce.ensemble.combine`."""
        predictions = zip(*(_predicted(solver, films) for solver in self.solvers), strict=True)
        combined = (
            combine(of_one_film, self.weights, definition, self.names, self.max_disagreement_deg)
            for of_one_film in predictions
        )
        return [with_intervals(measurement, self.intervals, self.coverage) for measurement in combined]

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """The combined predictions; `angles` holds the mean by the challenge's definition."""
        return [measurement.prediction for measurement in self.measure(films)]


@dataclass(frozen=True, slots=True)
class Single:
    """One solver, used as an ensemble is.

    Attributes:
        names: its released name or run folder.
        solvers: itself.
        weights: 1.
        coverage: share of films that an interval is to cover.
    """

    names: tuple[str]
    solvers: tuple[Solver]
    weights: tuple[float] = (1.0,)
    coverage: float = COVERAGE

    @property
    def intervals(self) -> tuple[IntervalRule, ...]:
        """Rules that are kept with the weights; without any the angles have no intervals."""
        found: tuple[IntervalRule, ...] = self.solvers[0].learned.intervals
        return found

    def measure(self, films: Sequence[Radiograph], definition: Definition = "challenge") -> list[Measurement]:
        """Angles of each film's prediction.

        Released weights are named by their own name: one solver may have several.
        """
        predictions = _predicted(self.solvers[0], films)
        if self.names[0] in released():
            predictions = [replace(prediction, solver=self.names[0]) for prediction in predictions]
        measured = (with_angles(prediction, definition) for prediction in predictions)
        return [with_intervals(measurement, self.intervals, self.coverage) for measurement in measured]


def _predicted(solver: Solver, films: Sequence[Radiograph]) -> list[SpinePrediction]:
    """A solver's predictions, with little confidence in those of pictures that are no radiographs."""
    found = zip(films, solver.predict(films), strict=True)
    return [screened(film, prediction) for film, prediction in found]


def load(name_or_folder: str | Path, device: str = "cpu") -> Solver | Ensemble:
    """Loads a solver with its weights and localizer, or the default ensemble, ready to predict.

    Args:
        name_or_folder: a released name, a run folder, "hf:owner/repository", or "ensemble".
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the accelerator at hand.

    Raises:
        AasceError: the weights cannot be found or read, or there is no such device.
    """
    if str(name_or_folder) == Ensemble.name:
        return load_ensemble(None, device)
    check_device(device)
    return load_solver(name_or_folder, device)


def load_single(name: str, device: str = "cpu", coverage: float = COVERAGE) -> Single:
    """One solver by name or folder, ready to measure."""
    check_device(device)
    return Single((name,), (load_solver(name, device),), coverage=coverage)


def load_ensemble(path: Path | None, device: str = "cpu", coverage: float = COVERAGE) -> Ensemble:
    """The members that a YAML names (None for the kit's own), ready to measure.

    Raises:
        AasceError: the settings are wrong, a member's weights cannot be found, its intervals were fitted to another
            ensemble, or there is no such device.
    """
    source = path or DEFAULT_ENSEMBLE
    settings = load_settings(EnsembleSettings, source)
    check_device(device)
    names = tuple(member.solver for member in settings.members)
    rules = read_intervals(source, settings, {name: read_state(resolve(name)).checksum for name in names})
    solvers = tuple(load_solver(name, device) for name in names)
    return Ensemble(names, solvers, settings.weights, settings.max_disagreement_deg, rules, coverage)


def measure(
    films: str | Path | Sequence[str | Path],
    solver: str | Path = DEFAULT_SOLVER,
    definition: Definition = "challenge",
    device: str = "cpu",
    coverage: float = COVERAGE,
) -> pd.DataFrame:
    """Measures films from disk.

    Args:
        films: films, folders or patterns, as `aasce predict` takes them.
        solver: see `load`.
        definition: of the angles, see `aasce.geometry.cobb`.
        device: see `load`.
        coverage: share of films that the intervals are to cover, from 0.5 to 0.99.

    Returns:
        One row a film in the columns of predictions.csv: angles with their intervals in degrees, end vertebrae, apices,
        confidence, flags, and the `failure` of a film that could not be read or measured.

    Raises:
        AasceError: a name stands for no film, the solver cannot be loaded or gives angles of another definition, or
            the coverage is not from 0.5 to 0.99.
    """
    from aasce.writers.tables import predictions_frame

    checked_coverage(coverage)
    named = [films] if isinstance(films, (str, Path)) else list(films)
    listing = list_films([Path(name) for name in named])
    if listing.problems:
        raise AasceError(listing.problems[0])
    one = str(solver) != Ensemble.name
    measurer: Measurer
    measurer = load_single(str(solver), device, coverage) if one else load_ensemble(None, device, coverage)
    facts: dict[str, FilmFacts] = {}
    measured: list[Measurement] = []
    for group in measure_groups(listing.files, measurer, definition):
        facts |= {film.film_id: film.facts for _, film, _ in group if film is not None}
        measured += [without_mask(measurement) for _, _, measurement in group]
    return predictions_frame(measured, facts)


def without_mask(measurement: Measurement) -> Measurement:
    """A measurement small enough to keep by the thousand."""
    return replace(measurement, prediction=replace(measurement.prediction, mask=None))


def measure_films(
    paths: Sequence[Path], measurer: Measurer, definition: Definition = "challenge"
) -> Iterator[tuple[Radiograph | None, Measurement]]:
    """Reads and measures films in batches, in order; each by the name of its file.

    Yields:
        The film (None when it cannot be read) and its measurement, whose `failure` says what went wrong.
    """
    files = [FilmFile(path, film_name(path)) for path in paths]
    for group in measure_groups(files, measurer, definition):
        for _, film, measurement in group:
            yield film, measurement


def measure_groups(
    files: Sequence[FilmFile],
    measurer: Measurer,
    definition: Definition = "challenge",
    exposures: dict[str, str] | None = None,
) -> Iterator[list[MeasuredFile]]:
    """Reads and measures films in groups of whole files, in order; which films share a batch depends on them alone.

    Args:
        files: to read; one of several frames holds as many films.
        measurer: whoever measures.
        definition: of the angles.
        exposures: digest of the pixels to the film that showed them first. Another film of the same pixels is flagged
            `SAME_EXPOSURE`. Films are added as they are read.

    Yields:
        The films of a group: each one's file, the film (None when it cannot be read), and its measurement.
    """
    known = {} if exposures is None else exposures
    names = {file.film_id for file in files}
    group: list[tuple[FilmFile, Radiograph | Measurement]] = []
    for file in files:
        group += [(file, film) for film in _read(file, names)]
        if len(group) >= BATCH:
            yield _measured(group, measurer, definition, known)
            group = []
    if group:
        yield _measured(group, measurer, definition, known)


def _read(file: FilmFile, names: set[str]) -> list[Radiograph] | list[Measurement]:
    """The films of a file, or the row that an unreadable one keeps in every table.

    Args:
        file: to read.
        names: of all files of the call, which the name of a frame must not repeat.
    """
    try:
        films = read_films(file.path, file.film_id)
    except AasceError as error:
        reason = str(error).removeprefix(f"{file.path}: ")
    except MemoryError:
        reason = "does not fit into memory; measure it alone, or scale it down"
    else:
        for k, film in enumerate(films):
            name = film.film_id
            while len(films) > 1 and name in names:
                name += "~"
            films[k] = replace(film, film_id=name)
        return films
    return [Measurement(SpinePrediction(file.film_id, (0, 0), failure=reason), None)]


def _measured(
    group: Sequence[tuple[FilmFile, Radiograph | Measurement]],
    measurer: Measurer,
    definition: Definition,
    exposures: dict[str, str],
) -> list[MeasuredFile]:
    films = [film for _, film in group if isinstance(film, Radiograph)]
    found = [
        m for k in range(0, len(films), BATCH) for m in _batch(films[k : k + BATCH], measurer, definition)
    ]
    measured = iter(found)
    rows: list[MeasuredFile] = []
    for file, film in group:
        if isinstance(film, Radiograph):
            rows.append((file, film, _seen_before(film, next(measured), exposures)))
        else:
            rows.append((file, None, film))
    return rows


def _batch(films: Sequence[Radiograph], measurer: Measurer, definition: Definition) -> list[Measurement]:
    """Measures films together; where memory does not hold that, one by one, and one that fails fails alone."""
    try:
        return measurer.measure(films, definition)
    except (MemoryError, RuntimeError) as error:
        # torch tells of exhausted memory, of the device or the computer, by a RuntimeError
        if len(films) > 1:
            return [m for film in films for m in _batch([film], measurer, definition)]
        text = str(error).splitlines()
        reason = f"cannot be measured ({text[0][:120] if text else type(error).__name__}); scale it down"
        film = films[0]
        return [Measurement(SpinePrediction(film.film_id, film.size, flags=film.flags, failure=reason), None)]


def _seen_before(film: Radiograph, measurement: Measurement, exposures: dict[str, str]) -> Measurement:
    """Flags a film whose very pixels another film of the call has."""
    digest = hashlib.blake2b(np.ascontiguousarray(film.pixels).data, digest_size=16)
    digest.update(f"{film.pixels.dtype} {film.size}".encode())
    first = exposures.setdefault(digest.hexdigest(), film.film_id)
    if first == film.film_id:
        return measurement
    flags = (*measurement.prediction.flags, SAME_EXPOSURE)
    return replace(measurement, prediction=replace(measurement.prediction, flags=flags))


def check_device(device: str) -> None:
    """Raises an AasceError when torch cannot compute on the device; for "cpu" no torch is loaded."""
    if device in ("cpu", "auto"):
        return
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise AasceError(f"--device {device}: cannot be used ({reason}); try --device cpu") from error
