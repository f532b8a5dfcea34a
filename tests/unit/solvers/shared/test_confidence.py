"""Calibration of the confidence."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.solvers.shared.confidence import confidence, fit_confidence


def test_confidence_is_a_half_where_doubt_outweighs_the_offset() -> None:
    assert confidence(2.0, (3.0, 1.5)) == pytest.approx(0.5)
    assert confidence(1.0, (3.0, 1.5)) == pytest.approx(1 / (1 + np.exp(-1.5)))
    assert 0.0 < confidence(1e9, (3.0, 1.5)) < 1e-9


def test_the_fitted_rule_is_calibrated_on_many_films() -> None:
    rng = np.random.default_rng(0)
    doubt = rng.uniform(0, 5, 4000)
    right = rng.random(4000) < 1 / (1 + np.exp(-(3.0 - 1.2 * doubt)))
    offset, slope = fit_confidence(doubt, right, prior=(1.0, 0.5), width=(10.0, 10.0))
    assert offset == pytest.approx(3.0, abs=0.3)
    assert slope == pytest.approx(1.2, abs=0.1)


def test_a_handful_of_films_does_not_make_the_rule_extreme() -> None:
    offset, slope = fit_confidence(np.array([1.0, 2.0]), np.array([True, False]), prior=(1.2, 0.35))
    assert abs(offset - 1.2) < 1.0
    assert abs(slope - 0.35) < 0.3
