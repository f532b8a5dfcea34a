"""The network of `multitask_pyramid`: encoder, decoder with a mask, and a head on what both see."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.multitask_pyramid.settings import MultitaskPyramidConfig
from aasce.solvers.shared.encoders import UpStage, make_encoder
from aasce.solvers.shared.heads import Regressed
from aasce.solvers.shared.row_head import AngleHead


class MultitaskNet(nn.Module):
    """Film to angles and, where the settings want one, to logits of background and vertebra."""

    def __init__(self, config: MultitaskPyramidConfig, start: bool = False) -> None:
        super().__init__()
        self.encoder, channels = make_encoder(config.encoder, 1, 6, 32, start, finest=1)
        self.stages = nn.ModuleList()
        pooled = [channels[-1]]
        self.pyramid = config.mask is not None and config.mask.pyramid
        if config.mask is not None:
            inner, skips = channels[-1], [*reversed(channels[:-1]), 0]
            for skip, outer in zip(skips, config.mask.decoder, strict=False):
                self.stages.append(UpStage(inner, skip, outer))
                inner = outer
            self.classify = nn.Conv2d(inner, 2, 1)
            pooled += config.mask.decoder[:-1] if self.pyramid else ()
        self.head = AngleHead(pooled, config.head)

    def forward(self, image: Tensor) -> tuple[Tensor | None, Regressed]:
        """(B, 1, H, W) standardised film to (B, 2, H/2, W/2) logits, None without a mask, and angles."""
        features = self.encoder(image)
        stages = self._decoded(features)
        maps = [features[-1], *(stages[:-1] if self.pyramid else ())]
        return self._mask(stages, image.shape[-2] // 2), self.head(maps)

    def _decoded(self, features: Sequence[Tensor]) -> list[Tensor]:
        way, found = features[-1], []
        for depth, stage in enumerate(self.stages):
            left = len(features) - 2 - depth
            way = stage(way, features[left] if left >= 0 else None)
            found.append(way)
        return found

    def _mask(self, stages: list[Tensor], rows: int) -> Tensor | None:
        if not stages:
            return None
        logits: Tensor = self.classify(stages[-1]).float()
        return logits if logits.shape[-2] == rows else F.avg_pool2d(logits, 2)
