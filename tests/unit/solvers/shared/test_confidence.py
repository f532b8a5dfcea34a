"""Calibration of the confidence."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.solvers.shared.confidence import confidence, fit_confidence

PRIOR = (1.2, 0.35)


def films(count: int, offset: float, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """Uncertainties, and whether the film came out right by the rule 1 / (1 + exp(slope * u - offset))."""
    rng = np.random.default_rng(0)
    uncertainty = rng.uniform(0, 5, count)
    return uncertainty, rng.random(count) < 1 / (1 + np.exp(slope * uncertainty - offset))


def test_confidence_is_a_half_where_slope_times_uncertainty_is_the_offset() -> None:
    assert confidence(2.0, (3.0, 1.5)) == pytest.approx(0.5)
    assert confidence(1.0, (3.0, 1.5)) == pytest.approx(1 / (1 + np.exp(-1.5)))
    assert 0.0 < confidence(1e9, (3.0, 1.5)) < 1e-9


def test_many_films_recover_the_rule_they_follow() -> None:
    offset, slope = fit_confidence(*films(4000, 3.0, 1.2), prior=PRIOR)
    assert offset == pytest.approx(3.0, abs=0.3)
    assert slope == pytest.approx(1.2, abs=0.1)


@pytest.mark.parametrize("prior", [PRIOR, (4.0, 1.0), (0.0, 0.0)])
def test_no_film_leaves_the_prior(prior: tuple[float, float]) -> None:
    assert fit_confidence(np.empty(0), np.empty(0, bool), prior) == pytest.approx(prior, abs=1e-6)


def test_a_handful_of_films_stays_near_the_prior() -> None:
    offset, slope = fit_confidence(np.array([1.0, 2.0]), np.array([True, False]), PRIOR)
    assert abs(offset - 1.2) < 0.5
    assert abs(slope - 0.35) < 0.2


def test_a_wide_prior_gives_way_sooner() -> None:
    given = films(12, 3.0, 1.2)
    near, far = (fit_confidence(*given, PRIOR, width) for width in ((0.2, 0.06), (4.0, 1.2)))
    assert np.abs(np.subtract(near, PRIOR)).sum() < 0.2 < np.abs(np.subtract(far, PRIOR)).sum()


def test_more_uncertainty_never_means_more_confidence() -> None:
    """Films that are right where the uncertainty is high: the slope stops at 0, the share of right films stays."""
    uncertainty = np.linspace(0, 5, 1000)
    offset, slope = fit_confidence(uncertainty, uncertainty > 2.5, PRIOR)
    assert slope == 0.0
    assert confidence(1.0, (offset, slope)) == pytest.approx(0.5, abs=0.02)


def test_films_that_are_all_right_do_not_make_the_rule_infinite() -> None:
    uncertainty = np.linspace(0, 10, 100)
    rule = fit_confidence(uncertainty, np.ones(100, bool), PRIOR)
    assert 0.8 < confidence(10.0, rule) < 1.0
    assert abs(rule[0]) < 8
