"""Films rendered in the background while a network trains: new ones every epoch, not written to disk."""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from aasce.types import Radiograph

FIRST_SEED = 1_000_000_000
"""Larger than the seeds of films that are written to disk, so that no test film is ever trained on."""


@dataclass(frozen=True, slots=True)
class RenderedSample:
    """A rendered film and its (17, 4, 2) px landmarks."""

    radiograph: Radiograph
    landmarks: NDArray[np.float64]


class RenderedFilms:
    """`count` new films for each epoch, which depend on the seed and the epoch alone.

    Args:
        count: films an epoch.
        seed: of the run.
        rows: height of a film in px.
        workers: processes that render the films of the next epoch meanwhile.
    """

    def __init__(self, count: int, seed: int = 0, rows: int = 1024, workers: int = 1) -> None:
        self.count, self.seed, self.rows, self.workers = count, seed, rows, workers
        self._pool: ProcessPoolExecutor | None = None
        self._ordered: dict[int, list[Future[RenderedSample]]] = {}

    def take(self, epoch: int) -> list[RenderedSample]:
        """The films of an epoch; rendering of those of the next one begins."""
        self._order(epoch)
        films = [job.result() for job in self._ordered.pop(epoch)]
        self._order(epoch + 1)
        return films

    def close(self) -> None:
        """Ends the processes; films not taken yet are lost."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None
        self._ordered.clear()

    def _order(self, epoch: int) -> None:
        if epoch in self._ordered:
            return
        if self._pool is None:
            # Spawned, not forked: a forked process inherits torch's threads in an unusable state.
            self._pool = ProcessPoolExecutor(self.workers, get_context("spawn"), _one_thread)
        first = FIRST_SEED + (self.seed * 10_000 + epoch) * self.count
        seeds = range(first, first + self.count)
        self._ordered[epoch] = [self._pool.submit(render_sample, seed, self.rows) for seed in seeds]


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def render_sample(seed: int, rows: int) -> RenderedSample:
    """Renders one film."""
    from aasce.phantom.films import render_film

    film = render_film(seed, rows)
    return RenderedSample(Radiograph(f"rendered-{seed}", film.pixels), film.truth.landmarks)
