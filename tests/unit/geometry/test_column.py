from __future__ import annotations

import numpy as np
import pytest

from aasce.geometry.column import (
    complete_column,
    reject_outliers,
    surest_part,
    unique_detections,
    usual_spacing,
)
from aasce.targets.boxes import encode_boxes
from tests.synthetic import bent_spine

SPINE = bent_spine(40.0)


def test_a_detection_off_the_spine_is_rejected() -> None:
    boxes = encode_boxes(SPINE)
    assert reject_outliers(boxes).all()
    width = boxes[6, 2] - boxes[6, 0]
    boxes[6, [0, 2]] += 0.5 * width + 12
    assert np.flatnonzero(~reject_outliers(boxes)).tolist() == [6]


def test_half_a_width_is_the_limit() -> None:
    boxes = np.array([[0.0, 20 * k, 40, 20 * k + 10] for k in range(5)])
    boxes[2, [0, 2]] += 20
    assert reject_outliers(boxes).all()
    boxes[2, [0, 2]] += 1
    assert reject_outliers(boxes).tolist() == [True, True, False, True, True]


def test_the_ends_are_compared_with_their_one_neighbour() -> None:
    boxes = np.array([[100.0, 0, 140, 10], [0, 20, 40, 30], [0, 40, 40, 50], [70, 60, 110, 70]])
    assert reject_outliers(boxes).tolist() == [False, True, True, False]


def test_a_lone_box_stays() -> None:
    assert reject_outliers(np.array([[0.0, 0, 4, 4]])).tolist() == [True]
    assert reject_outliers(np.zeros((0, 4))).tolist() == []


def test_of_two_detections_of_one_vertebra_the_better_one_stays() -> None:
    twice = np.concatenate([SPINE[::-1], SPINE[4:5] + 3.0])
    scores = np.full(18, 0.8)
    scores[17] = 0.9
    kept = unique_detections(twice, scores)
    assert len(kept) == 17
    assert kept.tolist() == [16, 15, 14, 13, 17, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_neighbours_are_no_doubles() -> None:
    assert unique_detections(SPINE, np.ones(17)).tolist() == list(range(17))
    assert unique_detections(np.zeros((0, 4, 2)), np.zeros(0)).tolist() == []


def test_a_whole_column_stays_as_it_is() -> None:
    for missing in ("interpolate", "duplicate"):
        column, present = complete_column(SPINE, missing=missing)  # type: ignore[arg-type]
        assert np.array_equal(column, SPINE)
        assert present.all()


def test_surplus_vertebrae_are_dropped_from_the_bottom() -> None:
    step = SPINE[-1] - SPINE[-2]
    column, present = complete_column(np.concatenate([SPINE, SPINE[-1:] + step, SPINE[-1:] + 2 * step]))
    assert np.array_equal(column, SPINE)
    assert present.all()


def test_the_papers_rule_repeats_the_lowest_vertebra() -> None:
    column, present = complete_column(SPINE[:15], missing="duplicate")
    assert np.array_equal(column[15], SPINE[14])
    assert np.array_equal(column[16], SPINE[14])
    assert present.sum() == 15


@pytest.mark.parametrize("lost", [[5], [8, 9]])
def test_vertebrae_missing_inside_are_interpolated(lost: list[int]) -> None:
    column, present = complete_column(np.delete(SPINE, lost, axis=0))
    assert np.flatnonzero(~present).tolist() == lost
    assert np.abs(column - SPINE).max() < 3.0


def test_vertebrae_missing_below_continue_the_column() -> None:
    column, present = complete_column(SPINE[:16])
    np.testing.assert_allclose(column[16], 2 * SPINE[15] - SPINE[14])
    assert present.tolist() == [True] * 16 + [False]


def test_growing_steps_are_no_gap() -> None:
    centres = np.cumsum(np.linspace(20, 38, 17))
    box = np.array([[-15.0, -8], [15, -8], [-15, 8], [15, 8]])
    spine = box + np.stack([np.zeros(17), centres], axis=1)[:, None]
    column, present = complete_column(spine)
    assert np.array_equal(column, spine)
    assert present.all()


def test_too_few_vertebrae_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        complete_column(SPINE[:1])
    assert complete_column(SPINE[:1], missing="duplicate")[1].sum() == 1


def test_spacing() -> None:
    assert usual_spacing(np.array([[0.0, 0], [0, 10], [0, 22], [0, 30]])) == 10
    assert usual_spacing(np.zeros((1, 2))) == 0


def test_of_surplus_detections_the_less_sure_end_goes() -> None:
    assert surest_part([0.4, *[0.9] * 17]) == slice(1, 18)  # C7 above T1
    assert surest_part([*[0.9] * 17, 0.4]) == slice(0, 17)
    assert surest_part([0.6, *[0.9] * 17, 0.3]) == slice(1, 18)
    assert surest_part([0.2, 0.3, 0.9, 0.9, 0.1], count=2) == slice(2, 4)
    assert surest_part([0.1, 0.9], count=17) == slice(0, 2)


def test_equally_sure_ends_lose_the_bottom() -> None:
    assert surest_part([0.9] * 18) == slice(0, 17)
