"""Boxes and clusters of `keypoint_fusion` on columns made by formula."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from aasce.solvers.keypoint_fusion.postprocess import (
    Tags,
    boxes_on_spine,
    centres_of,
    check_ends,
    cluster_points,
    crowded_boxes,
    diagonal_ratio,
    distant_boxes,
    drop_gap_outliers,
    drop_squeezed,
    keep_last,
    kmeans,
    median_count,
    place_column,
    summarize,
    traced,
    with_count,
)
from aasce.solvers.keypoint_fusion.settings import ClusterSettings
from aasce.targets.boxes import box_overlaps
from tests.synthetic import bent_spine

Floats = NDArray[np.float64]
STEP, WIDTH, HEIGHT = 30.0, 45.0, 22.0


def near(found: object, wanted: object) -> None:
    np.testing.assert_allclose(found, wanted, atol=1e-9)  # type: ignore[call-overload]


def column(count: int = 17) -> Floats:
    """(V, 4, 2) an upright column of boxes, `STEP` px apart, T1's TL at (100, 0)."""
    box = np.array([[0, 0], [WIDTH, 0], [0, HEIGHT], [WIDTH, HEIGHT]])
    return box[None] + np.array([100.0, 0.0]) + np.arange(count)[:, None, None] * np.array([0.0, STEP])


def tags_of(landmarks: Floats, points: int = 5) -> Tags:
    """Clusters of some points around each corner, whose means are the corners."""
    ring = np.exp(2j * np.pi * np.arange(points) / points)
    around = np.stack([ring.real, ring.imag], axis=1)
    return [[corner + around for corner in landmarks[:, tag]] for tag in range(4)]


def cloud(landmarks: Floats, seed: int = 0, points: int = 12) -> list[Floats]:
    """(N, 2) dense points of each tag."""
    noise = np.random.default_rng(seed).normal(0, 0.8, (points, *landmarks.shape))
    return [(landmarks + noise)[:, :, tag].reshape(-1, 2) for tag in range(4)]


def boxes(tops: list[float], width: float = 40.0, height: float = 24.0) -> Floats:
    return np.array([[100, top, 100 + width, top + height] for top in tops], float)


def test_overlap_of_boxes_half_covered() -> None:
    # 24 high and 12 lower: 12 rows of 36 are common.
    assert box_overlaps(boxes([0]), boxes([0, 12, 40]))[0].tolist() == pytest.approx([1, 1 / 3, 0])


def test_a_box_between_two_that_it_overlaps_is_crowded() -> None:
    # 10 px apart two boxes share 14 of 34 rows, 0.41.
    assert crowded_boxes(boxes([0, 10, 20, 60]), 0.36).tolist() == [False, True, False, False]
    assert not crowded_boxes(boxes([0, 10, 34, 60]), 0.36).any()
    assert not crowded_boxes(boxes([0, 10]), 0.36).any()


def test_a_box_farther_from_the_one_above_than_it_is_wide_is_distant() -> None:
    assert distant_boxes(boxes([0, 40, 81, 110]), 1.0).tolist() == [False, False, True, False]
    assert not distant_boxes(boxes([0, 40, 81, 110]), 1.1).any()
    assert distant_boxes(boxes([]), 1.0).tolist() == []


def test_both_filters_keep_the_spine_in_order() -> None:
    """Two boxes crowded between T1 and T2 and one off the spine, in the order of scores."""
    found = np.concatenate([boxes([60, 0, 30, 90, 11]), [[200, 100, 240, 124]]])
    found = np.concatenate([found, boxes([22])])
    kept = boxes_on_spine(found, 0.36, 1.6)
    assert found[kept][:, 1].tolist() == [0, 30, 60, 90]


def test_clusters_are_found_from_the_top_without_scattered_points() -> None:
    points = np.concatenate([np.array([[0, 60], [1, 60], [0, 61]]), [[50, 30]], [[0, 0], [1, 0], [0, 1]]])
    found = centres_of(cluster_points(points, 2.0, 3))
    near(found, [[1 / 3, 1 / 3], [1 / 3, 60 + 1 / 3]])
    assert cluster_points(np.zeros((0, 2)), 2.0, 3) == []


def test_ends_lose_the_halves_of_vertebrae_beyond_the_spine() -> None:
    """A column cut from a longer one: the lower endplate above T1 and the upper one below L5 have no partners."""
    longer = column(19)
    tags = tags_of(longer)
    tags = [tags[0][1:], tags[1][1:], tags[2][:-1], tags[3][:-1]]
    found = check_ends(tags, 35.0)
    for tag in range(4):
        near(centres_of(found[tag]), longer[1:18, tag])


def test_an_end_that_turns_away_is_excluded() -> None:
    landmarks = column(6)
    landmarks[0, 1] += [60.0, 0.0]  # the first right upper corner: 63 degrees off the next step
    found = check_ends(tags_of(landmarks), 35.0)
    assert [len(tag) for tag in found] == [6, 5, 6, 5]  # and the lower corner that then has no upper one
    near(centres_of(found[1])[0], landmarks[1, 1])


def test_a_column_in_order_is_left_alone() -> None:
    landmarks = bent_spine(50.0)
    tags = check_ends(tags_of(landmarks), 35.0)
    assert [len(tag) for tag in drop_squeezed(tags, 1.1)] == [17] * 4


def test_diagonals_tell_a_rectangle_from_a_parallelogram() -> None:
    trapezium = np.array([[2.0, 0], [8, 0], [0, 4], [10, 4]])
    assert diagonal_ratio(trapezium) == pytest.approx(1.0)
    # 4 high, 6 wide, the left side one step of 8 higher: from (0, -8) to (6, 4), from (6, 0) to (0, -4).
    sheared = np.array([[0.0, -8], [6, 0], [0, -4], [6, 4]])
    assert diagonal_ratio(sheared) == pytest.approx(np.sqrt(36 + 144) / np.sqrt(36 + 16))
    assert diagonal_ratio(sheared[[2, 1, 0, 3]]) == np.inf


@pytest.mark.parametrize("extra", [(0,), (3,), (0, 2), (1, 3)])
def test_corners_squeezed_in_are_removed(extra: tuple[int, ...]) -> None:
    """Corners of a vertebra that is not there, a third of a step below vertebra 5: one, or both of a side."""
    landmarks = column()
    tags = tags_of(landmarks)
    for tag in extra:
        tags[tag].insert(6, landmarks[5, tag] + [[0.0, STEP / 3]])
    found = drop_squeezed(tags, 1.1)
    for tag in range(4):
        near(centres_of(found[tag]), landmarks[:, tag])


def test_a_corner_that_was_not_found_takes_its_vertebra_with_it() -> None:
    landmarks = column()
    tags = tags_of(landmarks)
    tags[1].pop(6)
    found = drop_squeezed(tags, 1.1)
    for tag in range(4):
        near(centres_of(found[tag]), np.delete(landmarks[:, tag], 6, axis=0))


def test_the_count_is_the_median() -> None:
    tags = tags_of(column(6))
    assert median_count([tags[0], tags[1], tags[2], tags[3][:4]]) == 6
    assert median_count([tags[0], tags[1], tags[2][:5], tags[3][:5]]) == 6
    assert median_count([tags[0], tags[1][:5], tags[2][:5], tags[3][:5]]) == 5


def test_surplus_and_missing_clusters_are_evened_out() -> None:
    landmarks = column(8)
    tags = tags_of(landmarks)
    tags[0].insert(3, np.array([[130.0, 70.0], [130.0, 71.0]]))  # of two points, the others of five
    tags[1].pop(4)
    tags[2].pop(0)
    tags[3].pop()
    for tag, found in enumerate(with_count(tags, 8)):
        near(centres_of(found), landmarks[:, tag])


@pytest.mark.parametrize("tilt", [-30.0, 0.0, 30.0])
@pytest.mark.parametrize("lost", [(0,), (1,), (2,), (3,), (0, 2), (1, 3)])
@pytest.mark.parametrize("end", [0, -1])
def test_corners_missing_at_an_end_are_added_there(tilt: float, lost: tuple[int, ...], end: int) -> None:
    """One corner, also on a tilted column; or both of a side of an upright one."""
    if tilt and len(lost) > 1:
        tilt /= 6  # a side one step higher than the other hides which end both its corners lack
    turn = np.radians(tilt)
    landmarks = column(8) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    tags = tags_of(landmarks)
    for tag in lost:
        tags[tag].pop(end)
    for tag, found in enumerate(with_count(tags, 8)):
        near(centres_of(found), landmarks[:, tag])


def test_kmeans_moves_points_to_the_nearest_centre() -> None:
    upper, lower = np.zeros((5, 2)), np.full((5, 2), 10.0)
    mixed = [np.concatenate([upper, lower[:1]]), lower[1:]]
    near(centres_of(kmeans(mixed)), [[0, 0], [10, 10]])


def test_a_centre_beside_the_spine_is_an_outlier() -> None:
    tag = tags_of(column(8))[0]
    beside = [*tag[:3], tag[3] + [[50.0, 0.0]], *tag[4:]]  # 50 across for 30 down, to both neighbours
    assert len(drop_gap_outliers(beside, 1.2)) == 7
    near(centres_of(drop_gap_outliers(beside, 1.2)), np.delete(centres_of(tag), 3, axis=0))
    assert len(drop_gap_outliers(beside, 2.0)) == 8
    near(centres_of(drop_gap_outliers([tag[0] + [[90.0, 0.0]], *tag[1:]], 1.2)), centres_of(tag)[1:])


def test_vertebrae_too_close_at_the_end_are_suppressed() -> None:
    landmarks = column(8)
    landmarks[7] -= [0.0, 20.0]  # 10 px below the one above, a third of the usual step
    assert keep_last(landmarks, 0.5).tolist() == [True] * 7 + [False]
    assert keep_last(column(8), 0.5).all()
    high = column(8)
    high[2] -= [0.0, 20.0]  # only the last three are checked
    assert keep_last(high, 0.5).all()


@pytest.mark.parametrize("squeezed", [False, True])
def test_dense_points_of_a_bent_spine_give_its_landmarks(squeezed: bool) -> None:
    landmarks = bent_spine(50.0) * 2
    stray = np.random.default_rng(1).uniform(0, 380, (6, 2))
    points = [np.concatenate([tag, stray]) for tag in cloud(landmarks)]
    found, sizes = summarize(points, 45.0, ClusterSettings(pairing="order"), squeezed)
    assert found.shape == (17, 4, 2)
    assert np.abs(found - landmarks).max() < 2.0
    assert sizes.min() >= 12


def test_the_squeezed_test_decides_where_a_side_has_a_vertebra_too_many() -> None:
    """A cluster more on either corner of the left side; the count of 17 or 18 cuts between the two sides."""
    landmarks = column()
    points = cloud(landmarks)
    between = landmarks[5] + [0.0, STEP / 3]
    for tag in (0, 2):
        points[tag] = np.concatenate(
            [points[tag], between[tag] + np.random.default_rng(2).normal(0, 0.5, (20, 2))]
        )
    with_test = summarize(points, STEP, ClusterSettings(pairing="order"), squeezed=True)[0]
    without = summarize(points, STEP, ClusterSettings(pairing="order"), squeezed=False)[0]
    assert np.abs(with_test - landmarks).max() < 1.5
    assert len(without) != 17 or np.abs(without - landmarks).max() > 5


def test_no_points_no_vertebrae() -> None:
    points = cloud(column())
    points[2] = np.zeros((0, 2))
    assert summarize(points, STEP, ClusterSettings(pairing="order"), squeezed=True)[0].shape == (0, 4, 2)


def test_a_column_is_placed_where_t1_is_expected() -> None:
    landmarks = column()
    first = landmarks[0].mean(axis=0)
    found, present = place_column(landmarks[2:], first)
    near(found, landmarks)
    assert present.tolist() == [False] * 2 + [True] * 15
    surplus = np.concatenate([landmarks[:1] - [0.0, STEP], landmarks])
    near(place_column(surplus, first)[0], landmarks)
    found, present = place_column(landmarks[:14], first)
    near(found, landmarks)
    assert present.tolist() == [True] * 14 + [False] * 3
    found, present = place_column(np.delete(landmarks, 8, axis=0), first)
    near(found, landmarks)
    assert np.flatnonzero(~present).tolist() == [8]


def test_rough_points_are_drawn_along_smooth_lines() -> None:
    """A straight column with one point a level and a half too low, and one without confidence."""
    landmarks = column()
    rough = landmarks.copy()
    rough[6, 1] += [20.0, 45.0]
    rough[11, 2] += [0.0, -30.0]
    weights = np.ones((17, 4))
    weights[11, 2] = 0.0
    assert np.abs(traced(rough, weights) - landmarks).max() < 2.0
    np.testing.assert_allclose(traced(landmarks, np.ones((17, 4))), landmarks, atol=1e-6)
