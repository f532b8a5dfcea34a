"""The SpatialConfiguration-Net: local appearance times spatial configuration."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.ct.shared.heatmaps import HeatmapLoss
from aasce.ct.shared.unet import SLOPE, UNet, output
from aasce.ct.vertebra_localization.settings import ConfigurationSettings, VertebraLocalizationConfig


class LargeConvolution(nn.Module):
    """A convolution of unchanged grid whose weights are kept at a standard deviation of 1 and scaled in use.

    A sum of 11,000 terms moves far when Adam moves each of them by its rate (equalized learning rate, Karras et al.,
    Progressive Growing of GANs, ICLR 2018, section 4.1).
    """

    def __init__(self, inner: int, outer: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outer, inner, size, size, size))
        self.bias = nn.Parameter(torch.zeros(outer))
        self.gain = float((2 / ((1 + SLOPE**2) * inner * size**3)) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv3d(x, self.weight * self.gain, self.bias, padding=self.weight.shape[-1] // 2)


class SpatialConfiguration(nn.Module):
    """Heatmaps (B, L, X, Y, Z) of the local appearance to factors of the same shape, by large kernels on a coarse grid.

    It begins as a factor of 1 everywhere, so that the local appearance is learned from the first step on.
    """

    def __init__(self, landmarks: int, settings: ConfigurationSettings) -> None:
        super().__init__()
        self.pool = settings.pool
        sizes = [landmarks, *[settings.width] * (settings.layers - 1)]
        layers: list[nn.Module] = []
        for inner in sizes[:-1]:
            layers += [
                LargeConvolution(inner, settings.width, settings.kernel),
                nn.LeakyReLU(SLOPE, inplace=True),
            ]
        self.inner = nn.Sequential(*layers)
        self.last = LargeConvolution(settings.width, landmarks, settings.kernel)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.ones_(self.last.bias)

    def forward(self, local: Tensor) -> Tensor:
        coarse = F.avg_pool3d(local, self.pool)
        found = self.last(self.inner(coarse))
        return F.interpolate(found, size=local.shape[2:], mode="trilinear", align_corners=False)


class SpatialConfigurationNet(nn.Module):
    """(B, 1, X, Y, Z) values to heatmaps (B, L, X, Y, Z) over `unshuffle`, and the learned widths of their targets."""

    def __init__(self, config: VertebraLocalizationConfig) -> None:
        super().__init__()
        count = len(config.labels)
        self.appearance = UNet(1, config.network)
        self.local = output(config.network.widths[0], count)
        self.configuration = SpatialConfiguration(count, config.configuration)
        heatmap = config.heatmap
        self.targets = HeatmapLoss(
            count, heatmap.sigma / config.cell, heatmap.sigma_weight, heatmap.focus, heatmap.naming
        )

    def forward(self, values: Tensor) -> Tensor:
        local = self.local(self.appearance(values))
        factors: Tensor = self.configuration(local).float()
        found: Tensor = local.float() * factors
        return found
