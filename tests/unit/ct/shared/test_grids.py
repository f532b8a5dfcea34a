"""Networks' grids on scans of any grid, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.ct.shared.grids import (
    AIR,
    block_means,
    onto_scan,
    sample_scan,
    scan_bounds,
    to_index,
    to_world,
    turned_grid,
    world_grid,
)
from aasce.volume import Volume
from tests.unit.ct.columns import rotation, turned

OBLIQUE = rotation(25.0, 0) @ rotation(-15.0, 1)


def linear_scan(turn: np.ndarray, spacing: tuple[float, float, float] = (2.0, 3.0, 5.0)) -> Volume:
    """A scan whose HU are 2 x - y + 3 z of the world, which linear interpolation and means keep."""
    base = world_grid((10.0, -20.0, 30.0), 1.0, (40, 30, 20))
    affine = turned(base, turn @ np.diag(spacing)).affine
    index = np.stack(np.meshgrid(*(np.arange(n) for n in base.shape), indexing="ij"), axis=-1)
    data = to_world(affine, index) @ np.array([2.0, -1.0, 3.0])
    return Volume(data.astype(np.float32), affine, "ct")


def test_a_grid_has_its_middle_where_it_is_asked_for() -> None:
    grid = world_grid((1.0, 2.0, 3.0), 2.0, (4, 5, 6))
    np.testing.assert_allclose(to_world(grid.affine, np.array([1.5, 2.0, 2.5])), [1, 2, 3])
    np.testing.assert_allclose(to_index(grid.affine, np.array([3.0, 2.0, 3.0])), [2.5, 2, 2.5])


@pytest.mark.parametrize("spacing", [1.0, 2.0, 7.0])
@pytest.mark.parametrize("turn", [np.eye(3), np.diag([-1.0, 1.0, -1.0]), OBLIQUE, np.eye(3)[[2, 0, 1]]])
def test_hu_are_read_at_their_world_positions(turn: np.ndarray, spacing: float) -> None:
    scan = linear_scan(turn)
    grid = world_grid((10.0, -20.0, 30.0), spacing, (5, 4, 3))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    wanted = to_world(grid.affine, index) @ np.array([2.0, -1.0, 3.0])
    np.testing.assert_allclose(sample_scan(scan, grid), wanted, atol=0.01)


def test_a_mirrored_or_transposed_grid_is_read_to_the_same_bits() -> None:
    rng = np.random.default_rng(3)
    data = rng.normal(0, 100, (41, 30, 23)).astype(np.float32)
    scan = Volume(data, np.diag([0.7, 0.8, 1.5, 1.0]), "ct")
    grid = world_grid(scan_bounds(scan).mean(axis=0), 2.0, (16, 14, 18))
    once = sample_scan(scan, grid)
    for codes in ("LPS", "IRP", "SLA"):
        np.testing.assert_allclose(sample_scan(scan.reorient(codes), grid), once, atol=1e-3)


def test_outside_the_scan_is_air() -> None:
    scan = Volume(np.zeros((10, 10, 10), np.float32), np.eye(4), "ct")
    assert (sample_scan(scan, world_grid((100.0, 0.0, 0.0), 1.0, (4, 4, 4))) == AIR).all()
    found = sample_scan(scan, world_grid((4.5, 4.5, 4.5), 1.0, (14, 10, 10)))
    assert (found[:2] == AIR).all()
    assert (found[2:12] == 0).all()
    assert (found[12:] == AIR).all()


def test_a_single_slice_is_read() -> None:
    scan = Volume(np.full((8, 8, 1), 7.0, np.float32), np.diag([1.0, 1.0, 9.0, 1.0]), "ct")
    found = sample_scan(scan, world_grid((3.5, 3.5, 0.0), 4.0, (2, 2, 3)))
    np.testing.assert_allclose(found[:, :, 1], 7.0)


def test_coarse_grids_take_means_so_that_noise_averages_out() -> None:
    noise = np.random.default_rng(4).normal(0, 100, (64, 64, 64)).astype(np.float32)
    found = sample_scan(Volume(noise, np.eye(4), "ct"), world_grid((31.5, 31.5, 31.5), 8.0, (8, 8, 8)))
    assert found.std() < 100 / np.sqrt(8**3) * 1.3  # single voxels would keep 100


def test_means_of_blocks() -> None:
    data = np.arange(7 * 2 * 3, dtype=np.int16).reshape(7, 2, 3)
    found = block_means(data, (3, 1, 2))
    assert found.shape == (2, 2, 1)
    np.testing.assert_allclose(found[0, 0, 0], data[:3, 0, :2].mean())
    assert block_means(data, (1, 1, 1)) is data


@pytest.mark.parametrize("turn", [np.eye(3), np.diag([1.0, -1.0, 1.0]), OBLIQUE])
def test_values_come_back_to_the_scans_voxels_inside_the_box_only(turn: np.ndarray) -> None:
    scan = linear_scan(turn)
    grid = world_grid((10.0, -20.0, 30.0), 1.0, (31, 21, 41))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    values = (to_world(grid.affine, index) @ np.array([2.0, -1.0, 3.0]) + 500).astype(np.float32)
    found = onto_scan(values, grid, scan)
    assert found is not None
    box, shares = found
    index = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), axis=-1)
    at = to_index(grid.affine, to_world(scan.affine, index))
    inside = ((at >= 1e-6) & (at <= np.array(grid.shape) - 1 - 1e-6)).all(axis=-1)
    assert inside.sum() > 100
    np.testing.assert_allclose(shares[inside], scan.data[box][inside] + 500, atol=0.01)
    outside = ((at < -1e-6) | (at > np.array(grid.shape) - 1 + 1e-6)).any(axis=-1)
    assert (shares[outside] == 0).all()


def test_a_grid_off_the_scan_has_nothing_to_say() -> None:
    scan = Volume(np.zeros((10, 10, 10), np.float32), np.eye(4), "ct")
    grid = world_grid((100.0, 0.0, 0.0), 1.0, (4, 4, 4))
    assert onto_scan(np.ones(grid.shape, np.float32), grid, scan) is None


def test_a_turned_grid_keeps_its_middle_and_leans_towards_the_right() -> None:
    grid = world_grid((3.0, -4.0, 50.0), 1.5, (9, 7, 5))
    leaning = turned_grid(grid, 30.0)
    middle = (np.array(grid.shape) - 1) / 2
    np.testing.assert_allclose(to_world(leaning.affine, middle), [3.0, -4.0, 50.0])
    np.testing.assert_allclose(leaning.affine[:3, 2], 1.5 * np.array([0.5, 0.0, np.sqrt(0.75)]))
    np.testing.assert_allclose(
        leaning.affine[:3, :3].T @ leaning.affine[:3, :3], 2.25 * np.eye(3), atol=1e-12
    )
    assert turned_grid(grid, 0.0) is grid


def test_values_of_a_turned_grid_come_back_to_where_they_were_read() -> None:
    scan = linear_scan(np.eye(3), (1.0, 1.0, 1.0))
    grid = turned_grid(world_grid(scan_bounds(scan).mean(axis=0), 1.0, (15, 15, 11)), 25.0)
    found = onto_scan(sample_scan(scan, grid), grid, scan)
    assert found is not None
    box, values = found
    inside = values != 0
    assert inside.sum() > 500
    near = np.abs(values - scan.data[box])[inside]
    assert np.percentile(near, 50) < 1e-3
