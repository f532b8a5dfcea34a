"""Settings of `seg4reg`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aasce.config import KIND, Count, Settings, Share, Size, Weight
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.encoders import EncoderSettings
from aasce.solvers.shared.heads import Head, RowsHeadSettings
from aasce.solvers.shared.samples import AugmentSettings, Intensity
from aasce.solvers.shared.trainer import TrainSettings

InputKind = Literal["image", "image+mask", "mask"]


class SegmentationSettings(Settings):
    """PSPNet with a dilation pyramid beside the pooling pyramid.

    Attributes:
        encoder: its features of stride 4 and coarser are used; the paper's is resnet50 or resnet101.
        stages: how many of them, from stride 4 down; the pyramids stand on the last.
        output_stride: of the encoder; 8 is PSPNet's (the strides of the last stages become dilations).
        size: (H, W) of the canvas; the paper's is (1024, 512).
        pools: grid sizes of the pooling pyramid.
        dilations: of the 3x3 convolutions beside it, whose outputs are summed; () leaves them out.
        width: channels of the pyramid's output. decoder: channels of the way back up to stride 4.
        skips: finer features join on the way up and the map has stride 2; without them the pyramid's output
            is enlarged, as in the paper.
        dice: weight of the soft Dice term beside the cross entropy.
        batch: films a step.
    """

    encoder: EncoderSettings = EncoderSettings(
        options={"channels": [32, 64, 128, 256], "layers": [2, 2, 2, 2], "stem_width": 16}
    )
    stages: int = Field(default=3, ge=1, le=4)
    output_stride: Literal[8, 16, 32] = 32
    size: Size = (512, 256)
    pools: tuple[Count, ...] = (1, 2, 3, 6)
    dilations: tuple[Count, ...] = (2, 4, 6)
    width: Count = 96
    decoder: Count = 48
    skips: bool = True
    dice: Weight = 0.5
    batch: Count = 8
    train: TrainSettings = TrainSettings(epochs=22, lr=2e-3, ema=0.99, validate_every=5)


class ImageInput(Settings):
    """The film alone."""

    kind: Literal["image"] = "image"

    @property
    def corrupt(self) -> float:
        """There are no masks to corrupt."""
        return 0.0


class ImageMaskInput(Settings):
    """The film, and the segmenter's soft probabilities of vertebra and gap.

    Attributes:
        corrupt: share of predicted masks that are corrupted a little, since a segmenter errs less on films it knows.
    """

    kind: Literal["image+mask"] = "image+mask"
    corrupt: Share = 0.3


class MaskInput(Settings):
    """The probabilities alone.

    Attributes:
        corrupt: share of predicted masks that are corrupted a little, since a segmenter errs less on films it knows.
        synthetic: share of samples whose mask is drawn from (bent, shaken) landmarks and then corrupted, instead of
            predicted.
    """

    kind: Literal["mask"] = "mask"
    corrupt: Share = 0.3
    synthetic: Share = 0.3


class RegressionSettings(Settings):
    """From film, mask or both to the three angles.

    Attributes:
        encoder: the paper's are densenet169 and efficientnet_b5.
        stages: how many of its features, from stride 4 down.
        maps: how many of these, from the deepest up, the head reads; the paper's classifier ends in the deepest.
        input: what it sees.
        head: how maps become angles; the paper's is direct.
        size: (H, W) of its canvas, of the same aspect as the segmenter's; the paper's is (512, 256).
        variants: predictions of the segmenter kept of each training film, each of another augmented view.
        batch: films a step. repeats: draws of each film in an epoch.
    """

    encoder: EncoderSettings = EncoderSettings(
        options={"channels": [32, 64, 128, 192], "layers": [2, 2, 2, 2], "stem_width": 16}
    )
    stages: int = Field(default=3, ge=1, le=4)
    maps: int = Field(default=3, ge=1, le=4)
    input: Annotated[ImageInput | ImageMaskInput | MaskInput, Field(discriminator=KIND)] = MaskInput()
    head: Head = RowsHeadSettings(rows=32)
    size: Size = (256, 128)
    variants: int = Field(default=4, ge=1, le=64)
    batch: Count = 16
    repeats: int = Field(default=1, ge=1, le=1000)
    train: TrainSettings = TrainSettings(epochs=90, lr=2e-3, ema=0.995, validate_every=10)


class AdaptationSettings(Settings):
    """Gradient-reversal domain adaptation (Ganin & Lempitsky 2015) to unlabelled target films.

    Attributes:
        films: folder of the target films; null takes aasce19_wide/ of the data set that AASCE_DATA names.
        stages: the segmenter's features alone, or the regression's too.
        weight: lambda of the paper's loss.
        share: target films a step, as a share of the batch.
    """

    films: str | None = None
    stages: Literal["segmentation", "both"] = "segmentation"
    weight: Weight = 1.0
    share: Annotated[float, Field(gt=0, le=10)] = 0.5


class Seg4RegConfig(SolverConfig):
    """All settings of `seg4reg`.

    Attributes:
        intensity: how films are evened out before anything else; the paper equalises histograms.
        adaptation: to films of another kind; null leaves it out.
        crop_below: a spine shorter than this share of the film is cropped to and passed again.
        min_mask: share of the canvas that vertebrae must cover for a film to be measured.
        small_angles_to_zero: angles under 4 degrees become 0; null chooses on the validation part (no,
            without one).
    """

    intensity: Intensity = "equalize"
    segmentation: SegmentationSettings = SegmentationSettings()
    regression: RegressionSettings = RegressionSettings()
    augment: AugmentSettings = AugmentSettings()
    adaptation: AdaptationSettings | None = None
    crop_below: Share = 0.7
    min_mask: Share = 0.004
    small_angles_to_zero: bool | None = None

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        seg, reg = self.segmentation.size, self.regression.size
        if any(side % 32 for side in (*seg, *reg)):
            raise ValueError("segmentation.size and regression.size are multiples of 32")
        if seg[0] * reg[1] != seg[1] * reg[0]:
            raise ValueError(
                "segmentation.size and regression.size have one aspect: no angle survives stretching"
            )
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        encoder = EncoderSettings(options={"channels": [8, 16, 24, 24], "layers": [1] * 4, "stem_width": 8})
        train = TrainSettings(epochs=2, validate_every=2, precision="32-true")
        return cls(
            segmentation=SegmentationSettings(
                encoder=encoder, size=(128, 64), width=16, decoder=16, batch=2, train=train
            ),
            regression=RegressionSettings(
                encoder=encoder, head=RowsHeadSettings(rows=32, width=24), size=(64, 32), variants=2, batch=2,
                train=train,
            ),
        )  # fmt: skip
