"""Settings of `scg_net`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aasce.config import KIND, Count, Positive, Settings, Share, Size, Weight
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.encoders import EncoderSettings
from aasce.solvers.shared.heads import Head, RowsHeadSettings
from aasce.solvers.shared.samples import AugmentSettings, Intensity
from aasce.solvers.shared.trainer import TrainSettings

InputKind = Literal["image", "image+curves", "curves"]

SKIPS = (0, 2)
"""Levels of the encoder whose maps reach the decoder: 1X and 4X, halvings of the canvas."""


class BoundarySettings(Settings):
    """The boundary segmenter.

    Attributes:
        channels: of the encoder's levels, from the canvas down, each half the size of the one before.
        pools: grid sizes of the pyramid pooling block at the bottom; width: its channels.
        decoder: channels of the way up at 4X and at 1X.
        size: (H, W) of the canvas.
        thickness: px of the canvas that the curves are dilated to.
        dice: weight of the soft Dice term beside the cross entropy.
        batch: films a step.
    """

    channels: tuple[Count, ...] = (12, 24, 48, 96, 128)
    pools: tuple[Count, ...] = (1, 2, 3, 6)
    width: Count = 96
    decoder: tuple[Count, Count] = (48, 16)
    size: Size = (256, 128)
    thickness: Positive = 4.0
    dice: Weight = 1.0
    batch: Count = 8
    train: TrainSettings = TrainSettings(epochs=25, lr=2e-3, ema=0.99, validate_every=5)


class ImageInput(Settings):
    """The film alone."""

    kind: Literal["image"] = "image"

    @property
    def corrupt(self) -> float:
        """There are no maps to corrupt."""
        return 0.0


class CurvesInput(Settings):
    """The curve maps, beside the film or alone.

    Attributes:
        corrupt: share of samples whose curve maps are corrupted a little, since a segmenter errs less on films it
            knows.
    """

    kind: Literal["image+curves", "curves"] = "image+curves"
    corrupt: Share = 0.3


class RegressionSettings(Settings):
    """The angle regressor.

    Attributes:
        encoder: a DenseNet, or any other; the paper's is a DenseNet without options.
        maps: how many of its maps, from the deepest up, the head reads; the paper's regressor ends in the deepest.
        input: what it sees: the film, the film and the curve maps, or the curve maps.
        head: how maps become angles; the paper's is direct.
        size: (H, W) of its canvas, of the same aspect as the segmenter's.
        variants: curve maps kept of each training film, each of another augmented view.
        batch: films a step.
    """

    encoder: EncoderSettings = EncoderSettings(
        name="densenet121", options={"growth_rate": 16, "block_config": [3, 6, 8, 8], "bn_size": 2}
    )
    maps: int = Field(default=3, ge=1, le=4)
    input: Annotated[ImageInput | CurvesInput, Field(discriminator=KIND)] = CurvesInput()
    head: Head = RowsHeadSettings(rows=32)
    size: Size = (256, 128)
    variants: int = Field(default=4, ge=1, le=64)
    batch: Count = 16
    train: TrainSettings = TrainSettings(epochs=120, lr=2e-3, ema=0.995, validate_every=15)


class ScgNetConfig(SolverConfig):
    """All settings of `scg_net`.

    Attributes:
        intensity: how films are evened out before anything else.
        boundaries, regression: the two networks.
        augment: how samples differ from the films; the paper crops and resizes at random.
        crop_below: a spine shorter than this share of the film is cropped to and passed again.
        min_rows: share of the canvas's rows that must show both curves for a film to be measured.
    """

    intensity: Intensity = "equalize"
    boundaries: BoundarySettings = BoundarySettings()
    regression: RegressionSettings = RegressionSettings()
    augment: AugmentSettings = AugmentSettings()
    crop_below: Share = 0.6
    min_rows: Share = 0.05

    @model_validator(mode="after")
    def _fits(self) -> Self:
        seg, reg = self.boundaries.size, self.regression.size
        if any(side % 32 for side in (*seg, *reg)):
            raise ValueError("boundaries.size and regression.size are multiples of 32")
        if seg[0] * reg[1] != seg[1] * reg[0]:
            raise ValueError(
                "boundaries.size and regression.size have one aspect: no angle survives stretching"
            )
        if not SKIPS[-1] + 2 <= len(self.boundaries.channels) <= 6:
            raise ValueError("boundaries.channels has four to six levels: the pyramid stands below 4X")
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        options = {"growth_rate": 8, "block_config": [2, 2, 2, 2], "bn_size": 2}
        train = TrainSettings(epochs=2, validate_every=2, precision="32-true")
        return cls(
            boundaries=BoundarySettings(
                channels=(8, 16, 24, 24), width=16, decoder=(16, 8), size=(128, 64), thickness=3, batch=2, train=train
            ),
            regression=RegressionSettings(
                encoder=EncoderSettings(name="densenet121", options=options), head=RowsHeadSettings(rows=32, width=24),
                size=(128, 64), variants=2, batch=2, train=train,
            ),
        )  # fmt: skip
