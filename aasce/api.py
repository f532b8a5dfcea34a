"""Solvers ready to measure: one by itself, or several as an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

from aasce.config import load_settings
from aasce.ensemble import EnsembleSettings, Measurement, combine, measure
from aasce.solvers.base import Solver
from aasce.types import AasceError, Definition, Radiograph, SpinePrediction
from aasce.weights import load_solver, released

DEFAULT_ENSEMBLE = Path(__file__).parent / "ensemble" / "default.yaml"


class Measures(Protocol):
    """Whoever turns films into angles."""

    def measure(self, films: Sequence[Radiograph], definition: Definition = "challenge") -> list[Measurement]:
        """One measurement a film, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Several solvers that answer as one.

    Attributes:
        names: a member's released name or run folder.
        solvers: one a member.
        weights: one a member, 0 or more.
        apart: degrees, see `aasce.ensemble.EnsembleSettings`.
    """

    name: ClassVar[str] = "ensemble"
    names: tuple[str, ...]
    solvers: tuple[Solver, ...]
    weights: tuple[float, ...]
    apart: float

    def measure(self, films: Sequence[Radiograph], definition: Definition = "challenge") -> list[Measurement]:
        """Weighted mean of the members' angles, film by film; see `aasce.ensemble.combine`."""
        answers = zip(*(solver.predict(films) for solver in self.solvers), strict=True)
        return [combine(answer, self.weights, definition, self.names, self.apart) for answer in answers]

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """The combined predictions; `angles` holds the mean by the challenge's definition."""
        return [measurement.prediction for measurement in self.measure(films)]


@dataclass(frozen=True, slots=True)
class Single:
    """One solver, measured as an ensemble is.

    Attributes:
        names: its released name or run folder.
        solvers: itself.
        weights: 1.
    """

    names: tuple[str]
    solvers: tuple[Solver]
    weights: tuple[float] = (1.0,)

    def measure(self, films: Sequence[Radiograph], definition: Definition = "challenge") -> list[Measurement]:
        """Angles of each film's prediction; see `aasce.ensemble.measure`.

        Released weights are told by their own name: one solver may have several.
        """
        answers = self.solvers[0].predict(films)
        if self.names[0] in released():
            answers = [replace(answer, solver=self.names[0]) for answer in answers]
        return [measure(answer, definition) for answer in answers]


def load(name_or_folder: str | Path, device: str = "cpu") -> Solver | Ensemble:
    """Loads a solver with its weights, or the default ensemble, ready to predict.

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


def load_single(name: str, device: str) -> Single:
    """One solver by name or folder, ready to measure."""
    check_device(device)
    return Single((name,), (load_solver(name, device),))


def load_ensemble(path: Path | None, device: str) -> Ensemble:
    """The members that a YAML names (None for the kit's own), ready to measure.

    Raises:
        AasceError: the settings are wrong, a member's weights cannot be found, or there is no such device.
    """
    settings = load_settings(EnsembleSettings, path or DEFAULT_ENSEMBLE)
    check_device(device)
    names = tuple(member.solver for member in settings.members)
    solvers = tuple(load_solver(name, device) for name in names)
    return Ensemble(names, solvers, settings.weights, settings.apart)


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
