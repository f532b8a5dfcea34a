"""The U-Net of the scan methods: shapes, and gradients in half precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aasce.ct.shared.unet import UNet, UNetSettings, shuffled, unshuffled


def test_shuffling_is_undone() -> None:
    x = torch.arange(2 * 3 * 4 * 4 * 8, dtype=torch.float32).reshape(2, 3, 4, 4, 8)
    assert unshuffled(x, 2).shape == (2, 24, 2, 2, 4)
    assert torch.equal(shuffled(unshuffled(x, 2), 2), x)


def test_features_have_the_first_width_on_the_grid_of_cells() -> None:
    net = UNet(1, UNetSettings(widths=(8, 16), unshuffle=2))
    assert net(torch.zeros(1, 1, 8, 8, 16)).shape == (1, 8, 4, 4, 8)


@pytest.mark.parametrize("sides", [(16, 16, 32), (32, 32, 64)])
def test_gradients_in_half_precision_are_those_in_full(sides: tuple[int, int, int]) -> None:
    """The coarsest of four scales has two voxels to a side, or four."""
    torch.manual_seed(0)
    net = UNet(1, UNetSettings(widths=(8, 16, 24, 32), unshuffle=1))
    x = torch.randn(1, 1, *sides)

    def gradients(half: bool) -> dict[str, Tensor]:
        net.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            (net(x).float() ** 2).mean().backward()
        return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}

    full, half = gradients(False), gradients(True)
    for name, wanted in full.items():
        if wanted.ndim > 1:  # of a norm's two numbers a channel one may be close to 0
            assert float((half[name] - wanted).norm()) < 0.15 * float(wanted.norm()), name
