"""Angles by both definitions: curves derived by hand, arcs, and invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aasce.geometry.cobb import (
    angle_matrix,
    apex,
    cobb_angles,
    limit_tilts,
    spine_shape,
    tilt_error,
    tilts,
)
from tests.conftest import straight_spine

Floats = NDArray[np.float64]

# Unique tilts have one most and one least tilted vertebra: no tie decides which curve is the main one.
TILTS = st.lists(st.integers(-40, 40), min_size=17, max_size=17, unique=True).map(np.array)


def bent_spine(tilt: Floats, step: float = 50.0) -> Floats:
    """(V, 4, 2) boxes whose centreline runs perpendicular to their tilts, from (400, 60) down."""
    between = np.radians((tilt[1:] + tilt[:-1]) / 2)
    steps = step * np.stack([-np.sin(between), np.cos(between)], axis=1)
    top = np.array([[400.0, 60.0]])
    centres = np.concatenate([top, top + np.cumsum(steps, axis=0)])
    boxes = straight_spine(len(tilt), tilt)
    return np.asarray(boxes - boxes.mean(axis=1, keepdims=True) + centres[:, None])


def through(*knots: tuple[int, float]) -> Floats:
    """17 tilts that run straight between (vertebra, degrees) knots."""
    return np.interp(np.arange(17.0), [k for k, _ in knots], [t for _, t in knots])


def arc(total: float, start: float, radius: float = 900.0, vertebrae: int = 17) -> Floats:
    """Boxes tangent to a circle: tilts from `start` to `start + total` degrees, centres on the circle."""
    turn = np.radians(np.linspace(start, start + total, vertebrae))
    centres = radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    outward = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    along = np.stack([-np.sin(turn), np.cos(turn)], axis=1)
    corners = [centres + sx * 30 * outward + sy * 15 * along for sy in (-1, 1) for sx in (-1, 1)]
    return np.stack(corners, axis=1)


def turned(landmarks: Floats, degrees: float) -> Floats:
    t = np.radians(degrees)
    return landmarks @ np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]).T


@settings(deadline=None, max_examples=40)
@given(tilt=TILTS, degrees=st.floats(-360, 360))
def test_rotating_the_spine_changes_no_clinical_angle(tilt: Floats, degrees: float) -> None:
    spine = bent_spine(tilt)
    before = cobb_angles(spine, 2000, "clinical")
    after = cobb_angles(turned(spine, degrees), 2000, "clinical")
    np.testing.assert_allclose(after.degrees, before.degrees, atol=1e-6)
    assert after.end_vertebrae[0] == before.end_vertebrae[0]


@settings(deadline=None, max_examples=40)
@given(tilt=TILTS, degrees=st.floats(-360, 360))
def test_rotating_the_spine_leaves_the_major_challenge_angle(tilt: Floats, degrees: float) -> None:
    spine = bent_spine(tilt)
    turned_major = cobb_angles(turned(spine, degrees), 2000).degrees[0]
    # The organisers round cosines to 8 decimals: at 1 degree and over that is less than 0.00004 degrees.
    assert turned_major == pytest.approx(np.ptp(tilt), abs=1e-4)


@settings(deadline=None, max_examples=40)
@given(tilt=TILTS, definition=st.sampled_from(["challenge", "clinical"]))
def test_a_mirrored_film_has_the_same_angles(tilt: Floats, definition: str) -> None:
    spine = bent_spine(tilt)
    mirrored = spine[:, [1, 0, 3, 2]] * [-1.0, 1.0] + [799.0, 0.0]
    before = cobb_angles(spine, 900, definition)  # type: ignore[arg-type]
    after = cobb_angles(mirrored, 900, definition)  # type: ignore[arg-type]
    np.testing.assert_allclose(after.degrees, before.degrees, atol=1e-4)
    assert after.end_vertebrae == before.end_vertebrae


@settings(deadline=None, max_examples=40)
@given(tilt=TILTS, scale=st.sampled_from([0.125, 0.5, 2.0, 8.0]))
def test_scaling_film_and_landmarks_changes_nothing(tilt: Floats, scale: float) -> None:
    spine = bent_spine(tilt)
    before = cobb_angles(spine, 1024)
    after = cobb_angles(spine * scale, int(1024 * scale))
    np.testing.assert_allclose(after.degrees, before.degrees, atol=1e-4)
    assert after.shape == before.shape


@settings(deadline=None, max_examples=40)
@given(total=st.floats(1, 120), start=st.floats(-60, -5))
def test_an_arc_measures_its_angle_to_a_hundredth(total: float, start: float) -> None:
    for definition in ("challenge", "clinical"):
        angles = cobb_angles(arc(total, start), 3000, definition)  # type: ignore[arg-type]
        assert angles.degrees[0] == pytest.approx(total, abs=0.01)
        assert angles.end_vertebrae[0] == (0, 16)


@pytest.mark.parametrize("vertebrae", [2, 3, 5, 12, 24])
def test_an_arc_of_any_number_of_vertebrae(vertebrae: int) -> None:
    angles = cobb_angles(arc(33.0, -10.0, vertebrae=vertebrae), 3000)
    np.testing.assert_allclose(angles.degrees, [33.0, 0.0, 0.0], atol=0.01)
    assert angles.shape == "C"
    assert angles.end_vertebrae[0] == (0, vertebrae - 1)
    assert angles.apices[0] in ((vertebrae - 1) // 2, vertebrae // 2)


def test_a_single_curve_takes_the_rest_from_first_and_last() -> None:
    # Tilts 5 -> 25 -> -15 -> -10. Major: 25 - (-15) = 40 between T6 and L2. C: first to T6, L2 to last.
    angles = cobb_angles(bent_spine(through((0, 5), (5, 25), (13, -15), (16, -10))), 2000)
    assert angles.shape == "C"
    np.testing.assert_allclose(angles.degrees, [40.0, 20.0, 5.0], atol=1e-3)
    assert angles.end_vertebrae == ((5, 13), (0, 5), (13, 16))
    assert angles.regions == ("MT", "PT", "TL/L")


S_TILTS = through((0, 0), (2, -10), (6, 30), (11, -20), (16, 5))
# Major: 30 + 20 = 50, T7 to T12. Above it: 30 + 10 = 40 from T3. Below: 5 + 20 = 25 to L5. Above T3: 10.


def test_s_curve_with_its_major_curve_in_the_upper_half() -> None:
    angles = cobb_angles(bent_spine(S_TILTS), 3000)
    assert angles.shape == "S"
    np.testing.assert_allclose(angles.degrees, [50.0, 40.0, 25.0], atol=1e-3)
    assert angles.end_vertebrae == ((6, 11), (2, 6), (11, 16))
    assert angles.regions == ("MT", "PT", "TL/L")


def test_s_curve_with_its_major_curve_in_the_lower_half() -> None:
    angles = cobb_angles(bent_spine(S_TILTS), 900)
    assert angles.shape == "S"
    np.testing.assert_allclose(angles.degrees, [50.0, 40.0, 10.0], atol=1e-3)
    assert angles.end_vertebrae == ((6, 11), (2, 6), (0, 2))
    assert angles.regions == ("TL/L", "MT", "PT")


def test_the_half_of_the_film_is_decided_strictly() -> None:
    # Straight boxes but two: T5 (10 degrees) and T9 (-10). Lower endplate midpoints are centre + 20 cos(10)
    # down: their sum is 60 + 50 * 4 + 60 + 50 * 8 + 40 cos(10) = 759.392, so 759 rows have them below half.
    tilt = np.zeros(17)
    tilt[[4, 8]] = 10.0, -10.0
    spine = straight_spine(tilt=tilt)
    assert spine_shape(spine) == "S"
    assert cobb_angles(spine, 760).end_vertebrae[2][0] == 8
    assert cobb_angles(spine, 759).end_vertebrae[2][1] < 4


def test_clinical_curves_are_read_from_the_main_one_outward() -> None:
    angles = cobb_angles(bent_spine(S_TILTS), 900, "clinical")
    np.testing.assert_allclose(angles.degrees, [50.0, 40.0, 25.0], atol=1e-6)
    assert angles.end_vertebrae == ((6, 11), (2, 6), (11, 16))
    assert angles.shape is None
    assert angles.definition == "clinical"


def test_a_straight_spine_has_no_width_and_counts_as_s() -> None:
    # x_0 = x_33: 0 / 0 in the organisers' program falls through to "S".
    angles = cobb_angles(straight_spine(), 1000)
    assert angles.shape == "S"
    np.testing.assert_array_equal(angles.degrees, [0.0, 0.0, 0.0])
    degrees = cobb_angles(straight_spine(), 1000, "clinical").degrees
    np.testing.assert_array_equal(degrees, [0.0, 0.0, 0.0])
    assert not np.signbit(degrees).any()  # "-0.0" is no angle that a reader should see


def test_angles_beyond_ninety_are_not_clipped() -> None:
    spine = bent_spine(through((0, 0), (5, 60), (11, -55), (16, 0)))
    assert cobb_angles(spine, 3000).degrees[0] == pytest.approx(115.0, abs=1e-3)
    assert cobb_angles(spine, 3000, "clinical").degrees[0] == pytest.approx(115.0, abs=1e-6)


def test_a_tilt_is_positive_when_the_right_side_is_lower() -> None:
    np.testing.assert_allclose(tilts(straight_spine(3, np.array([10.0, 0.0, -20.0]))), [10.0, 0.0, -20.0])


def test_unsigned_label_integers_do_not_wrap_around() -> None:
    spine = np.rint(bent_spine(S_TILTS))
    np.testing.assert_array_equal(
        cobb_angles(spine.astype(np.uint16), 900).degrees, cobb_angles(spine, 900).degrees
    )


def test_a_vertebra_without_width_takes_part_in_no_angle() -> None:
    matrix = angle_matrix(np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]]))
    np.testing.assert_array_equal(matrix, [[0.0, 0.0, 90.0], [0.0, 0.0, 0.0], [90.0, 0.0, 0.0]])


def test_the_apex_is_farthest_from_the_line_through_the_ends() -> None:
    spine = straight_spine(7)
    spine[4, :, 0] += 30.0
    spine[2, :, 0] -= 10.0
    assert apex(spine, 0, 6) == 4
    assert apex(spine, 0, 3) == 2
    assert apex(spine, 5, 6) == 5


@pytest.mark.parametrize("shape", [(68, 2), (17, 4), (17, 5, 2), (1, 4, 2)])
def test_a_wrong_shape_is_answered_with_the_right_one(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(V, 4, 2\)"):
        cobb_angles(np.zeros(shape), 100)


def test_other_wrong_input_is_refused() -> None:
    spine = straight_spine()
    with pytest.raises(ValueError, match="'challenge' or 'clinical'"):
        cobb_angles(spine, 100, "lumbar")  # type: ignore[arg-type]
    spine[3, 1, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        cobb_angles(spine, 100)


def test_tilts_are_held_within_the_limit() -> None:
    found = limit_tilts([-170.0, -80.0, 12.5, 95.0, np.nan])
    assert found[:4].tolist() == [-80.0, -80.0, 12.5, 80.0]
    assert np.isnan(found[4])
    assert limit_tilts([95.0, -61.0], 60).tolist() == [60.0, -60.0]


def test_tilt_error_is_the_mean_absolute_difference() -> None:
    """Labels of 10 degrees against 0, 10 and 25 give (10 + 0 + 15) / 3; a label of 100 counts as 80."""
    spine = straight_spine(3, np.full(3, 10.0))
    assert tilt_error(np.array([0.0, 10.0, 25.0]), spine) == pytest.approx(25 / 3)
    assert tilt_error(np.zeros(3), straight_spine(3, np.full(3, 100.0))) == pytest.approx(80.0)


@pytest.mark.parametrize("degrees", [np.zeros(16), np.full(17, np.nan)])
def test_tilt_error_refuses_what_is_no_prediction(degrees: Floats) -> None:
    with pytest.raises(ValueError, match="17 finite numbers"):
        tilt_error(degrees, straight_spine())
