"""Base class of training tasks: which films are in each batch, by the seed and the number of the epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor, nn

from aasce.scoring.metrics import film_smape
from aasce.types import Array

Batch = dict[str, Tensor]


def film_order(films: int, steps: int, batch: int, rng: np.random.Generator) -> list[list[int]]:
    """Indices of the films in each batch of an epoch: all films in random order, again and again.

    Args:
        films: number of films.
        steps: number of batches.
        batch: films in a batch.
        rng: source of the draw.
    """
    rounds = [rng.permutation(films) for _ in range(-(-steps * batch // films))]
    chosen: list[list[int]] = np.concatenate(rounds)[: steps * batch].reshape(steps, batch).tolist()
    return chosen


def angle_scores(found: Array, truth: Array) -> dict[str, float]:
    """The SMAPE of (N, 3) degrees, as "score", and the mean absolute error of each angle."""
    errors = np.abs(found - truth).mean(axis=0)
    score = float(film_smape(found, truth).mean())
    return {"score": score, **{f"mae_an{k + 1}": float(e) for k, e in enumerate(errors)}}


class FilmTask(ABC):
    """A `trainer.Task` that goes through its training films in random order.

    Attributes:
        module: the network with its losses.
        films: number of training films.

    Args:
        films: number of training films.
        batch: films in a batch.
        stream: the seed of the run and numbers of this task alone, so that the tasks of a run draw independently.
        repeats: draws of each film in an epoch.
    """

    module: nn.Module

    def __init__(self, films: int, batch: int, stream: tuple[int, ...], repeats: int = 1) -> None:
        self.films, self.batch, self.stream, self.repeats = films, batch, stream, repeats

    def steps(self) -> int:
        """Number of batches in an epoch, at least 1."""
        return max(1, self.films * self.repeats // self.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Batches of an epoch."""
        rng = np.random.default_rng((*self.stream, epoch))
        for chosen in film_order(self.films, self.steps(), self.batch, rng):
            yield self.draw_batch(chosen, rng)

    @abstractmethod
    def draw_batch(self, chosen: Sequence[int], rng: np.random.Generator) -> Batch:
        """One batch.

        Args:
            chosen: indices of its films.
            rng: source of every draw.
        """

    @abstractmethod
    def validate(self, module: nn.Module) -> dict[str, float]:
        """Scores on the validation part, "score" the one to minimise; {} without one."""
