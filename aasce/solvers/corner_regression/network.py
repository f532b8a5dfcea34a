"""The two networks of `corner_regression`: the vertebra detector and the corner network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

from aasce.solvers.corner_regression.settings import (
    CornerRegressionConfig,
    CornerSettings,
    DetectorSettings,
    HeatmapHead,
    PooledHead,
)
from aasce.solvers.shared.detection import DetectionBackbone, on_canvases
from aasce.solvers.shared.encoders import UpStage, conv, make_encoder
from aasce.targets.heatmap import soft_argmax

DETECTIONS = 40
"""Largest number of detections on a canvas: more than twice the vertebrae."""

LEAST_SCORE = 0.05
"""Of a detection that the detector gives at all; `InferenceSettings.score` asks for more."""

MAP_STRIDE = 4
"""px of a patch for each px of a corner's map."""


def make_detector(settings: DetectorSettings, start: bool) -> Any:
    """The Faster R-CNN (Ren et al. 2015) of one class, vertebra; canvases as they are, see `shared.detection`.

    Args:
        settings: of the detector.
        start: give its encoder the weights that the settings ask for.
    """
    s = settings
    # One map is searched: vertebrae of one film differ little in size, and each further map costs proposals.
    backbone = DetectionBackbone(s.encoder, start, s.stages, s.finest, s.pyramid, outputs=1)
    ratios = tuple(1 / r for r in s.ratios)  # torchvision's are of height to width
    detector = FasterRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator((tuple(s.anchors),), (ratios,)),
        rpn_pre_nms_top_n_train=500, rpn_post_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=500, rpn_post_nms_top_n_test=100,
        box_roi_pool=MultiScaleRoIAlign(["0"], s.pool, sampling_ratio=2),
        box_head=TwoMLPHead(backbone.out_channels * s.pool**2, s.units),
        box_predictor=FastRCNNPredictor(s.units, 2),
        box_score_thresh=LEAST_SCORE, box_nms_thresh=s.nms, box_detections_per_img=DETECTIONS,
        box_batch_size_per_image=s.proposals,
    )  # fmt: skip
    return on_canvases(detector)


class Pooled(nn.Module):
    """Global average pooling, a dense layer, and the corners as shares of the patch's width and height."""

    def __init__(self, channels: int, settings: PooledHead, size: tuple[int, int]) -> None:
        super().__init__()
        self.dense = nn.Linear(channels, settings.units)
        self.corners = nn.Linear(settings.units, 8)
        self.size = size

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, None]:
        """Maps of the encoder to (N, 4, 2) patch px; there is no heatmap."""
        pooled = maps[-1].mean(dim=(-2, -1))
        shares = self.corners(torch.relu(self.dense(pooled))).float().unflatten(1, (4, 2))
        extent = shares.new_tensor([self.size[1], self.size[0]])
        return shares * extent - 0.5, None


class Heatmaps(nn.Module):
    """A way up to stride 4, four maps, and the mean place of each under its softmax."""

    def __init__(self, channels: list[int], settings: HeatmapHead) -> None:
        super().__init__()
        self.enter = conv(channels[-1], settings.width, 1)
        skips = channels[-2::-1]
        self.ways = nn.ModuleList(UpStage(settings.width, skip, settings.width) for skip in skips)
        self.classify = nn.Conv2d(settings.width, 4, 1)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps of the encoder to (N, 4, 2) patch px, and (N, 4, h / 4, w / 4) logits."""
        way: Tensor = self.enter(maps[-1])
        for stage, skip in zip(self.ways, maps[-2::-1], strict=True):
            way = stage(way, skip)
        logits: Tensor = self.classify(way).float()
        return (soft_argmax(logits) + 0.5) * MAP_STRIDE - 0.5, logits


class CornerNet(nn.Module):
    """An encoder of patches, and the head of the settings."""

    def __init__(self, settings: CornerSettings, start: bool) -> None:
        super().__init__()
        head = settings.head
        self.encoder, channels = make_encoder(settings.encoder, 1, settings.stages, 32, start, MAP_STRIDE)
        self.head: nn.Module
        if isinstance(head, PooledHead):
            self.head = Pooled(channels[-1], head, settings.size)
        else:
            self.head = Heatmaps(channels, head)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, 1, h, w) standardised patches to (N, 4, 2) patch px, TL, TR, BL, BR, and logits of maps if any."""
        found: tuple[Tensor, Tensor | None] = self.head(self.encoder(image))
        return found


class CornerRegression(nn.Module):
    """The detector and the corner network, under the names their weights are saved by."""

    def __init__(self, config: CornerRegressionConfig, start: bool = False) -> None:
        super().__init__()
        self.detector = make_detector(config.detector, start)
        self.corners = CornerNet(config.corners, start)
