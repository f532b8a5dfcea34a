"""Order of vertebrae and names of corners, restored after they were shuffled."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aasce.geometry.spine import (
    corners_agree,
    disc_heights,
    heights,
    is_split,
    leaves_film,
    order_vertebrae,
    pair_endplates,
    quarter_turns,
    repair_corners,
    set_upright,
    spine_axis,
    spine_directions,
    vertebra_order,
    widths,
)
from aasce.preprocess.crop import letterbox, similarity, turned_size
from tests.conftest import straight_spine

WAVE = 25.0 * np.sin(np.linspace(0, 6, 17))


@settings(deadline=None, max_examples=60)
@given(order=st.permutations(range(17)))
def test_shuffled_vertebrae_come_back_in_order(order: list[int]) -> None:
    spine = straight_spine(tilt=WAVE)
    np.testing.assert_array_equal(order_vertebrae(spine[order]), spine)


@pytest.mark.parametrize("vertebrae", [1, 2, 5, 24])
def test_a_vertebra_above_the_first_that_is_stored_last_comes_first(vertebrae: int) -> None:
    spine = straight_spine(vertebrae)
    np.testing.assert_array_equal(order_vertebrae(np.roll(spine, -1, axis=0)), spine)


def test_a_vertebra_labelled_twice_does_not_change_the_order() -> None:
    spine = straight_spine()
    spine[16] = spine[15] - [0.0, 3.0]
    np.testing.assert_array_equal(vertebra_order(spine), np.arange(17))


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_corners_renamed_at_will_are_found_again(data: st.DataObject) -> None:
    spine = straight_spine(tilt=WAVE)
    mixed = spine.copy()
    for v in range(17):
        mixed[v] = spine[v, list(data.draw(st.permutations(range(4))))]
    np.testing.assert_array_equal(repair_corners(mixed), spine)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_corners_agree_for_one_naming_of_twenty_four(order: tuple[int, ...]) -> None:
    box = straight_spine(3, np.array([0.0, 20.0, 0.0]))
    box[1] = box[1, list(order)]
    np.testing.assert_array_equal(
        corners_agree(box, spine_directions(box)), [True, order == (0, 1, 2, 3), True]
    )


def test_corners_are_judged_by_the_spine_and_not_by_the_film() -> None:
    """A spine that lies at 70 degrees keeps its names."""
    t = np.radians(70.0)
    spine = straight_spine() @ np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]).T
    np.testing.assert_array_equal(repair_corners(spine), spine)


def test_sizes_of_boxes_and_discs() -> None:
    # conftest: boxes of 60 x 40 every 50 px leave discs of 10.
    spine = straight_spine(4, np.array([0.0, 30.0, 0.0, 0.0]))
    np.testing.assert_allclose(heights(spine), 40.0)
    np.testing.assert_allclose(widths(spine), 60.0)
    assert disc_heights(spine)[2] == pytest.approx(10.0)
    spine[3] -= [0.0, 25.0]
    assert disc_heights(spine)[2] == pytest.approx(-15.0)


def test_directions_survive_vertebrae_on_one_spot() -> None:
    spine = straight_spine(6)
    spine[5] = spine[4]
    np.testing.assert_allclose(spine_directions(spine), [[0.0, 1.0]] * 6, atol=1e-12)
    on_one_spot = spine_directions(np.repeat(spine[:1], 3, axis=0))
    np.testing.assert_allclose(np.linalg.norm(on_one_spot, axis=1), 1.0)
    np.testing.assert_array_equal(spine_axis(spine[:1]), [0.0, 1.0])


def skipped_endplate(vertebra: int) -> tuple[np.ndarray, np.ndarray]:
    """A true spine of 17, and its labels with the upper endplate of one left out and the sacrum's added."""
    true = straight_spine(18)
    plates = np.delete(true.reshape(-1, 2, 2), 2 * vertebra, axis=0)
    return true[:17], plates[:34].reshape(-1, 4, 2)


@pytest.mark.parametrize("vertebra", [3, 8, 13])
def test_endplates_are_paired_anew_after_one_was_left_out(vertebra: int) -> None:
    true, labels = skipped_endplate(vertebra)
    paired = pair_endplates(labels)
    found = np.delete(paired.reshape(-1, 2, 2), 2 * vertebra, axis=0)
    np.testing.assert_array_equal(found, np.delete(true.reshape(-1, 2, 2), 2 * vertebra, axis=0))
    # The gap is 50 px, a disc of 10 and a body of 40: the lost endplate lies a fifth down.
    np.testing.assert_allclose(paired[vertebra, :2], true[vertebra, :2])


def test_a_last_vertebra_split_between_both_ends_is_recognised() -> None:
    true, labels = skipped_endplate(8)
    labels[16, 2:] = true[0, :2] - [0.0, 30.0]
    assert is_split(labels)
    assert not is_split(true)
    assert not is_split(true[:2])
    np.testing.assert_allclose(pair_endplates(labels), true)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_spine_on_a_turned_film_is_set_upright(turns: int) -> None:
    spine, size = straight_spine(tilt=20 * np.sin(np.linspace(0, 5, 17))), (1000, 400)
    lying = letterbox(size, turned_size(size, -turns), -turns).apply(spine)
    assert quarter_turns(lying) == turns
    upright, size_again = set_upright(lying, turned_size(size, -turns), turns)
    np.testing.assert_allclose(upright, spine, atol=1e-9)
    assert size_again == size


def test_a_spine_that_leans_is_left_as_it_is() -> None:
    for degrees in (-40.0, 40.0):
        leaning = similarity(np.array([200.0, 460.0]), 1.0, degrees, (1000, 1000)).apply(straight_spine())
        assert quarter_turns(leaning) == 0
    assert quarter_turns(np.full((17, 4, 2), np.nan)) == 0


def test_a_corner_beyond_the_last_pixel_leaves_the_film() -> None:
    corners = np.array([[[0.0, 0.0], [3.0, 0.0], [0.0, 8.0], [3.0, 8.0]]])
    assert not leaves_film(corners, (9, 4))
    assert leaves_film(corners, (9, 3))
    assert leaves_film(corners, (8, 4))
    assert leaves_film(corners - 0.1, (9, 4))
