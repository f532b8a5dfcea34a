"""`constant`: the same three angles for every film, the median angles of the training films.

It measures nothing. It is the baseline of every method (SMAPE 25.5 on the 481 training films), gives the angles of a
submission where every method failed, and is the smallest example of a solver.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from aasce.datasets import FilmSet
from aasce.scoring.metrics import film_smape
from aasce.solvers.base import (
    FitReport,
    RunFolder,
    Solver,
    merged_flags,
    read_config,
    read_numbers,
    restore,
    write_numbers,
    write_run,
)
from aasce.solvers.constant.settings import ConstantConfig
from aasce.types import AasceError, CobbAngles, Radiograph, SpinePrediction

CLOSE = 5.0
"""Degrees: a major angle with a smaller error counts as right, as in `SpinePrediction.confidence`."""


class ConstantSolver(Solver):
    """Predicts the training films' median angles (challenge definition) for every film."""

    name: ClassVar[str] = "constant"
    Config: ClassVar[type[ConstantConfig]] = ConstantConfig

    def __init__(self, config: ConstantConfig | None = None, device: str = "cpu") -> None:
        self.config = config or ConstantConfig()
        self.angles: NDArray[np.float64] | None = None  # (3,) degrees
        self.confidence = 0.0

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Takes the median (or mean) of each angle of `train`; nothing is chosen on `validation`.

        Raises:
            AasceError: a film has no angles.
        """
        started = time.monotonic()
        table = _angles(train)
        self.angles = np.median(table, axis=0) if self.config.statistic == "median" else table.mean(axis=0)
        # The share of training films on which it is right is the chance for a new one.
        self.confidence = float(np.mean(np.abs(table[:, 0] - self.angles[0]) <= CLOSE))
        score = (
            _score(self.angles, _angles(validation)) if validation is not None and len(validation) else None
        )
        return FitReport(1, 1, score, time.monotonic() - started)

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """The same three angles for each film, flagged "not_measured"."""
        if self.angles is None:
            raise AasceError("constant: neither trained nor loaded; call fit, or aasce.load('constant')")
        return [self._prediction(film, self.angles) for film in films]

    def _prediction(self, film: Radiograph, angles: NDArray[np.float64]) -> SpinePrediction:
        return SpinePrediction(
            film_id=film.film_id,
            size=film.size,
            angles=CobbAngles(angles.copy(), "challenge"),
            confidence=self.confidence,
            flags=merged_flags(film.flags, ("not_measured",)),
            solver=self.name,
        )

    def save(self, folder: Path) -> None:
        """Writes config.yaml, weights.safetensors (angles, confidence) and state.json."""
        if self.angles is None:
            raise AasceError("constant: nothing to save; call fit first")
        write_run(folder, self)
        write_numbers(folder, {"angles": self.angles, "confidence": np.array([self.confidence])})

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Reads what `save` wrote; every device gives the same.

        Raises:
            AasceError: a file is missing, damaged, or of another solver.
        """
        folder = Path(folder)
        solver = cls(read_config(folder, ConstantConfig), device)
        restore(solver, folder)
        numbers = read_numbers(folder, cls.name, {"angles": (3,), "confidence": ()})
        solver.angles, solver.confidence = numbers["angles"], float(numbers["confidence"])
        return solver


def _angles(films: FilmSet) -> NDArray[np.float64]:
    """(N, 3) degrees."""
    missing = [film.film_id for film in films if film.angles is None]
    if missing or not len(films):
        named = missing[0] if missing else films.name
        raise AasceError(f"{named}: has no angles to learn from; train on labelled films")
    return np.array([film.angles for film in films], dtype=np.float64)


def _score(angles: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """SMAPE of the same three angles for all films, (N, 3) degrees."""
    return float(film_smape(np.broadcast_to(angles, truth.shape), truth).mean())
