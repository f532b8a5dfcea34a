"""Targets and maxima of heatmaps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.ct.shared.heatmaps import HeatmapLoss, gaussians, maxima, naming_loss


def test_a_gaussian_is_1_at_its_point_and_falls_by_its_width() -> None:
    points = torch.tensor([[[4.0, 5.0, 6.0], [torch.nan] * 3]])
    maps = gaussians(points, torch.tensor([2.0, 2.0]), (10, 12, 14))
    assert maps.shape == (1, 2, 10, 12, 14)
    assert maps[0, 0, 4, 5, 6] == 1
    assert maps[0, 0, 6, 5, 6] == pytest.approx(np.exp(-0.5))
    assert maps[0, 0, 4, 7, 8] == pytest.approx(np.exp(-1.0))
    assert not maps[0, 1].any()


def test_maxima_have_fractions_of_a_voxel() -> None:
    true = np.array([[4.3, 5.0, 6.4], [11.8, 4.6, 9.1]])
    maps = gaussians(
        torch.from_numpy(true)[None], torch.tensor([1.5, 1.5], dtype=torch.float64), (16, 12, 16)
    )
    both = np.asarray((maps[0, 0] + 0.7 * maps[0, 1]).numpy(), np.float32)
    places, values = maxima(both, 0.3, 5)
    np.testing.assert_allclose(places, true, atol=0.02)
    assert values[0] > values[1]
    assert len(maxima(both, 0.3, 1)[0]) == 1
    assert maxima(both, 1.1, 5)[0].shape == (0, 3)


def test_a_maximum_at_a_face_is_the_voxels_middle_there() -> None:
    heatmap = np.zeros((5, 5, 5), np.float32)
    heatmap[0, 2, 4] = 1.0
    places, _ = maxima(heatmap, 0.5, 3)
    np.testing.assert_allclose(places, [[0, 2, 4]])


def test_the_loss_of_the_target_itself_is_the_term_of_the_widths() -> None:
    loss = HeatmapLoss(2, sigma=2.0, weight=0.5)
    points = torch.tensor([[[4.0, 5.0, 6.0], [torch.nan] * 3]])
    squares, spread = loss(gaussians(points, loss.widths(), (10, 12, 14)), points)
    assert squares.item() == pytest.approx(0, abs=1e-9)
    assert spread.item() == pytest.approx(0.5 * 4.0 / 2)  # one of two landmarks is there


def test_the_squares_of_a_map_of_zeros_are_the_gaussians_volume() -> None:
    """The integral of the square of a Gaussian of height 1 is pi^1.5 sigma^3."""
    loss = HeatmapLoss(1, sigma=2.0, weight=0.0)
    squares, spread = loss(torch.zeros(1, 1, 25, 25, 25), torch.full((1, 1, 3), 12.0))
    assert squares.item() == pytest.approx(np.pi**1.5 * 8, rel=1e-4)
    assert spread.item() == 0
    assert not loss.sigma.requires_grad


def test_a_map_that_says_nothing_widens_its_target_and_the_weight_holds_it() -> None:
    def slope(weight: float) -> float:
        loss = HeatmapLoss(1, sigma=2.0, weight=weight)
        a, b = loss(torch.zeros(1, 1, 25, 25, 25), torch.full((1, 1, 3), 12.0))
        (a + b).backward()
        assert loss.sigma.grad is not None
        return float(loss.sigma.grad[0])

    # d/ds of (2/s)^6 pi^1.5 s^3 is -3 * 64 pi^1.5 / s^4, that of w s^2 is 2 w s
    assert slope(1.0) == pytest.approx(-3 * 64 * np.pi**1.5 / 16 + 4, rel=1e-3)
    assert slope(20.0) > 0


def test_a_landmark_that_is_not_there_leaves_its_width() -> None:
    loss = HeatmapLoss(1, sigma=2.0, weight=1.0)
    a, b = loss(torch.rand(1, 1, 8, 8, 8), torch.full((1, 1, 3), torch.nan))
    (a + b).backward()
    assert loss.sigma.grad is not None
    assert float(loss.sigma.grad[0]) == 0


def test_the_focus_weighs_errors_at_a_landmark_and_leaves_the_widths() -> None:
    """At the point itself the weight is 1 + focus; far away it is 1; the widths' gradient is that of plain squares."""
    points = torch.full((1, 1, 3), 4.0)
    slopes = []
    for focus in (0.0, 9.0):
        loss = HeatmapLoss(1, sigma=1.0, weight=1.0, focus=focus)
        maps = torch.zeros(1, 1, 25, 9, 9, requires_grad=True)
        squares, _ = loss(maps, points)
        squares.backward()
        assert loss.sigma.grad is not None
        assert maps.grad is not None
        slopes.append(float(loss.sigma.grad[0]))
        assert maps.grad[0, 0, 4, 4, 4].item() == pytest.approx(-2 * (1 + focus))
        near = np.exp(-0.5)
        assert maps.grad[0, 0, 5, 4, 4].item() == pytest.approx(-2 * (1 + focus * near) * near, rel=1e-4)
    assert slopes[0] == pytest.approx(slopes[1])
    assert slopes[0] != 0


def test_the_naming_loss_is_small_where_place_and_name_are_right() -> None:
    """Maps of zeros: log 512 voxels and log 3 heatmaps; exchanged heatmaps: 20 for the place and 20 for the name."""
    points = torch.tensor([[[2.0, 3.0, 4.0], [float("nan")] * 3, [5.0, 5.0, 1.0]]])
    right = gaussians(points, torch.ones(3), (8, 8, 8))
    assert naming_loss(right, points).item() < 0.01
    assert naming_loss(0 * right, points).item() == pytest.approx(np.log(512) + np.log(3), rel=1e-5)
    assert naming_loss(right[:, [2, 1, 0]], points).item() == pytest.approx(40, abs=0.1)
    assert naming_loss(right, torch.full((1, 3, 3), float("nan"))).item() == 0
