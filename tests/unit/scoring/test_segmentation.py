"""Measures of labelled vertebrae, on boxes whose distances are known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aasce.scoring.segmentation import (
    LabelScore,
    by_region,
    dice,
    mask_middles,
    score_centroids,
    score_labels,
    score_masks,
    surface_distances,
)

SPACING = np.diag([1.0, 2.0, 3.0, 1.0])


def region(label: int) -> str:
    return "cervical" if label < 8 else "thoracic" if label < 20 else "lumbar"


def box(low: tuple[int, int, int], high: tuple[int, int, int], label: int = 1) -> np.ndarray:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = label
    return labels


# --- centroids -------------------------------------------------------------------------------------------


def test_nearest_true_centroid_must_bear_the_label() -> None:
    truth = {20: np.zeros(3), 21: np.array([0.0, 0.0, -10.0])}
    # 5.5 mm from L1 and 4.5 from L2: named L1 it is not identified, though well within 20 mm.
    scores = score_centroids({20: np.array([0.0, 0.0, -5.5]), 21: np.array([0.0, 0.0, -9.0])}, truth)
    assert (scores[20].identified, scores[21].identified) == (False, True)
    assert (scores[20].distance_mm, scores[21].distance_mm) == (5.5, 1.0)


@pytest.mark.parametrize(("away", "expected"), [(20.0, True), (20.1, False)])
def test_within_20_mm(away: float, expected: bool) -> None:
    assert score_centroids({3: np.array([away, 0, 0])}, {3: np.zeros(3)})[3].identified is expected


def test_one_level_off_identifies_nothing() -> None:
    truth = {label: np.array([0.0, 0.0, -30.0 * label]) for label in range(20, 25)}
    shifted = {label: truth[label + 1] for label in range(20, 24)}
    scores = score_centroids(shifted, truth)
    assert not any(score.identified for score in scores.values())
    assert [s.label for s in scores.values() if s.missed] == [24]
    assert all(scores[label].distance_mm == 30 for label in range(20, 24))


def test_missed_and_false_vertebrae() -> None:
    scores = score_centroids({7: np.zeros(3), 8: np.ones(3)}, {8: np.ones(3), 9: np.full(3, 50.0)})
    assert [s.false for s in scores.values()] == [True, False, False]
    assert [s.missed for s in scores.values()] == [False, False, True]
    assert math.isnan(scores[7].distance_mm)
    assert score_centroids({}, {}) == {}


# --- masks -----------------------------------------------------------------------------------------------


def test_dice_by_hand() -> None:
    # 4x4x4 against the same moved by one voxel: 3/4 is common.
    assert dice(box((4, 4, 4), (8, 8, 8)) > 0, box((5, 4, 4), (9, 8, 8)) > 0) == 0.75
    assert math.isnan(dice(np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2), bool)))


@pytest.mark.parametrize(("axis", "mm"), [(0, 1.0), (1, 2.0), (2, 3.0)])
def test_anisotropic_voxels_are_measured_in_mm(axis: int, mm: float) -> None:
    """Two single voxels, four apart: the one distance is 4 times the spacing along that axis."""
    one, other = box((5, 5, 5), (6, 6, 6)), box((5, 5, 5), (6, 6, 6))
    other = np.roll(other, 4, axis)
    overlap, surface, hausdorff = score_masks(one, other, SPACING)[1]
    assert (overlap, surface, hausdorff) == (0.0, pytest.approx(4 * mm), pytest.approx(4 * mm))


def test_slabs_moved_along_z() -> None:
    """Flat slabs, 3 mm thick voxels, moved by two: each voxel lies 6 mm from the nearest one of the other."""
    there, back = surface_distances(box((0, 0, 4), (20, 20, 5)), box((0, 0, 6), (20, 20, 7)), SPACING)
    assert there == pytest.approx(np.full(400, 6.0))
    assert back == pytest.approx(there)


def test_a_sheared_grid_is_measured_in_the_world() -> None:
    """Along the third axis of a tilted gantry a voxel's step is (0, 1, 2): sqrt(5) mm, not 2."""
    sheared = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]])
    there, _ = surface_distances(box((5, 5, 5), (6, 6, 6)), box((5, 5, 6), (6, 6, 7)), sheared)
    assert there == pytest.approx([math.sqrt(5)])


def test_surfaces_as_monai_measures_them() -> None:
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

    rng = np.random.default_rng(0)
    shapes = []
    for shift in (0.0, 1.5):
        grid = np.stack(np.meshgrid(*[np.arange(20.0)] * 3, indexing="ij"), -1) - 9.5 - shift
        shapes.append(np.linalg.norm(grid * (1, 1.4, 0.8) + rng.normal(0, 0.3, grid.shape), axis=-1) < 6)
    spacing = (0.7, 0.7, 2.5)
    overlap, surface, hausdorff = score_masks(*(s.astype(np.uint8) for s in shapes), np.diag([*spacing, 1]))[
        1
    ]
    one, other = (torch.from_numpy(s)[None, None].float() for s in shapes)
    same = {"include_background": True, "spacing": list(spacing)}
    assert overlap == pytest.approx(float(compute_dice(one, other)), abs=1e-6)
    expected = float(compute_average_surface_distance(one, other, symmetric=True, **same))
    assert surface == pytest.approx(expected, abs=1e-5)
    expected = float(compute_hausdorff_distance(one, other, percentile=95, **same))
    assert hausdorff == pytest.approx(expected, abs=1e-5)


def test_one_stray_voxel_does_not_decide_hausdorff_95() -> None:
    truth = box((4, 4, 4), (12, 12, 12))
    stray = truth.copy()
    stray[19, 19, 19] = 1
    _, _, hausdorff = score_masks(stray, truth, np.eye(4))[1]
    assert hausdorff == 0


def test_a_mask_that_only_one_has() -> None:
    scores = score_masks(box((4, 4, 4), (8, 8, 8), 3), box((4, 4, 4), (8, 8, 8), 2), np.eye(4))
    assert [scores[label][0] for label in (2, 3)] == [0.0, 0.0]
    assert all(math.isnan(value) for label in (2, 3) for value in scores[label][1:])
    assert 1 not in scores


def test_grids_must_be_one() -> None:
    with pytest.raises(ValueError, match="one grid"):
        score_masks(np.zeros((2, 2, 2), int), np.zeros((2, 2, 3), int), np.eye(4))


def test_middles_of_masks_in_the_world() -> None:
    affine = np.array([[-1, 0, 0, 10], [0, 2, 0, 0], [0, 0, 3, -5], [0, 0, 0, 1.0]])
    middles = mask_middles(box((4, 4, 4), (8, 6, 5), 22), affine)
    assert list(middles) == [22]
    assert middles[22] == pytest.approx([10 - 5.5, 2 * 4.5, 3 * 4 - 5])


# --- summary ---------------------------------------------------------------------------------------------


def test_regions_by_hand() -> None:
    scores = [
        LabelScore(7, True, True, True, 2.0, 0.9, 0.5, 1.0),
        LabelScore(8, True, True, False, 4.0, 0.7, 1.5, 3.0),
        LabelScore(9, False, True, False, dice=0.0),
        LabelScore(10, True, False, dice=0.0),
    ]
    cervical, thoracic, every = by_region(scores, region)
    assert (cervical.region, thoracic.region, every.region) == ("cervical", "thoracic", "all")
    assert (thoracic.vertebrae, thoracic.missed, thoracic.false, thoracic.identified) == (2, 1, 1, 0.0)
    assert (every.identified, every.distance_mm) == (pytest.approx(100 / 3), 3.0)
    assert every.dice == pytest.approx(1.6 / 3)  # the missed one counts 0, the false one is counted as false
    assert (every.surface_mm, every.hausdorff95_mm) == (1.0, 2.0)


def test_nothing_measures_nothing() -> None:
    (every,) = by_region([], region)
    assert (every.vertebrae, every.missed, every.false) == (0, 0, 0)
    assert math.isnan(every.identified)


def test_one_scan_with_masks_and_centroids() -> None:
    truth, found = box((4, 4, 4), (8, 8, 8), 20), box((5, 4, 4), (9, 8, 8), 20)
    pair = (mask_middles(found, SPACING), mask_middles(truth, SPACING))
    (score,) = score_labels(pair, (found, truth), SPACING)
    assert (score.label, score.identified, score.distance_mm, score.dice) == (20, True, 1.0, 0.75)
    assert score.hausdorff95_mm == 1.0
    (alone,) = score_labels(pair)
    assert math.isnan(alone.dice)
