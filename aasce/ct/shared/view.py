"""What part of a person a scan shows: a box, turned or round at the sides like a scanner's field of view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from aasce.types import Array

Bounds = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FieldOfView:
    """A box, or a cylinder along its third axis.

    Attributes:
        centre: (3,) world mm.
        half: (3,) mm, half of its extent along its own axes.
        rotation: (3, 3), its axes as columns.
        round: True for a cylinder.
    """

    centre: NDArray[np.float64]
    half: NDArray[np.float64]
    rotation: NDArray[np.float64]
    round: bool = False

    @classmethod
    def of(cls, bounds: Bounds) -> FieldOfView:
        """A box along the world's axes, from its (2, 3) mm lower and upper corner."""
        return cls(bounds.mean(0), np.ptp(bounds, axis=0) / 2, np.eye(3))

    @property
    def bounds(self) -> Bounds:
        """(2, 3) world mm, lower and upper corner of what it covers."""
        ends = np.array(list(product((-1.0, 1.0), repeat=3))) * self.half @ self.rotation.T + self.centre
        return np.stack([ends.min(0), ends.max(0)])

    def within(self, places: Mapping[int, Array]) -> dict[int, NDArray[np.float64]]:
        """The places (3,) mm inside."""
        return {
            label: np.asarray(place)
            for label, place in places.items()
            if bool(self.contains(list(place.reshape(3, 1)), np.eye(4)).all())
        }

    def contains(self, index: list[Array], affine: Array) -> Array:
        """Bool, whether places lie inside.

        Args:
            index: three arrays of indices of a grid, that broadcast together.
            affine: (4, 4) of the grid, index to world mm.
        """
        matrix = self.rotation.T @ affine[:3, :3]
        start = self.rotation.T @ (affine[:3, 3] - self.centre)
        shares = []
        for row in range(3):
            # Axes that do not matter stay flat, so that boxes parallel to the grid are tested quickly.
            terms = [np.float32(matrix[row, c]) * index[c] for c in range(3) if abs(matrix[row, c]) > 1e-9]
            shares.append((sum(terms[1:], terms[0]) + np.float32(start[row])) / np.float32(self.half[row]))
        inside = (np.abs(shares[0]) <= 1) & (np.abs(shares[1]) <= 1) & (np.abs(shares[2]) <= 1)
        if self.round:
            inside = inside & (shares[0] ** 2 + shares[1] ** 2 <= 1)
        return np.asarray(inside)


def draw_field_of_view(rng: np.random.Generator, spine: Array, whole: Bounds) -> FieldOfView:
    """Draws the part of a person that a scan shows: some length of the spine, as wide as scans are reconstructed.

    Args:
        rng: source of every draw.
        spine: (N, 3) mm, middles of the bodies.
        whole: (2, 3) mm that the person covers.
    """
    heights = spine[:, 2]
    length = float(np.exp(rng.uniform(np.log(60), np.log(1.2 * np.ptp(heights)))))
    middle = float(rng.uniform(heights.min(), heights.max()))
    inside = np.abs(heights - middle) < length / 2
    about = spine[inside].mean(0) if inside.any() else spine[np.argmin(np.abs(heights - middle))]
    box = whole.copy()
    if rng.random() < 0.85:
        box[:, 2] = np.clip([middle - length / 2, middle + length / 2], whole[0, 2], whole[1, 2])
    if rng.random() < 0.65:
        side = float(rng.uniform(70, 260)) / 2
        forward = float(rng.uniform(-0.2, 0.6)) * max(side - 25, 0)
        centre = about[:2] + np.array([rng.normal(0, 0.15 * side), forward])
        box[:, :2] = np.stack([centre - side, centre + side])
    view = FieldOfView.of(box)
    turn = np.eye(3)
    if rng.random() < 0.25:
        turn = Rotation.from_euler("xyz", rng.normal(0, (10, 5, 5)), degrees=True).as_matrix()
    return FieldOfView(view.centre, view.half, turn, bool(rng.random() < 0.25))
