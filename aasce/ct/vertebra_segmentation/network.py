"""The network: a U-Net from image and centroid to one vertebra."""

from __future__ import annotations

from torch import Tensor, nn

from aasce.ct.shared.unet import UNet, UNetSettings, output, shuffled


class VertebraNet(nn.Module):
    """(B, 2, X, Y, Z) values and heatmap of the centroid to logits (B, X, Y, Z)."""

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__()
        self.unet = UNet(2, settings)
        self.out = output(settings.widths[0], settings.unshuffle**3, value=-2.0)
        self.unshuffle = settings.unshuffle

    def forward(self, values: Tensor) -> Tensor:
        return shuffled(self.out(self.unet(values)), self.unshuffle)[:, 0]
