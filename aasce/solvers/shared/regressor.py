"""What solvers that regress angles share beside their heads: the order of films, scores, and the class itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from aasce.datasets import FilmSet
from aasce.preprocess.intensity import Bytes, is_blank
from aasce.preprocess.orientation import map_as_read, points_as_read, upright_film
from aasce.scoring.metrics import film_smape
from aasce.solvers.base import (
    BLANK_FILM,
    FitReport,
    Localization,
    RunFolder,
    SolverConfig,
    failed,
    merged_flags,
    restore,
)
from aasce.solvers.shared.checkpoint import NetworkSolver, load_weights, round_weights
from aasce.solvers.shared.confidence import confidence, fit_confidence
from aasce.solvers.shared.encoders import encoders_in
from aasce.solvers.shared.samples import Floats
from aasce.solvers.shared.trainer import Trainer, TrainSettings, resolve_device, seeded
from aasce.types import Array, CobbAngles, Radiograph, SpinePrediction

CALIBRATION = (1.2, 0.35)
"""Offset and slope per degree of the confidence's logistic rule while no validation film has set them."""


def film_order(films: int, steps: int, batch: int, rng: np.random.Generator) -> list[list[int]]:
    """Indices of the films of each of an epoch's batches: all films in turn, as often as the steps ask."""
    rounds = [rng.permutation(films) for _ in range(-(-steps * batch // films))]
    chosen: list[list[int]] = np.concatenate(rounds)[: steps * batch].reshape(steps, batch).tolist()
    return chosen


def angle_scores(found: Array, truth: Array) -> dict[str, float]:
    """The SMAPE of (N, 3) degrees, as "score", and the mean absolute error of each angle."""
    errors = np.abs(found - truth).mean(axis=0)
    score = float(film_smape(found, truth).mean())
    return {"score": score, **{f"mae_an{k + 1}": float(e) for k, e in enumerate(errors)}}


@dataclass(frozen=True, slots=True)
class FilmReading:
    """What a method reads from a film.

    Attributes:
        angles: (2, 3) degrees, from the film and from its mirror image; how far they differ says how sure they are.
        mask: (H, W) uint8 of the film, 1 on vertebrae; None from a method that makes none.
        centerline: (N, 2) film px from the top, None from a method that makes none.
        flags: beside those of the film.
        combined: (3,) degrees from both passes together; None takes the mean of the two.
    """

    angles: Floats
    mask: Bytes | None = None
    centerline: Floats | None = None
    flags: tuple[str, ...] = ()
    combined: Floats | None = None

    @property
    def degrees(self) -> Floats:
        """(3,) the angles of the film."""
        return np.asarray(self.angles.mean(axis=0) if self.combined is None else self.combined, np.float64)


class RegressingSolver(NetworkSolver):
    """Predicts angles without landmarks; a solver adds its networks, its training and how it reads a film.

    Its networks have seen films that lie upright, show bone bright and are cropped to the spine, so films are
    localized first.
    """

    needs_localizer: ClassVar[bool] = True

    def __init__(self, config: SolverConfig | None = None, device: str = "cpu") -> None:
        self.config: Any = config or self.Config()
        self.device = resolve_device(device)
        self.learned = self.Learned()
        self.module = self._placed(start=False)
        self.continues = False

    @abstractmethod
    def networks(self, start: bool) -> nn.Module:
        """The untrained networks; `start` gives them the pretrained weights that the settings ask for."""

    @abstractmethod
    def read(self, film: Radiograph, spine: Floats | None = None) -> FilmReading | str:
        """Angles of a film, or the reason why there are none.

        Args:
            film: upright, bone bright, not blank.
            spine: (x0, y0, x1, y1) px around T1 to L5 where the localizer found them, see `autocrop`.
        """

    def _placed(self, start: bool) -> Any:
        with seeded(self.config.seed):
            module = self.networks(start).to(memory_format=torch.channels_last)
        return module.to(self.device).eval()

    def start_from(self, folder: Path) -> None:
        """Goes on from another run: its weights, and what it learned until training learns it anew."""
        restore(self, folder)
        load_weights(self.module, folder)
        self.training = {}
        self.continues = True

    def begin(self) -> None:
        """Before training: gets pretrained weights where asked for, unless another run's were taken."""
        if not self.continues and any(encoder.asks_for_weights for encoder in encoders_in(self.config)):
            self.module = self._placed(start=True)

    def trained(self, task: Any, settings: TrainSettings, run: RunFolder, stage: str = "") -> FitReport:
        """Trains a `trainer.Task` in the folder of the run, or of a stage; rounds the weights as a file would."""
        folder = replace(run, path=run.path / stage)
        report = Trainer(task, settings.stage(self.continues), folder, self.config.seed).fit()
        self.module.to(self.device).eval().requires_grad_(True)
        round_weights(self.module)
        return report

    def calibrate(self, films: FilmSet | None) -> dict[str, float]:
        """Sets the confidence's rule by films never trained on; returns the scores reached on them."""
        readings = [] if films is None else [self._labelled_reading(films, k) for k in range(len(films))]
        known = [(reading, truth) for reading, truth in readings if isinstance(reading, FilmReading)]
        if not known:
            return {}
        both = np.stack([reading.angles for reading, _ in known])
        found, true = np.stack([reading.degrees for reading, _ in known]), np.stack([t for _, t in known])
        right = np.abs(found[:, 0] - true[:, 0]) <= 5.0
        rule = fit_confidence(np.abs(both[:, 0, 0] - both[:, 1, 0]), right, CALIBRATION)
        self.learned = self.learned.model_copy(update={"calibration": rule})
        return {
            "validation_smape": float(film_smape(found, true).mean()),
            "validation_failed": len(readings) - len(known),
        }

    def _labelled_reading(self, films: FilmSet, index: int) -> tuple[FilmReading | str, Array]:
        truth = films[index].angles
        if truth is None:
            return "the film has no angles", np.zeros(3)
        return self._localized_reading(films.radiograph(index))[0], truth

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """Each film by itself, so that batching changes nothing."""
        return [self._one(film) for film in films]

    def _localized_reading(self, film: Radiograph) -> tuple[FilmReading | str, Localization]:
        if is_blank(film.pixels):
            return BLANK_FILM, Localization()
        found = self.localized(film)
        return self.read(upright_film(film, found.orientation), found.spine), found

    def _one(self, film: Radiograph) -> SpinePrediction:
        reading, found = self._localized_reading(film)
        if isinstance(reading, str):
            return failed(film, self.name, reading, found)
        spread = abs(float(reading.angles[0, 0] - reading.angles[1, 0]))
        line, mask, lay = reading.centerline, reading.mask, found.orientation
        return SpinePrediction(
            film.film_id,
            film.size,
            mask=None if mask is None else map_as_read(mask, lay),
            centerline=None if line is None else points_as_read(line, film.size, lay),
            angles=CobbAngles(reading.degrees, "challenge"),
            orientation=lay,
            confidence=found.limited(confidence(spread, self.learned.calibration or CALIBRATION)),
            flags=merged_flags(film.flags, found.flags, reading.flags),
            solver=self.name,
        )
