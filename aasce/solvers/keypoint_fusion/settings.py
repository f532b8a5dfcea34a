"""Settings of `keypoint_fusion`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from aasce.config import Count, Degrees, Positive, Settings, Share, Size, Weight
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.encoders import EncoderSettings
from aasce.solvers.shared.samples import AugmentSettings, Intensity
from aasce.solvers.shared.trainer import TrainSettings

Fusion = Literal["vote", "average", "landmarks", "method1", "method2", "method2_squeezed"]
"""vote and average are the paper's; landmarks measures the mean landmarks; the others are one result alone."""

Rule = Literal["challenge", "paper"]
"""The challenge's definition of the angles, or the paper's (section 3.2), which is the clinical one."""

Grow = Annotated[float, Field(ge=1, le=4)]
"""Factor by which a box is enlarged."""


def hrnet_stage(channels: list[int], blocks: int, kind: str = "BASIC", modules: int = 1) -> dict[str, Any]:
    """A stage of an HRNet as timm takes it.

    Args:
        channels: of each branch, from the finest.
        blocks: residual blocks of each branch.
        kind: timm's name of the block.
        modules: exchanges between the branches.
    """
    return {
        "num_modules": modules, "num_branches": len(channels), "block_type": kind,
        "num_blocks": [blocks] * len(channels), "num_channels": channels, "fuse_method": "SUM",
    }  # fmt: skip


SMALL_HRNET: dict[str, Any] = {
    "feature_location": "",
    "stem_width": 16,
    "stage1": hrnet_stage([16], 1, "BOTTLENECK"),
    "stage2": hrnet_stage([16, 32], 1),
    "stage3": hrnet_stage([16, 32, 64], 1),
    "stage4": hrnet_stage([16, 32, 64, 64], 1),
}
"""An HRNet of half a million parameters."""

SMALL_RESNET: dict[str, Any] = {"channels": [32, 64, 128, 256], "layers": [2, 2, 2, 2], "stem_width": 16}
"""The encoder of `vertebra_field`."""


class BoxesSettings(Settings):
    """Method 1, the RetinaNet that finds vertebrae, and the filters of its boxes (section 3.1).

    Attributes:
        encoder: its encoder; the paper's is ResNet-50.
        stages: maps of the encoder that its feature pyramid joins, from stride 8.
        pyramid: channels of the feature pyramid and of the heads.
        anchors: sides of the anchors, px of the canvas, for each map of the pyramid.
        ratios: of an anchor's height to its width.
        size: (H, W) of the canvas.
        score: detections with a lower score are left out.
        nms: overlap (IoU) above which the worse of two detections is left out.
        overlap: a box whose IoU with both the box above and the box below is larger is dropped.
        step: a box whose upper left corner is farther from that of the box above than this multiple of its own width is
            dropped; the paper's is 1.
        batch: films a step.
    """

    encoder: EncoderSettings = EncoderSettings(name="resnet18d", options=SMALL_RESNET)
    stages: int = Field(default=2, ge=1, le=3)
    pyramid: Count = 64
    anchors: tuple[tuple[Positive, ...], ...] = ((24.0, 32.0), (40.0, 52.0))
    ratios: tuple[Positive, ...] = (0.5, 0.8)
    size: Size = (512, 224)
    score: Share = 0.3
    nms: Share = 0.5
    overlap: Share = 0.36
    step: Positive = 1.6
    batch: Count = 8
    train: TrainSettings = TrainSettings(epochs=20, ema=0.99)


class CornersSettings(Settings):
    """Method 1, the HRNet that finds the four corners in each box.

    Attributes:
        encoder: an HRNet; the paper's is HRNet-W48.
        size: (H, W) of the crop around a box.
        grow: the crop shows the box enlarged by this factor.
        jitter: standard deviation of the boxes in training, as a share of their sides.
        sigma: px of the map (a quarter of the crop), of the Gaussian that stands for a corner.
        balance: how much more an error counts where a corner is than where none is.
        batch: films a step; each gives 17 crops.
    """

    encoder: EncoderSettings = EncoderSettings(name="hrnet_w18_small", options=SMALL_HRNET)
    size: Size = (64, 96)
    grow: Grow = 1.3
    jitter: Share = 0.06
    sigma: Positive = 1.0
    balance: Weight = 5.0
    batch: Count = 4
    train: TrainSettings = TrainSettings(epochs=12, lr=2e-3, ema=0.99)


class BaselineSettings(Settings):
    """A Simple Baseline (Xiao et al. 2018): an encoder, deconvolutions, heatmaps.

    Attributes:
        encoder: the paper's is ResNet-152.
        stages: of the encoder that are used, from stride 4; the paper's has four.
        context: dilations of further convolutions at the bottom, which widen what a heatmap sees; the paper has none.
        deconvolutions: channels of each; every one doubles the map.
        sigma: px of the map, of the Gaussian that stands for a keypoint.
        balance: how much more an error counts where a keypoint is than where none is.
    """

    encoder: EncoderSettings = EncoderSettings(name="resnet18d", options=SMALL_RESNET)
    stages: int = Field(default=3, ge=1, le=4)
    context: tuple[Count, ...] = ()
    deconvolutions: tuple[Count, ...] = (64, 64)
    sigma: Positive = 1.0
    balance: Weight = 5.0

    @property
    def stride(self) -> int:
        """Canvas px per px of the heatmaps."""
        return int(4 * 2 ** (self.stages - 1) // 2 ** len(self.deconvolutions))

    @model_validator(mode="after")
    def _not_finer_than_the_canvas(self) -> Self:
        if len(self.deconvolutions) > self.stages + 1:
            raise ValueError(
                "deconvolutions are at most one more than stages: maps are no finer than the canvas"
            )
        return self


class RoughSettings(Settings):
    """Method 2, Simple Baseline I: 68 heatmaps of the whole spine.

    Attributes:
        baseline: the network.
        size: (H, W) of the canvas.
        batch: films a step.
    """

    baseline: BaselineSettings = BaselineSettings(context=(2, 4), sigma=1.5, balance=30.0)
    size: Size = (384, 176)
    batch: Count = 8
    train: TrainSettings = TrainSettings(epochs=24, ema=0.99)


class PatchesSettings(Settings):
    """Method 2, Simple Baseline II: heatmaps of the four corner tags on patches of one to three vertebrae.

    Attributes:
        baseline: the network.
        size: (H, W) of a patch.
        grow: a patch shows the box around its points enlarged by this factor.
        jitter: standard deviation of the patches' boxes in training, as a share of their sides.
        per_film: patches of each film in a step of training.
        count: patches of a film in a prediction, each passed plain and mirrored.
        level: least value of a peak of a heatmap.
        batch: films a step.
    """

    baseline: BaselineSettings = BaselineSettings()
    size: Size = (128, 96)
    grow: Grow = 1.25
    jitter: Share = 0.06
    per_film: Count = 8
    count: Count = 64
    level: Share = 0.3
    batch: Count = 8
    train: TrainSettings = TrainSettings(epochs=16, ema=0.99)


class ClusterSettings(Settings):
    """Method 2, postprocessing of the dense points (section 2.3).

    Attributes:
        reach: eps of DBSCAN, as a share of the distance between vertebrae.
        least: points that make a cluster.
        turn: degrees by which the spine may turn between the two steps at an end; a cluster beyond is excluded.
        diagonals: largest ratio of the two diagonals of a vertebra that is not squeezed.
        gap: a centre whose steps to both neighbours have a larger ratio of x to y is an outlier.
        pairing: how clusters of the four tags become vertebrae: "place" joins those at one place along the spine, see
            `pairing`; "order" joins the k-th ones of all tags, whose numbers are brought to their median, as the paper
            does.
        last: the last three vertebrae are suppressed where they follow at less than this share of the usual y gap.
    """

    reach: Positive = 0.15
    least: Count = 3
    turn: Degrees = 35.0
    diagonals: Annotated[float, Field(ge=1, le=10)] = 1.1
    gap: Positive = 1.2
    pairing: Literal["place", "order"] = "place"
    last: Share = 0.5


class KeypointFusionConfig(SolverConfig):
    """All settings of `keypoint_fusion`.

    Attributes:
        intensity: how films are evened out before anything else; the paper's Simple Baselines see CLAHE.
        canvas: (H, W) of the canvas that boxes and patches are cut from.
        boxes, corners: the two networks of Method 1.
        rough, patches: the two networks of Method 2; clusters: its postprocessing.
        fusion: what is predicted from the three results (Method 1, Method 2 without and with the squeezed-vertebra
            test); may be changed on trained weights.
        rule: by which angles are measured and end vertebrae are voted on; may be changed on trained weights.
        quality: a result whose opposite sides differ by a larger share, mean of the vertebrae, has no vote.
        augment: how samples differ from the films.
    """

    intensity: Intensity = "clahe"
    canvas: Size = (1024, 448)
    boxes: BoxesSettings = BoxesSettings()
    corners: CornersSettings = CornersSettings()
    rough: RoughSettings = RoughSettings()
    patches: PatchesSettings = PatchesSettings()
    clusters: ClusterSettings = ClusterSettings()
    fusion: Fusion = "average"
    rule: Rule = "challenge"
    quality: Share = 0.3
    augment: AugmentSettings = AugmentSettings(
        scale=(0.85, 1.15), rotation_share=0.0, small_rotation=5.0, small_share=0.0
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        sizes = (self.boxes.size, self.corners.size, self.rough.size, self.patches.size)
        if any(side % 16 for size in sizes for side in size) or any(side % 32 for side in self.corners.size):
            raise ValueError("sizes of networks are multiples of 16, that of corners multiples of 32")
        if [len(level) for level in self.boxes.anchors] != [len(self.boxes.anchors[0])] * self.boxes.stages:
            raise ValueError("boxes.anchors has one entry for each of boxes.stages, all of one length")
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        train = TrainSettings(epochs=2, validate_every=2, precision="32-true")
        encoder = EncoderSettings(
            name="resnet18d", options={"channels": [8, 16, 24, 32], "layers": [1, 1, 1, 1], "stem_width": 8}
        )
        baseline = BaselineSettings(encoder=encoder, deconvolutions=(24, 24))
        hrnet: dict[str, Any] = {
            **SMALL_HRNET, "stem_width": 8, "stage1": hrnet_stage([8], 1, "BOTTLENECK"),
            "stage2": hrnet_stage([8, 8], 1), "stage3": hrnet_stage([8, 8, 8], 1),
            "stage4": hrnet_stage([8, 8, 8, 8], 1),
        }  # fmt: skip
        rough = baseline.model_copy(update={"context": (2, 4), "sigma": 1.5, "balance": 30.0})
        return cls(
            canvas=(448, 192),
            boxes=BoxesSettings(
                encoder=encoder, pyramid=24, anchors=((14.0, 20.0), (24.0, 32.0)), size=(320, 144), batch=4, train=train
            ),
            corners=CornersSettings(
                encoder=EncoderSettings(name="hrnet_w18_small", options=hrnet), batch=2, train=train
            ),
            rough=RoughSettings(baseline=rough, size=(256, 112), batch=4, train=train),
            patches=PatchesSettings(baseline=baseline, size=(96, 64), batch=2, count=48, train=train),
        )  # fmt: skip
