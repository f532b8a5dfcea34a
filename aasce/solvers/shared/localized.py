"""Base class of the solvers whose networks read upright films cropped to the spine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from aasce.datasets import FilmSet
from aasce.geometry.spine import turned_size
from aasce.preprocess.intensity import is_blank
from aasce.scoring.metrics import film_smape
from aasce.solvers.base import (
    BLANK_FILM,
    FitReport,
    Localization,
    RunFolder,
    SolverConfig,
    failed,
)
from aasce.solvers.shared.checkpoint import NetworkSolver, round_weights
from aasce.solvers.shared.confidence import CLOSE, Rule, confidence, fit_confidence
from aasce.solvers.shared.encoders import encoders_in
from aasce.solvers.shared.orientation import upright_once
from aasce.solvers.shared.samples import Floats
from aasce.solvers.shared.trainer import Trainer, TrainSettings, resolve_device, seeded
from aasce.types import Radiograph, SpinePrediction

R = TypeVar("R")


class LocalizedSolver(NetworkSolver, Generic[R]):
    """Makes, begins and trains networks; a subclass adds them, their tasks, what is read (R), and what it predicts.

    The networks are trained on upright films with bright bone, cropped to the spine, so films are localized first.

    Attributes:
        prior: offset and slope per degree of the confidence's logistic rule before validation films set them.
    """

    needs_localizer: ClassVar[bool] = True
    prior: ClassVar[Rule]

    def __init__(self, config: SolverConfig | None = None, device: str = "cpu") -> None:
        self.config: Any = config or self.Config()
        self.device = resolve_device(device)
        self.learned = self.Learned()
        self.module = self._placed(start=False)

    @abstractmethod
    def networks(self, start: bool) -> nn.Module:
        """The untrained networks.

        Args:
            start: with the pretrained weights that the settings ask for.
        """

    def _placed(self, start: bool) -> Any:
        with seeded(self.config.seed):
            module = self.networks(start).to(memory_format=torch.channels_last)
        return module.to(self.device).eval()

    def begin(self) -> None:
        """Before training: loads the pretrained weights of the settings, unless `start_from` gave others."""
        if not self.continues and any(encoder.asks_for_weights for encoder in encoders_in(self.config)):
            self.module = self._placed(start=True)

    def trained(self, task: Any, settings: TrainSettings, run: RunFolder, stage: str = "") -> FitReport:
        """Trains one task and rounds the weights to the precision of the saved file.

        Args:
            task: a `trainer.Task` of networks of `module`.
            settings: of the loop.
            run: where it writes.
            stage: subfolder, for a method with more than one task.
        """
        folder = replace(run, path=run.path / stage)
        report = Trainer(task, settings.stage(self.continues), folder, self.config.seed).fit()
        self.module.to(self.device).eval().requires_grad_(True)
        round_weights(self.module)
        return report

    @abstractmethod
    def read(self, film: Radiograph, spine: Floats | None = None) -> R | str:
        """What is found on a film, or the reason why there is nothing.

        Args:
            film: upright, bone bright, not blank.
            spine: (x0, y0, x1, y1) px around T1 to L5 as the localizer found them; None where it did not.
        """

    @abstractmethod
    def prediction(self, film: Radiograph, reading: R, found: Localization) -> SpinePrediction:
        """What was read, in px of the film as read, with its confidence and flags."""

    @abstractmethod
    def scored(self, reading: R, height: int) -> tuple[Floats, float]:
        """(3,) degrees of an upright film of so many rows, and the uncertainty of the major angle in degrees."""

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """Each film by itself, so that batching changes nothing."""
        return [self._predict_one(film) for film in films]

    def _predict_one(self, film: Radiograph) -> SpinePrediction:
        reading, found = self._localized_reading(film)
        if isinstance(reading, str):
            return failed(film, self.name, reading, found)
        return self.prediction(film, reading, found)

    def _localized_reading(self, film: Radiograph) -> tuple[R | str, Localization]:
        if is_blank(film.pixels):
            return BLANK_FILM, Localization()
        found = self.localized(film)
        return self.read(upright_once(film, found.orientation), found.spine), found

    def chance(self, uncertainty: float, found: Localization) -> float:
        """The confidence of a prediction, by the rule that training set, limited by what the localizer saw."""
        return found.limited(confidence(uncertainty, self.learned.calibration or self.prior))

    def calibrate(self, films: FilmSet | None) -> dict[str, float]:
        """Fits the confidence's rule to films that were not trained on.

        Returns:
            The scores reached on them; {} without a film that was measured.
        """
        count = 0 if films is None else len(films)
        scores, labels = [], []
        for index in range(count):
            assert films is not None
            truth, film = films[index].angles, films.radiograph(index)
            if truth is None:
                continue
            reading, found = self._localized_reading(film)
            if not isinstance(reading, str):
                scores.append(self.scored(reading, turned_size(film.size, found.orientation.turns)[0]))
                labels.append(truth)
        if not scores:
            return {}
        angles, true = np.stack([degrees for degrees, _ in scores]), np.stack(labels)
        right = np.abs(angles[:, 0] - true[:, 0]) <= CLOSE
        rule = fit_confidence(np.array([uncertainty for _, uncertainty in scores]), right, self.prior)
        self.learned = self.learned.model_copy(update={"calibration": rule, "intervals": ()})
        smape = float(film_smape(angles, true).mean())
        return {"validation_smape": smape, "validation_failed": count - len(scores)}
