from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.solvers.shared.corner_losses import expected_places, place_entropy, tilt_loss
from aasce.targets.heatmap import encode_heatmaps

BOX = torch.tensor([[[0.0, 0.0], [40.0, 0.0], [0.0, 20.0], [40.0, 20.0]]])


def turned(degrees: float) -> torch.Tensor:
    a = torch.deg2rad(torch.tensor(degrees))
    return BOX @ torch.stack([torch.stack([a.cos(), a.sin()]), torch.stack([-a.sin(), a.cos()])])


def test_a_shift_costs_nothing_and_a_rotation_its_sine() -> None:
    assert float(tilt_loss(BOX + 7.0, BOX)[0]) == 0
    for degrees in (-10.0, 3.0):
        np.testing.assert_allclose(
            tilt_loss(turned(degrees), BOX), [np.sin(np.radians(abs(degrees)))], atol=1e-6
        )


def test_one_corner_turns_the_midline_by_half_of_what_it_turns_an_endplate() -> None:
    off = BOX.clone()
    off[0, 1, 1] += 4.0
    np.testing.assert_allclose(tilt_loss(off, BOX), [4 / 80], atol=1e-6)


def test_corners_in_one_place_have_gradients_like_any_others() -> None:
    found = (BOX * 1e-4).requires_grad_(True)
    tilt_loss(found + torch.tensor([0.0, 1e-5]) * torch.arange(4)[:, None], BOX).sum().backward()
    assert found.grad is not None
    assert float(found.grad.abs().max()) <= 1 / 40


def test_expected_places_are_centres_of_mass() -> None:
    points = np.array([[12.0, 9.0], [20.5, 14.25]])
    shares = torch.from_numpy(encode_heatmaps(points, (32, 40), 1.5))[None]
    np.testing.assert_allclose(expected_places(shares)[0], points, atol=0.01)


def test_place_entropy_is_least_where_a_map_has_its_mass_at_the_place() -> None:
    places = torch.tensor([[[2.0, 3.0]] * 4])
    logits = torch.zeros(1, 4, 8, 8)
    there, elsewhere = logits.clone(), logits.clone()
    there[:, :, 3, 2] = 5.0
    elsewhere[:, :, 3, 6] = 5.0
    flat = place_entropy(logits, places, 0.5)
    assert flat.item() == pytest.approx(np.log(64), abs=1e-5)
    assert place_entropy(there, places, 0.5) < flat < place_entropy(elsewhere, places, 0.5)
