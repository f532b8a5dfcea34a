"""Clusters of the four corner tags become vertebrae by where they lie along the spine."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.geometry.cobb import tilts
from aasce.solvers.keypoint_fusion.pairing import along_spine, in_steps, nearest_pairs, paired
from tests.synthetic import bent_spine

STEP = 22.0


def clusters(spine: np.ndarray) -> list[np.ndarray]:
    return [spine[:, tag] for tag in range(4)]


@pytest.mark.parametrize("bend", [-70.0, 0.0, 50.0])
def test_a_whole_spine_is_joined_as_it_is(bend: float) -> None:
    spine = bent_spine(bend)
    found, index = paired(clusters(spine), STEP)
    np.testing.assert_allclose(found, spine)
    assert np.array_equal(index, np.arange(17)[:, None].repeat(4, axis=1))


def test_a_corner_lost_in_the_middle_shifts_no_vertebra_below() -> None:
    """By the order of the clusters, all vertebrae below would be joined from two neighbours."""
    spine = bent_spine(50.0)
    tags = clusters(spine)
    tags[1] = np.delete(tags[1], 6, axis=0)
    found, index = paired(tags, STEP)
    assert len(found) == 17
    assert np.argwhere(index < 0).tolist() == [[6, 1]]
    assert np.linalg.norm(found - spine, axis=-1).max() < 3.0
    assert np.abs(tilts(found) - tilts(spine)).max() < 5.0


def test_a_lost_endplate_is_filled_in_from_the_neighbours() -> None:
    spine = bent_spine(-40.0)
    tags = clusters(spine)
    tags[2], tags[3] = (np.delete(tags[k], 9, axis=0) for k in (2, 3))
    found, index = paired(tags, STEP)
    assert len(found) == 17
    assert index[9].tolist() == [9, 9, -1, -1]
    assert np.linalg.norm(found[9] - spine[9], axis=-1).max() < 3.0


def test_a_single_stray_corner_is_no_vertebra() -> None:
    spine = bent_spine(20.0)
    tags = clusters(spine)
    tags[0] = np.concatenate([tags[0], [[spine[-1, 2, 0], spine[-1, 2, 1] + 2 * STEP]]])
    found, _ = paired(tags, STEP)
    np.testing.assert_allclose(found, spine)


def test_half_a_vertebra_above_t1_is_left_with_its_endplate() -> None:
    """The lower endplate of C7: two corners are found, the two others come from T1's shape."""
    spine = bent_spine(0.0)
    step = spine[1] - spine[0]
    tags = clusters(spine)
    for tag in (2, 3):
        tags[tag] = np.concatenate([[spine[0, tag] - step[tag]], tags[tag]])
    found, index = paired(tags, STEP)
    assert len(found) == 18
    assert index[0].tolist() == [-1, -1, 0, 0]
    np.testing.assert_allclose(found[1:], spine)


def test_nothing_whole_is_nothing() -> None:
    assert len(paired([np.zeros((0, 2))] * 4, STEP)[0]) == 0
    spine = bent_spine(0.0)
    upper = [spine[:, 0], spine[:, 1], np.zeros((0, 2)), np.zeros((0, 2))]
    assert len(paired(upper, STEP)[0]) == 0


def test_both_corners_of_a_tilted_endplate_lie_at_one_place() -> None:
    spine = bent_spine(80.0)
    middles = (spine[:, 0] + spine[:, 1]) / 2
    left, right = along_spine(spine[:, 0], middles), along_spine(spine[:, 1], middles)
    assert np.abs(left - right).max() < 0.3 * STEP
    assert np.abs(spine[:, 0, 1] - spine[:, 1, 1]).max() > 0.8 * STEP


def test_growing_steps_are_each_one_step() -> None:
    places = np.cumsum(np.linspace(20.0, 36.0, 17))
    (found,) = in_steps([places], 28.0)
    np.testing.assert_allclose(np.diff(found), 1.0, atol=0.03)


def test_pairs_are_mutual_and_within_limits() -> None:
    first, second = np.array([0.0, 1.0, 2.0]), np.array([0.7, 0.9, 2.75, 9.0])
    assert nearest_pairs(first, second, 0.4, 1.1) == [(0, 0), (2, 2)]
    assert nearest_pairs(first, np.zeros(0), 0.4, 1.1) == []


def test_votes_are_for_places_and_not_for_numbers() -> None:
    """Three results of one spine, of which two begin a level lower: their angles and end vertebrae are one."""
    from aasce.geometry.cobb import cobb_angles
    from aasce.solvers.keypoint_fusion.fusion import Candidate, fuse

    spine = bent_spine(50.0)
    sure = np.ones((17, 4))
    lower = np.concatenate([spine[1:], 2 * spine[-1:] - spine[-2:-1]])
    results = [Candidate("method1", lower, sure), Candidate("method2", spine, sure),
               Candidate("method2_squeezed", lower, sure)]  # fmt: skip
    found = fuse(results, "vote", "challenge", 1.0, 448)
    assert found is not None
    one = cobb_angles(spine, 448).degrees[0]
    assert abs(found.angles.degrees[0] - one) < 4.0
