"""Pyramids at the bottom of a segmenter, shared by the solvers that have one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.shared.encoders import conv


class Pyramids(nn.Module):
    """PSPNet's pooling pyramid (Zhao et al. 2017) and, beside it, Seg4Reg's dilation pyramid.

    The pooled maps are enlarged again, the dilated ones keep the map's size and are summed; all of it and the
    features themselves are joined by a 3x3 convolution.
    """

    def __init__(self, inner: int, width: int, pools: tuple[int, ...], dilations: tuple[int, ...]) -> None:
        super().__init__()
        narrow = max(8, width // 4)
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(grid), conv(inner, narrow, 1)) for grid in pools
        )
        self.dilations = nn.ModuleList(conv(inner, width, dilation=d) for d in dilations)
        joined = inner + narrow * len(pools) + (width if dilations else 0)
        self.join = conv(joined, width)

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[-2:]
        parts = [features]
        parts += [F.interpolate(p(features), size, mode="bilinear", align_corners=False) for p in self.pools]
        if len(self.dilations):
            parts.append(torch.stack([d(features) for d in self.dilations]).sum(dim=0))
        joined: Tensor = self.join(torch.cat(parts, dim=1))
        return joined
