"""Folded batch norms answer as the network itself does."""

from __future__ import annotations

import torch
from torch import nn

from aasce.solvers.folding import folded
from aasce.solvers.vertebra_field.solver import VertebraFieldSolver


def unsettled(module: nn.Module) -> nn.Module:
    """The module with norms as training leaves them: statistics, gains and shifts of every size."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.randn(part.num_features)
            part.running_var = torch.rand(part.num_features) + 0.5
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias)
    return module


def test_a_folded_network_says_the_same_and_the_network_stays_as_it_was() -> None:
    torch.manual_seed(0)
    network = unsettled(VertebraFieldSolver(VertebraFieldSolver.tiny()).module).eval()
    norms = sum(isinstance(part, nn.BatchNorm2d) for part in network.modules())
    film = torch.randn(1, 1, 128, 64)
    ready = folded(network)
    with torch.inference_mode():
        said, again = network.maps(film), ready.maps(film)  # type: ignore[operator]
    for name, maps in said.items():
        torch.testing.assert_close(again[name], maps, rtol=1e-3, atol=1e-4)
    assert norms > 10
    assert not any(isinstance(part, nn.BatchNorm2d) for part in ready.modules())
    assert sum(isinstance(part, nn.BatchNorm2d) for part in network.modules()) == norms


def test_a_norm_that_follows_no_convolution_of_its_width_stays() -> None:
    network = unsettled(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))).eval()
    ready = folded(network)
    film = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(ready(film), network(film))
    assert isinstance(ready.get_submodule("2"), nn.BatchNorm2d)
