"""Corners smoothed along the spine, the spine's curve, and endplates rotated onto its normal."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.geometry.cobb import tilts
from aasce.geometry.polynomial import fit_curve, refine_on_curve, smooth_x
from tests.synthetic import bent_spine

ROWS = np.linspace(20.0, 420.0, 17)


def column(x: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """(17, 4, 2) boxes 40 px wide and 16 high at `ROWS`, tilted."""
    turn = np.radians(degrees)
    along = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    down = np.stack([-along[:, 1], along[:, 0]], axis=1)
    signs = np.array([[-20, -8], [20, -8], [-20, 8], [20, 8]])
    middle = np.stack([x, ROWS], axis=1)[:, None]
    return middle + signs[:, :1] * along[:, None] + signs[:, 1:] * down[:, None]


def test_smooth_x_keeps_polynomials_and_rows() -> None:
    y = np.repeat(ROWS[:, None], 4, axis=1)
    s = (y - 220) / 200
    exact = np.stack([100 + 30 * s**6 - 20 * s**3 + np.array([0, 40, 1, 42]), y], axis=-1)
    np.testing.assert_allclose(smooth_x(exact, order=6), exact, atol=1e-8)


def test_smooth_x_pulls_a_single_corner_back() -> None:
    straight = column(np.full(17, 100.0), np.zeros(17))
    bad = straight.copy()
    bad[8, 0, 0] += 12
    smooth = smooth_x(bad, order=2)
    assert abs(smooth[8, 0, 0] - straight[8, 0, 0]) < 2
    np.testing.assert_array_equal(smooth[..., 1], bad[..., 1])
    np.testing.assert_allclose(smooth[:, 1:], straight[:, 1:], atol=1e-9)


def test_smooth_x_of_few_vertebrae_passes_through_them() -> None:
    few = bent_spine(30.0)[:4]
    np.testing.assert_allclose(smooth_x(few, order=6), few, atol=1e-6)


def test_a_curve_follows_a_polynomial_between_straight_ends() -> None:
    s = (ROWS - 220) / 200
    points = np.stack([100 + 40 * s**3, ROWS], axis=1)
    curve = fit_curve(points, degree=9, ends=1, end_steps=2.0)
    inner = ROWS[3:-3]
    np.testing.assert_allclose(curve.x(inner), points[3:-3, 0], atol=1e-6)
    np.testing.assert_allclose(curve.slope(inner), 120 * s[3:-3] ** 2 / 200, atol=1e-6)
    beyond = np.array([ROWS[0] - 20, ROWS[0] - 10, ROWS[0]])
    assert np.ptp(curve.slope(beyond)) < 1e-12
    assert abs(np.diff(curve.x(beyond), 2)[0]) < 1e-9


def test_the_ends_join_the_middle_without_a_step() -> None:
    points = np.stack([100 + 20 * np.sin(ROWS / 60), ROWS], axis=1)
    curve = fit_curve(points)
    for join in (curve.top, curve.bottom):
        assert abs(float(np.diff(curve.x(np.array([join - 1e-6, join + 1e-6])))[0])) < 1e-4


def test_points_off_the_spine_are_dropped() -> None:
    points = np.stack([100 + 10 * np.sin(ROWS / 80), ROWS], axis=1)
    doubled = np.concatenate([points, points + np.array([0.0, 1.0])])
    doubled[5, 0] += 60
    doubled[29, 0] -= 35
    curve = fit_curve(doubled, degree=9)
    assert not curve.kept[[5, 29]].any()
    assert curve.kept.sum() == 32
    # Within the half px by which the two sets differ.
    np.testing.assert_allclose(curve.x(ROWS[2:-2]), points[2:-2, 0], atol=0.5)


def test_tilts_have_the_sign_of_the_landmarks() -> None:
    spine = bent_spine(40.0)
    curve = fit_curve(spine.mean(axis=1), degree=9)
    middle = spine.mean(axis=1)[3:-3, 1]
    np.testing.assert_allclose(curve.tilts(middle), tilts(spine)[3:-3], atol=2.5)


def test_an_unusual_endplate_is_rotated_onto_the_normal() -> None:
    degrees = np.zeros(17)
    degrees[7] = 20.0
    straight = column(np.full(17, 100.0), degrees)
    curve = fit_curve(straight.mean(axis=1))
    refined = refine_on_curve(straight, curve, unusual=6.0)
    np.testing.assert_allclose(tilts(refined), 0.0, atol=1e-6)
    others = np.arange(17) != 7
    np.testing.assert_allclose(refined[others], straight[others], atol=1e-9)
    # Rotated about its crossing with the curve: the endplate keeps its length and its place on the curve.
    upper = refined[7, :2]
    assert np.linalg.norm(upper[1] - upper[0]) == pytest.approx(40.0)
    crossing = straight[7, 0] + (100 - straight[7, 0, 0]) / np.cos(np.radians(20)) * np.array(
        [np.cos(np.radians(20)), np.sin(np.radians(20))]
    )
    np.testing.assert_allclose(upper[:, 1], crossing[1], atol=1e-6)


def test_share_rotates_part_of_the_way() -> None:
    degrees = np.zeros(17)
    degrees[7] = 20.0
    straight = column(np.full(17, 100.0), degrees)
    curve = fit_curve(straight.mean(axis=1))
    assert tilts(refine_on_curve(straight, curve, share=0.25, unusual=6.0))[7] == pytest.approx(15.0)
    np.testing.assert_allclose(refine_on_curve(straight, curve, share=0.0), straight, atol=1e-9)


def test_an_endplate_beside_the_curve_is_rotated_about_its_middle() -> None:
    straight = column(np.full(17, 100.0), np.zeros(17))
    curve = fit_curve(straight.mean(axis=1))
    beside = straight[4:5] + np.array([200.0, 0.0])
    beside[0, 1, 1] += 8
    refined = refine_on_curve(beside, curve)
    np.testing.assert_allclose(refined[0, :2].mean(axis=0), beside[0, :2].mean(axis=0))
    assert refined[0, 0, 1] == pytest.approx(refined[0, 1, 1])


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="3 points"):
        fit_curve(np.array([[1.0, 2.0], [3.0, 4.0]]))
