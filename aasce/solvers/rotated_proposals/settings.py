"""Settings of `rotated_proposals`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aasce.config import Count, Degrees, Positive, Settings, Share, Size, Weight
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.encoders import EncoderSettings
from aasce.solvers.shared.samples import AugmentSettings, Intensity
from aasce.solvers.shared.trainer import TrainSettings

Angles = Literal["rotated", "upright"]
Isolation = Literal["localizer", "projection"]
Angle = Annotated[float, Field(ge=-90, le=90)]
Grow = Annotated[float, Field(ge=1, le=4)]
Overlap = Annotated[float, Field(gt=0, lt=1)]
MapSize = tuple[Count, Count]


class BackboneSettings(Settings):
    """The encoder with its feature pyramid (FPN).

    Attributes:
        encoder: its maps of strides 4, 8, ... are joined; the paper's is a ResNet-50.
        stages: how many of them, from stride 4.
        pyramid: channels of every map of the pyramid.
        cord: channels of the head that segments the cord on the finest map.
    """

    encoder: EncoderSettings = EncoderSettings(
        options={"channels": [32, 64, 128, 256], "layers": [2, 2, 2, 2], "stem_width": 16}
    )
    stages: int = Field(default=3, ge=2, le=4)
    pyramid: Count = 64
    cord: Count = 16


class RpnSettings(Settings):
    """Rotated region proposals.

    Attributes:
        strides: of the maps that have anchors.
        scales: px of the canvas, square roots of the anchors' areas, on the map of each stride.
        ratios: width over height.
        angles: degrees; upright proposals have anchors of 0 degrees alone.
        channels: of the head.
        positive: an anchor with at least this overlap (IoU) with a vertebra is one; so is each vertebra's best one.
        negative: an anchor with less overlap with all vertebrae is none.
        samples: anchors that are taught a film, at most half of them positive.
        before, kept: best proposals a film before and after non-maximum suppression.
        nms: overlap of two proposals above which the worse one is dropped.
    """

    strides: tuple[Literal[4, 8, 16, 32], ...] = (8, 16)
    scales: tuple[tuple[Positive, ...], ...] = ((16.0, 22.0, 30.0), (40.0, 52.0))
    ratios: tuple[Positive, ...] = (1.3, 1.8, 2.5)
    angles: tuple[Angle, ...] = (-25.0, 0.0, 25.0)
    channels: Count = 64
    positive: Overlap = 0.55
    negative: Overlap = 0.35
    samples: Count = 192
    before: Count = 600
    kept: Count = 120
    nms: Overlap = 0.6


class BoxSettings(Settings):
    """The second stage: class and refined box of each proposal.

    Attributes:
        size: (h, w) of the aligned maps. stride: of the map they are taken from.
        sampling: points along each axis of a cell of them.
        grow: the proposal's sides are multiplied by this, for context.
        channels: of the head.
        samples: proposals that are taught a film; positive_share: the most of them that are vertebrae.
        positive: overlap from which a proposal is a vertebra.
        least: smallest score of a detection that may be chosen for the column.
        sure: smallest score of a detection that recall and precision count.
        nms: overlap of two detections above which the worse one is dropped.
    """

    size: MapSize = (5, 7)
    stride: Literal[4, 8, 16, 32] = 8
    sampling: Count = 1
    grow: Grow = 1.25
    channels: Count = 96
    samples: Count = 48
    positive_share: Share = 0.5
    positive: Overlap = 0.5
    least: Share = 0.1
    sure: Share = 0.5
    nms: Overlap = 0.25


class CornerSettings(Settings):
    """The fully convolutional network that finds four corners in every aligned proposal.

    Attributes:
        size: (h, w) of the aligned maps and of the heatmaps.
        sampling: points along each axis of a cell of them.
        grow: factors of the proposal's width and height: the corners have to lie inside.
        detail: channels of the film itself, aligned at twice the size, beside the finest map; 0 for none.
        channels, layers: of the network.
        sigma: px of the heatmaps.
        samples: proposals that are taught a film.
    """

    size: MapSize = (16, 24)
    sampling: Count = 1
    grow: tuple[Grow, Grow] = (1.4, 1.6)
    detail: int = Field(default=16, ge=0, le=1024)
    channels: Count = 48
    layers: Count = 3
    sigma: Positive = 1.0
    samples: Count = 20


class RegionSettings(Settings):
    """What of a film is read.

    Attributes:
        isolation: of the spine's region on a film of the whole body: by the localizer, or by the horizontal projection
            of the film's intensity as in the paper.
        canvas: (H, W) that the region is letterboxed to.
        aspect: height over width of the refined region.
        margin: around the cord, as a share of its height.
        coarse_share: share of training samples that show the whole film, as the pass that segments the cord reads it.
        rotation, scale, shift: spread of the refined region of training samples (degrees, log units, share of the
            canvas's height), since a cord is found less exactly than it is labelled.
        cord_reach: px of the canvas from the cord within which a detection's middle must lie.
    """

    isolation: Isolation = "localizer"
    canvas: Size = (672, 192)
    aspect: Positive = 3.5
    margin: Share = 0.03
    coarse_share: Share = 0.2
    rotation: Degrees = 4.0
    scale: Share = 0.06
    shift: Share = 0.015
    cord_reach: Weight = 4.0


class LossSettings(Settings):
    """Weights of the terms of the loss, see `losses`."""

    objectness: Weight = 1.0
    proposal: Weight = 1.0
    angle: Weight = 1.0
    score: Weight = 1.0
    box: Weight = 1.0
    heat: Weight = 0.3
    corners: Weight = 4.0
    tilt: Weight = 8.0
    cord: Weight = 0.5


class RotatedProposalsConfig(SolverConfig):
    """All settings of `rotated_proposals`.

    Attributes:
        intensity: how films are evened out before anything else.
        angles: "upright" proposes, aligns and regresses boxes with theta = 0, to compare with.
        rows: of the films kept for training, and of the canvas that they are augmented on.
        augment: how samples differ from the films.
        passes: over a film: 1 plain, 2 with the mirror image, 4 with another scale of each.
        corner_sd_share: standard deviation of a corner, as a share of the spread of its heatmap, over which angles are
            averaged (`geometry.expectation`); 0 measures the corners themselves.
        batch: films a step.
    """

    intensity: Intensity = "clahe"
    angles: Angles = "rotated"
    rows: Annotated[int, Field(ge=128, le=4096)] = 896
    region: RegionSettings = RegionSettings()
    backbone: BackboneSettings = BackboneSettings()
    rpn: RpnSettings = RpnSettings()
    boxes: BoxSettings = BoxSettings()
    corners: CornerSettings = CornerSettings()
    loss: LossSettings = LossSettings()
    augment: AugmentSettings = AugmentSettings(
        scale=(0.85, 1.15),
        rotation=20.0,
        small_share=0.0,
        shift=0.02,
        bend=8.0,
        bend_share=0.5,
        exaggerate=0.3,
    )
    passes: Literal[1, 2, 4] = 4
    corner_sd_share: Annotated[float, Field(ge=0, le=10)] = 0.3
    batch: Count = 4
    train: TrainSettings = TrainSettings(epochs=14, lr=1.5e-3, ema=0.995, validate_every=7)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.rpn.strides) != len(self.rpn.scales):
            raise ValueError("rpn.scales has one list for each of rpn.strides")
        coarsest = 4 * 2 ** (self.backbone.stages - 1)
        if any(stride > coarsest for stride in (*self.rpn.strides, self.boxes.stride)):
            raise ValueError(f"rpn.strides and boxes.stride are at most {coarsest}, see backbone.stages")
        if any(side % coarsest for side in self.region.canvas):
            raise ValueError(f"region.canvas has sides that are multiples of {coarsest}")
        return self

    @property
    def anchor_angles(self) -> tuple[float, ...]:
        """Degrees."""
        return self.rpn.angles if self.angles == "rotated" else (0.0,)

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        options = {"channels": [8, 16, 24, 32], "layers": [1, 1, 1, 1], "stem_width": 8}
        return cls(
            rows=320,
            region=RegionSettings(canvas=(336, 96), cord_reach=3.0),
            backbone=BackboneSettings(encoder=EncoderSettings(options=options), stages=3, pyramid=24, cord=8),
            rpn=RpnSettings(
                strides=(4, 8), scales=((9.0, 12.0, 16.0), (21.0, 27.0)), channels=24, samples=96, before=400, kept=50,
            ),
            boxes=BoxSettings(size=(3, 5), stride=4, channels=32, samples=40),
            corners=CornerSettings(size=(12, 18), detail=8, channels=24, layers=2, samples=18),
            passes=2,
            batch=2,
            train=TrainSettings(epochs=2, validate_every=2, precision="32-true"),
        )  # fmt: skip
