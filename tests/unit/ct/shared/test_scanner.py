"""Slices, noise and fields of view of training samples, against what follows from their definition."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.ct.shared.labelled import body_middles
from aasce.ct.shared.randomize import RandomizeSettings, draw_greys, smooth_noise, textured
from aasce.ct.shared.scanner import scanned, slices
from aasce.ct.shared.view import FieldOfView, draw_field_of_view
from aasce.phantom.scan_structures import NUMBER
from aasce.volume import Volume


@pytest.mark.parametrize("thickness", [0.5, 1.0, 2.5, 5.0])
def test_slices_keep_constants_and_straight_lines(thickness: float) -> None:
    down, up = slices(60, 1.0, thickness, 0.3)
    assert np.allclose(down.sum(1), 1, atol=1e-6)
    assert np.allclose(up.sum(1), 1, atol=1e-6)
    line = 3.0 * np.arange(60) - 20
    inner = slice(6, -6)
    assert np.abs((up @ (down @ line) - line)[inner]).max() < 0.15


def test_thicker_slices_widen_an_edge() -> None:
    edge = (np.arange(60) >= 30).astype(np.float32)
    widths = []
    for thickness in (1.0, 3.0, 6.0):
        down, up = slices(60, 1.0, thickness, 0.0)
        read = up @ (down @ edge)
        widths.append(int(((read > 0.01) & (read < 0.99)).sum()))
    assert widths == sorted(widths)
    assert widths[0] <= 1
    assert widths[2] >= 5


def test_smooth_noise_has_unit_variance_and_the_asked_correlation() -> None:
    noise = smooth_noise((60, 60, 60), np.array([1.5, 1.5, 6.0]), np.random.default_rng(0))
    assert noise.std() == pytest.approx(1, abs=0.15)
    # A white field smoothed by sigma has the correlation exp(-d^2 / 4 sigma^2) at the distance d.
    for axis, sigma in ((0, 1.5), (1, 1.5), (2, 6.0)):
        a, b = (np.take(noise, range(*span), axis).ravel() for span in ((0, 57), (3, 60)))
        assert np.corrcoef(a, b)[0, 1] == pytest.approx(np.exp(-9 / (4 * sigma**2)), abs=0.12)


def test_a_scanned_body_keeps_its_level_and_stays_in_range() -> None:
    value = np.full((30, 30, 40), 200, np.float32)
    metal = np.zeros(value.shape, bool)
    settings = RandomizeSettings(noise_hu=10.0)
    for seed in range(6):
        read = scanned(value, metal, np.ones(3), 2, np.random.default_rng(seed), settings)
        assert read.shape == value.shape
        assert read.mean() == pytest.approx(200, abs=16)
    metal[15, 15] = True
    loud = RandomizeSettings(metal=1.0)
    read = scanned(np.where(metal, 4000, value), metal, np.ones(3), 2, np.random.default_rng(0), loud)
    assert read.max() <= 3071
    assert read.min() >= -1024


def test_fat_streaks_darken_muscle_alone() -> None:
    greys = draw_greys(np.random.default_rng(1), 40.0, RandomizeSettings(wide=0.0))
    numbers = np.full((32, 32, 32), NUMBER["muscle"], np.uint8)
    numbers[16:] = NUMBER["aorta"]
    flat = np.zeros(numbers.shape, np.float32)
    out = textured(numbers, flat, greys, np.ones(3), np.array([0.0, 0.0, 1.0]), np.random.default_rng(2))
    assert out[:16].min() < -20
    assert np.abs(out[16:]).max() == 0


def test_a_turned_box_holds_what_lies_inside_along_its_own_axes() -> None:
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    view = FieldOfView(np.array([10.0, 20.0, 30.0]), np.array([50.0, 10.0, 5.0]), turn)
    places = {
        1: view.centre + turn @ [49.0, 9.0, 4.0],
        2: view.centre + turn @ [51.0, 0.0, 0.0],
        3: view.centre + np.array([0.0, 0.0, 5.5]),
    }
    assert sorted(view.within(places)) == [1]
    round_ = FieldOfView(view.centre, view.half, turn, round=True)
    assert not round_.within(places)
    assert np.allclose(view.bounds, view.centre + np.array([[-1], [1]]) * [46.0, 38.0, 5.0])
    assert np.array_equal(FieldOfView.of(view.bounds).bounds, view.bounds)


def test_drawn_fields_of_view_lie_about_the_spine_and_cut_it_differently() -> None:
    spine = np.stack([np.zeros(25), np.zeros(25), np.linspace(500, 0, 25)], -1)
    whole = np.array([[-180.0, -120, -200], [180, 120, 600]])
    places = dict(enumerate(spine))
    counts = [
        len(draw_field_of_view(np.random.default_rng(seed), spine, whole).within(places))
        for seed in range(60)
    ]
    assert min(counts) >= 1
    assert len(set(counts)) > 8
    again = draw_field_of_view(np.random.default_rng(7), spine, whole)
    assert np.array_equal(again.bounds, draw_field_of_view(np.random.default_rng(7), spine, whole).bounds)


def test_the_middle_of_a_body_is_found_in_front_of_parts_as_thick() -> None:
    """As in the neck: two pillars behind the body that are as thick as it is, and thin pedicles between."""
    data = np.zeros((60, 80, 40), np.uint8)
    data[20:40, 55:70, 12:28] = 4
    data[4:19, 20:36, 12:28] = 4
    data[41:56, 20:36, 12:28] = 4
    data[14:18, 34:60, 18:22] = 4
    data[42:46, 34:60, 18:22] = 4
    data[18:21, 56:60, 18:22] = 4
    data[39:42, 56:60, 18:22] = 4
    affine = np.eye(4)
    affine[:3, 3] = [5.0, -60.0, 100.0]
    (place,) = body_middles(Volume(data, affine, "label")).values()
    assert np.abs(place - affine[:3, 3] - [29.5, 62.0, 19.5]).max() < 0.6
    atlas = np.where(data == 4, 1, 0).astype(np.uint8)
    atlas[20:40, 52:70, :] = 0
    (place,) = body_middles(Volume(atlas, affine, "label")).values()
    assert np.abs(place - affine[:3, 3] - [29.5, 27.5, 19.5]).max() < 1.0
