"""How often end vertebrae are those of the labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

LEAST = 10.0
"""Degrees: a smaller curve is none (Cobb), and which vertebrae end it is a matter of chance."""


@dataclass(frozen=True, slots=True)
class EndAgreement:
    """Shares, in [0, 1], of curves whose end vertebrae are found.

    Attributes:
        count: curves compared.
        upper, lower: the very vertebra.
        near_upper, near_lower: that one or a neighbour.
    """

    count: int
    upper: float
    lower: float
    near_upper: float
    near_lower: float


def end_agreement(predicted: ArrayLike, truth: ArrayLike, degrees: ArrayLike) -> EndAgreement | None:
    """Compares the ends of one curve a film; None where no film has such a curve.

    Args:
        predicted: (N, 2) levels of the upper and lower end vertebra, as indices into `aasce.types.VERTEBRAE`.
        truth: (N, 2) of the labels.
        degrees: (N,) labelled angles; films with less than `LEAST` are left out.

    Raises:
        ValueError: the shapes do not fit.
    """
    ours, theirs = np.asarray(predicted, np.int64), np.asarray(truth, np.int64)
    angles = np.asarray(degrees, np.float64)
    if ours.shape != theirs.shape or ours.shape != (len(angles), 2):
        raise ValueError(f"give two levels a film, not {ours.shape}, {theirs.shape} for {len(angles)} films")
    off = np.abs(ours - theirs)[angles >= LEAST]
    if len(off) == 0:
        return None
    exact, near = (off == 0).mean(axis=0), (off <= 1).mean(axis=0)
    return EndAgreement(len(off), float(exact[0]), float(exact[1]), float(near[0]), float(near[1]))
