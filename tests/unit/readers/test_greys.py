"""A range of grey values that outliers do not set, derived by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.readers.greys import robust_range, stretched


def ramp() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.arange(10_000, dtype=np.float64).reshape(100, 100)


def test_an_even_film_keeps_its_ends() -> None:
    assert robust_range(ramp()) == (0.0, 9999.0)


def test_hot_pixels_and_dead_ones_set_no_end() -> None:
    values = ramp()
    values[0, :40], values[-1, -40:] = -60_000, 60_000
    low, high = robust_range(values)
    # 40 and 9,959 are left as ends; of these 0.2 % lie beyond the range.
    assert low == pytest.approx(40 + 0.002 * 9920, abs=2)
    assert high == pytest.approx(9959 - 0.002 * 9920, abs=2)


def test_ends_that_cover_much_of_a_film_are_its_own() -> None:
    values = ramp()
    values[:, :10] = 60_000  # the air of a negative: a tenth
    assert robust_range(values) == (10.0, 60_000.0)


def test_a_rare_bright_line_on_black_is_no_outlier() -> None:
    values = np.zeros((100, 100))
    values[50] = 4000
    assert robust_range(values) == (0.0, 4000.0)


def test_only_the_exposed_field_counts() -> None:
    values, exposed = ramp(), np.ones((100, 100), dtype=bool)
    exposed[:50] = False
    assert robust_range(values, exposed) == (5000.0, 9999.0)


def test_a_stretch_holds_what_lies_beyond_its_bounds() -> None:
    flat = stretched(np.array([-5.0, 0.0, 50.0, 100.0, 900.0, np.nan]), (0.0, 100.0))
    assert flat.tolist() == [0, 0, 32768, 65535, 65535, 0]
    assert not stretched(np.full(3, 7)).any()
