"""Solvers ready to use, with their localizer: one by itself, or several as an ensemble, and films to angles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from aasce.config import load_settings
from aasce.ensemble import EnsembleSettings, Measurement, combine, with_angles
from aasce.readers import film_name, find_films, read_film
from aasce.solvers.base import Solver
from aasce.solvers.registry import DEFAULT_SOLVER
from aasce.types import AasceError, Definition, Radiograph, SpinePrediction
from aasce.weights import load_solver, released

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_ENSEMBLE = Path(__file__).parent / "ensemble" / "default.yaml"

BATCH = 4
"""Films in memory at a time."""


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
    """

    name: ClassVar[str] = "ensemble"
    names: tuple[str, ...]
    solvers: tuple[Solver, ...]
    weights: tuple[float, ...]
    max_disagreement_deg: float

    def measure(self, films: Sequence[Radiograph], definition: Definition = "challenge") -> list[Measurement]:
        """Weighted mean of the members' angles, film by film; see `aasce.ensemble.combine`."""
        predictions = zip(*(solver.predict(films) for solver in self.solvers), strict=True)
        return [
            combine(of_one_film, self.weights, definition, self.names, self.max_disagreement_deg)
            for of_one_film in predictions
        ]

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
    """

    names: tuple[str]
    solvers: tuple[Solver]
    weights: tuple[float] = (1.0,)

    def measure(self, films: Sequence[Radiograph], definition: Definition = "challenge") -> list[Measurement]:
        """Angles of each film's prediction.

        Released weights are named by their own name: one solver may have several.
        """
        predictions = self.solvers[0].predict(films)
        if self.names[0] in released():
            predictions = [replace(prediction, solver=self.names[0]) for prediction in predictions]
        return [with_angles(prediction, definition) for prediction in predictions]


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


def load_single(name: str, device: str = "cpu") -> Single:
    """One solver by name or folder, ready to measure."""
    check_device(device)
    return Single((name,), (load_solver(name, device),))


def load_ensemble(path: Path | None, device: str = "cpu") -> Ensemble:
    """The members that a YAML names (None for the kit's own), ready to measure.

    Raises:
        AasceError: the settings are wrong, a member's weights cannot be found, or there is no such device.
    """
    settings = load_settings(EnsembleSettings, path or DEFAULT_ENSEMBLE)
    check_device(device)
    names = tuple(member.solver for member in settings.members)
    solvers = tuple(load_solver(name, device) for name in names)
    return Ensemble(names, solvers, settings.weights, settings.max_disagreement_deg)


def measure(
    films: str | Path | Sequence[str | Path],
    solver: str | Path = DEFAULT_SOLVER,
    definition: Definition = "challenge",
    device: str = "cpu",
) -> pd.DataFrame:
    """Measures films from disk.

    Args:
        films: films, folders or patterns, as `aasce predict` takes them.
        solver: see `load`.
        definition: of the angles, see `aasce.geometry.cobb`.
        device: see `load`.

    Returns:
        One row a film in the columns of predictions.csv: angles in degrees, end vertebrae, apices, confidence, flags,
        and the `failure` of a film that could not be read or measured.

    Raises:
        AasceError: no film is found, or the solver cannot be loaded or gives angles of another definition.
    """
    from aasce.writers.tables import predictions_frame

    named = [films] if isinstance(films, (str, Path)) else list(films)
    paths = find_films([Path(name) for name in named])
    one = str(solver) != Ensemble.name
    measurer: Measurer = load_single(str(solver), device) if one else load_ensemble(None, device)
    return predictions_frame([measurement for _, measurement in measure_films(paths, measurer, definition)])


def measure_films(
    paths: Sequence[Path], measurer: Measurer, definition: Definition = "challenge"
) -> Iterator[tuple[Radiograph | None, Measurement]]:
    """Reads and measures films in batches, in order.

    Yields:
        The film (None when it cannot be read) and its measurement, whose `failure` says what went wrong.
    """
    for start in range(0, len(paths), BATCH):
        read = [_read(path) for path in paths[start : start + BATCH]]
        films = [film for film in read if isinstance(film, Radiograph)]
        measured = iter(measurer.measure(films, definition) if films else [])
        for film in read:
            if isinstance(film, Radiograph):
                yield film, next(measured)
            else:
                yield None, film


def _read(path: Path) -> Radiograph | Measurement:
    """The film, or the row that an unreadable one keeps in every table."""
    try:
        return read_film(path)
    except AasceError as error:
        reason = str(error).removeprefix(f"{path}: ")
        return Measurement(SpinePrediction(film_name(path), (0, 0), failure=reason), None)


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
