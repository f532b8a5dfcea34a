"""The network: a U-Net to one heatmap."""

from __future__ import annotations

from torch import Tensor, nn

from aasce.ct.shared.unet import UNet, UNetSettings, output, shuffled


class SpineNet(nn.Module):
    """(B, 1, X, Y, Z) values to a heatmap (B, X, Y, Z), linear."""

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__()
        self.unet = UNet(1, settings)
        self.out = output(settings.widths[0], settings.unshuffle**3)
        self.unshuffle = settings.unshuffle

    def forward(self, values: Tensor) -> Tensor:
        return shuffled(self.out(self.unet(values)), self.unshuffle)[:, 0]
