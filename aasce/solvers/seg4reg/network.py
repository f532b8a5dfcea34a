"""The two networks of `seg4reg`: the segmenter, and the regressor with its three heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.seg4reg.settings import RegressionSettings, SegmentationSettings
from aasce.solvers.shared.encoders import conv, make_backbone, make_encoder
from aasce.solvers.shared.heads import DirectHead, PairsHead, Regressed
from aasce.solvers.shared.pyramid_pooling import Pyramids
from aasce.solvers.shared.row_head import VECTOR, AngleHead
from aasce.targets.mask import CLASSES

CHANNELS: dict[str, int] = {"image": 1, "image+mask": 3, "mask": 2}
"""Channels of the regressor's input: the film, and the probabilities of vertebra and gap."""


class SegmentationNet(nn.Module):
    """Film to logits of `CLASSES` on a map of half the canvas."""

    def __init__(self, settings: SegmentationSettings, start: bool = False) -> None:
        super().__init__()
        s = settings
        self.encoder, channels = make_encoder(s.encoder, 1, s.stages, s.output_stride, start)
        self.pyramids = Pyramids(channels[-1], s.width, s.pools, s.dilations)
        self.skips = s.skips
        self.width = s.width
        if s.skips:
            self.enter = conv(s.width, s.decoder, 1)
            self.laterals = nn.ModuleList(conv(c, s.decoder, 1) for c in reversed(channels[:-1]))
            self.merges = nn.ModuleList(conv(s.decoder, s.decoder) for _ in channels[:-1])
            self.classify = nn.Conv2d(s.decoder, 4 * len(CLASSES), 1)
        else:
            self.classify = nn.Conv2d(s.width, len(CLASSES), 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, H, W) standardised film to logits (B, 3, H/2, W/2) and the pyramids' features."""
        features = self.encoder(image)
        deep: Tensor = self.pyramids(features[-1])
        half = [image.shape[-2] // 2, image.shape[-1] // 2]
        if not self.skips:
            logits = F.interpolate(self.classify(deep), half, mode="bilinear", align_corners=False)
            return logits.float(), deep
        way = self.enter(deep)
        for lateral, merge, fine in zip(self.laterals, self.merges, reversed(features[:-1]), strict=True):
            way = F.interpolate(way, fine.shape[-2:], mode="bilinear", align_corners=False) + lateral(fine)
            way = merge(way)
        # Four sub-pixels a cell: an endplate is told where it lies between the cells of the stride-4 map.
        return F.pixel_shuffle(self.classify(way), 2).float(), deep


class DirectNet(DirectHead):
    """A classifier with three outputs, as in the paper."""

    def __init__(self, settings: RegressionSettings, start: bool = False) -> None:
        channels = CHANNELS[settings.input]
        backbone = make_backbone(settings.backbone, start, num_classes=0, in_chans=channels)
        with torch.no_grad():  # some timm networks widen the features on their way out of the pooling
            width = int(backbone.eval()(torch.zeros(1, channels, *settings.size)).shape[-1])
        super().__init__(width, settings.drop)
        self.backbone, self.width = backbone, width

    def forward(self, stack: Tensor) -> Regressed:
        return super().forward(self.backbone(stack).float())


class PairsNet(PairsHead):
    """Features of stride 16, gathered row by row, for the head that knows tilts and pairs.

    A learned weight over each row finds the spine; the rows are described by one vector.
    """

    def __init__(self, settings: RegressionSettings, start: bool = False) -> None:
        s = settings
        super().__init__(width := 256, s.levels)
        self.width = width
        self.encoder, channels = make_encoder(s.backbone, CHANNELS[s.input], 3, 32, start)
        rows = s.size[0] // int(self.encoder.feature_info.reduction()[-1])
        self.weigh = nn.Conv2d(channels[-1], 1, 1, bias=False)
        self.gather = nn.Sequential(nn.Conv1d(channels[-1], 64, 3, padding=1), nn.BatchNorm1d(64), nn.ReLU())
        self.describe = nn.Sequential(nn.Linear(64 * rows, width), nn.GELU(), nn.Dropout(s.drop))

    def forward(self, stack: Tensor) -> Regressed:
        features = self.encoder(stack)[-1]
        weights = self.weigh(features).softmax(dim=-1)
        return super().forward(self.describe(self.gather((features * weights).sum(dim=-1)).flatten(1)))


class RowsNet(nn.Module):
    """Features of stride 4, 8 and 16, read row by row (`solvers.rows`)."""

    def __init__(self, settings: RegressionSettings, start: bool = False) -> None:
        super().__init__()
        s = settings
        self.encoder, channels = make_encoder(s.backbone, CHANNELS[s.input], 3, 32, start)
        self.head = AngleHead(channels, s.rows)
        self.width = VECTOR

    def forward(self, stack: Tensor) -> Regressed:
        found: Regressed = self.head(self.encoder(stack))
        return found


Regressor = DirectNet | PairsNet | RowsNet
HEADS: dict[str, type[DirectNet] | type[PairsNet] | type[RowsNet]] = {
    "direct": DirectNet, "pairs": PairsNet, "rows": RowsNet
}  # fmt: skip


class Seg4RegNet(nn.Module):
    """Both networks, under the names their weights are saved by."""

    def __init__(
        self, segmentation: SegmentationSettings, regression: RegressionSettings, start: bool = False
    ) -> None:
        super().__init__()
        self.segmentation = SegmentationNet(segmentation, start)
        self.regression: Regressor = HEADS[regression.head](regression, start)
