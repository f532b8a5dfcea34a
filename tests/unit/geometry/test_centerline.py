"""Heat smoothing against the iteration it stands for; tangents and angles against curves known by formula."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest

from aasce.geometry.centerline import (
    arc_lengths,
    heat_smooth,
    levels_on,
    points_on,
    resample,
    slice_landmarks,
    tangent_tilts,
    upper_major_lower,
)
from aasce.geometry.cobb import cobb_angles, endplate_midpoints, tilts
from tests.synthetic import bent_spine


def euler(curve: np.ndarray, steps: int, rate: float, ends: str) -> np.ndarray:
    """The paper's loop, step by step."""
    u = np.array(curve, dtype=np.float64)
    for _ in range(steps):
        padded = np.concatenate([u[:1], u, u[-1:]])
        change = rate * (padded[:-2] - 2 * u + padded[2:])
        if ends == "fixed":
            change[0] = change[-1] = 0
        u += change
    return u


def timed(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def noisy_curve(points: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y = np.linspace(0, 600, points)
    return np.stack([300 + 60 * np.sin(y / 90) + rng.normal(0, 2, points), y], axis=1)


@pytest.mark.parametrize("ends", ["fixed", "free"])
def test_smoothing_equals_65000_euler_steps(ends: Literal["fixed", "free"]) -> None:
    """To a millionth of the range, and at least a hundred times as fast."""
    curve = noisy_curve(400)
    expected, slow = timed(lambda: euler(curve, 65_000, 0.01, ends))
    found, fast = min(
        (timed(lambda: heat_smooth(curve, 65_000, 0.01, ends)) for _ in range(5)), key=lambda t: t[1]
    )
    assert np.abs(found - expected).max() < 1e-6 * np.ptp(curve[:, 0])
    assert slow / fast > 100


def test_one_step_by_hand() -> None:
    """Inner points of 0, 4, 0, 0 at rate 1/4: 4 + (0 - 8 + 0)/4 = 2, and 0 + (4 - 0 + 0)/4 = 1."""
    assert heat_smooth(np.array([0.0, 4, 0, 0]), 1, 0.25) == pytest.approx([0, 2, 1, 0])
    assert heat_smooth(np.array([0.0, 4, 0, 0]), 1, 0.25, "free") == pytest.approx([1, 2, 1, 0])


def test_lines_and_no_steps_change_nothing() -> None:
    line = np.stack([np.linspace(3, -9, 50), np.linspace(0, 70, 50)], axis=1)
    assert np.allclose(heat_smooth(line), line, atol=1e-9)
    curve = noisy_curve(60)
    assert np.allclose(heat_smooth(curve, 0), curve, atol=1e-9)
    assert np.array_equal(heat_smooth(curve[:2]), curve[:2])


@pytest.mark.parametrize(("points", "steps", "rate"), [(1, 5, 0.1), (9, -1, 0.1), (9, 5, 0.0), (9, 5, 0.6)])
def test_settings_that_diverge_are_refused(points: int, steps: int, rate: float) -> None:
    with pytest.raises(ValueError, match="heat_smooth"):
        heat_smooth(np.zeros(points), steps, rate)


def test_even_points_along_a_bent_line() -> None:
    """3 right and 4 down, then 5 down: length 10, middle at the corner."""
    curve = np.array([[0.0, 0], [3, 4], [3, 9]])
    assert arc_lengths(curve) == pytest.approx([0, 5, 10])
    assert resample(curve, 3) == pytest.approx(curve)
    assert levels_on(curve, 5) == pytest.approx([0, 2.5, 5, 7.5, 10])
    assert points_on(curve, np.array([2.5, 12.0])) == pytest.approx(np.array([[1.5, 2], [3, 9]]))


@pytest.mark.parametrize("lean", [-50.0, 0.0, 20.0])
def test_tilt_of_a_straight_line(lean: float) -> None:
    """Running down and to the left, the normal's right side is lower: a positive tilt."""
    a = np.radians(lean)
    curve = np.linspace(0, 100, 30)[:, None] * np.array([-np.sin(a), np.cos(a)])
    assert tangent_tilts(curve, levels_on(curve, 5)) == pytest.approx(np.full(5, lean))


def test_tilts_of_a_circle_are_its_arc() -> None:
    turn = np.radians(np.linspace(25, -25, 400))
    curve = 300 * np.stack([np.cos(turn), -np.sin(turn)], axis=1)  # bulges to the right, from the top down
    found = tangent_tilts(curve, levels_on(curve, 11))
    assert found == pytest.approx(np.linspace(-25, 25, 11), abs=0.1)


def test_slices_have_the_tilts_and_lie_on_the_curve() -> None:
    curve = noisy_curve(600) * [0.2, 1]
    at = levels_on(curve, 17)
    tilt = np.linspace(-30, 40, 17)
    boxes = slice_landmarks(curve, tilt, at, 50.0)
    assert boxes.shape == (17, 4, 2)
    assert tilts(boxes) == pytest.approx(tilt)
    distance = np.linalg.norm(endplate_midpoints(boxes)[:, None] - resample(curve, 6000), axis=-1).min(axis=1)
    assert distance.max() < 1.0
    assert np.diff(endplate_midpoints(boxes)[:, 1]).min() > 0


def test_challenge_angles_of_a_curve_are_those_of_its_vertebrae() -> None:
    """A spine whose vertebrae are normal to its centreline: one curve from +20 to -20 degrees."""
    landmarks = bent_spine(40.0)
    centres = landmarks.mean(axis=1)
    boxes = slice_landmarks(centres, tilts(landmarks), arc_lengths(centres), 30.0)
    assert cobb_angles(boxes, 448).degrees == pytest.approx(cobb_angles(landmarks, 448).degrees, abs=1e-6)


def test_upper_major_and_lower_angle_by_hand() -> None:
    """Largest 30 at 3, smallest -25 at 6: 55. Above, in 5, -10, 0, 30: 40. Below, in -25, 8, 2: 33."""
    found, pairs = upper_major_lower(np.array([5.0, -10, 0, 30, 10, -5, -25, 8, 2]))
    assert found.tolist() == [55, 40, 33]
    assert pairs == ((3, 6), (1, 3), (6, 7))


def test_a_single_curve_has_no_other() -> None:
    found, pairs = upper_major_lower(np.linspace(20, -20, 9))
    assert found.tolist() == [40, 0, 0]
    assert pairs == ((0, 8), (0, 0), (8, 8))
