"""The BCa interval is scipy's, for the same draws; and it covers what it should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from aasce.scoring import bootstrap
from aasce.scoring.bootstrap import bca_intervals


@pytest.mark.parametrize("films", [4, 8, 64, 512])
def test_interval_is_that_of_scipy(films: int) -> None:
    """Whole numbers and a power of two of films: every mean is exact, so that ties are the same in both."""
    values = np.round(np.random.default_rng(films).gamma(1.2, 40.0, (films, 2)))
    ours = bca_intervals(values, resamples=999, seed=5)
    for column, interval in zip(values.T, ours, strict=True):
        theirs = stats.bootstrap(
            (column,), np.mean, n_resamples=999, method="BCa", rng=np.random.default_rng(5)
        ).confidence_interval
        assert interval == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_interval_does_not_depend_on_how_draws_are_grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).exponential(3.0, (25, 1))
    whole = bca_intervals(values, resamples=500)
    monkeypatch.setattr(bootstrap, "_CELLS", 200)
    assert bca_intervals(values, resamples=500)[0] == pytest.approx(whole[0])


def test_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    """95 % of 200 intervals is 190; five standard deviations of the count, and BCa's known undercoverage of a
    few per cent at 30 skewed films, leave 165."""
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        interval = bca_intervals(generator.exponential(1.0, (30, 1)), resamples=399)[0]
        assert interval is not None
        hits += interval[0] <= 1.0 <= interval[1]
    assert 165 <= hits < 200


@pytest.mark.parametrize("values", [np.array([[1.0], [2.0]]), np.full((10, 1), 0.1), np.zeros((10, 1))])
def test_no_interval_without_spread_or_with_two_films(values: np.ndarray) -> None:
    assert bca_intervals(values) == [None]


def test_no_interval_when_the_draws_lie_on_one_side() -> None:
    """One draw of a skewed sample lies below or above the mean: no bias can be estimated from it."""
    assert bca_intervals(np.array([[0.0], [0.0], [10.0]]), resamples=1) == [None]
