"""The network of `rotated_proposals`: a pyramid of features, rotated proposals, aligned proposals, corner heatmaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.rotated_proposals.settings import (
    BoxSettings,
    CornerSettings,
    RotatedProposalsConfig,
    RpnSettings,
)
from aasce.solvers.shared.detection import DetectionBackbone
from aasce.solvers.shared.encoders import conv
from aasce.solvers.shared.rotated import from_box_frame, rotated_nms, to_box_frame
from aasce.solvers.shared.rotated_align import rotated_roi_align
from aasce.solvers.shared.rotated_boxes import RotatedCoder, rotated_anchors
from aasce.types import AasceError

Maps = dict[int, Tensor]
"""The pyramid's maps (B, C, H / stride, W / stride), by stride."""

CODER = RotatedCoder()
CORNERS = 4


def fixed(boxes: Tensor, upright: bool) -> Tensor:
    """Boxes (N, 5) with sides of at least one px, theta = 0 where boxes are upright."""
    sides = boxes[:, 2:4].clamp(min=1.0)
    theta = torch.zeros_like(boxes[:, 4:]) if upright else boxes[:, 4:]
    return torch.cat([boxes[:, :2], sides, theta], dim=1)


def grown(boxes: Tensor, factors: tuple[float, float]) -> Tensor:
    """Boxes (N, 5) with width and height multiplied."""
    scale = boxes.new_tensor([1.0, 1.0, factors[0], factors[1], 1.0])
    return boxes * scale


class ProposalHead(nn.Module):
    """Objectness and box differences of every anchor of every cell (RPN); all maps share the first convolution."""

    def __init__(self, inner: int, settings: RpnSettings, angles: int) -> None:
        super().__init__()
        self.strides = settings.strides
        self.enter = nn.Conv2d(inner, settings.channels, 3, padding=1)
        kinds = [len(scales) * len(settings.ratios) * angles for scales in settings.scales]
        self.score = nn.ModuleList(nn.Conv2d(settings.channels, k, 1) for k in kinds)
        self.delta = nn.ModuleList(nn.Conv2d(settings.channels, 5 * k, 1) for k in kinds)
        for last in (*self.score, *self.delta):
            nn.init.normal_(last.weight, std=0.01)
            nn.init.zeros_(last.bias)
            if last in self.score:
                nn.init.constant_(last.bias, -3.0)  # hardly any anchor is a vertebra

    def forward(self, maps: Maps) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and differences (B, K, 5) of all K anchors, in the order of `rotated_anchors`."""
        scores, deltas = [], []
        for stride, score, delta in zip(self.strides, self.score, self.delta, strict=True):
            shared = F.relu(self.enter(maps[stride]))
            scores.append(score(shared).permute(0, 2, 3, 1).flatten(1))
            deltas.append(delta(shared).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 5)))
        return torch.cat(scores, dim=1).float(), torch.cat(deltas, dim=1).float()


class BoxHead(nn.Module):
    """Score and refined box of each aligned proposal."""

    def __init__(self, inner: int, settings: BoxSettings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.channels
        cells = settings.size[0] * settings.size[1]
        self.body = nn.Sequential(
            conv(inner, inner), nn.Flatten(), nn.Linear(inner * cells, width), nn.ReLU(inplace=True)
        )
        self.output = nn.Linear(width, 6)
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.zeros_(self.output.bias)

    def forward(self, maps: Maps, boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (N,) and differences (N, 5) of the proposals of all films together."""
        s = self.settings
        wide = [grown(part, (s.grow, s.grow)) for part in boxes]
        found = self.output(self.body(rotated_roi_align(maps[s.stride], wide, s.size, s.stride, s.sampling)))
        return found[:, 0].float(), found[:, 1:].float()


class CornerHead(nn.Module):
    """Heatmaps of the four corners in each aligned proposal (FCN)."""

    def __init__(self, inner: int, settings: CornerSettings) -> None:
        super().__init__()
        self.settings = s = settings
        self.detail = nn.Sequential()
        if s.detail:
            self.detail = nn.Sequential(
                nn.Conv2d(1, s.detail, 5, stride=2, padding=2, bias=False),
                nn.BatchNorm2d(s.detail),
                nn.ReLU(inplace=True),
            )
        widths = [inner + s.detail, *[s.channels] * s.layers]
        self.body = nn.Sequential(*(conv(a, b) for a, b in pairwise(widths)))
        self.output = nn.Conv2d(s.channels, CORNERS, 1)

    def forward(self, image: Tensor, maps: Maps, boxes: Sequence[Tensor]) -> Tensor:
        """Logits (N, 4, h, w) in the frame of the grown boxes, see `grown`; a softmax over each map gives a heatmap."""
        s = self.settings
        wide = [grown(part, s.grow) for part in boxes]
        aligned = rotated_roi_align(maps[4], wide, s.size, 4, s.sampling)
        if s.detail:
            double = (2 * s.size[0], 2 * s.size[1])
            near = self.detail(rotated_roi_align(image, wide, double, 1))
            aligned = torch.cat([aligned, near.to(aligned.dtype)], dim=1)
        logits: Tensor = self.output(self.body(aligned))
        return logits.float()

    def to_map(self, points: Tensor, boxes: Tensor) -> Tensor:
        """(N, 4, 2) px of the heatmaps, of points (N, 4, 2) px of the canvas, in boxes (N, 5) that are not grown."""
        wide = grown(boxes, self.settings.grow)
        size = wide.new_tensor([self.settings.size[1], self.settings.size[0]])
        return (to_box_frame(points, wide) / wide[:, None, 2:4] + 0.5) * size - 0.5

    def to_canvas(self, places: Tensor, boxes: Tensor) -> Tensor:
        """The inverse of `to_map`."""
        wide = grown(boxes, self.settings.grow)
        size = wide.new_tensor([self.settings.size[1], self.settings.size[0]])
        return from_box_frame(((places + 0.5) / size - 0.5) * wide[:, None, 2:4], wide)


class RotatedProposalNet(nn.Module):
    """All parts, under the names their weights are saved by.

    Input (B, 1, H, W) float32, standardised grey values.
    """

    anchors: Tensor

    def __init__(self, config: RotatedProposalsConfig, start: bool = False) -> None:
        super().__init__()
        self.settings = config.rpn
        self.upright = config.angles == "upright"
        b = config.backbone
        # A map coarser than all that are read still feeds the finer ones, but has no output to be trained by.
        coarsest = max(*config.rpn.strides, config.boxes.stride)
        outputs = round(math.log2(coarsest / 4)) + 1
        self.backbone = DetectionBackbone(b.encoder, start, b.stages, 4, b.pyramid, outputs)
        if len(self.backbone.strides) < outputs:
            raise AasceError(
                f"{b.encoder.name}: has no map of stride {coarsest}; name another encoder or smaller strides"
            )
        self.cord = nn.Sequential(conv(b.pyramid, b.cord), nn.Conv2d(b.cord, 1, 1))
        self.proposal = ProposalHead(b.pyramid, config.rpn, len(config.anchor_angles))
        self.box = BoxHead(b.pyramid, config.boxes)
        self.corner = CornerHead(b.pyramid, config.corners)
        self.register_buffer("anchors", all_anchors(config), persistent=False)

    def maps(self, image: Tensor) -> Maps:
        """The pyramid's maps."""
        found: Any = self.backbone(image)
        return dict(zip(self.backbone.strides, found.values(), strict=True))

    def cord_logits(self, image: Tensor) -> Tensor:
        """(B, H/4, W/4) logits of the cord, the band of vertebrae and discs, without any proposal."""
        return self.cord_of(self.maps(image))

    def cord_of(self, maps: Maps) -> Tensor:
        """(B, H/4, W/4) logits of the cord."""
        logits: Tensor = self.cord(maps[4])
        return logits[:, 0].float()

    @torch.no_grad()
    def proposals(self, logits: Tensor, deltas: Tensor) -> list[Tensor]:
        """The best proposals of each film after non-maximum suppression, (n, 5) px, best first.

        Args:
            logits: (B, K). deltas: (B, K, 5).
        """
        s, found = self.settings, []
        for score, delta in zip(logits, deltas, strict=True):
            best = score.topk(min(s.before, len(score))).indices
            boxes = fixed(CODER.decode(delta[best], self.anchors[best]), self.upright)
            found.append(boxes[rotated_nms(boxes, score[best], s.nms)[: s.kept]])
        return found

    def refined(self, deltas: Tensor, boxes: Tensor) -> Tensor:
        """(N, 5) boxes of the second stage."""
        return fixed(CODER.decode(deltas, boxes), self.upright)


def all_anchors(config: RotatedProposalsConfig) -> Tensor:
    """(K, 5) the anchors of all strides on the canvas."""
    s, (height, width) = config.rpn, config.region.canvas
    angles = [math.radians(angle) for angle in config.anchor_angles]
    return torch.cat([
        rotated_anchors((height // stride, width // stride), stride, scales, s.ratios, angles)
        for stride, scales in zip(s.strides, s.scales, strict=True)
    ])  # fmt: skip
