"""Measures against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aasce.scoring import smape
from aasce.scoring.metrics import bland_altman, film_smape, icc_2_1, pearson

TRUTH = np.array([[40.0, 20.0, 10.0], [30.0, 0.0, 0.0]])
PREDICTED = np.array([[38.0, 22.0, 10.0], [30.0, 6.0, 0.0]])


def test_smape_of_the_worked_example() -> None:
    assert smape(PREDICTED, TRUTH) == pytest.approx(100 / 2 * (4 / 140 + 6 / 66), abs=1e-12)
    assert round(smape(PREDICTED, TRUTH), 6) == 5.974026


def test_smape_counts_nothing_over_nothing_as_zero() -> None:
    zero = np.zeros((1, 3))
    assert smape(zero, zero) == 0.0
    assert smape(np.vstack([PREDICTED, zero]), np.vstack([TRUTH, zero])) == pytest.approx(
        100 / 3 * (4 / 140 + 6 / 66)
    )


def test_smape_is_100_when_one_side_is_zero_and_takes_integers() -> None:
    assert smape([[0, 0, 0]], [[10, 0, 5]]) == 100.0


def test_film_smape_is_taken_per_film() -> None:
    assert film_smape(PREDICTED, TRUTH) == pytest.approx([400 / 140, 600 / 66])


def test_film_smape_of_an_angle_regressed_below_zero_stays_within_100() -> None:
    """|-2 - 6| + 0 + 0 = 8 over 2 + 6; and of six zeros nothing over nothing."""
    predicted, truth = np.zeros((2, 3)), np.zeros((2, 3))
    predicted[0, 0], truth[0, 0] = -2.0, 6.0
    assert film_smape(predicted, truth).tolist() == [100.0, 0.0]


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        (np.ones(3), np.ones((1, 3)), r"predicted has shape \(N, 3\)"),
        (np.ones((1, 3)), np.ones((1, 2)), r"truth has shape \(N, 3\)"),
        (np.ones((0, 3)), np.ones((0, 3)), r"not \(0, 3\)"),
        (np.ones((2, 3)), np.ones((1, 3)), "predicted has 2 films and truth 1"),
        ([[1, 2, 3], [1, math.nan, 3]], np.ones((2, 3)), r"predicted\[1\] is \[1.0, nan, 3.0\]"),
        (np.ones((1, 3)), [[1, -2, 3]], r"truth\[0\]"),
    ],
)
def test_smape_refuses(predicted: object, truth: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        smape(predicted, truth)  # type: ignore[arg-type]


def test_icc_of_shrout_and_fleiss_1979() -> None:
    """Their table 2: six targets, four judges; table 4 gives ICC(2,1) = .29.

    Column sums 46, 15, 26, 40 (grand mean 127/24), row sums 24, 12, 26, 16, 30, 19. Sums of squares: total
    841 - 127^2/24, rows (576 + 144 + 676 + 256 + 900 + 361)/4 - 127^2/24, columns (2116 + 225 + 676 + 1600)/6
    - 127^2/24.
    """
    rows_of_table = "9 2 5 8, 6 1 3 2, 8 4 6 8, 7 1 2 6, 10 5 6 9, 6 2 4 7"
    table = np.array([row.split() for row in rows_of_table.split(",")], dtype=float)
    centre = 127**2 / 24
    rows, columns = 2913 / 4 - centre, 4617 / 6 - centre
    bms, jms, ems = rows / 5, columns / 3, (841 - centre - rows - columns) / 15
    expected = (bms - ems) / (bms + 3 * ems + 4 * (jms - ems) / 6)
    assert (round(bms, 2), round(jms, 2), round(ems, 2)) == (11.24, 32.49, 1.02)
    assert icc_2_1(table) == pytest.approx(expected, abs=1e-12)
    assert round(expected, 2) == 0.29


def test_icc_of_two_raters_one_of_them_two_higher() -> None:
    """Ratings (1,3), (2,4), (3,5): BMS 2, JMS 6, EMS 0, so ICC = 2 / (2 + 2 * 6 / 3) = 1/3; Pearson is 1."""
    ratings = np.array([[1.0, 3.0], [2.0, 4.0], [3.0, 5.0]])
    assert icc_2_1(ratings) == pytest.approx(1 / 3)
    assert pearson(ratings[:, 0], ratings[:, 1]) == pytest.approx(1.0)


def test_icc_is_none_where_it_says_nothing() -> None:
    assert icc_2_1(np.array([[1.0, 2.0]])) is None
    assert icc_2_1(np.array([[1.0], [2.0]])) is None
    assert icc_2_1(np.full((4, 2), 7.0)) is None


def test_pearson_by_hand() -> None:
    """x = 1, 2, 3 and y = 1, 3, 2: covariance sum 1, square sums 2 and 2."""
    assert pearson(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])) == pytest.approx(0.5)
    assert pearson(np.array([1.0, 2.0]), np.array([5.0, 5.0])) is None


def test_bland_altman_by_hand() -> None:
    """Differences 1, 3, 5: mean 3, variance (4 + 0 + 4) / 2 = 4, limits 3 +- 1.96 * 2."""
    bias, limits = bland_altman(np.array([11.0, 23.0, 35.0]), np.array([10.0, 20.0, 30.0]))
    assert bias == pytest.approx(3.0)
    assert limits == pytest.approx((-0.92, 6.92))
    assert bland_altman(np.array([4.0]), np.array([1.0])) == (3.0, None)
