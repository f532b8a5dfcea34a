"""A scan with known vertebrae made by formula: a bent column of boxes in soft tissue, for tests of the scan methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aasce.ct.base import Grid
from aasce.ct.shared.grids import to_world, world_grid
from aasce.types import Array
from aasce.volume import Volume

Floats = NDArray[np.float64]
HEIGHT = 24.0
"""mm from one vertebra to the next."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Boxes of bone, wider from level to level, each with a process behind it; a `TrainingScan`.

    Attributes:
        bend: mm by which the column deviates to the right amid its length.
        labels: from the head.
        margin: mm of soft tissue beyond the first and the last centroid.
        scan_id: of the scan.
    """

    bend: float = 0.0
    labels: tuple[int, ...] = (18, 19, 20, 21)
    margin: float = 40.0
    scan_id: str = "column"
    centroids: Mapping[int, Floats] = field(init=False)
    bounds: Floats = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.labels)
        z = HEIGHT * ((count - 1) / 2 - np.arange(count))
        x = self.bend * np.cos(np.pi * z / (HEIGHT * count))
        places = {label: np.array([x[k], 0.0, z[k]]) for k, label in enumerate(self.labels)}
        low = np.array([-56.0, -56.0, z[-1] - self.margin])
        object.__setattr__(self, "centroids", places)
        object.__setattr__(self, "bounds", np.stack([low, [56.0, 56.0, z[0] + self.margin]]))

    def half_width(self, label: int) -> float:
        """mm, of the box of a level; each next one is wider."""
        return 10.0 + 4.0 * self.labels.index(label)

    def at(self, points: Array) -> tuple[Array, Array]:
        """HU and labels at points (..., 3) world mm."""
        inside = ((points >= self.bounds[0]) & (points <= self.bounds[1])).all(axis=-1)
        hu = np.where(inside, 40.0, -1000.0).astype(np.float32)
        found = np.zeros(points.shape[:-1], np.uint8)
        for label, centroid in self.centroids.items():
            off = points - centroid
            near = inside & (np.abs(off[..., 2]) <= 8)
            if not near.any():
                continue
            x, y, z = np.abs(off[near]).T
            box = (x <= self.half_width(label)) & (y <= 11)
            behind = (x <= 4) & (np.abs(off[near][:, 1] + 20) <= 10) & (z <= 5)
            found[near] = np.where(box | behind, label, found[near])
        for k, label in enumerate(self.labels):
            hu[found == label] = 500.0 + 40.0 * k
        return hu, found

    def sample(self, grid: Grid, rng: np.random.Generator, shift: Array | None = None) -> tuple[Array, Array]:
        """See `TrainingScan`; a little noise is what is drawn anew."""
        index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
        points = to_world(grid.affine, index) + (0.0 if shift is None else shift)
        hu, labels = self.at(points)
        return hu + rng.normal(0, 10, hu.shape).astype(np.float32), labels

    def volumes(self, spacing: float = 4.0, turn: Array | None = None) -> tuple[Volume, Volume]:
        """The whole scan as (image, labels).

        Args:
            spacing: mm per voxel.
            turn: (3, 3) that the axes of the grid are multiplied by, about the middle; None keeps the world's.
        """
        shape = np.ceil((self.bounds[1] - self.bounds[0]) / spacing).astype(int) + 1
        grid = world_grid(self.bounds.mean(axis=0), spacing, shape.tolist())
        if turn is not None:
            grid = turned(grid, turn)
        hu, labels = self.sample(grid, np.random.default_rng(5))
        return Volume(hu, grid.affine, "ct"), Volume(labels, grid.affine, "label")


def turned(grid: Grid, turn: Array) -> Grid:
    """A grid whose axes are multiplied by a (3, 3) matrix about its middle."""
    half = (np.array(grid.shape) - 1) / 2
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(turn) @ grid.affine[:3, :3]
    affine[:3, 3] = to_world(grid.affine, half) - affine[:3, :3] @ half
    return Grid(grid.shape, affine)


def rotation(degrees: float, axis: int = 2) -> Floats:
    """(3, 3) about an axis of the world."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    found = np.eye(3)
    angle = np.radians(degrees)
    found[[a, b], [a, b]], found[a, b], found[b, a] = np.cos(angle), -np.sin(angle), np.sin(angle)
    return found
