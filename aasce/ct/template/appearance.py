"""Appearance f_theta: intensity as a function of the signed distance from the template's surface."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aasce.ct.template.settings import Appearance
from aasce.readers.vertebrae import region_of


class FourierFeatures(nn.Module):
    """Sines and cosines of a distance, and the distance itself.

    Args:
        bands: number of wavelengths, each half of the one before.
        reach: mm, the longest wavelength.
    """

    frequencies: Tensor

    def __init__(self, bands: int, reach: float) -> None:
        super().__init__()
        self.reach = reach
        self.register_buffer("frequencies", 2 * math.pi / reach * 2.0 ** torch.arange(bands))

    def forward(self, distance: Tensor) -> Tensor:
        """(N, 2 * bands + 1) of (N,) mm."""
        phase = distance[:, None] * self.frequencies
        return torch.cat([distance[:, None] * (2 / self.reach), phase.sin(), phase.cos()], -1)


class AppearanceModel(nn.Module):
    """f_theta: Fourier features of the distance and three layers, one such network for each group of vertebrae.

    Args:
        settings: see `Appearance`.
        labels: of VerSe, by vertebra.
    """

    def __init__(self, settings: Appearance, labels: Sequence[int]) -> None:
        super().__init__()
        names = [_group(settings.shared, label) for label in labels]
        order = list(dict.fromkeys(names))
        self.group_of = [order.index(name) for name in names]
        self.features = FourierFeatures(settings.bands, settings.reach)
        width, inputs = settings.width, 2 * settings.bands + 1
        self.networks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
            )
            for _ in order
        )

    def forward(self, distance: Tensor, vertebra: Tensor) -> Tensor:
        """(N,) intensity.

        Args:
            distance: (N,) signed, mm.
            vertebra: (N,) index of the vertebra that a point is nearest to.
        """
        features = self.features(distance)
        group = torch.tensor(self.group_of, device=vertebra.device)[vertebra]
        intensity = torch.zeros_like(distance)
        for index, network in enumerate(self.networks):
            chosen = torch.nonzero(group == index)[:, 0]
            intensity = intensity.index_put((chosen,), network(features[chosen])[:, 0])
        return intensity


def _group(shared: str, label: int) -> str:
    if shared == "spine":
        return "spine"
    return region_of(label) if shared == "region" else str(label)
