"""The networks of `centerline`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from aasce.solvers.centerline.network import Cascade, UNet
from aasce.solvers.centerline.settings import CascadeSettings, NetworkSettings


def test_batch_norm_stands_before_each_pooling() -> None:
    """Three scales, two poolings; the paper's nets have no other norm."""
    net = UNet(1, (4, 6, 8), norm=False)
    assert len(net.norms) == 2
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules()) == 2
    assert net.eval()(torch.zeros(1, 1, 16, 8)).shape == (1, 4, 16, 8)


@pytest.mark.parametrize(("unshuffle", "stride"), [(1, 1), (2, 2), (4, 2), (4, 1)])
def test_maps_have_their_stride(unshuffle: Any, stride: Any) -> None:
    net = Cascade(NetworkSettings(widths=(4, 6), unshuffle=unshuffle, stride=stride)).eval()
    spine, line = net(torch.zeros(2, 1, 32, 16))
    assert spine is not None
    assert spine.shape == line.shape == (2, 32 // stride, 16 // stride)


@pytest.mark.parametrize(
    ("given", "hidden"), [("mask", True), ("mask+film", False), ("mask+features", False)]
)
def test_second_network_of_the_paper_reads_nothing_but_the_first_ones_output(
    given: Any, hidden: bool
) -> None:
    """With the first network's output fixed, the line of the paper's cascade does not depend on the film."""
    torch.manual_seed(0)
    net = Cascade(NetworkSettings(widths=(4, 6), cascade=CascadeSettings(input=given))).eval()
    torch.nn.init.zeros_(net.spine_out.weight)
    black, film = torch.zeros(1, 1, 32, 16), torch.randn(1, 1, 32, 16)
    assert torch.equal(net(black)[1], net(film)[1]) == hidden


def test_the_line_teaches_the_first_network_too() -> None:
    """End to end: without the spine's own loss its weights still have a gradient."""
    net = Cascade(NetworkSettings(widths=(4, 6), cascade=CascadeSettings(input="mask")))
    net(torch.randn(2, 1, 32, 16))[1].square().mean().backward()
    assert net.spine is not None
    grad = net.spine.down[0][0].weight.grad
    assert grad is not None
    assert grad.abs().max() > 0


def test_one_network_has_no_spine() -> None:
    net = Cascade(NetworkSettings(widths=(4, 6), cascade=None)).eval()
    spine, line = net(torch.zeros(1, 1, 32, 16))
    assert spine is None
    maps = net.maps(torch.zeros(1, 1, 32, 16))
    assert torch.equal(maps[0], maps[1])
    assert maps[1].shape == line.shape
