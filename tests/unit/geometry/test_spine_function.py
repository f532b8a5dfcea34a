"""The spine function: midpoints, fit, ends and curvature against lines, circles and sines."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from aasce.geometry.cobb import tilts
from aasce.geometry.spine_function import border_midpoints, find_end, fit_borders, fit_midpoints, main_curve
from aasce.targets.curves import encode_spine, mask_borders
from tests.synthetic import SIZE, bent_spine

Floats = NDArray[np.float64]


def column(x: float, rows: Floats) -> Floats:
    return np.stack([np.full(len(rows), x), rows], axis=1)


def fitted(landmarks: Floats, end_weight: float = 0.3) -> tuple[Floats, Floats]:
    """Tilts of the function at the heights of the vertebrae, from a true mask, and those of the vertebrae."""
    mask = encode_spine(landmarks, SIZE)
    upper, lower = mask_borders(mask.T)
    function = fit_borders(mask_borders(mask), (upper[:, ::-1], lower[:, ::-1]), end_weight=end_weight)
    assert function is not None
    return function.tilts(landmarks.mean(axis=1)[:, 1]), tilts(landmarks)


def test_midpoints_of_an_upright_strip() -> None:
    middles, widths = border_midpoints(column(10.0, np.arange(5.0)), column(16.0, np.arange(4.0)))
    assert middles.shape == (9, 2)
    assert np.allclose(middles[[0, 1, 2, 3, 5, 6, 7, 8]], column(13.0, np.tile(np.arange(4.0), 2)))
    assert np.allclose(widths[:4], 6.0)
    # The fifth point of the left border has no partner at its height: nearest is (16, 3).
    assert np.allclose(middles[4], (13.0, 3.5))
    assert widths[4] == pytest.approx(np.hypot(6.0, 1.0))


def test_joins_are_perpendicular_to_a_slanted_strip() -> None:
    """Borders along (3, 4) / 5, 10 px from each other: the middles lie 5 px from each, on the line between."""
    along = np.arange(0.0, 200.0, 0.5)[:, None] * np.array([0.6, 0.8])
    right = np.array([0.8, -0.6])
    middles, widths = border_midpoints(along, along + 10 * right)
    inner = middles[100:300]
    assert np.allclose((inner @ right), 5.0)
    assert np.allclose(widths[100:300], 10.0)


@pytest.mark.parametrize(("degree", "pieces"), [(3, 1), (3, 7), (8, 1)])
def test_a_cubic_is_fitted_exactly(degree: int, pieces: int) -> None:
    y = np.linspace(20, 120, 300)
    x = 1e-4 * (y - 70) ** 3 - 0.2 * y + 40
    function = fit_midpoints(np.stack([x, y], axis=1), 20, 120, degree, pieces)
    at = np.array([20.0, 55.0, 120.0])
    assert np.allclose(function.derivative(at, 0), 1e-4 * (at - 70) ** 3 - 0.2 * at + 40)
    assert np.allclose(function.derivative(at, 1), 3e-4 * (at - 70) ** 2 - 0.2)


def test_tilt_of_a_slanted_line() -> None:
    """x grows by 3 where y grows by 4: the spine leans to the right, its normal points up on the right."""
    y = np.linspace(0, 100, 50)
    function = fit_midpoints(np.stack([0.75 * y, y], axis=1), 0, 100)
    assert np.allclose(function.tilts(y), -np.degrees(np.arctan(0.75)))


def test_curvature_of_a_parabola_is_the_inverse_radius_at_its_apex() -> None:
    y = np.linspace(-100, 100, 400)
    function = fit_midpoints(np.stack([y**2 / (2 * 250), y], axis=1), -100, 100, 2, 1)
    assert function.curvature(np.array([0.0]))[0] == pytest.approx(1 / 250)
    assert function.curvature(np.array([100.0]))[0] == pytest.approx(1 / 250 / (1 + 0.4**2) ** 1.5)


def test_end_tilts_turn_the_ends_and_leave_the_middle() -> None:
    y = np.linspace(0, 300, 300)
    function = fit_midpoints(column(50.0, y), 0, 300, end_tilts=(10.0, -10.0), end_weight=10.0)
    assert np.allclose(function.tilts(np.array([0.0, 300.0])), [10, -10], atol=0.1)
    assert abs(function.derivative(np.array([150.0]), 0)[0] - 50) < 0.5


def test_rows_beyond_the_ends_count_as_the_ends() -> None:
    y = np.linspace(0, 100, 100)
    function = fit_midpoints(np.stack([y**2 / 100, y], axis=1), 0, 100)
    assert np.allclose(function.tilts(np.array([-50.0, 150.0])), function.tilts(np.array([0.0, 100.0])))


def test_an_end_is_the_line_through_its_border() -> None:
    """Upper border from (0, 40) to (40, 48), a fifth lower on the right: 11.3 degrees; the sides fall off beyond."""
    x = np.arange(-4.0, 45.0)
    y = np.where(x < 0, 40 - 8 * x, np.where(x > 40, 48 + 9 * (x - 40), 40 + 0.2 * x))
    found = find_end(np.stack([x, y], axis=1), np.array([20.0, 47.0]), 0.0, 40.0)
    assert found is not None
    assert found.tilt == pytest.approx(np.degrees(np.arctan(0.2)))
    assert np.allclose(found.middle, (20, 44))
    assert found.depth(np.array([[20.0, 44.0]]))[0] == pytest.approx(0)
    assert found.depth(np.array([[20.0, 54.0]]))[0] == pytest.approx(10 * np.cos(np.arctan(0.2)))
    assert find_end(np.zeros((0, 2)), np.zeros(2), 0.0, 10.0) is None


@pytest.mark.parametrize("bend", [-60.0, -20.0, 0.0, 45.0])
def test_a_true_mask_gives_the_tilts_of_its_vertebrae(bend: float) -> None:
    """To half the step from one vertebra to the next, bend / 32: a drawn centre lies on the normal of the lower
    vertebra of two, so that the line between them leans as it does."""
    found, wanted = fitted(bent_spine(bend))
    assert np.abs(found - wanted + bend / 32).max() < 2.5
    assert np.abs(found - wanted + bend / 32).mean() < 0.8


def test_without_end_tilts_the_ends_are_less_exact() -> None:
    bend = bent_spine(60.0)
    found, wanted = fitted(bend, end_weight=0.0)
    better, _ = fitted(bend)
    ends = [0, 16]
    assert np.abs(better - wanted)[ends].max() < np.abs(found - wanted)[ends].max()


def test_a_mirrored_spine_has_opposite_tilts() -> None:
    landmarks = bent_spine(40.0)
    mirrored = landmarks[:, [1, 0, 3, 2]] * [-1, 1] + [SIZE[1] - 1, 0]
    assert np.allclose(fitted(mirrored)[0], -fitted(landmarks)[0], atol=0.2)


def test_a_blob_is_no_spine() -> None:
    mask = np.zeros((60, 60))
    mask[20:40, 10:50] = 1
    upper, lower = mask_borders(mask.T)
    assert fit_borders(mask_borders(mask), (upper[:, ::-1], lower[:, ::-1])) is None
    nothing = np.zeros((0, 2))
    assert fit_borders((nothing, nothing), (nothing, nothing)) is None


def test_main_curve_of_a_wave_runs_from_inflection_to_inflection() -> None:
    """x = 12 cos(2 pi y / 400) over 0..400 bends most at 200 (without the ends); it has inflections at 100 and 300,
    where the slope is 12 * 2 pi / 400 to either side."""
    y = np.linspace(0, 400, 800)
    function = fit_midpoints(np.stack([12 * np.cos(2 * np.pi * y / 400), y], axis=1), 0, 400, 3, 20)
    inner = fit_midpoints(
        function.curve(800)[80:720], float(y[80]), float(y[719]), 3, 20
    )  # the wave's other two crests lie at its ends
    found = main_curve(inner)
    assert found.apex == pytest.approx(200, abs=12)
    assert (found.upper, found.lower) == (pytest.approx(100, abs=4), pytest.approx(300, abs=4))
    assert found.degrees == pytest.approx(2 * np.degrees(np.arctan(12 * 2 * np.pi / 400)), abs=0.2)
