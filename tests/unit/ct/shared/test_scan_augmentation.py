"""Augmented samples: where the vertebrae are on turned, mirrored, deformed and cut grids."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from aasce.ct.shared.augment import (
    AugmentSettings,
    changed_grid,
    changed_values,
    deformation,
    placed,
)
from aasce.ct.shared.grids import AIR, to_world, world_grid
from aasce.ct.shared.scan_task import cut, drawn
from tests.unit.ct.columns import Column

NOTHING = AugmentSettings(
    rotation=0.0, scale=0.0, shift=0.0, mirror_share=0.0, elastic=0.0, elastic_share=0.0, brightness=0.0,
    contrast=0.0, noise=0.0, cut_share=0.0,
)  # fmt: skip
STRONG = AugmentSettings(
    rotation=25.0, scale=0.2, shift=10.0, mirror_share=0.5, elastic=6.0, elastic_share=1.0
)


def test_without_augmentation_nothing_is_changed() -> None:
    rng = np.random.default_rng(0)
    grid = world_grid((1.0, 2.0, 3.0), 2.0, (6, 7, 8))
    np.testing.assert_allclose(changed_grid(grid, NOTHING, rng).affine, grid.affine)
    assert deformation(grid, NOTHING, rng) is None
    values = rng.normal(size=(3, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(changed_values(values, NOTHING, rng), values)


def test_a_changed_grid_is_turned_scaled_and_mirrored_about_its_middle() -> None:
    settings = AugmentSettings(rotation=20.0, scale=0.1, shift=0.0, mirror_share=1.0)
    grid = world_grid((1.0, 2.0, 3.0), 2.0, (6, 7, 8))
    found = changed_grid(grid, settings, np.random.default_rng(1))
    np.testing.assert_allclose(to_world(found.affine, np.array([2.5, 3.0, 3.5])), [1, 2, 3])
    linear = found.affine[:3, :3]
    size = np.linalg.norm(linear, axis=0)
    assert size[0] == pytest.approx(size[1])
    assert 1.8 <= size[0] <= 2.2
    np.testing.assert_allclose((linear / size).T @ (linear / size), np.eye(3), atol=1e-9)
    assert np.linalg.det(linear) < 0


@pytest.mark.parametrize("seed", range(6))
def test_points_lie_amid_their_vertebra_on_any_grid(seed: int) -> None:
    """The box of a level is symmetric, so its middle on the grid is where its centroid should be."""
    column = Column(bend=10.0)
    grid = world_grid(column.bounds.mean(axis=0), 2.0, (72, 72, 96))
    found = drawn(column, grid, np.random.default_rng(seed), STRONG)
    for number, point in zip(found.numbers, found.points, strict=True):
        if (point < 8).any() or (point > np.array(grid.shape) - 9).any():
            continue
        assert found.labels[tuple(np.rint(point).astype(int))] == number
        near = np.linalg.norm(np.argwhere(found.labels == number) - point, axis=1)
        assert near.min() < 1.0


def test_a_point_is_where_the_deformed_grid_reads_it() -> None:
    settings = STRONG.model_copy(update={"elastic": 10.0})
    grid = world_grid((0.0, 0.0, 0.0), 4.0, (32, 32, 32))
    shift = deformation(grid, settings, np.random.default_rng(2))
    assert shift is not None
    assert shift.shape == (32, 32, 32, 3)
    assert 2.0 < np.abs(shift).max() < 14.0
    world = np.array([[3.0, -8.0, 20.0], [0.0, 0.0, 0.0], [-30.0, 10.0, 5.0]])
    index = placed(world, grid, shift)
    read = np.stack([ndimage.map_coordinates(shift[..., k], index.T, order=1) for k in range(3)], axis=-1)
    np.testing.assert_allclose(to_world(grid.affine, index) + read, world, atol=0.2)


def test_a_deformation_is_smooth() -> None:
    grid = world_grid((0.0, 0.0, 0.0), 2.0, (40, 40, 40))
    shift = deformation(grid, STRONG, np.random.default_rng(3))
    assert shift is not None
    assert max(np.abs(np.diff(shift, axis=axis)).max() for axis in range(3)) < 2.0  # a voxel: nothing folds


def test_a_cut_takes_image_labels_and_points_alike() -> None:
    column = Column()
    grid = world_grid(column.bounds.mean(axis=0), 4.0, (28, 28, 38))
    whole = drawn(column, grid, np.random.default_rng(4))
    settings = NOTHING.model_copy(update={"cut_share": 1.0})
    sides = set()
    for seed in range(12):
        found = cut(whole, settings, np.random.default_rng(seed))
        gone = (found.hu == AIR).all(axis=(0, 1))
        first, last = np.flatnonzero(~gone)[[0, -1]]
        assert last - first + 1 >= 38 // 4 - 2  # the outermost slices may be beyond the scan
        sides.add(bool(gone[0]))
        assert not found.labels[:, :, gone].any()
        for before, after in zip(whole.points, found.points, strict=True):
            lost = not first - 0.5 <= before[2] <= last + 0.5
            assert np.isnan(after).all() == lost
    assert sides == {True, False}
    assert not np.isnan(whole.points).any()
    assert cut(whole, NOTHING, np.random.default_rng(0)) is whole


def test_values_are_shifted_scaled_and_noisy() -> None:
    settings = NOTHING.model_copy(update={"brightness": 0.2, "contrast": 0.3, "noise": 0.1})
    values = np.linspace(-1, 1, 8000, dtype=np.float32).reshape(20, 20, 20)
    found = changed_values(values, settings, np.random.default_rng(6))
    slope, offset = np.polyfit(values.ravel(), found.ravel(), 1)
    assert 0.7 < slope < 1.3
    assert slope != pytest.approx(1, abs=1e-3)
    assert 1e-3 < abs(offset) < 0.2
    assert 1e-4 < np.std(found - slope * values - offset) < 0.1
