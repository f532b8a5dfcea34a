"""From detections and box masks to the column T1 to L5."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.solvers.coarse_to_fine.column import (
    find_column,
    interpolated,
    matched_levels,
    merged,
    overlap_with_masks,
)
from aasce.solvers.coarse_to_fine.inference import Detections
from aasce.solvers.coarse_to_fine.maps import box_masks
from tests.synthetic import SIZE, bent_spine

SPINE = bent_spine(40.0)
MIDDLES = SPINE.mean(axis=1)
MASKS = box_masks(SPINE, SIZE, 4, 0.75)


def boxes_of(spine: np.ndarray) -> np.ndarray:
    """(V, 4) upright boxes."""
    return np.concatenate([spine.min(axis=1), spine.max(axis=1)], axis=1)


def detections(boxes: np.ndarray, levels: np.ndarray, scores: np.ndarray | None = None) -> Detections:
    scores = np.full(len(boxes), 0.9) if scores is None else scores
    return Detections(boxes, levels.astype(np.int64), scores, np.zeros(SIZE, np.float32))


def column_of(found: Detections, chain: np.ndarray | None = None, places: np.ndarray = MIDDLES):
    chain = np.zeros(0, np.intp) if chain is None else chain
    column = find_column(found, MASKS, 4, places, chain, 0.05)
    assert column is not None
    return column


def test_a_whole_column_is_matched() -> None:
    column = column_of(detections(boxes_of(SPINE), np.arange(17)))
    assert column.matched.all()
    np.testing.assert_allclose(column.places, (SPINE.min(axis=1) + SPINE.max(axis=1)) / 2)


def test_order_comes_from_the_film_and_levels_from_the_masks() -> None:
    """Detections in any order, with the labels of their neighbours."""
    order = np.random.default_rng(0).permutation(17)
    labels = np.clip(np.arange(17) + 1, 0, 16)
    column = column_of(detections(boxes_of(SPINE)[order], labels[order]))
    assert column.matched.all()
    assert (np.diff(column.places[:, 1]) > 0).all()


def test_two_detections_of_one_vertebra_are_one() -> None:
    boxes = np.concatenate([boxes_of(SPINE), boxes_of(SPINE)[8:9] + 2.0])
    found = detections(boxes, np.append(np.arange(17), 9), np.append(np.full(17, 0.9), 0.3))
    candidates = merged(found)
    assert len(candidates.boxes) == 17
    # The mean by score: 0.3 / 1.2 of 2 px.
    np.testing.assert_allclose(candidates.boxes[8], boxes_of(SPINE)[8] + 0.5)
    assert candidates.votes[8, 8] == pytest.approx(0.45)
    assert candidates.votes[8, 9] == pytest.approx(0.15)


def test_a_detection_off_the_spine_is_left_out() -> None:
    boxes = np.concatenate([boxes_of(SPINE), [[2.0, 200.0, 30.0, 215.0]]])
    column = column_of(detections(boxes, np.append(np.arange(17), 7)))
    np.testing.assert_allclose(column.places, (SPINE.min(axis=1) + SPINE.max(axis=1)) / 2)


def test_a_vertebra_above_the_column_is_left_out() -> None:
    above = boxes_of(SPINE)[:1] - np.array([0.0, 22.0, 0.0, 22.0])
    column = column_of(detections(np.concatenate([above, boxes_of(SPINE)]), np.append(0, np.arange(17))))
    assert column.matched.all()
    assert column.places[0, 1] == pytest.approx(boxes_of(SPINE)[0, [1, 3]].mean())


def test_a_missing_vertebra_takes_the_place_of_its_mask() -> None:
    kept = np.array([k for k in range(17) if k not in (5, 16)])
    column = column_of(detections(boxes_of(SPINE)[kept], kept), np.arange(17))
    assert column.shown.nonzero()[0].tolist() == [5, 16]
    np.testing.assert_allclose(column.places[[5, 16]], MIDDLES[[5, 16]])


def test_a_missing_vertebra_without_a_mask_is_interpolated() -> None:
    kept = np.array([k for k in range(17) if k != 5])
    column = column_of(detections(boxes_of(SPINE)[kept], kept))
    assert not column.matched[5]
    assert not column.shown[5]
    np.testing.assert_allclose(column.places[5], MIDDLES[5], atol=2.0)


def test_a_mask_that_shows_another_vertebra_gives_no_place() -> None:
    kept = np.array([k for k in range(17) if k != 5])
    wrong = MIDDLES.copy()
    wrong[5] = MIDDLES[6]
    column = column_of(detections(boxes_of(SPINE)[kept], kept), np.arange(17), wrong)
    assert not column.shown[5]
    np.testing.assert_allclose(column.places[5], MIDDLES[5], atol=2.0)


def test_without_detections_the_masks_alone_give_the_column() -> None:
    none = detections(np.zeros((0, 4)), np.zeros(0))
    column = column_of(none, np.arange(1, 16))
    assert column.shown.sum() == 15
    np.testing.assert_allclose(column.places[1:16], MIDDLES[1:16])
    np.testing.assert_allclose(column.places[[0, 16]], MIDDLES[[0, 16]], atol=4.0)


def test_nothing_is_no_column() -> None:
    none = detections(np.zeros((0, 4)), np.zeros(0))
    assert find_column(none, MASKS * 0, 4, MIDDLES, np.zeros(0, np.intp), 0.05) is None


def test_levels_rise_although_masks_slip() -> None:
    """Masks that are sure of the ends, and show every vertebra of the middle under its own and the next level."""
    overlap = np.eye(17)
    for k in range(4, 12):
        overlap[k, k], overlap[k, k + 1] = 0.45, 0.5
    levels = matched_levels(overlap, np.zeros((17, 17)), MIDDLES, 0.05)
    assert levels.tolist() == list(range(17))


def test_labels_decide_where_masks_do_not() -> None:
    overlap = np.zeros((2, 17))
    overlap[:, 3:6] = 0.3
    votes = np.zeros((2, 17))
    votes[0, 4] = votes[1, 5] = 1.0
    assert matched_levels(overlap, votes, MIDDLES[4:6], 0.05).tolist() == [4, 5]


def test_a_missing_vertebra_leaves_its_level_free() -> None:
    kept = [k for k in range(17) if k != 8]
    overlap = np.eye(17)[kept]
    assert matched_levels(overlap, np.zeros((16, 17)), MIDDLES[kept], 0.05).tolist() == kept


def test_overlap_is_the_share_of_the_middle_of_a_box() -> None:
    shares = overlap_with_masks(boxes_of(SPINE), MASKS, 4)
    assert (shares.argmax(axis=1) == np.arange(17)).all()
    assert np.diag(shares).min() > 0.6
    off = overlap_with_masks(np.array([[-50.0, -50.0, -20.0, -30.0]]), MASKS, 4)
    assert off.max() == 0


def test_interpolation_goes_on_in_a_straight_line() -> None:
    known = np.stack([10.0 + 2 * np.arange(17), 20.0 + 15 * np.arange(17)], axis=1)
    holes = known.copy()
    holes[[0, 1, 7, 8, 16]] = np.nan
    np.testing.assert_allclose(interpolated(holes), known)
    two = np.full((17, 2), np.nan)
    two[[4, 6]] = known[[4, 6]]
    np.testing.assert_allclose(interpolated(two), known)
