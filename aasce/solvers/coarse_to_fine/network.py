"""The networks of `coarse_to_fine`: U-nets A to E and a Mask R-CNN."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.coarse_to_fine.settings import (
    CoarseToFineConfig,
    DetectionSettings,
    EncoderUNetSettings,
    PlainUNetSettings,
)
from aasce.solvers.shared.detection import DetectionBackbone, on_canvases
from aasce.solvers.shared.encoders import UpStage, conv, make_encoder
from aasce.types import VERTEBRAE

LEVELS = len(VERTEBRAE)

BLACK = -127.5 / 64
"""What `preprocess.intensity.standardize` makes of grey value 0."""


class PlainUNet(nn.Module):
    """A U-net of its own: two convolutions a level, up and down again; logits of the finest level."""

    def __init__(self, settings: PlainUNetSettings, outputs: int) -> None:
        super().__init__()
        self.shrink, widths = settings.shrink, settings.channels
        self.down = nn.ModuleList(
            nn.Sequential(conv(inner, outer), conv(outer, outer))
            for inner, outer in zip((1, *widths[:-1]), widths, strict=True)
        )
        self.up = nn.ModuleList(
            UpStage(deep, skip, skip) for deep, skip in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.classify = nn.Conv2d(widths[0], outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) standardised canvases to (B, outputs, H / stride, W / stride) logits, 32 bit."""
        x = F.avg_pool2d(image, self.shrink) if self.shrink > 1 else image
        fine: list[Tensor] = []
        for depth, level in enumerate(self.down):
            x = level(x if depth == 0 else F.max_pool2d(x, 2))
            fine.append(x)
        for stage, skip in zip(self.up, fine[-2::-1], strict=True):
            x = stage(x, skip)
        logits: Tensor = self.classify(x)
        return logits.float()


class EncoderUNet(nn.Module):
    """A U-net on an encoder for photographs, with levels of its own below it."""

    def __init__(self, settings: EncoderUNetSettings, outputs: int, start: bool) -> None:
        super().__init__()
        self.encoder, channels = make_encoder(settings.encoder, 1, settings.stages, 32, start)
        self.deeper = nn.ModuleList()
        for outer in settings.deeper:
            self.deeper.append(nn.Sequential(nn.MaxPool2d(2), conv(channels[-1], outer), conv(outer, outer)))
            channels = [*channels, outer]
        skips = [*channels[-2::-1], 0][: len(settings.decoder)]
        inner = [channels[-1], *settings.decoder[:-1]]
        self.up = nn.ModuleList(
            UpStage(deep, skip, outer)
            for deep, skip, outer in zip(inner, skips, settings.decoder, strict=True)
        )
        self.classify = nn.Conv2d([channels[-1], *settings.decoder][-1], outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) standardised canvases to (B, outputs, H / stride, W / stride) logits, 32 bit."""
        maps = list(self.encoder(image))
        for level in self.deeper:
            maps.append(level(maps[-1]))
        x, skips = maps[-1], [*maps[-2::-1], None]
        for stage, skip in zip(self.up, skips, strict=False):
            x = stage(x, skip)
        logits: Tensor = self.classify(x)
        return logits.float()


def make_unet(
    settings: PlainUNetSettings | EncoderUNetSettings, outputs: int, start: bool = False
) -> PlainUNet | EncoderUNet:
    """A U-net by its settings.

    Args:
        settings: of either kind.
        outputs: maps; a background that is 1 less the sum of the others is the last one of several.
        start: with the pretrained weights that the settings ask for.
    """
    if isinstance(settings, PlainUNetSettings):
        return PlainUNet(settings, outputs)
    return EncoderUNet(settings, outputs, start)


def make_detector(settings: DetectionSettings, start: bool) -> Any:
    """Torchvision's Mask R-CNN (He et al. 2017) whose labels are the vertebrae's indices from the top, from 1."""
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
    from torchvision.models.detection.rpn import AnchorGenerator
    from torchvision.ops import MultiScaleRoIAlign

    s = settings
    backbone = DetectionBackbone(s.encoder, start, s.stages, s.finest, s.pyramid, outputs=1)
    detector = MaskRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator((s.anchors,), (s.aspects,)),
        rpn_pre_nms_top_n_train=600, rpn_pre_nms_top_n_test=300,
        rpn_post_nms_top_n_train=200, rpn_post_nms_top_n_test=s.proposals,
        rpn_batch_size_per_image=128,
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
        box_head=TwoMLPHead(s.pyramid * 49, s.head),
        box_predictor=FastRCNNPredictor(s.head, LEVELS + 1),
        box_score_thresh=s.least, box_nms_thresh=s.overlap, box_batch_size_per_image=64,
        box_detections_per_img=60,
        mask_roi_pool=MultiScaleRoIAlign(["0"], 14, 2),
        mask_head=MaskRCNNHeads(s.pyramid, (s.mask, s.mask), 1),
        mask_predictor=MaskRCNNPredictor(s.mask, s.mask, LEVELS + 1),
    )  # fmt: skip
    return on_canvases(detector)


class CoarseToFineNet(nn.Module):
    """All networks, under the names that their weights are saved by: the paper's letters in the comments."""

    def __init__(self, config: CoarseToFineConfig, start: bool = False) -> None:
        super().__init__()
        masks, local = config.masks, config.local
        self.whole = make_unet(masks.whole, 1, start)  # A
        self.target = make_unet(masks.target, 1, start)  # B
        self.boxes = make_unet(masks.boxes, LEVELS + 1, start)  # C
        self.detector = make_detector(config.detection, start)
        self.box = make_unet(local.box, 1, start)  # D
        self.corners = make_unet(local.corners, 5, start)  # E


def under_mask(image: Tensor, mask: Tensor) -> Tensor:
    """Standardised canvases multiplied by a mask: black where it is 0.

    Args:
        image: (B, 1, H, W).
        mask: (B, 1, h, w) in [0, 1], enlarged to the canvas.
    """
    large = F.interpolate(mask, image.shape[-2:], mode="bilinear", align_corners=False)
    return (image - BLACK) * large.to(image.dtype) + BLACK
