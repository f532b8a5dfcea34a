"""What solvers that regress angles share beside their heads: the order of films, scores, and the class itself."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from aasce.datasets import FilmSet
from aasce.preprocess.intensity import Bytes
from aasce.solvers.base import FitReport, RunFolder, SolverConfig, read_manifest
from aasce.solvers.shared.checkpoint import load_solver, load_weights, round_weights, save_solver
from aasce.solvers.shared.confidence import confidence, fit_confidence
from aasce.solvers.shared.orientation import Finder, standing_of
from aasce.solvers.shared.samples import Floats, smape
from aasce.solvers.shared.trainer import Trainer, TrainSettings, resolve_device, seed_everything
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
    return {"score": smape(found, truth), **{f"mae_an{k + 1}": float(e) for k, e in enumerate(errors)}}


@dataclass(frozen=True, slots=True)
class Measured:
    """What was read from a film.

    Attributes:
        angles: (2, 3) degrees, from the film and from its mirror image.
        mask: (H, W) uint8 of the film, 1 on vertebrae; None from a method that makes none.
        centerline: (N, 2) film px from the top, None from a method that makes none.
        flags: beside those of the film.
        answer: (3,) degrees where the answer is not the mean of the two.
    """

    angles: Floats
    mask: Bytes | None = None
    centerline: Floats | None = None
    flags: tuple[str, ...] = ()
    answer: Floats | None = None

    @property
    def degrees(self) -> Floats:
        """(3,) what the film is answered with."""
        return np.asarray(self.angles.mean(axis=0) if self.answer is None else self.answer, np.float64)


class RegressingSolver(ABC):
    """Answers angles without landmarks; a solver adds its networks, its training and how it measures a film.

    Attributes:
        module: all networks, under the names their weights are saved by.
        manifest: what training left to say, saved beside the weights.
        finder: tells how a film stands; None takes it to be upright, bone bright.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Any]]

    def __init__(self, config: SolverConfig | None = None, device: str = "cpu") -> None:
        self.config: Any = config or self.Config()
        seed_everything(self.config.seed)
        self.device = resolve_device(device)
        self.module = self._placed(start=False)
        self.manifest: dict[str, Any] = {}
        self._begun = False
        self.finder: Finder | None = None

    @abstractmethod
    def networks(self, start: bool) -> nn.Module:
        """The untrained networks; `start` gives them the pretrained weights that the settings ask for."""

    @abstractmethod
    def pretrained(self) -> bool:
        """Whether the settings ask for pretrained weights."""

    @abstractmethod
    def measure(self, film: Radiograph, spine: Floats | None = None) -> Measured | str:
        """Angles of a film, or the reason why there are none.

        Args:
            film: upright, bone bright.
            spine: (x0, y0, x1, y1) px around T1 to L5 where a finder saw them, see `closer.closer_look`.
        """

    @abstractmethod
    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """See `base.Solver`."""

    def _placed(self, start: bool) -> Any:
        module = self.networks(start).to(memory_format=torch.channels_last)
        return module.to(self.device).eval()

    def start_from(self, folder: Path) -> None:
        """Goes on from another run: its weights, and its calibration until a validation part sets it."""
        manifest = read_manifest(folder, self.name)
        load_weights(self.module, folder)
        self._begun = True
        self.manifest |= {k: manifest[k] for k in ("calibration",) if k in manifest}

    def begin(self) -> None:
        """Before training: fetches pretrained weights where asked for, unless another run's were taken."""
        if not self._begun and self.pretrained():
            seed_everything(self.config.seed)
            self.module = self._placed(start=True)

    def trained(self, task: Any, settings: TrainSettings, run: RunFolder, stage: str = "") -> FitReport:
        """Trains a `training.Task` in the folder of the run, or of a stage; rounds the weights as a file would."""
        folder = RunFolder(run.path / stage, run.device, run.resume, run.quiet)
        report = Trainer(task, settings, folder, self.config.seed).fit()
        self.module.to(self.device).eval().requires_grad_(True)
        round_weights(self.module)
        return report

    def calibrate(self, films: FilmSet | None) -> None:
        """Sets the confidence's rule, and says the score reached, by films never trained on."""
        pairs, answers, truth = [], [], []
        for index, film in enumerate(films or ()):
            assert films is not None
            found = self.measure(films.radiograph(index))
            if isinstance(found, Measured) and film.angles is not None:
                pairs.append(found.angles)
                answers.append(found.degrees)
                truth.append(film.angles)
        if films is None or not pairs:
            return
        both, plain, true = np.stack(pairs), np.stack(answers), np.stack(truth)
        right = np.abs(plain[:, 0] - true[:, 0]) <= 5.0
        rule = fit_confidence(np.abs(both[:, 0, 0] - both[:, 1, 0]), right, CALIBRATION)
        failed = len(films) - len(pairs)
        scores = {"validation_smape": smape(plain, true), "validation_failed": failed}
        self.manifest |= {"calibration": list(rule), **scores}

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """Looks at each film by itself, so that batching changes nothing."""
        return [self._one(film) for film in films]

    def _one(self, film: Radiograph) -> SpinePrediction:
        answer = functools.partial(SpinePrediction, film.film_id, film.size, solver=self.name)
        standing = standing_of(film, self.finder)
        found = self.measure(standing.upright(film), standing.spine)
        flags = (*film.flags, *standing.flags)
        if isinstance(found, str):
            return answer(failure=found, flags=flags)
        rule = self.manifest.get("calibration", CALIBRATION)
        apart = abs(float(found.angles[0, 0] - found.angles[1, 0]))
        line, mask = found.centerline, found.mask
        return answer(
            mask=None if mask is None else standing.pixels_as_given(mask),
            centerline=None if line is None else standing.points_as_given(line, film.size),
            flags=(*flags, *found.flags),
            angles=CobbAngles(found.degrees, "challenge"),
            confidence=standing.believed(confidence(apart, (rule[0], rule[1]))),
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Settings, manifest, and weights: half precision but for norms and biases."""
        save_solver(self, folder)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Reads what `save` wrote."""
        return load_solver(cls, folder, device)
