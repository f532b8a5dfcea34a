"""BCa bootstrap intervals of means over films, for many columns at once.

scipy.stats.bootstrap gives the same numbers for the same draws, which the tests hold this to. It is not used because
importing it takes most of the 1.2 s that `aasce score` may take: on 481 films and two cores the command takes 0.4 s
of processor time with this code and 1.3 s with scipy's. This needs numpy and the standard library.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]

RESAMPLES = 9999
SEED = 2019
_CELLS = 50_000  # films drawn at a time: they stay in the cache, and memory stays small for any number


def bca_intervals(
    values: Floats, level: float = 0.95, resamples: int = RESAMPLES, seed: int = SEED
) -> list[Interval | None]:
    """Bias-corrected and accelerated intervals of the mean of each column, films drawn with replacement.

    Efron, Better bootstrap confidence intervals, JASA 82 (1987) 171-185; acceleration by the jackknife. All
    columns see the same draws.

    Args:
        values: (N, K), one row a film, one column a statistic whose mean is reported.
        level: coverage.
        resamples: number of draws of N films.
        seed: of the generator; the same seed gives the same intervals.

    Returns:
        K pairs (low, high); None where there are fewer than three films or all films are alike.
    """
    if len(values) < 3:
        return [None] * values.shape[1]
    means = _resampled_means(values, resamples, np.random.default_rng(seed))
    return [_bca(values[:, k], means[:, k], level) for k in range(values.shape[1])]


def _resampled_means(values: Floats, resamples: int, generator: np.random.Generator) -> Floats:
    """(resamples, K): counts of how often each film was drawn, times the films."""
    n = len(values)
    step = max(1, _CELLS // n)
    parts = []
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        parts.append(counts.astype(np.float64) @ values / n)
    return np.concatenate(parts)


def _bca(sample: Floats, means: Floats, level: float) -> Interval | None:
    normal = NormalDist()
    centred = sample - sample.mean()
    squares = float(centred @ centred)
    rounding = 1e-12 * max(1.0, float(np.abs(sample).max()))
    if squares <= len(sample) * rounding**2:
        return None
    # Draws equal to the sample's mean count half; which ones are equal must not hang on rounding.
    above = means - sample.mean()
    below = (np.count_nonzero(above < -rounding) + np.count_nonzero(above <= rounding)) / (2 * len(means))
    if not 0.0 < below < 1.0:
        return None
    bias = normal.inv_cdf(below)
    # The jackknife's deviations of a mean are the centred values over n - 1, which cancels in the ratio.
    acceleration = float((centred**3).sum()) / (6.0 * squares**1.5)
    quantiles = []
    for z in (normal.inv_cdf((1 - level) / 2), normal.inv_cdf((1 + level) / 2)):
        quantiles.append(normal.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))))
    low, high = np.quantile(means, quantiles)
    return (float(low), float(high)) if math.isfinite(low) and math.isfinite(high) else None
