"""Two films of one spine: curves by hand, films counted a level off, films that lie mirrored."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from aasce.geometry.change import CurveChange, Match, Spine, changes, matched
from aasce.geometry.cobb import cobb_angles
from tests.conftest import straight_spine

S_SHAPE = np.array([0, 2, 4, 8, 12, 16, 12, 6, 0, -6, -12, -16, -12, -8, -4, -2, 0], dtype=float)
"""Tilts of an S: most to the right at T6 (16), most to the left at T12 (-16)."""


def spine(tilt: NDArray[np.float64], first_level: int = 0) -> Spine:
    landmarks = straight_spine(len(tilt), tilt)
    return Spine(landmarks, first_level, cobb_angles(landmarks, 1000, "clinical"))


def rounded(curve: CurveChange) -> tuple[int, int, str, float | None, float | None]:
    pair = [None if value is None else round(value, 6) + 0.0 for value in (curve.earlier, curve.later)]
    return curve.upper, curve.lower, curve.source, pair[0], pair[1]


def test_every_curve_is_measured_between_the_earlier_films_ends() -> None:
    later = S_SHAPE.copy()
    later[5], later[11] = 20.0, -22.0
    found = changes(spine(S_SHAPE), spine(later), Match())
    # T6 to T12: 16 + 16, then 20 + 22. T1 to T6: 16 - 0, then 20. T12 to L5: 0 + 16, then 22.
    assert [rounded(curve) for curve in found] == [
        (5, 11, "both", 32, 42), (0, 5, "both", 16, 20), (11, 16, "both", 16, 22),
    ]  # fmt: skip
    assert [round(curve.change or 0, 6) for curve in found] == [10, 4, 6]


def test_curves_of_the_later_film_alone_follow() -> None:
    later = S_SHAPE.copy()
    later[4], later[5] = 25.0, 16.0  # the upper end is now T5
    found = changes(spine(S_SHAPE), spine(later), Match())
    assert rounded(found[0]) == (5, 11, "earlier", 32, 32)
    assert (4, 11, "later", 28, 41) in [rounded(curve) for curve in found]


def test_a_curve_that_bends_the_other_way_is_below_zero() -> None:
    first = np.where(np.arange(17) < 8, 10.0, -10.0)
    found = changes(spine(first), spine(-first), Match())
    assert (found[0].earlier, found[0].later) == (pytest.approx(20), pytest.approx(-20))
    assert found[0].change == pytest.approx(-40)


def test_curves_under_10_degrees_on_both_films_are_left_out_save_the_major_one() -> None:
    small = S_SHAPE / 8  # 4, 2 and 2 degrees
    found = changes(spine(small), spine(small), Match())
    assert [rounded(curve) for curve in found] == [(5, 11, "both", 4, 4)]


@pytest.mark.parametrize("offset", [-1, 1])
def test_films_counted_a_level_off_are_matched_by_shape(offset: int) -> None:
    # The later film shows the same vertebrae, but its first one is called a level lower or higher.
    rolled = np.roll(S_SHAPE, offset)
    match = matched(spine(S_SHAPE), spine(rolled))
    assert match == Match(offset, False)
    for curve in changes(spine(S_SHAPE), spine(rolled), match):
        assert curve.change == pytest.approx(0, abs=1e-6)
    # Matched level by level the same two films would show a change that is none.
    assert max(abs(c.change or 0) for c in changes(spine(S_SHAPE), spine(rolled), Match())) > 3


def test_growth_of_a_curve_is_not_taken_for_another_count() -> None:
    assert matched(spine(S_SHAPE), spine(1.6 * S_SHAPE)) == Match()
    straight = np.linspace(20, -20, 17)  # the same from level to level: any count fits
    assert matched(spine(straight), spine(straight)) == Match()


def test_a_mirrored_film_is_recognised_where_no_side_is_known() -> None:
    assert matched(spine(S_SHAPE), spine(-S_SHAPE)) == Match(0, True)
    assert matched(spine(S_SHAPE), spine(-S_SHAPE), mirrored=False) == Match()
    assert matched(spine(S_SHAPE), spine(-S_SHAPE), mirrored=True) == Match(0, True)
    found = changes(spine(S_SHAPE), spine(-S_SHAPE), Match(0, True))
    assert [rounded(curve)[3:] for curve in found] == [(32, 32), (16, 16), (16, 16)]


def test_levels_that_a_film_does_not_show() -> None:
    cut = spine(S_SHAPE[4:], first_level=4)  # from T5 down
    found = {rounded(curve)[:2]: curve for curve in changes(spine(S_SHAPE), cut, Match())}
    assert found[5, 11].change == pytest.approx(0, abs=1e-6)
    assert (found[0, 5].later, found[0, 5].change) == (None, None)
    few = spine(S_SHAPE[10:], first_level=10)
    assert matched(spine(S_SHAPE), few) == Match()
