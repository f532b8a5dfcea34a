"""The four networks of `keypoint_fusion`: RetinaNet, HRNet and two Simple Baselines."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator

from aasce.solvers.keypoint_fusion.settings import (
    BaselineSettings,
    BoxesSettings,
    CornersSettings,
    KeypointFusionConfig,
)
from aasce.solvers.shared.detection import DetectionBackbone, on_canvases
from aasce.solvers.shared.encoders import conv, make_encoder
from aasce.types import CORNERS, VERTEBRAE

KEYPOINTS = len(VERTEBRAE) * len(CORNERS)
"""Corners of the whole spine, vertebra by vertebra from the top, TL, TR, BL, BR of each."""

DETECTIONS = 60
"""Largest number of detections of one pass."""


def make_retinanet(settings: BoxesSettings, start: bool) -> RetinaNet:
    """A RetinaNet (Lin et al. 2017) of one class, vertebrae, on a feature pyramid from stride 8.

    Args:
        settings: of the detector.
        start: give its encoder the weights that the settings ask for.
    """
    backbone = DetectionBackbone(settings.encoder, start, settings.stages, finest=8, pyramid=settings.pyramid)
    anchors = AnchorGenerator(settings.anchors, (settings.ratios,) * len(settings.anchors))
    detector = RetinaNet(
        backbone, num_classes=2, anchor_generator=anchors, score_thresh=settings.score, nms_thresh=settings.nms,
        detections_per_img=DETECTIONS,
    )  # fmt: skip
    for layers in (detector.head.classification_head.conv, detector.head.regression_head.conv):
        _started_anew(layers)
    return on_canvases(detector)


def _started_anew(layers: nn.Module) -> None:
    """Gives a head's hidden convolutions weights that keep the spread of their input.

    Torchvision's are made for 256 channels; with fewer, four layers of them let hardly anything pass.
    """
    for part in layers.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")


class CornerNet(nn.Module):
    """An HRNet (Sun et al. 2019) with a heatmap for each corner, read from its finest branch (stride 4)."""

    def __init__(self, settings: CornersSettings, start: bool) -> None:
        super().__init__()
        self.encoder, channels = make_encoder(settings.encoder, 1, 1, 32, start)
        _finest_branch_alone(self.encoder)
        self.head = _head(channels[0], len(CORNERS))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) standardised crops to (B, 4, H / 4, W / 4) heatmaps."""
        found: Tensor = self.head(self.encoder(image)[0])
        return found.float()


def _finest_branch_alone(encoder: Any) -> None:
    """Removes the exchange layers of an HRNet's last module that lead to coarser branches, as the pose network does."""
    if hasattr(encoder, "stage4"):
        last = encoder.stage4[-1]
        last.fuse_layers = last.fuse_layers[:1]


class SimpleBaseline(nn.Module):
    """Encoder, deconvolutions, heatmaps (Xiao et al. 2018).

    Args:
        settings: of the network.
        maps: number of heatmaps.
        start: give its encoder the weights that the settings ask for.
    """

    def __init__(self, settings: BaselineSettings, maps: int, start: bool) -> None:
        super().__init__()
        self.encoder, channels = make_encoder(settings.encoder, 1, settings.stages, 32, start)
        inner, layers = channels[-1], list[nn.Module]()
        if settings.context:
            outer = settings.deconvolutions[0] if settings.deconvolutions else inner
            layers.append(conv(inner, outer, 1))
            layers += [conv(outer, outer, 3, dilation) for dilation in settings.context]
            inner = outer
        for outer in settings.deconvolutions:
            layers.append(nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1, bias=False))
            layers += [nn.BatchNorm2d(outer), nn.ReLU(inplace=True)]
            inner = outer
        self.decoder = nn.Sequential(*layers)
        self.head = _head(inner, maps)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) standardised canvases to (B, maps, H / stride, W / stride) heatmaps."""
        found: Tensor = self.head(self.decoder(self.encoder(image)[-1]))
        return found.float()


def _head(channels: int, maps: int) -> nn.Conv2d:
    head = nn.Conv2d(channels, maps, 1)
    nn.init.normal_(head.weight, std=0.001)
    assert head.bias is not None
    nn.init.zeros_(head.bias)
    return head


class KeypointFusionNet(nn.Module):
    """All four, under the names their weights are saved by.

    Attributes:
        boxes, corners: Method 1.
        rough, patches: Method 2, Simple Baselines I and II.
    """

    def __init__(self, config: KeypointFusionConfig, start: bool = False) -> None:
        super().__init__()
        self.boxes = make_retinanet(config.boxes, start)
        self.corners = CornerNet(config.corners, start)
        self.rough = SimpleBaseline(config.rough.baseline, KEYPOINTS, start)
        self.patches = SimpleBaseline(config.patches.baseline, len(CORNERS), start)
