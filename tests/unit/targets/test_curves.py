"""Curves of a spine, encoded to maps and decoded again."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.geometry.centerline import arc_lengths, heat_smooth, resample, tangent_tilts
from aasce.targets.curves import (
    boundary_curves,
    decode_centerline,
    encode_boundaries,
    encode_centerline,
    encode_spine,
    follow_ridge,
    mask_borders,
    midline,
    row_tilts,
    tilt_line,
)
from tests.conftest import straight_spine
from tests.synthetic import bent_spine

SIZE = (448, 192)


def distance(points: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """(N,) px from each point to the nearest of a curve."""
    return np.linalg.norm(points[:, None] - resample(curve, 4000), axis=-1).min(axis=1)


def test_curves_run_through_corners_and_middles() -> None:
    landmarks = bent_spine(40.0)
    left, right = boundary_curves(landmarks)
    assert distance(landmarks[:, [0, 2]].reshape(-1, 2), left).max() < 0.1
    assert distance(landmarks[:, [1, 3]].reshape(-1, 2), right).max() < 0.1
    middle = midline(landmarks)
    assert distance((landmarks[:, 0] + landmarks[:, 1]) / 2, middle).max() < 0.1
    assert middle[0] == pytest.approx((landmarks[0, 0] + landmarks[0, 1]) / 2)
    assert middle[-1] == pytest.approx((landmarks[-1, 2] + landmarks[-1, 3]) / 2)


def test_points_lie_a_pixel_apart() -> None:
    steps = np.linalg.norm(np.diff(midline(straight_spine()), axis=0), axis=1)
    assert 0.9 < steps.min() <= steps.max() < 1.1


def test_coinciding_labels_do_not_break_a_curve() -> None:
    landmarks = straight_spine(4)
    landmarks[1, 0] = landmarks[0, 2]
    assert np.isfinite(boundary_curves(landmarks)[0]).all()
    assert midline(np.zeros((2, 4, 2))).shape == (1, 2)
    assert encode_centerline(np.zeros((2, 4, 2)), (8, 8), 2.0).shape == (8, 8)


def test_area_of_the_spine() -> None:
    """A column 60 px wide from y = 40 (T1's upper endplate) to 880: sub-pixels on its rim add a quarter px."""
    assert encode_spine(straight_spine(), (900, 400)).sum() == pytest.approx(60 * 840, rel=0.01)


def test_area_of_a_line_and_its_square_ends() -> None:
    """7 px wide and 840 px long; nothing above T1's upper endplate."""
    drawn = encode_centerline(straight_spine(), (900, 400), 7.0)
    assert drawn.sum() == pytest.approx(7 * 840, rel=0.05)
    assert drawn[:39].sum() == 0
    assert drawn[100, 200] == 1


def test_borders_stand_on_their_sides() -> None:
    left, right = encode_boundaries(straight_spine(), (900, 400), 3.0)
    assert np.average(np.arange(400), weights=left[450]) == pytest.approx(170, abs=0.2)
    assert np.average(np.arange(400), weights=right[450]) == pytest.approx(230, abs=0.2)


def test_borders_of_a_mask_to_a_quarter_pixel() -> None:
    landmarks = bent_spine(30.0)
    mask = encode_spine(landmarks, SIZE)
    mask[3, 3] = 1.0  # a speck elsewhere
    left, right = mask_borders(mask)
    assert left.shape == right.shape
    inner = slice(20, -20)  # rows cut the endplates aslant
    for found, true in zip((left, right), boundary_curves(landmarks), strict=True):
        off = distance(found[inner], true)
        assert np.median(off) < 0.25
        assert off.max() < 1.0  # a bow of the smooth curve over the straight side of a vertebra
    assert mask_borders(np.zeros(SIZE))[0].shape == (0, 2)


@pytest.mark.parametrize("bend", [-60.0, 0.0, 35.0])
def test_round_trip_to_a_third_of_a_pixel(bend: float) -> None:
    landmarks = bent_spine(bend)
    found = decode_centerline(encode_centerline(landmarks, SIZE, 6.0))
    assert found is not None
    assert np.diff(found[:, 1]).min() > 0
    assert distance(found[6:-6], midline(landmarks)).max() < 0.33


def test_small_parts_are_removed_and_gaps_bridged() -> None:
    landmarks = bent_spine(20.0)
    share = encode_centerline(landmarks, SIZE, 6.0)
    whole = decode_centerline(share)
    share[200:215] = 0.0
    share[5:15, 5:15] = 1.0
    share[300:310, 150:160] = 1.0
    found = decode_centerline(share)
    assert whole is not None
    assert found is not None
    assert distance(found, whole).max() < 0.1
    assert not ((found[:, 1] >= 200) & (found[:, 1] < 215)).any()


def test_a_low_threshold_keeps_a_pale_line() -> None:
    share = 0.4 * encode_centerline(bent_spine(20.0), SIZE, 6.0)
    assert decode_centerline(share) is not None
    assert decode_centerline(share, threshold=0.5) is None


def test_ridge_is_found_again_where_rows_cut_it_aslant() -> None:
    landmarks = bent_spine(80.0)
    share = encode_centerline(landmarks, SIZE, 8.0)
    rough = decode_centerline(share)
    assert rough is not None
    found = follow_ridge(share, resample(rough, 200), 8.0)
    truth = midline(landmarks)
    assert distance(found, truth).max() < 0.4
    assert distance(found, truth).max() < distance(rough, truth).max()
    assert np.abs(found[[0, -1]] - truth[[0, -1]]).max() < 2.0
    empty = resample(rough, 50)
    assert np.array_equal(follow_ridge(np.zeros(SIZE), empty, 4.0), empty)


def test_rows_between_two_vertebrae_share_their_tilts() -> None:
    """Centres at y = 60 and 110 with tilts 10 and -10: a quarter of the way down it is 5."""
    tilt, inside = row_tilts(straight_spine(2, np.array([10.0, -10.0])), np.array([59.0, 72.5, 111.0]))
    assert tilt == pytest.approx([10, 5, -10])
    assert inside.tolist() == [False, True, False]


def test_a_line_that_strays_has_the_tilts_of_the_vertebrae() -> None:
    """Vertebrae tilted one by one on a straight column: a smoothed midline has no tilt, the tilt line theirs."""
    tilt = 12 * np.cos(np.linspace(0, 2 * np.pi, 17))
    landmarks = straight_spine(17, tilt)
    assert np.array_equal(tilt_line(landmarks, 0.0), midline(landmarks))
    lines = [tilt_line(landmarks, stray) for stray in (0.01, 0.1, 2.0)]
    smooth = [heat_smooth(line, 7200) for line in lines]  # over 12 of 400 points: half a vertebra
    leans = [tangent_tilts(line, arc_lengths(line)[[200]])[0] for line in smooth]
    assert leans[2] == pytest.approx(-12, abs=0.5)
    assert leans[2] < leans[1] < leans[0]
    strays = [distance(line, midline(landmarks)).mean() for line in lines]
    assert strays[0] < 1.0 < strays[1] < strays[2] < 30
