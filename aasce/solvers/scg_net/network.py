"""The two networks of `scg_net`: the boundary segmenter and the angle regressor."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.scg_net.settings import SKIPS, BoundarySettings, ScgNetConfig
from aasce.solvers.shared.encoders import conv
from aasce.solvers.shared.pyramid_pooling import Pyramids
from aasce.solvers.shared.row_head import AngleNet

CHANNELS: dict[str, int] = {"image": 1, "image+curves": 3, "curves": 2}
"""Channels of the regressor's input: the film, and the maps of the left and of the right border."""


class BoundaryNet(nn.Module):
    """A U-Net with a pyramid pooling block at the bottom and skips at 1X and 4X alone; logits on the canvas."""

    def __init__(self, settings: BoundarySettings) -> None:
        super().__init__()
        s = settings
        self.levels = nn.ModuleList()
        inner = 1
        for outer in s.channels:
            self.levels.append(nn.Sequential(conv(inner, outer), conv(outer, outer)))
            inner = outer
        self.pyramid = Pyramids(inner, s.width, s.pools, ())
        self.ways, inner = nn.ModuleList(), s.width
        for level, outer in zip(reversed(SKIPS), s.decoder, strict=True):
            # Narrowed before it is enlarged: at 1X a wide map would cost more than all the rest.
            enter = conv(inner, outer, 1)
            join = nn.Sequential(conv(outer + s.channels[level], outer), conv(outer, outer))
            self.ways.append(nn.ModuleDict({"enter": enter, "join": join}))
            inner = outer
        self.classify = nn.Conv2d(inner, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) standardised film to (B, 2, H, W) logits of the left and the right border."""
        x, fine = image, []
        for depth, level in enumerate(self.levels):
            x = level(x if depth == 0 else F.max_pool2d(x, 2))
            fine.append(x)
        way: Tensor = self.pyramid(x)
        for level_, stage in zip(reversed(SKIPS), self.ways, strict=True):
            skip = fine[level_]
            raised = F.interpolate(stage["enter"](way), skip.shape[-2:], mode="bilinear", align_corners=False)  # type: ignore[index]
            way = stage["join"](torch.cat([raised, skip], dim=1))  # type: ignore[index]
        logits: Tensor = self.classify(way)
        return logits.float()


class ScgNet(nn.Module):
    """The segmenter, and a regressor that sees film and curve maps, under the names their weights are saved by."""

    def __init__(self, config: ScgNetConfig, start: bool = False) -> None:
        super().__init__()
        self.boundaries = BoundaryNet(config.boundaries)
        s = config.regression
        self.regression = AngleNet(s.encoder, CHANNELS[s.input.kind], s.head, 4, s.maps, start)
