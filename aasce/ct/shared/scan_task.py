"""What the shared trainer needs of a method for scans: samples drawn at random, several from each drawn volume."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from aasce.ct.base import Grid, ScanSet, TrainingScan
from aasce.ct.shared.augment import AugmentSettings, changed_grid, deformation, placed
from aasce.ct.shared.grids import AIR, Floats, Shares
from aasce.types import Array

Example: TypeAlias = dict[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A sample of a scan.

    Attributes:
        hu: (X, Y, Z) float32.
        labels: (X, Y, Z) uint8, numbers of VerSe.
        numbers: (V,) labels of the vertebrae that have a centroid.
        points: (V, 3) indices of their centroids on the grid, also outside it.
    """

    hu: Shares
    labels: Array
    numbers: list[int]
    points: Floats


def drawn(
    scan: TrainingScan, grid: Grid, rng: np.random.Generator, augment: AugmentSettings | None = None
) -> Drawn:
    """A sample on a grid; with `augment`, the grid is changed and the sample deformed."""
    shift = None
    if augment is not None:
        grid = changed_grid(grid, augment, rng)
        shift = deformation(grid, augment, rng)
    hu, labels = scan.sample(grid, rng, shift)
    numbers = sorted(scan.centroids)
    places = np.array([scan.centroids[number] for number in numbers], np.float64).reshape(-1, 3)
    return Drawn(hu, labels, numbers, placed(places, grid, shift))


def cut(found: Drawn, settings: AugmentSettings, rng: np.random.Generator) -> Drawn:
    """Air above or below a random plane across z, without labels; points there become NaN.

    Args:
        found: the sample, which stays as it is.
        settings: `cut_share` of samples are cut.
        rng: draws the plane, which leaves at least a quarter of the slices.
    """
    if rng.random() >= settings.cut_share:
        return found
    size = found.hu.shape[2]
    plane, above = int(rng.integers(size // 4, size)), rng.random() < 0.5
    if not above:
        plane = size - plane
    gone = slice(plane, None) if above else slice(None, plane)
    hu, labels, points = found.hu.copy(), found.labels.copy(), found.points.copy()
    hu[:, :, gone], labels[:, :, gone] = AIR, 0
    points[(points[:, 2] >= plane - 0.5) == above] = np.nan
    return replace(found, hu=hu, labels=labels, points=points)


class ScanTask(ABC):
    """A `trainer.Task` of samples that are drawn at random from the scans.

    Args:
        module: the network with its losses.
        train, validation: scans.
        steps: batches of an epoch.
        batch: examples of a batch.
        uses: examples made of one drawn volume, which costs more than a training step.
        seed: of all draws.
    """

    def __init__(
        self, module: nn.Module, scans: tuple[ScanSet, ScanSet | None], steps: int, batch: int, uses: int,
        seed: tuple[int, ...],
    ) -> None:  # fmt: skip
        self.module = module
        self.train, self.validation = scans[0], scans[1] or ()
        self.count, self.batch, self.uses, self.seed = steps, batch, uses, seed

    @abstractmethod
    def draw(self, scan: TrainingScan, rng: np.random.Generator) -> Drawn:
        """A volume from a scan."""

    @abstractmethod
    def example(self, found: Drawn, rng: np.random.Generator) -> Example:
        """What the network reads and should answer, of a drawn volume."""

    @abstractmethod
    def validate(self, module: nn.Module) -> dict[str, float]:
        """Scores of the validation scans, "score" the one to minimise; {} without any."""

    def steps(self) -> int:
        """Batches of an epoch."""
        return self.count

    def examples(self, rng: np.random.Generator) -> Iterator[Example]:
        """Examples without end."""
        while True:
            for index in rng.permutation(len(self.train)).tolist():
                found = self.draw(self.train[index], rng)
                for _ in range(self.uses):
                    yield self.example(found, rng)

    def batches(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        """Batches of one epoch, which depend on the seed and `epoch` alone."""
        source = self.examples(np.random.default_rng((*self.seed, epoch)))
        for _ in range(self.count):
            parts = [next(source) for _ in range(self.batch)]
            yield {key: torch.from_numpy(np.stack([part[key] for part in parts])) for key in parts[0]}
