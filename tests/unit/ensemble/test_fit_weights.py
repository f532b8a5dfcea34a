"""Weights found where the best ones are known."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.ensemble import blend, fit_weights
from aasce.scoring import smape

TRUTH = np.random.default_rng(0).uniform(5, 60, (60, 3))


def test_weights_that_made_the_truth_are_found() -> None:
    """Two members off by +9 and -3 degrees cancel at 1/4 and 3/4."""
    truth = TRUTH + 5
    weights = fit_weights(np.stack([truth + 9, truth - 3]), truth)
    assert weights == pytest.approx([0.25, 0.75], abs=1e-4)
    assert weights.sum() == pytest.approx(1.0)


def test_a_member_that_knows_the_truth_takes_all() -> None:
    noisy = np.abs(TRUTH + np.random.default_rng(1).normal(0, 6, TRUTH.shape))
    assert fit_weights(np.stack([noisy, TRUTH, noisy * 2]), TRUTH) == pytest.approx([0, 1, 0], abs=1e-4)


def test_never_worse_than_any_member_or_the_plain_mean() -> None:
    generator = np.random.default_rng(2)
    members = np.abs(
        TRUTH + generator.normal(0, 1, (4, *TRUTH.shape)) * np.array([3, 4, 5, 9])[:, None, None]
    )
    weights = fit_weights(members, TRUTH)
    found = smape(blend(members, weights), TRUTH)
    assert (weights >= 0).all()
    assert found <= min(smape(member, TRUTH) for member in members)
    assert found <= smape(members.mean(axis=0), TRUTH)
    assert weights[0] > weights[3]


def test_failed_films_of_a_member_are_left_to_the_others() -> None:
    """The second member is exact where it succeeds; alone it would leave half the films to the median."""
    first, second = TRUTH + 4, TRUTH.copy()
    second[::2] = np.nan
    weights = fit_weights(np.stack([first, second]), TRUTH)
    assert 0 < weights[0] < 0.01
    assert weights[1] > 0.99


def test_films_on_which_a_member_is_dropped_do_not_cost_it_its_weight() -> None:
    """Off by -2 and +4 degrees, but for 60 on every fourth film: cancelling at 2/3 and 1/3 if those are dropped."""
    truth = TRUTH + 5
    second = truth + 4
    second[::4] += 56
    members = np.stack([truth - 2, second])
    assert fit_weights(members, truth, max_disagreement_deg=20.0) == pytest.approx([2 / 3, 1 / 3], abs=1e-3)
    assert fit_weights(members, truth)[1] < 0.05


def test_one_member_has_all_the_weight() -> None:
    assert fit_weights(TRUTH[None] + 1, TRUTH).tolist() == [1.0]


@pytest.mark.parametrize(
    ("members", "truth"),
    [
        (TRUTH, TRUTH),
        (TRUTH[None, :5], TRUTH),
        (TRUTH[None], TRUTH * np.nan),
        (np.ones((1, 0, 3)), np.ones((0, 3))),
    ],
)
def test_what_does_not_fit_is_refused(members: np.ndarray, truth: np.ndarray) -> None:
    with pytest.raises(ValueError, match="truth"):
        fit_weights(members, truth)
