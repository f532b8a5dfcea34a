"""Agreement of readers: intraclass correlations with intervals, measurement error, limits of agreement.

Sources: Shrout and Fleiss, Psychological Bulletin 86 (1979) 420-428; McGraw and Wong, Psychological Methods 1 (1996)
30-46; Bland and Altman, Lancet 327 (1986) 307-310 and Statistical Methods in Medical Research 8 (1999) 135-160; de Vet
and others, Journal of Clinical Epidemiology 59 (2006) 1033-1039.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aasce.scoring.bootstrap import Interval
from aasce.scoring.metrics import MeanSquares, absolute_agreement

Floats = NDArray[np.float64]

LEVEL = 0.95
"""Coverage of every interval here."""

DETECTABLE = 1.96 * math.sqrt(2.0)
"""Minimal detectable change (95 %) in units of the standard error of measurement: two readings both err."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its 95 % interval, None where the data give none."""

    value: float
    interval: Interval | None


def icc_absolute(parts: MeanSquares) -> Estimate | None:
    """ICC(2,1): readers drawn at random, absolute agreement, one reading; None where nothing varies.

    The interval is that of Shrout and Fleiss, with the degrees of freedom of Satterthwaite.
    """
    n, k = parts.n, parts.k
    between, judges, error = parts.targets, parts.readers, parts.residual
    icc = absolute_agreement(parts)
    if icc is None or error <= 0:
        return None if icc is None else Estimate(icc, None)
    ratio = judges / error
    weight = n * (1 + (k - 1) * icc) - k * icc
    top = (k - 1) * (n - 1) * (k * icc * ratio + weight) ** 2
    freedom = top / ((n - 1) * (k * icc * ratio) ** 2 + weight**2)
    upper, lower = _f_quantile(n - 1, freedom), _f_quantile(freedom, n - 1)
    spread = k * judges + (k * n - k - n) * error
    low = n * (between - upper * error) / (upper * spread + n * between)
    high = n * (lower * between - error) / (spread + n * lower * between)
    return Estimate(icc, (float(low), float(high)))


def icc_consistency(parts: MeanSquares) -> Estimate | None:
    """ICC(3,1): these very readers, a constant difference between them left out; None where nothing varies."""
    n, k = parts.n, parts.k
    denominator = parts.targets + (k - 1) * parts.residual
    if denominator <= 0:
        return None
    icc = (parts.targets - parts.residual) / denominator
    if parts.residual <= 0:
        return Estimate(icc, None)
    ratio, inner = parts.targets / parts.residual, (n - 1) * (k - 1)
    low, high = ratio / _f_quantile(n - 1, inner), ratio * _f_quantile(inner, n - 1)
    return Estimate(icc, ((low - 1) / (low + k - 1), (high - 1) / (high + k - 1)))


def measurement_error(parts: MeanSquares) -> float:
    """Standard error of measurement of one reading by any reader: of readers and residual (SEM agreement)."""
    between_readers = max(0.0, (parts.readers - parts.residual) / parts.n)
    return math.sqrt(between_readers + parts.residual)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bland and Altman's comparison of two readers: of the differences second - first, in their unit.

    Attributes:
        bias: mean difference.
        lower, upper: 95 % limits of agreement, bias -+ 1.96 standard deviations; None for one pair.
    """

    bias: Estimate
    lower: Estimate | None
    upper: Estimate | None


def limits_of_agreement(first: ArrayLike, second: ArrayLike) -> Limits:
    """Bias and limits, each with the interval of Student's t (standard error of a limit: Bland and Altman 1999).

    Args:
        first: (n,) readings.
        second: (n,) of the same targets.
    """
    difference = np.asarray(second, np.float64) - np.asarray(first, np.float64)
    n, bias = len(difference), float(difference.mean())
    if n < 2:
        return Limits(Estimate(bias, None), None, None)
    from scipy.special import stdtrit

    spread = float(difference.std(ddof=1))
    t = float(stdtrit(n - 1, (1 + LEVEL) / 2))
    of_bias = t * spread / math.sqrt(n)
    of_limit = t * spread * math.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    return Limits(
        _around(bias, of_bias),
        _around(bias - 1.96 * spread, of_limit),
        _around(bias + 1.96 * spread, of_limit),
    )


def weighted_kappa(first: ArrayLike, second: ArrayLike, grades: int) -> float | None:
    """Cohen's kappa with quadratic weights of two readers' grades; None where both give one and the same grade.

    Cohen, Psychological Bulletin 70 (1968) 213-220; with these weights it is nearly an ICC (Fleiss and Cohen 1973).

    Args:
        first: (n,) whole numbers from 0.
        second: (n,) of the same targets.
        grades: number of grades there are.
    """
    one, other = np.asarray(first, np.int64), np.asarray(second, np.int64)
    if len(np.union1d(one, other)) < 2:
        return None
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(one, other, labels=np.arange(grades), weights="quadratic"))


def _around(value: float, half: float) -> Estimate:
    return Estimate(value, (value - half, value + half))


def _f_quantile(above: float, below: float) -> float:
    """Upper limit of a two-sided interval by the F distribution with these degrees of freedom."""
    from scipy.special import fdtri

    return float(fdtri(above, below, (1 + LEVEL) / 2))
