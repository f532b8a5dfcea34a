"""Settings of `scg_net`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from aasce.config import Settings
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.encoders import BackboneSettings
from aasce.solvers.shared.row_head import HeadSettings
from aasce.solvers.shared.samples import AugmentSettings
from aasce.solvers.shared.trainer import TrainSettings

Inputs = Literal["image", "image+curves", "curves"]

SKIPS = (0, 2)
"""Levels of the encoder that the decoder looks back at: 1X and 4X, halvings of the canvas."""


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

    channels: tuple[int, ...] = (12, 24, 48, 96, 128)
    pools: tuple[int, ...] = (1, 2, 3, 6)
    width: int = 96
    decoder: tuple[int, int] = (48, 16)
    size: tuple[int, int] = (256, 128)
    thickness: float = 4.0
    dice: float = 1.0
    batch: int = 8
    train: TrainSettings = TrainSettings(epochs=25, lr=2e-3, ema=0.99, validate_every=5)


class RegressionSettings(Settings):
    """The angle regressor.

    Attributes:
        backbone: a DenseNet of timm's, or any network of its; the paper's is a DenseNet without options.
        input: what it sees: the film, the film and the curve maps, or the curve maps.
        maps: how many of its maps, from the deepest up, the head reads; the paper's regressor ends in the deepest.
        head: how they become angles; the paper's is pooling average, head direct.
        size: (H, W) of its canvas, of the same aspect as the segmenter's.
        variants: curve maps kept of each training film, each of another look.
        spoil: share of samples whose curve maps are spoilt a little, since a segmenter errs less on films it knows.
        batch: films a step.
    """

    backbone: BackboneSettings = BackboneSettings(
        name="densenet121", options={"growth_rate": 16, "block_config": [3, 6, 8, 8], "bn_size": 2}
    )
    input: Inputs = "image+curves"
    maps: int = 3
    head: HeadSettings = HeadSettings(rows=32)
    size: tuple[int, int] = (256, 128)
    variants: int = 4
    spoil: float = 0.3
    batch: int = 16
    train: TrainSettings = TrainSettings(epochs=120, lr=2e-3, ema=0.995, validate_every=15)


class ScgNetConfig(SolverConfig):
    """All settings of `scg_net`.

    Attributes:
        intensity: how films are evened out before anything else.
        boundaries, regression: the two networks.
        augment: how samples differ from the films; the paper crops and resizes at random.
        crop_below: a spine shorter than this share of the picture is cropped to and looked at again.
        least_rows: share of the canvas's rows that must show both curves for a film to be measured.
    """

    intensity: Literal["equalize", "clahe", "none"] = "equalize"
    boundaries: BoundarySettings = BoundarySettings()
    regression: RegressionSettings = RegressionSettings()
    augment: AugmentSettings = AugmentSettings()
    crop_below: float = 0.6
    least_rows: float = 0.05

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
                backbone=BackboneSettings(name="densenet121", options=options), head=HeadSettings(rows=32, width=24),
                size=(128, 64), variants=2, batch=2, train=train,
            ),
        )  # fmt: skip
