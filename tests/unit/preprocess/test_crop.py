"""Views: exact inverses, composition, and film content at the positions given by the matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aasce.geometry.spine import turned_size
from aasce.preprocess.crop import View, crop_view, letterbox, linear_view, similarity, spine_view
from tests.conftest import straight_spine


@settings(deadline=None, max_examples=50)
@given(
    scale=st.floats(0.1, 3.0), degrees=st.floats(-180, 180), x=st.floats(-500, 500), y=st.floats(-500, 500)
)
def test_undo_is_the_inverse_of_apply(scale: float, degrees: float, x: float, y: float) -> None:
    view = similarity(np.array([x, y]), scale, degrees, (300, 200))
    points = np.array([[0.0, 0.0], [1500.0, 40.0], [-3.0, 2999.0]])
    np.testing.assert_allclose(view.undo(view.apply(points)), points, atol=1e-6)
    assert view.scale == pytest.approx(scale)


def test_similarity_puts_the_centre_in_the_middle_and_turns_clockwise() -> None:
    view = similarity(np.array([10.0, 20.0]), 2.0, 90.0, (101, 201))
    np.testing.assert_allclose(view.apply([10.0, 20.0]), [100.0, 50.0])
    # One px to the right of the centre comes to lie two px below it: clockwise in a y-down frame.
    np.testing.assert_allclose(view.apply([11.0, 20.0]), [100.0, 52.0], atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 0.8, 0.5, 0.25])
def test_a_bright_spot_lands_where_its_coordinates_do(scale: float) -> None:
    film = np.zeros((800, 400), np.uint8)
    film[500:520, 250:270] = 255  # centre (259.5, 509.5)
    view = letterbox(film.shape, (int(800 * scale), int(400 * scale)))
    canvas = view.render(film).astype(float)
    rows, columns = np.mgrid[: canvas.shape[0], : canvas.shape[1]]
    centroid = [(columns * canvas).sum() / canvas.sum(), (rows * canvas).sum() / canvas.sum()]
    np.testing.assert_allclose(centroid, view.apply([259.5, 509.5]), atol=0.1)


def test_letterbox_keeps_the_aspect_and_shows_the_whole_film() -> None:
    view = letterbox((1000, 200), (500, 250))
    corners = view.apply([[-0.5, -0.5], [199.5, 999.5]])
    # 500 / 1000 = 0.5; 200 px become 100, centred in 250: from 75 to 175.
    np.testing.assert_allclose(corners, [[74.5, -0.5], [174.5, 499.5]])


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_letterbox_turns_a_film_clockwise_to_the_pixel(turns: int) -> None:
    film = np.random.default_rng(0).integers(0, 255, (60, 40)).astype(np.uint8)
    size = turned_size(film.shape, turns)
    np.testing.assert_array_equal(letterbox(film.shape, size, turns).render(film), np.rot90(film, -turns))


def test_spine_view_stands_a_leaning_spine_upright_at_the_asked_spacing() -> None:
    spine = straight_spine()
    lean = similarity(np.array([200.0, 460.0]), 1.7, 25.0, (1000, 1000)).apply(spine)
    view = spine_view(lean, (704, 288), 36.0)
    centres = view.apply(lean).mean(axis=1)
    np.testing.assert_allclose(np.diff(centres[:, 0]), 0, atol=1e-9)
    np.testing.assert_allclose(np.diff(centres[:, 1]), 36.0)
    np.testing.assert_allclose(centres.mean(axis=0), [143.5, 351.5], atol=1e-6)


def test_then_maps_points_through_both_views() -> None:
    first = similarity(np.array([30.0, 40.0]), 0.5, 20.0, (100, 80))
    second = similarity(np.array([10.0, 5.0]), 2.0, -50.0, (60, 90))
    points = np.array([[0.0, 0.0], [120.0, 7.0]])
    both = first.then(second)
    np.testing.assert_allclose(both.apply(points), second.apply(first.apply(points)))
    assert both.size == (60, 90)


def test_identity_leaves_points_and_pixels_where_they_are() -> None:
    film = np.random.default_rng(0).integers(0, 255, (20, 30)).astype(np.uint8)
    view = View.identity((20, 30))
    np.testing.assert_array_equal(view.render(film), film)
    assert view.apply([3.0, 4.0]) == pytest.approx([3.0, 4.0])


def test_a_crop_shows_the_rectangle_pixel_for_pixel() -> None:
    film = np.random.default_rng(0).integers(0, 255, (60, 40)).astype(np.uint8)
    view = crop_view((5, 10, 25, 50))
    np.testing.assert_array_equal(view.render(film), film[10:50, 5:25])
    assert view.apply([5.0, 10.0]) == pytest.approx([0.0, 0.0])


def test_a_crop_letterboxed_is_the_crop_of_the_film() -> None:
    """A rectangle of 40 by 20 px on a canvas of 80 by 60 px: twice as large, 10 px beside it on either side."""
    view = crop_view((5, 10, 25, 50)).then(letterbox((40, 20), (80, 60)))
    # Outer corners: the rectangle's lie at 4.5, 9.5 and 24.5, 49.5.
    np.testing.assert_allclose(view.apply([[4.5, 9.5], [24.5, 49.5]]), [[9.5, -0.5], [49.5, 79.5]])


def test_scaled_keeps_the_outer_edges_of_pixels() -> None:
    half = View.identity((100, 60)).scaled(0.5)
    np.testing.assert_allclose(half.apply([[-0.5, -0.5], [59.5, 99.5]]), [[-0.5, -0.5], [29.5, 49.5]])
    assert half.size == (50, 30)
    assert View.identity((101, 3)).scaled(0.1).size == (10, 1)
    assert View.identity((100, 60)).scaled(0.5, (51, 30)).size == (51, 30)


def test_scaled_is_a_view_followed_by_a_scaling() -> None:
    view = similarity(np.array([30.0, 40.0]), 0.7, 20.0, (100, 80))
    points = np.array([[0.0, 0.0], [120.0, 7.0]])
    expected = (view.apply(points) + 0.5) * 0.25 - 0.5
    np.testing.assert_allclose(view.scaled(0.25).apply(points), expected)


def test_a_map_goes_back_to_where_the_film_showed_it() -> None:
    film = np.zeros((80, 60), np.float32)
    film[20:40, 10:30] = 1.0
    view = similarity(np.array([20.0, 30.0]), 2.0, 15.0, (200, 200))
    back = view.to_film(view.render(film), film.shape)
    assert back.shape == film.shape
    assert np.abs(back - film).mean() < 0.02
    assert back[30, 20] == pytest.approx(1.0)


def test_a_linear_view_stretches_about_its_centre() -> None:
    view = linear_view(np.array([[2.0, 0.0], [0.5, 1.0]]), np.array([10.0, 20.0]), (101, 201))
    np.testing.assert_allclose(view.apply([10.0, 20.0]), [100.0, 50.0])
    # Two px to the right of the centre: four on the canvas, and one down by the shear.
    np.testing.assert_allclose(view.apply([12.0, 20.0]), [104.0, 51.0])
    np.testing.assert_allclose(view.undo([104.0, 51.0]), [12.0, 20.0])
