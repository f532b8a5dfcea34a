"""What the tilts of a trained network lack: regression flattens curves, the steep vertebrae most.

The films it learned from show how much, since a network of this size does not know them by heart: on these and on
films of other patients its tilts fall short alike. Two numbers are fitted to the angles of those films and stretch
every tilt that it answers later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from aasce.geometry.cobb import tilts
from aasce.geometry.expectation import expected_angles
from aasce.geometry.spine import turned
from aasce.solvers.pictures import smape
from aasce.types import Array

Floats = NDArray[np.float64]
Gain = tuple[float, float]

NONE: Gain = (0.0, 0.0)

STEEP = 30.0
"""Degrees at which the second number is added in full."""

STEEPEST = 60.0
"""Degrees up to which the second number grows; no vertebra of a training film leans more."""

FEWEST = 20
"""Films below which nothing is fitted."""

HOLD = 20.0
"""Weight of the numbers' squares beside the films' SMAPE: 0.1 costs as much as 0.2 points of it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a network saw on a film, and the film's true angles.

    Attributes:
        corners: (V, 4, 2) px. deviation: (V, 4) px, standard deviation of each.
        height: rows of the film.
        angles: (3,) degrees.
    """

    corners: Floats
    deviation: Floats
    height: int
    angles: Floats


def stretched(corners: Array, gain: Gain) -> Floats:
    """Corners (V, 4, 2) whose vertebrae are tilted by 1 + gain[0] + gain[1] |tilt| / 30 of their tilts."""
    tilt = tilts(corners)
    return turned(corners, tilt * (gain[0] + gain[1] * np.minimum(np.abs(tilt), STEEPEST) / STEEP))


def fit_gain(films: Sequence[Seen], draws: int = 32) -> Gain:
    """The gain with the lowest SMAPE on films, less than SMAPE alone would take; none for fewer than 20 films."""
    if len(films) < FEWEST:
        return NONE
    truth = np.array([film.angles for film in films])

    def cost(gain: Floats) -> float:
        pair = float(gain[0]), float(gain[1])
        angles = [
            expected_angles(stretched(film.corners, pair), film.deviation, film.height, draws=draws).degrees
            for film in films
        ]
        return smape(np.array(angles), truth) + HOLD * float(np.square(gain).sum())

    begin = np.array([[0.0, 0.0], [0.06, 0.0], [0.0, 0.06]])
    options = {"initial_simplex": begin, "maxfev": 40, "xatol": 0.004, "fatol": 0.01}
    found = minimize(cost, begin[0], method="Nelder-Mead", options=options).x
    return float(found[0]), float(found[1])
