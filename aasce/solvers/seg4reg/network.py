"""The two networks of `seg4reg`: the segmenter and the regressor."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.seg4reg.settings import RegressionSettings, SegmentationSettings
from aasce.solvers.shared.encoders import conv, make_encoder
from aasce.solvers.shared.pyramid_pooling import Pyramids
from aasce.solvers.shared.row_head import AngleNet
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
        # Four sub-pixels a cell: an endplate is placed between the cells of the stride-4 map.
        return F.pixel_shuffle(self.classify(way), 2).float(), deep


class Seg4RegNet(nn.Module):
    """The segmenter and the regressor, under the names their weights are saved by."""

    def __init__(
        self, segmentation: SegmentationSettings, regression: RegressionSettings, start: bool = False
    ) -> None:
        super().__init__()
        self.segmentation = SegmentationNet(segmentation, start)
        s = regression
        self.regression = AngleNet(s.encoder, CHANNELS[s.input.kind], s.head, s.stages, s.maps, start)
