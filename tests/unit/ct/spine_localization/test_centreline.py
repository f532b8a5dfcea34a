"""From a heatmap of the spine to its centreline."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.ct.shared.grids import to_world, world_grid
from aasce.ct.shared.heatmaps import gaussians
from aasce.ct.spine_localization.inference import line_of
from aasce.ct.spine_localization.network import SpineNet
from aasce.ct.spine_localization.settings import SpineLocalizationConfig
from aasce.ct.spine_localization.task import LOST, SpineLoss, SpineTask, line_distances
from tests.unit.ct.columns import Column

CONFIG = SpineLocalizationConfig()


def spine_heatmap(points: np.ndarray) -> np.ndarray:
    """The target of centroids (V, 3) voxels on 64x64x64."""
    maps = gaussians(torch.from_numpy(points)[None].float(), torch.full((len(points),), 2.0), (64, 64, 64))
    return np.asarray(maps.amax(dim=1)[0].numpy(), np.float32)


def test_the_line_runs_through_the_centroids_from_the_head() -> None:
    grid = world_grid((10.0, 20.0, 30.0), 8.0, (64, 64, 64))
    z = np.arange(50.0, 12.0, -3.0)
    points = np.stack([32 + 0.1 * (z - 30), np.full_like(z, 25.3), z], axis=-1)
    line = line_of(spine_heatmap(points), grid.affine, CONFIG)
    assert line is not None
    assert (np.diff(line[:, 2]) == -8).all()
    true = to_world(grid.affine, points)
    assert line_distances(line, true).max() < 4.0
    assert line[0, 2] >= true[0, 2]
    assert line[-1, 2] <= true[-1, 2]


def test_a_second_smaller_part_is_no_spine() -> None:
    heat = spine_heatmap(
        np.stack([np.full(10, 32.0), np.full(10, 32.0), np.arange(50.0, 20.0, -3.0)], axis=-1)
    )
    other = spine_heatmap(np.array([[10.0, 10.0, 30.0]]))
    grid = world_grid((0.0, 0.0, 0.0), 8.0, (64, 64, 64))
    alone, both = (line_of(h, grid.affine, CONFIG) for h in (heat, np.maximum(heat, other)))
    assert alone is not None
    assert both is not None
    np.testing.assert_allclose(alone, both, atol=1.0)


def test_a_map_below_the_threshold_has_no_line() -> None:
    assert line_of(np.full((8, 8, 8), 0.29, np.float32), np.eye(4), CONFIG) is None


def test_distances_count_lost_vertebrae() -> None:
    line = np.array([[0.0, 0.0, 80.0], [0.0, 0.0, 0.0]])
    points = np.array([[3.0, 4.0, 40.0], [0.0, 0.0, 200.0], [100.0, 0.0, 10.0]])
    np.testing.assert_allclose(line_distances(line, points), [5.0, LOST, LOST])
    np.testing.assert_allclose(line_distances(None, points), LOST)


def test_the_loss_of_zeros_is_that_of_the_gaussians() -> None:
    """The integral of the square of a Gaussian is pi^1.5 sigma^3; far ones add up, equal ones count once."""

    class Zeros(SpineNet):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return torch.zeros(1, 32, 32, 32)

    loss = SpineLoss(Zeros(SpineLocalizationConfig.tiny().network), CONFIG)
    points = torch.full((1, 4, 3), torch.nan)
    points[0, 0], points[0, 1], points[0, 2] = 8.0, 24.0, 8.0
    found = loss({"image": torch.zeros(1, 1, 32, 32, 32), "points": points})
    assert found["loss"].item() == pytest.approx(2 * np.pi**1.5, rel=1e-3)


def test_a_scan_longer_than_the_grid_is_drawn_at_random_heights() -> None:
    config = SpineLocalizationConfig.tiny()
    column = Column(labels=tuple(range(1, 25)))
    task = SpineTask(config, SpineNet(config.network), ([column], None))
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(8):
        example = task.example(task.draw(column, rng), rng)
        assert example["image"].shape == (1, *config.size)
        assert example["points"].shape == (32, 3)
        z = example["points"][:, 2]
        seen.add(tuple(np.flatnonzero((z > -0.5) & (z < config.size[2] - 0.5))))
    assert len(seen) > 3
