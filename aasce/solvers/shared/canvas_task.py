"""Base classes of training tasks of networks that read augmented films."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from aasce.solvers.shared.film_task import Batch, FilmTask, angle_scores
from aasce.solvers.shared.samples import Drawn, FilmSampler, Floats, Sample, SampleSplit, to_input

LOST = 20.0
"""Degrees that count as the tilt error of a film without a spine in the validation."""


class CanvasTask(FilmTask):
    """A `FilmTask` whose network reads a film and is taught maps or angles made from the landmarks.

    Args:
        split: training and validation films.
        sampler: augments them.
        batch, stream: see `FilmTask`.
    """

    def __init__(self, split: SampleSplit, sampler: FilmSampler, batch: int, stream: tuple[int, ...]) -> None:
        super().__init__(len(split.train), batch, stream)
        self.split, self.sampler = split, sampler

    def draw_batch(self, chosen: Sequence[int], rng: np.random.Generator) -> Batch:
        """Images (B, 1, H, W) float32, and the targets."""
        drawn = [self.sampler.draw(self.split.train[index], rng) for index in chosen]
        return {"image": to_input(np.stack([d.image for d in drawn])), **self.targets(drawn)}

    @abstractmethod
    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """What the network is taught about each film of a batch."""

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Scores on the validation films, "score" the one to minimise; {} without any."""
        return self.validation_scores(module) if self.split.validation else {}

    @abstractmethod
    def validation_scores(self, module: nn.Module) -> dict[str, float]:
        """Scores on the validation films, of which there is at least one."""


class TiltTask(CanvasTask):
    """A `CanvasTask` of a solver that measures the tilts of 17 vertebrae, whose error chooses the weights."""

    def validation_scores(self, module: Any) -> dict[str, float]:
        """Mean error of the tilts in degrees as "score", which is steadier on few films than SMAPE; SMAPE beside it."""
        films = self.split.validation
        found = [self.measured(module.net, film) for film in films]
        scores = angle_scores(np.stack([f[0] for f in found]), np.stack([film.angles for film in films]))
        return {**scores, "smape": scores["score"], "score": float(np.mean([error for _, error in found]))}

    @abstractmethod
    def measured(self, net: Any, film: Sample) -> tuple[Floats, float]:
        """(3,) degrees of a film, and the mean error of its tilts in degrees; zeros and `LOST` without a spine."""
