"""From detections to the column, on spines by formula with detections added, moved and taken away."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.preprocess.augment import mirror_landmarks
from aasce.preprocess.crop import similarity
from aasce.solvers.rotated_proposals.inference import labelled_boxes
from aasce.solvers.rotated_proposals.postprocess import (
    Detections,
    column_of,
    count_detections,
    extended,
    joined_passes,
    to_view,
)
from aasce.solvers.rotated_proposals.task import cord_target
from aasce.targets.field import LEVELS, Candidates
from tests.synthetic import bent_spine

SIZE = (672, 192)
SPINE = bent_spine(30.0, SIZE)


def candidates(corners: np.ndarray, scores: np.ndarray | None = None, spread: float = 1.0) -> Candidates:
    count = len(corners)
    mass = np.full(count, 0.9) if scores is None else scores
    return Candidates(corners, np.zeros((count, LEVELS)), mass, np.full((count, 4), spread))


def without(*missing: int) -> np.ndarray:
    return np.delete(SPINE, missing, axis=0)


def cord(spine: np.ndarray = SPINE) -> np.ndarray:
    return (cord_target(spine, SIZE) > 127).astype(np.uint8)


def test_all_vertebrae_are_the_column_in_order() -> None:
    found = column_of([candidates(SPINE[np.random.default_rng(0).permutation(17)])])
    assert found is not None
    np.testing.assert_allclose(found.corners, SPINE)
    assert (found.mass == 0.9).all()


@pytest.mark.parametrize("missing", [(5,), (8, 9)])
def test_vertebrae_missing_inside_are_filled_in_between(missing: tuple[int, ...]) -> None:
    found = column_of([candidates(without(*missing))])
    assert found is not None
    assert len(found.corners) == 17
    assert np.flatnonzero(found.mass == 0).tolist() == list(missing)
    np.testing.assert_allclose(found.corners, SPINE, atol=3.0)


def test_a_vertebra_squeezed_between_two_is_left_out() -> None:
    """A false detection on a disc, half a step from both neighbours."""
    disc = (SPINE[7] + SPINE[8])[None] / 2
    scores = np.append(np.full(17, 0.9), 0.4)
    found = column_of([candidates(np.concatenate([SPINE, disc]), scores)])
    assert found is not None
    np.testing.assert_allclose(found.corners, SPINE)


def test_two_detections_of_one_vertebra_are_one() -> None:
    again = SPINE[6:7] + np.array([3.0, 2.0])
    joined = joined_passes([candidates(np.concatenate([SPINE, again]), np.append(np.full(17, 0.9), 0.3))])
    assert len(joined.mass) == 17
    at = int(np.linalg.norm(joined.corners.mean(axis=1) - SPINE[6].mean(axis=0), axis=1).argmin())
    # The mean by score: 0.3 of 1.2 for the second one.
    np.testing.assert_allclose(joined.corners[at], SPINE[6] + np.array([3.0, 2.0]) / 4)
    assert joined.mass[at] == 0.9


def test_a_detection_off_the_spine_is_left_out() -> None:
    rib = SPINE[4:5] + np.array([70.0, 5.0])
    found = column_of([candidates(np.concatenate([SPINE, rib]))])
    assert found is not None
    np.testing.assert_allclose(found.corners, SPINE)


def test_of_eighteen_the_less_sure_end_goes() -> None:
    neck = (2 * SPINE[0] - SPINE[1])[None]
    everything = np.concatenate([neck, SPINE])
    sure = column_of([candidates(everything, np.append(0.3, np.full(17, 0.9)))])
    assert sure is not None
    np.testing.assert_allclose(sure.corners, SPINE)
    other = column_of([candidates(everything, np.append(np.full(17, 0.9), 0.3))])
    assert other is not None
    np.testing.assert_allclose(other.corners, everything[:17])


def test_fewer_than_four_are_no_column() -> None:
    assert column_of([candidates(SPINE[:3])]) is None
    assert column_of([candidates(SPINE[:0]), candidates(SPINE[:0])]) is None


def test_passes_are_averaged_and_what_one_pass_alone_finds_counts_less() -> None:
    joined = joined_passes([candidates(SPINE + np.array([1.0, 0.0])), candidates(without(3) - [1.0, 0.0])])
    order = np.argsort(joined.corners[:, 0, 1])
    np.testing.assert_allclose(np.delete(joined.corners[order], 3, axis=0), without(3))
    np.testing.assert_allclose(joined.corners[order][3], SPINE[3] + [1.0, 0.0])
    assert joined.mass[order].tolist() == pytest.approx([0.9] * 3 + [0.45] + [0.9] * 13)


@pytest.mark.parametrize("missing", [(0,), (16,), (0, 1, 16)])
def test_ends_are_continued_where_the_cord_continues(missing: tuple[int, ...]) -> None:
    short = column_of([candidates(without(*missing))])
    assert short is not None
    assert len(short.corners) == 17 - len(missing)
    found = extended(short, cord())
    assert np.flatnonzero(found.mass == 0).tolist() == list(missing)
    np.testing.assert_allclose(found.corners, SPINE, atol=6.0)


def test_a_spine_that_leaves_the_film_is_not_continued_beyond_its_cord() -> None:
    shown = without(14, 15, 16)
    short = column_of([candidates(shown)])
    assert short is not None
    found = extended(short, cord(shown))
    np.testing.assert_allclose(found.corners, shown)
    assert len(extended(short, np.zeros((168, 48), np.uint8)).corners) == 14


def test_mirrored_detections_come_back() -> None:
    boxes = labelled_boxes(SPINE, upright=False)
    scores, spread = np.linspace(0.9, 0.5, 17), np.arange(68.0).reshape(17, 4)
    found = Detections(boxes, scores, SPINE, spread, cord())
    mirrored = found.mirrored(192)
    np.testing.assert_allclose(mirrored.boxes, labelled_boxes(mirror_landmarks(SPINE, 192), False), atol=1e-9)
    np.testing.assert_allclose(mirrored.corners, mirror_landmarks(SPINE, 192))
    again = mirrored.mirrored(192)
    for name in ("boxes", "corners", "spread", "cord"):
        np.testing.assert_allclose(getattr(again, name), getattr(found, name))


def test_detections_of_another_view_in_the_frame_of_the_first() -> None:
    view = similarity(np.array([100.0, 300.0]), 1.2, 4.0, SIZE)
    zoomed = view.then(similarity(np.array([95.5, 335.5]), 0.9, 0.0, SIZE))
    seen = zoomed.apply(SPINE)
    found = Detections(labelled_boxes(seen, False), np.ones(17), seen, np.full((17, 4), 1.8), cord())
    back = to_view(found, zoomed, view)
    np.testing.assert_allclose(back.corners, view.apply(SPINE))
    np.testing.assert_allclose(back.spread, 2.0)


def test_upright_boxes_hold_the_corners() -> None:
    box = labelled_boxes(SPINE, upright=True)
    assert (box[:, 4] == 0).all()
    np.testing.assert_allclose(box[:, :2] - box[:, 2:4] / 2, SPINE.min(axis=1))
    np.testing.assert_allclose(box[:, :2] + box[:, 2:4] / 2, SPINE.max(axis=1))


def test_recall_and_precision() -> None:
    """16 of 17 found, one of them twice, one box on a disc, one off the spine."""
    truth = labelled_boxes(SPINE, upright=False)
    twice = truth[3:4] + np.array([1.0, 1.0, 0, 0, 0])
    wrong = np.concatenate([(truth[7:8] + truth[8:9]) / 2, truth[5:6] + np.array([60.0, 0, 0, 0, 0])])
    counts = count_detections(np.concatenate([truth[:16], twice, wrong]), truth)
    assert counts == (16, 19, 17)
    assert counts.recall == pytest.approx(16 / 17)
    assert counts.precision == pytest.approx(16 / 19)
    both = counts.plus(count_detections(np.zeros((0, 5)), truth))
    assert both == (16, 19, 34)
