from __future__ import annotations

import numpy as np
import torch

from aasce.targets.heatmap import decode_mean, decode_peak, encode_heatmaps, from_map, soft_argmax, to_map

POINTS = np.array([[12.3, 30.8], [40.0, 7.0]])
SIZE = (64, 48)


def test_the_peak_is_one_and_falls_like_a_gaussian() -> None:
    maps = encode_heatmaps(np.array([[20.0, 30.0]]), SIZE, sigma=2.0)
    assert maps.shape == (1, 64, 48)
    assert maps[0, 30, 20] == 1
    np.testing.assert_allclose(maps[0, 30, 22], np.exp(-0.5), rtol=1e-6)
    np.testing.assert_allclose(maps[0, 32, 22], np.exp(-1.0), rtol=1e-6)


def test_map_and_canvas_px_share_their_outer_edges() -> None:
    np.testing.assert_allclose(to_map(np.array([-0.5, 3.5, 1.5]), 4), [-0.5, 0.5, 0.0])
    np.testing.assert_allclose(from_map(to_map(POINTS, 4), 4), POINTS)


def test_points_are_read_back_between_pixels() -> None:
    maps = encode_heatmaps(POINTS, SIZE, sigma=1.5)
    found, value = decode_peak(maps)
    assert np.abs(found - POINTS).max() < 0.2
    assert (value > 0.9).all()
    mean, inside = decode_mean(maps)
    assert inside.all()
    assert np.abs(mean - POINTS).max() < 0.3


def test_the_mean_takes_every_px_above_the_level() -> None:
    maps = np.zeros((1, 5, 7), np.float32)
    maps[0, 1, 2], maps[0, 3, 4], maps[0, 4, 6] = 0.9, 0.6, 0.4
    found, inside = decode_mean(maps)
    assert inside.all()
    np.testing.assert_allclose(found, [[3.0, 2.0]])


def test_without_a_px_above_the_level_the_maximum_is_taken() -> None:
    maps = np.zeros((1, 5, 7), np.float32)
    maps[0, 4, 6] = 0.4
    found, inside = decode_mean(maps)
    assert not inside.any()
    np.testing.assert_allclose(found, [[6.0, 4.0]])


def test_an_empty_map_has_a_finite_peak() -> None:
    found, value = decode_peak(np.full((1, 5, 7), -2.0))
    assert np.isfinite(found).all()
    assert value[0] == -2


def test_soft_argmax_finds_a_sharp_peak_and_passes_gradients() -> None:
    maps = torch.from_numpy(encode_heatmaps(POINTS, SIZE, sigma=2.0)).double().requires_grad_(True)
    found = soft_argmax(maps, beta=20.0)
    assert np.abs(found.detach().numpy() - POINTS).max() < 0.05
    found.sum().backward()
    assert maps.grad is not None
    assert float(maps.grad.abs().max()) > 0


def test_soft_argmax_of_a_flat_map_is_its_middle() -> None:
    np.testing.assert_allclose(soft_argmax(torch.zeros(1, 5, 7)).numpy(), [[3.0, 2.0]], atol=1e-6)
