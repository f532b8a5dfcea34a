"""Angles under uncertainty."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.geometry.cobb import cobb_angles
from aasce.geometry.expectation import expected_angles
from tests.conftest import straight_spine

TILT = np.concatenate([np.linspace(-20, 20, 9), np.linspace(17, -15, 8)])


def test_certain_landmarks_are_measured_as_they_are() -> None:
    spine = straight_spine(tilt=TILT)
    expected = expected_angles(spine, np.zeros((17, 4)), 1000)
    np.testing.assert_allclose(expected.degrees, cobb_angles(spine, 1000).degrees)
    assert expected.end_vertebrae == cobb_angles(spine, 1000).end_vertebrae


def test_a_straight_spine_that_is_uncertain_is_expected_to_measure_more_than_nothing() -> None:
    spine = straight_spine()
    # Tilts scatter by 1 px / 60 px = 0.95 degrees; the range of 17 draws of a Gaussian is 3.6 deviations.
    expected = expected_angles(spine, np.full((17, 4), 1.0), 1000, draws=400).degrees[0]
    assert expected == pytest.approx(3.6 * np.degrees(1 / 60), rel=0.1)


def test_it_repeats_itself_and_leaves_the_major_angle_of_a_clear_curve() -> None:
    spine = straight_spine(tilt=TILT)
    first, again = (expected_angles(spine, np.full((17, 4), 0.5), 1000) for _ in range(2))
    np.testing.assert_array_equal(first.degrees, again.degrees)
    assert first.degrees[0] == pytest.approx(40.0, abs=1.0)


def test_a_wrong_deviation_is_refused() -> None:
    spine = straight_spine()
    with pytest.raises(ValueError, match="deviation"):
        expected_angles(spine, np.zeros((16, 4)), 1000)
    with pytest.raises(ValueError, match="deviation"):
        expected_angles(spine, np.full((17, 4), -1.0), 1000)
