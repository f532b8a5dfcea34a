"""Settings of `corner_regression`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aasce.config import KIND, Count, Positive, Settings, Share, Size, Weight
from aasce.geometry.column import Missing
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.encoders import EncoderSettings
from aasce.solvers.shared.samples import AugmentSettings, Intensity
from aasce.solvers.shared.trainer import TrainSettings

RESNET = EncoderSettings(
    name="resnet18d", options={"channels": [32, 64, 128, 256], "layers": [2, 2, 2, 2], "stem_width": 16}
)
"""The encoder of `vertebra_field_rendered`."""


class DetectorSettings(Settings):
    """The Faster R-CNN that finds vertebrae.

    Attributes:
        encoder: of the film.
        finest, stages: least stride of the encoder's maps, and how many of them, each of twice the stride, are used.
        pyramid: channels of the feature pyramid, whose finest map is searched; null searches the encoder's coarsest
            map, as the paper does.
        size: (H, W) of the canvas.
        grow: px by which width and height of the box around four corners increase, on a film whose vertebrae are
            `targets.SPACING` apart.
        anchors: px of the canvas, square roots of the areas. ratios: of width to height.
        proposals: sampled per film to train the head. pool: side of the map cut out for each. units: of the head's two
            dense layers.
        nms: overlap (IoU) from which the worse of two boxes is dropped.
        batch: films a step.
    """

    encoder: EncoderSettings = RESNET
    finest: Literal[4, 8, 16] = 8
    stages: int = Field(default=2, ge=1, le=4)
    pyramid: Count | None = 64
    size: Size = (640, 288)
    grow: tuple[Weight, Weight] = (50.0, 10.0)
    anchors: tuple[Positive, ...] = Field(default=(32.0, 56.0), min_length=1)
    ratios: tuple[Positive, ...] = Field(default=(1.0, 2.0), min_length=1)
    proposals: Count = 64
    pool: Count = 5
    units: Count = 128
    nms: Share = 0.5
    batch: Count = 8
    augment: AugmentSettings = AugmentSettings()
    train: TrainSettings = TrainSettings(epochs=8, lr=1e-3, ema=0.99, validate_every=4)


class PooledHead(Settings):
    """The paper's: global average pooling, a dense layer, eight linear outputs.

    Attributes:
        units: of the dense layer.
    """

    kind: Literal["pooled"] = "pooled"
    units: Count = 128


class HeatmapHead(Settings):
    """One map for each corner at a quarter of the patch, whose mean place is the corner.

    Attributes:
        width: channels of the way up.
        sigma: px of the map, of the Gaussian taught. entropy: weight of that term beside the corners' distance.
    """

    kind: Literal["heatmap"] = "heatmap"
    width: Count = 48
    sigma: Positive = 1.0
    entropy: Weight = 0.1


CornerHead = Annotated[PooledHead | HeatmapHead, Field(discriminator=KIND)]


class CornerSettings(Settings):
    """The network that finds four corners in each box.

    Attributes:
        encoder: of the patch. stages: its maps, from stride 4 on; the coarsest is pooled.
        head: how maps become corners.
        film: (H, W) of the canvas that patches are cut from.
        size: (H, W) of a patch.
        margin: shares of a box's width and height by which a patch is wider and higher than the box.
        keep_aspect: widens a patch to the aspect of `size`; false stretches it, as the paper does.
        jitter: standard deviation of a training box's sides, as a share of its height: a detector errs, too.
        tilt: weight of the tilt's error beside the corners' distance; the paper has none.
        batch: films a step, each with its 17 patches.
    """

    encoder: EncoderSettings = RESNET
    stages: int = Field(default=3, ge=1, le=6)
    head: CornerHead = HeatmapHead()
    film: Size = (1024, 448)
    size: Size = (64, 96)
    margin: tuple[Weight, Weight] = (0.1, 0.5)
    keep_aspect: bool = True
    jitter: Share = 0.08
    tilt: Weight = 15.0
    batch: Count = 4
    augment: AugmentSettings = AugmentSettings(small_share=0.0)
    train: TrainSettings = TrainSettings(epochs=20, lr=1e-3, ema=0.995, validate_every=5)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if isinstance(self.head, HeatmapHead) and (any(s % 32 for s in self.size) or self.stages > 4):
            raise ValueError("heatmaps take at most 4 stages, and a size of multiples of 32")
        return self


class LocalizerCrop(Settings):
    """A film of the whole body is cropped around the spine that the localizer found."""

    kind: Literal["localizer"] = "localizer"


class RuleCrop(Settings):
    """The paper's rule: rows cut off at the top and the bottom, in proportion to the film's aspect.

    Attributes:
        top, bottom: shares of the height cut off a film of height to width `aspect`. The paper does not print its
            aspect; 2.5 is that of a film of the whole body.
    """

    kind: Literal["rule"] = "rule"
    top: Share = 0.18
    bottom: Share = 0.21
    aspect: Positive = 2.5


class NoCrop(Settings):
    """The whole film, the first line of the paper's table."""

    kind: Literal["none"] = "none"


CropRule = Annotated[LocalizerCrop | RuleCrop | NoCrop, Field(discriminator=KIND)]


class InferenceSettings(Settings):
    """From a film to 17 vertebrae; all can be changed on trained weights.

    Attributes:
        crop: which part of a film is read.
        score: least score of a detection.
        column: "rules" takes the detections from the top by the paper's rules; "chain" takes those that make the best
            column by spacing and direction, see `targets.field.choose_column`.
        outliers: whether boxes far from their neighbours are rejected, by the paper's rules.
        surplus: of more than 17 vertebrae, "bottom" drops the lowest ones, as the paper does; "unsure" drops the end
            with the lower score, again and again.
        missing: "duplicate" repeats the lowest vertebra where some are missing, as the paper does; "interpolate" fills
            gaps and continues the column.
        zooms: scales of each box at which its corners are found; their mean is taken, over mirrored patches too.
        smoothing: order of the polynomials by which corners are smoothed; null for none.
        corner_sd_share: angles are medians over corners that are uncertain by so many standard deviations of the
            patches; 0 measures the mean corners.
        least: detections without which a film fails.
    """

    crop: CropRule = LocalizerCrop()
    score: Share = 0.3
    column: Literal["rules", "chain"] = "rules"
    outliers: bool = True
    surplus: Literal["bottom", "unsure"] = "unsure"
    missing: Missing = "interpolate"
    zooms: tuple[Positive, ...] = Field(default=(1.0, 1.15), min_length=1)
    smoothing: int | None = Field(default=None, ge=1, le=12)
    corner_sd_share: Annotated[float, Field(ge=0, le=10)] = 0.0
    least: int = Field(default=5, ge=2, le=17)


class CornerRegressionConfig(SolverConfig):
    """All settings of `corner_regression`.

    Attributes:
        intensity: how films are evened out before anything else.
        detector, corners: the two networks.
        inference: what is done with their outputs.
    """

    intensity: Intensity = "equalize"
    detector: DetectorSettings = DetectorSettings()
    corners: CornerSettings = CornerSettings()
    inference: InferenceSettings = InferenceSettings()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        coarsest = self.detector.finest * 2 ** (self.detector.stages - 1)
        if any(side % coarsest for side in self.detector.size):
            raise ValueError(f"detector.size is a multiple of the coarsest stride, {coarsest}")
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        small = EncoderSettings(
            name="resnet18d", options={"channels": [16, 24, 32, 48], "layers": [1, 1, 1, 1], "stem_width": 8}
        )
        train = TrainSettings(epochs=2, validate_every=2, precision="32-true")
        return cls(
            detector=DetectorSettings(
                encoder=small, finest=4, stages=2, pyramid=24, size=(320, 160), anchors=(16.0, 26.0), proposals=48,
                pool=3, units=48, batch=2, train=train,
            ),
            corners=CornerSettings(
                encoder=small, head=HeatmapHead(width=24), film=(448, 192), size=(32, 64), batch=2, train=train
            ),
        )  # fmt: skip
