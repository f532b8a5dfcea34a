"""Measures of error and agreement between two sets of angles. Plain numpy, each with its source."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def checked_pair(predicted: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """Both as (N, 3) float64.

    Raises:
        ValueError: a shape is not (N, 3) with N >= 1, the two differ, or an angle is not finite or negative.
    """
    pair = []
    for what, values in (("predicted", predicted), ("truth", truth)):
        angles = np.asarray(values, dtype=np.float64)
        if angles.ndim != 2 or angles.shape[1] != 3 or len(angles) == 0:
            raise ValueError(f"{what} has shape (N, 3), three angles a film, not {angles.shape}")
        wrong = ~(np.isfinite(angles) & (angles >= 0)).all(axis=1)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(f"{what}[{row}] is {angles[row].tolist()}; angles are finite and not negative")
        pair.append(angles)
    if pair[0].shape != pair[1].shape:
        raise ValueError(f"predicted has {len(pair[0])} films and truth {len(pair[1])}; score the same films")
    return pair[0], pair[1]


def film_smape(predicted: Floats, truth: Floats) -> Floats:
    """Each film's part of the challenge's score: sum |A - B| / sum (A + B) over its three angles.

    The challenge's only SMAPE in NumPy: solvers score their validation films with it too.

    Args:
        predicted: (N, 3) degrees. A regression may undershoot zero: the sum then takes the angle's size, so that no
            ratio is over 100 %.
        truth: (N, 3) degrees, rows in the same order.

    Returns:
        (N,) percent; 0/0 counts 0.
    """
    difference = np.abs(predicted - truth).sum(axis=1)
    total = (np.abs(predicted) + np.abs(truth)).sum(axis=1)
    ratio: Floats = np.zeros_like(total)
    np.divide(difference, total, out=ratio, where=total > 0)
    return 100.0 * ratio


def smape(predicted: ArrayLike, truth: ArrayLike) -> float:
    """The challenge's score: the mean over films of each film's ratio, in percent, without a factor of 2.

    Args:
        predicted: (N, 3) degrees.
        truth: (N, 3) degrees, rows in the same order.

    Raises:
        ValueError: a wrong shape, or an angle that is not finite or negative.
    """
    return float(film_smape(*checked_pair(predicted, truth)).mean())


def pearson(x: Floats, y: Floats) -> float | None:
    """Correlation of two (n,) samples; None for fewer than two or when one of them does not vary."""
    a, b = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(np.clip(a @ b / scale, -1.0, 1.0)) if scale > 0 else None


@dataclass(frozen=True, slots=True)
class MeanSquares:
    """Two-way analysis of variance of n targets read by k readers, one reading each.

    Attributes:
        targets, readers, residual: mean squares; BMS, JMS and EMS of Shrout and Fleiss.
        n, k: number of targets and of readers.
    """

    targets: float
    readers: float
    residual: float
    n: int
    k: int


def mean_squares(ratings: ArrayLike) -> MeanSquares | None:
    """Splits the variance of (n targets, k readers); None for fewer than two of either."""
    values = np.asarray(ratings, dtype=np.float64)
    n, k = values.shape
    if n < 2 or k < 2:
        return None
    grand = values.mean()
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    residual = values - rows[:, None] - columns[None, :] + grand
    return MeanSquares(
        k * float(((rows - grand) ** 2).sum()) / (n - 1),
        n * float(((columns - grand) ** 2).sum()) / (k - 1),
        float((residual**2).sum()) / ((n - 1) * (k - 1)),
        n,
        k,
    )


def absolute_agreement(parts: MeanSquares) -> float | None:
    """ICC(2,1): (BMS - EMS) / (BMS + (k - 1) EMS + k (JMS - EMS) / n); None when nothing varies."""
    between, judges, error = parts.targets, parts.readers, parts.residual
    denominator = between + (parts.k - 1) * error + parts.k * (judges - error) / parts.n
    return (between - error) / denominator if denominator > 0 else None


def icc_2_1(ratings: Floats) -> float | None:
    """ICC(2,1): two-way random effects, absolute agreement, single rater.

    Shrout and Fleiss, Psychological Bulletin 86 (1979) 420-428.

    Args:
        ratings: (n targets, k raters).

    Returns:
        None for fewer than two targets or raters, or when nothing varies.
    """
    parts = mean_squares(ratings)
    return None if parts is None else absolute_agreement(parts)


def bland_altman(predicted: Floats, truth: Floats) -> tuple[float, tuple[float, float] | None]:
    """Bias and 95 % limits of agreement: mean difference (predicted - truth), +- 1.96 standard deviations.

    Bland and Altman, Lancet 327 (1986) 307-310; the standard deviation has n - 1. No limits for one film.
    """
    difference = predicted - truth
    bias = float(difference.mean())
    if len(difference) < 2:
        return bias, None
    spread = 1.96 * float(difference.std(ddof=1))
    return bias, (bias - spread, bias + spread)
