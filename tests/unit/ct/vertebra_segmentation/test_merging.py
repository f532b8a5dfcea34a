"""Masks of single vertebrae brought back to the scan's own grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.ct.base import Grid
from aasce.ct.shared.grids import AIR, Shares, to_world, world_grid
from aasce.ct.shared.scan_task import drawn
from aasce.ct.vertebra_segmentation.inference import (
    centroid_heatmap,
    coronal_lean,
    largest_part,
    merged_masks,
)
from aasce.ct.vertebra_segmentation.network import VertebraNet
from aasce.ct.vertebra_segmentation.settings import VertebraSegmentationConfig
from aasce.ct.vertebra_segmentation.task import SegmentationLoss, SegmentationTask, moved, overlap
from aasce.types import AasceError
from aasce.volume import Volume
from tests.unit.ct.columns import Column, rotation


def empty_scan(shape: tuple[int, int, int]) -> Volume:
    return Volume(np.zeros(shape, np.float32), np.eye(4), "ct")


@pytest.mark.parametrize(
    ("turn", "spacing"),
    [
        (np.eye(3), (0.8, 0.8, 2.0)),
        (np.diag([-1.0, 1.0, 1.0]), (1.3, 0.7, 3.0)),
        (rotation(20.0, 0) @ rotation(-10.0, 2), (1.3, 1.0, 3.0)),
    ],
)
def test_masks_at_1_mm_come_back_to_an_oblique_anisotropic_grid(
    turn: np.ndarray, spacing: tuple[float, float, float]
) -> None:
    """Read from the truth at 1 mm, the merged map agrees with the truth on the scan's own voxels."""
    column = Column(bend=8.0, labels=(19, 20))
    base = world_grid(column.bounds.mean(axis=0), 1.0, np.ceil([90, 80, 70] / np.array(spacing)).astype(int))
    linear = turn @ np.diag(spacing)
    affine = np.eye(4)
    half = (np.array(base.shape) - 1) / 2
    affine[:3, :3], affine[:3, 3] = linear, column.bounds.mean(axis=0) - linear @ half
    _, true = column.sample(Grid(base.shape, affine), np.random.default_rng(0))
    scan = Volume(np.zeros(base.shape, np.float32), affine, "ct")
    current = 0

    def read(grid: Grid) -> Shares:
        return (column.sample(grid, np.random.default_rng(0))[1] == current).astype(np.float32)

    def crops():
        nonlocal current
        for current, centroid in column.centroids.items():
            yield current, world_grid(centroid, 1.0, (64, 64, 32))

    found, sure = merged_masks(scan, crops(), read)
    assert found.shape == scan.shape
    np.testing.assert_array_equal(found.affine, affine)
    assert set(np.unique(found.data)) == {0, *column.labels}
    for label in column.labels:
        assert overlap(found.data == label, true == label) > 0.95
        assert sure[label] > 0.85


def test_where_two_neighbours_claim_a_voxel_the_higher_probability_wins() -> None:
    scan = empty_scan((4, 4, 12))
    shares = {20: np.zeros((4, 4, 12), np.float32), 21: np.zeros((4, 4, 12), np.float32)}
    shares[20][:, :, 5:] = 0.9
    shares[21][:, :, :7] = 0.8
    shares[21][0, 0, 6] = 0.95
    shares[20][1, 1, 5:7] = 0.4  # below the threshold, it claims nothing
    grid = world_grid((1.5, 1.5, 5.5), 1.0, (4, 4, 12))
    wanted = np.where(np.arange(12) < 5, 21, 20) * np.ones((4, 4, 1), int)
    wanted[0, 0, 6], wanted[1, 1, 5:7] = 21, 21
    for order in ((20, 21), (21, 20)):
        calls = iter(order)
        found, _ = merged_masks(scan, [(label, grid) for label in order], lambda _, c=calls: shares[next(c)])
        np.testing.assert_array_equal(found.data, wanted)


def test_a_probability_at_the_threshold_counts_and_one_below_does_not() -> None:
    grid = world_grid((0.5, 0.5, 0.5), 1.0, (2, 2, 2))
    shares = np.full((2, 2, 2), 0.5, np.float32)
    shares[0] = 0.49
    found, sure = merged_masks(empty_scan((2, 2, 2)), [(3, grid)], lambda _: shares)
    np.testing.assert_array_equal(found.data[:, 0, 0], [0, 3])
    assert sure[3] == pytest.approx(0.5)


def test_a_crop_off_the_scan_has_no_voxels() -> None:
    grid = world_grid((90.0, 0.0, 0.0), 1.0, (4, 4, 4))
    found, sure = merged_masks(empty_scan((5, 5, 5)), [(9, grid)], lambda g: np.ones(g.shape, np.float32))
    assert not found.data.any()
    assert sure == {9: 0.0}


def test_only_the_largest_part_is_kept() -> None:
    share = np.full((12, 6, 6), 0.1, np.float32)
    share[1:5] = 0.9
    share[7:9] = 0.8
    found = largest_part(share, 0.5)
    assert (found[1:5] == np.float32(0.9)).all()
    assert (found[7:9] == 0).all()
    assert (found[5:7] == np.float32(0.1)).all()


def test_the_heatmap_has_its_top_at_the_centroid() -> None:
    heat = centroid_heatmap(np.array([3.0, 4.0, 5.0]), (8, 9, 10), 2.0)
    assert heat[3, 4, 5] == 1
    assert heat[5, 4, 5] == pytest.approx(np.exp(-0.5))


def test_a_moved_array_has_the_outside_where_nothing_is() -> None:
    values = np.arange(5 * 4 * 3).reshape(5, 4, 3)
    found = moved(values, np.array([2, -1, 0]), -7)
    np.testing.assert_array_equal(found[:3, 1:], values[2:, :3])
    assert (found[3:] == -7).all()
    assert (found[:, 0] == -7).all()
    assert (moved(values, np.array([9, 0, 0]), -7) == -7).all()


def test_the_mask_is_of_the_vertebra_in_the_middle_and_neighbours_get_their_turn() -> None:
    column = Column()
    config = VertebraSegmentationConfig.tiny().model_copy(update={"size": (32, 32, 32), "uses": 3})
    task = SegmentationTask(config, VertebraNet(config.network), ([column], None))
    rng = np.random.default_rng(1)
    grid = world_grid(column.centroids[19], config.spacing, config.size)
    sample = drawn(column, grid, rng)
    seen = set()
    for _ in range(20):
        example = task.example(sample, rng)
        middle = np.argwhere(example["mask"]).mean(axis=0) * config.spacing
        where = (np.array(config.size) - 1) / 2 * config.spacing
        assert np.abs(middle - where)[[0, 2]].max() <= config.mask.jitter + config.spacing
        box = int(example["mask"].sum())
        seen.add(int(np.argmin([abs(box - int((sample.labels == n).sum())) for n in column.labels])))
        assert example["image"][1].max() > 0.9
    assert len(seen) == 3


def test_a_training_set_without_the_labels_is_refused() -> None:
    config = VertebraSegmentationConfig.tiny()
    with pytest.raises(AasceError, match="no training scan holds a vertebra of the setting labels"):
        SegmentationTask(config, VertebraNet(config.network), ([Column(labels=(2, 3))], None))


def test_the_loss_without_dice_is_the_cross_entropy() -> None:
    config = VertebraSegmentationConfig.tiny()
    net = VertebraNet(config.network).eval()
    batch = {"image": torch.randn(1, 2, 16, 16, 16), "mask": torch.zeros(1, 16, 16, 16, dtype=torch.uint8)}
    batch["mask"][:, 4:10, 4:10, 4:10] = 1
    plain = SegmentationLoss(net, 0.0)(batch)
    both = SegmentationLoss(net, 0.5)(batch)
    share = net(batch["image"]).sigmoid().detach()
    wanted = batch["mask"].float()
    entropy = -(wanted * share.log() + (1 - wanted) * (1 - share).log()).mean()
    assert plain["loss"].item() == pytest.approx(entropy.item(), rel=1e-4)
    soft = 1 - 2 * (share * wanted).sum() / (share.sum() + wanted.sum())
    assert both["loss"].item() == pytest.approx(entropy.item() + 0.5 * soft.item(), rel=1e-3)


def test_overlap_is_dice() -> None:
    a = np.array([True, True, False, False])
    assert overlap(a, np.array([True, False, True, False])) == pytest.approx(0.5)
    assert overlap(a & False, a & False) == 1.0


def test_outside_of_the_training_scan_is_air() -> None:
    """What `moved` fills a sample with is what the scan itself has there."""
    column = Column(margin=4.0)
    grid = world_grid((0.0, 0.0, 200.0), 4.0, (4, 4, 4))
    hu, labels = column.sample(grid, np.random.default_rng(0))
    assert abs(hu.mean() - AIR) < 10
    assert not labels.any()
    assert to_world(grid.affine, np.zeros(3))[2] > column.bounds[1, 2]


def test_the_line_through_the_centroids_leans_as_it_runs() -> None:
    down = np.array([[0.0, 0.0, 60.0], [0.0, 5.0, 40.0], [20.0, 5.0, 20.0], [40.0, 0.0, 0.0]])
    lean = coronal_lean(down)
    np.testing.assert_allclose(lean, [0.0, -np.degrees(np.arctan(0.5)), -45.0, -45.0])
    np.testing.assert_allclose(coronal_lean(down[::-1]), lean[::-1])
    np.testing.assert_array_equal(coronal_lean(down[:1]), [0.0])
