"""`inverse_render`: no training; the spine phantom fitted to one film through the differentiable X-ray.

Inverse rendering after Shetty et al. 2021 (section 2.3): shape and pose of a likely body descend along the gradient
of the normalised gradient correlation between its X-ray and the film. Departs from the paper: the body is the kit's
parametric spine, not a statistical model of segmented scans; one film of unknown geometry is given, not a
calibrated fluoroscope, so size and place are fitted with the shape; the compared region is the spine's own.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch

from aasce.datasets import FilmSet
from aasce.geometry.spine import quarter_turns, turned_size
from aasce.solvers.base import (
    FitReport,
    RunFolder,
    Solver,
    read_config,
    read_manifest,
    read_numbers,
    write_numbers,
    write_run,
)
from aasce.solvers.inverse_render.fit import descend, fit_blind, model_of
from aasce.solvers.inverse_render.model import Fitted, camera, landmarks
from aasce.solvers.inverse_render.settings import (
    InverseRenderConfig,
    SearchSettings,
    Stage,
)
from aasce.solvers.shared.confidence import Rule, confidence
from aasce.solvers.shared.orientation import NEGATIVE, Finder, Standing, standing_of
from aasce.types import AasceError, Radiograph, SpinePrediction

BLIND = "blind"
CALIBRATION: Rule = (4.3, 5.0)
"""Offset and slope of the confidence's logistic rule over 1 - agreement, from fits of 36 rendered films."""

LOST = 0.15
"""Agreement below which no spine was found."""


class InverseRenderSolver:
    """See the module. Answers landmarks; angles follow from them."""

    name: ClassVar[str] = "inverse_render"
    Config: ClassVar[type[InverseRenderConfig]] = InverseRenderConfig

    def __init__(self, config: InverseRenderConfig | None = None, device: str = "cpu") -> None:
        self.config = config or InverseRenderConfig()
        self.device = device
        self.starter: Solver | None = None
        self.calibration: Rule = CALIBRATION
        self.manifest: dict[str, Any] = {}
        self.finder: Finder | None = None

    @classmethod
    def tiny(cls) -> InverseRenderConfig:
        """A configuration that answers in a second, for tests."""
        return InverseRenderConfig(
            start=BLIND,
            stages=(Stage(rows=96, steps=3, rate=0.1, blur=1.0),),
            search=SearchSettings(rows=96, sizes=(0.7, 0.8), kept=1, laid=0, explored=2, rounds=0),
        )

    @property
    def needs(self) -> str | None:
        """Name of the solver that the fit starts from, which `start_with` hands over; None starts blind."""
        return None if self.config.start == BLIND else self.config.start

    def start_with(self, starter: Solver) -> None:
        """Takes the solver whose landmarks the fit starts from."""
        if starter.name == self.name:
            raise AasceError(
                "inverse_render cannot start from itself; set start to another solver or to 'blind'"
            )
        self.starter = starter

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Nothing is trained: the prior is the phantom's own."""
        return FitReport(notes={"trained": False})

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """Fits each film by itself, in one thread: several add up depths in an order that differs from run to run."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return [self._one(film) for film in films]
        finally:
            torch.set_num_threads(threads)

    def _one(self, film: Radiograph) -> SpinePrediction:
        blank = functools.partial(SpinePrediction, film.film_id, film.size, solver=self.name)
        if float(np.std(film.pixels[::4, ::4])) < 1e-6:
            return blank(failure="the film is blank (one grey value)", flags=film.flags)
        if min(film.size) < 64:
            return blank(failure="the film is too small to fit a spine to", flags=film.flags)
        standing = standing_of(film, self.finder)
        fitted = self._fitted(standing.upright(film))
        if fitted is None or fitted.agreement < LOST:
            return blank(failure="no spine found", flags=(*film.flags, *standing.flags))
        return self._answer(film, standing, fitted)

    def _fitted(self, film: Radiograph) -> Fitted | None:
        if self.needs is not None:
            return self._from_solver(film)
        return fit_blind(film.pixels, self.config)

    def _from_solver(self, film: Radiograph) -> Fitted | None:
        if self.starter is None:
            raise AasceError(
                f"inverse_render: its start {self.needs!r} is not loaded; use aasce.load or start=blind"
            )
        said = self.starter.predict([film])[0]
        if said.landmarks is None or quarter_turns(said.landmarks) or NEGATIVE in said.flags:
            return None  # the phantom stands upright, its bone bright
        start = model_of(said.landmarks, film.size, said.first_level)
        fitted = Fitted(start, 1.0)
        for stage in self.config.stages:
            fitted = descend(fitted.model, film.pixels, stage, self.config, start)
        return fitted

    def _answer(self, film: Radiograph, standing: Standing, fitted: Fitted) -> SpinePrediction:
        size = turned_size(film.size, standing.turns)
        # The camera's columns are rounded; its film is the film itself but for a fraction of a pixel.
        seen = landmarks(fitted.model, camera(size[0], size)).detach().double().numpy()
        corners = standing.points_as_given(seen, film.size)
        limit = np.array([film.width - 1, film.height - 1])
        flags = [*film.flags, *standing.flags]
        if (corners < 0).any() or (corners > limit).any():
            flags.append("curve_leaves_film")
        return SpinePrediction(
            film.film_id, film.size, landmarks=corners,
            landmark_confidence=np.full((17, 4), float(np.clip(fitted.agreement, 0, 1))),
            centerline=corners.mean(axis=1),
            confidence=standing.believed(confidence(1 - fitted.agreement, self.calibration)),
            flags=tuple(flags), solver=self.name,
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Settings and manifest; the weights file holds the calibration alone, for there are no weights."""
        write_run(folder, self.name, self.config, self.manifest)
        write_numbers(folder, {"calibration": np.asarray(self.calibration, np.float64)})

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        manifest = read_manifest(folder, cls.name)
        solver = cls(read_config(folder, cls.Config), device)
        numbers = read_numbers(folder, cls.name, {"calibration": (2,)})["calibration"]
        solver.calibration = float(numbers[0]), float(numbers[1])
        solver.manifest = {k: v for k, v in manifest.items() if k != "solver"}
        return solver
