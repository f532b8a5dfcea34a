"""Shares of end vertebrae by hand."""

from __future__ import annotations

import pytest

from aasce.scoring.end_vertebrae import end_agreement


def test_shares_by_hand() -> None:
    """Upper ends off by 0, 1, 2, 0, lower ones by 0, 0, 1, 5; the last film's curve is no curve."""
    truth = [(4, 11), (4, 11), (4, 11), (4, 11)]
    predicted = [(4, 11), (3, 11), (6, 12), (4, 16)]
    found = end_agreement(predicted, truth, [10.0, 30.0, 50.0, 9.99])
    assert found is not None
    assert found.count == 3
    assert (found.upper, found.near_upper) == pytest.approx((1 / 3, 2 / 3))
    assert (found.lower, found.near_lower) == pytest.approx((2 / 3, 1.0))


def test_without_a_curve_there_is_nothing_to_compare() -> None:
    assert end_agreement([(4, 11)], [(4, 11)], [5.0]) is None
    with pytest.raises(ValueError, match="give two levels a film"):
        end_agreement([(4, 11)], [(4, 11), (4, 11)], [20.0])
