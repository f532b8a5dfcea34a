"""The SpatialConfiguration-Net: local appearance times spatial configuration."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from aasce.ct.shared.heatmaps import HeatmapLoss
from aasce.ct.shared.unet import SLOPE, UNet, convolution, output
from aasce.ct.vertebra_localization.settings import ConfigurationSettings, VertebraLocalizationConfig


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
            layers += [convolution(inner, settings.width, settings.kernel), nn.LeakyReLU(SLOPE, inplace=True)]
        self.inner = nn.Sequential(*layers)
        self.last = convolution(settings.width, landmarks, settings.kernel)
        nn.init.normal_(self.last.weight, std=1e-3)
        nn.init.ones_(self.last.bias)  # type: ignore[arg-type]

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
        self.targets = HeatmapLoss(count, config.heatmap.sigma / config.cell, config.heatmap.sigma_weight)

    def forward(self, values: Tensor) -> Tensor:
        local = self.local(self.appearance(values))
        return local.float() * self.configuration(local).float()
