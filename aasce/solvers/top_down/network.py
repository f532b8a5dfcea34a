"""RU-Net (Zhao et al., AASCE 2019, figure 1): U-Net with residual modules and bilinear up-sampling."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.shared.encoders import conv
from aasce.solvers.top_down.settings import NetworkSettings

MAPS = 2
"""Output maps: background and spine."""


class Residual(nn.Module):
    """Residual module: two 3x3 convolutions beside a 1x1 one where the number of channels changes."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        second = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
        self.body = nn.Sequential(conv(inner, outer), second, nn.BatchNorm2d(outer))
        self.short = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.short(x))


class RUNet(nn.Module):
    """(B, 1, H, W) standardised film to (B, 2, H, W) logits of background and spine."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        s = settings
        self.unshuffle = s.unshuffle
        self.down = nn.ModuleList(Residual(a, b) for a, b in pairwise((s.unshuffle**2, *s.widths)))
        self.up = nn.ModuleList(Residual(fine + coarse, fine) for fine, coarse in pairwise(s.widths))
        self.drop = nn.Dropout2d(s.dropout)
        self.output = nn.Conv2d(s.widths[0], MAPS * s.unshuffle**2, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = F.pixel_unshuffle(image, self.unshuffle)
        kept: list[Tensor] = []
        for level, module in enumerate(self.down):
            x = module(F.max_pool2d(x, 2) if level else x)
            kept.append(x)
        x = self.drop(x)
        for module, skip in zip(reversed(self.up), reversed(kept[:-1]), strict=True):
            larger = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = module(torch.cat([skip, larger], dim=1))
        return F.pixel_shuffle(self.output(x), self.unshuffle)
