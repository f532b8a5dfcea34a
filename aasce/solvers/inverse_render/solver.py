"""`inverse_render`: the spine phantom is fitted to the film through the differentiable X-ray; no training.

Inverse rendering after Shetty et al. 2021 (section 2.3): shape and pose of a likely body are optimised by gradient
descent on the normalised gradient correlation between its X-ray and the film. Departures from the paper: the body is
the parametric spine of `aasce.phantom`, not a statistical model of segmented scans; the geometry of the single film is
unknown, not that of a calibrated fluoroscope, so size and place are fitted with the shape; only the region of the
spine is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch

from aasce.datasets import FilmSet
from aasce.geometry.spine import leaves_film, turned_size
from aasce.preprocess.intensity import is_blank
from aasce.preprocess.orientation import points_as_read, upright_film
from aasce.solvers.base import (
    BLANK_FILM,
    FitReport,
    Localization,
    RunFolder,
    Solver,
    failed,
    merged_flags,
    read_config,
    read_numbers,
    restore,
    write_numbers,
    write_run,
)
from aasce.solvers.inverse_render.fit import descend, fit_blind, model_of
from aasce.solvers.inverse_render.model import Fitted, camera, landmarks
from aasce.solvers.inverse_render.settings import BlindStart, InverseRenderConfig
from aasce.solvers.shared.confidence import Rule, confidence
from aasce.types import AasceError, Orientation, Radiograph, SpinePrediction

CALIBRATION: Rule = (4.3, 5.0)
"""Offset and slope of the confidence's logistic rule over 1 - agreement, fitted to 36 rendered films."""

LOST = 0.15
"""Agreement below which no spine was found."""


class InverseRenderSolver(Solver):
    """See the module. Predicts landmarks; angles follow from them.

    The fit starts from the localizer's landmarks, or blind, from nothing but the film set upright.
    """

    name: ClassVar[str] = "inverse_render"
    Config: ClassVar[type[InverseRenderConfig]] = InverseRenderConfig
    needs_localizer: ClassVar[bool] = True

    def __init__(self, config: InverseRenderConfig | None = None, device: str = "cpu") -> None:
        self.config: InverseRenderConfig = config or InverseRenderConfig()
        self.device = device
        self.calibration: Rule = CALIBRATION

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains nothing: the prior is that of the phantom."""
        return FitReport(notes={"trained": False})

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """Fits each film by itself, in one thread, since sums over several threads differ from run to run."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return [self._predict_one(film) for film in films]
        finally:
            torch.set_num_threads(threads)

    def _predict_one(self, film: Radiograph) -> SpinePrediction:
        if is_blank(film.pixels):
            return failed(film, self.name, BLANK_FILM)
        if min(film.size) < 64:
            return failed(film, self.name, "the film is too small to fit a spine to")
        found = self.localized(film)
        fitted = self._fitted(upright_film(film, found.orientation))
        if fitted is None or fitted.agreement < LOST:
            return failed(film, self.name, "no spine found", found)
        return self._prediction(film, found, fitted)

    def _fitted(self, film: Radiograph) -> Fitted | None:
        if isinstance(self.config.start, BlindStart):
            return fit_blind(film.pixels, self.config)
        if self.localizer is None:
            raise AasceError(
                "inverse_render: has no localizer to start from; use aasce.load or start.kind=blind"
            )
        given = self.localizer.predict([film])[0]
        if given.landmarks is None or given.orientation != Orientation():
            return None  # the phantom is upright, with bright bone
        start = model_of(given.landmarks, film.size, given.first_level)
        fitted = Fitted(start, 1.0)
        for stage in self.config.stages:
            fitted = descend(fitted.model, film.pixels, stage, self.config, start)
        return fitted

    def _prediction(self, film: Radiograph, found: Localization, fitted: Fitted) -> SpinePrediction:
        size = turned_size(film.size, found.orientation.turns)
        # The camera's columns are rounded; its film is the film itself but for a fraction of a pixel.
        upright = landmarks(fitted.model, camera(size[0], size)).detach().double().numpy()
        corners = points_as_read(upright, film.size, found.orientation)
        leaving = ("curve_leaves_film",) if leaves_film(corners, film.size) else ()
        return SpinePrediction(
            film.film_id, film.size, landmarks=corners,
            landmark_confidence=np.full((17, 4), float(np.clip(fitted.agreement, 0, 1))),
            centerline=corners.mean(axis=1), orientation=found.orientation,
            confidence=found.limited(confidence(1 - fitted.agreement, self.calibration)),
            flags=merged_flags(film.flags, found.flags, leaving), solver=self.name,
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Writes settings and state; the weights file holds the calibration alone, as there are no weights."""
        write_run(folder, self)
        write_numbers(folder, {"calibration": np.asarray(self.calibration, np.float64)})

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Reads what `save` wrote."""
        solver = cls(read_config(folder, cls.Config), device)
        restore(solver, folder)
        numbers = read_numbers(folder, cls.name, {"calibration": (2,)})["calibration"]
        solver.calibration = float(numbers[0]), float(numbers[1])
        return solver
