"""Films bent like a beam, with their landmarks: other curves than those of the labelled films, with true labels.

The rows of a canvas are taken for the cross sections of a straight beam. Bent, each of them turns as a whole by its
own angle about the beam's axis (Euler and Bernoulli's beam), so that a vertebra is turned and moved, and is stretched
only as far as the angle changes between its endplates.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.preprocess.intensity import Bytes
from aasce.types import Array, as_float

Floats = NDArray[np.float64]
STEP = 8
"""px between the points at which the way back is worked out; between them it is linear."""

ROUNDS = 6
"""Of the fixed-point iteration for the way back; each divides its error by 2 or more, see `STRETCH`."""

STRETCH = 0.5
"""Largest stretch along the beam at the sides of the canvas, as a share."""

HALF_WAVES = (1.0, 3.5)
"""Of the angle over the length of the spine: a C to a triple curve."""


@dataclass(frozen=True, slots=True)
class Bend:
    """A canvas bent along an axis that runs from its top to its bottom.

    Attributes:
        axis: (H, 2) px, where the points of the axis come to lie, a row each.
        turns: (H,) radians by which each row turns, clockwise on the film.
        middle: px, the column of the axis before it is bent.
    """

    axis: Floats
    turns: Floats
    middle: float

    @classmethod
    def of_turns(cls, turns: Array, middle: float) -> Bend:
        """The axis that follows from the turns of the rows; its mean column and its middle row are kept.

        Args:
            turns: (H,) radians.
            middle: px, column of the axis.
        """
        angle = as_float(turns)
        steps = np.stack([-np.sin(angle), np.cos(angle)], axis=1)
        axis = np.cumsum(steps, axis=0)
        axis[:, 0] += middle - axis[:, 0].mean()
        axis[:, 1] += len(angle) // 2 - axis[len(angle) // 2, 1]
        return cls(axis, angle, middle)

    def apply(self, points: Array) -> Floats:
        """Where (..., 2) px of the straight canvas come to lie."""
        x, y = as_float(points)[..., 0], as_float(points)[..., 1]
        centre, turn = self._at(y)
        across = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        return np.asarray(centre + (x - self.middle)[..., None] * across)

    def undo(self, points: Array) -> Floats:
        """(..., 2) px of the straight canvas that come to lie at these, by fixed-point iteration."""
        target = as_float(points)
        y = target[..., 1].copy()
        for _ in range(ROUNDS):
            centre, turn = self._at(y)
            y += ((target - centre) * np.stack([-np.sin(turn), np.cos(turn)], axis=-1)).sum(axis=-1)
        centre, turn = self._at(y)
        across = ((target - centre) * np.stack([np.cos(turn), np.sin(turn)], axis=-1)).sum(axis=-1)
        return np.stack([across + self.middle, y], axis=-1)

    def render(self, canvas: Bytes) -> Bytes:
        """The bent canvas (H, W), black where nothing came to lie."""
        height, width = canvas.shape
        y, x = np.mgrid[0 : height + STEP : STEP, 0 : width + STEP : STEP]
        back = self.undo(np.stack([x, y], axis=-1)).astype(np.float32)
        grow = np.array([[STEP, 0, 0], [0, STEP, 0]], np.float64)
        dense = cv2.warpAffine(back, grow, (width, height), flags=cv2.INTER_LINEAR)
        return np.asarray(
            cv2.remap(canvas, dense[..., 0], dense[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT),
            np.uint8,
        )

    def _at(self, rows: Floats) -> tuple[Floats, Floats]:
        """The axis (..., 2) px and the turn (...) at rows, straight beyond the canvas."""
        index = np.arange(len(self.turns))
        turn = np.interp(rows, index, self.turns)
        inside = np.clip(rows, 0, len(index) - 1)
        axis = np.stack([np.interp(inside, index, self.axis[:, k]) for k in range(2)], axis=-1)
        beyond = (rows - inside)[..., None]
        return axis + beyond * np.stack([-np.sin(turn), np.cos(turn)], axis=-1), turn


def random_bend(landmarks: Array, size: tuple[int, int], degrees: float, rng: np.random.Generator) -> Bend:
    """A bend of two waves with random lengths and phases.

    Args:
        landmarks: (V, 4, 2) px of the canvas; their extent is the length that waves are measured by.
        size: (H, W) of the canvas.
        degrees: standard deviation of the larger wave's height; the other's is a half of it.
        rng: source of every draw.
    """
    points = as_float(landmarks).reshape(-1, 2)
    length = max(float(np.ptp(points[:, 1])), 1.0)
    middle = float(points[:, 0].mean())
    rows = np.arange(size[0])
    reach = max(middle, size[1] - 1 - middle)
    turns = np.zeros(size[0])
    for share in (1.0, 0.5):
        wave = np.pi * rng.uniform(*HALF_WAVES) / length
        most = 0.5 * STRETCH / (wave * reach)
        height = np.clip(share * np.radians(degrees) * rng.standard_normal(), -most, most)
        turns += height * np.cos(wave * rows + rng.uniform(0, 2 * np.pi))
    return Bend.of_turns(turns, middle)
