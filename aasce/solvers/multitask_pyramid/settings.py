"""Settings of `multitask_pyramid`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from aasce.config import Count, Settings, Share, Size, Weight
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.encoders import EncoderSettings
from aasce.solvers.shared.heads import Head, RowsHeadSettings
from aasce.solvers.shared.samples import AugmentSettings, Intensity
from aasce.solvers.shared.trainer import TrainSettings


class MaskSettings(Settings):
    """The decoder and its mask of the vertebrae.

    Attributes:
        decoder: channels of the decoder's stages, of stride 16, 8, 4, 2 and 1. Four of them end at half the
            canvas, which is what masks are compared at; the paper's five end at the canvas.
        pyramid: the decoder's stages but the last are pooled too, beside the encoder's last map.
        dice, entropy: weights of the mask's losses; the paper's are 1 and 0.
        min_share: share of the canvas that vertebrae must cover for a film to be measured.
    """

    decoder: tuple[Count, ...] = Field(default=(64, 48, 32, 24), min_length=4, max_length=5)
    pyramid: bool = True
    dice: Weight = 1.0
    entropy: Weight = 1.0
    min_share: Share = 0.004


class MultitaskPyramidConfig(SolverConfig):
    """All settings of `multitask_pyramid`.

    Attributes:
        encoder: the paper's is VGG-11 of full width ("vgg11_bn"), its other candidate "resnet50".
        mask: the second task; null regresses angles alone, the paper's comparison.
        head: how the pooled maps become angles; the paper's is direct, taught by SMAPE alone.
        size: (H, W) of the canvas that films are letterboxed to.
        intensity: how films are evened out; the paper does not.
        augment: how samples differ from the films; the paper shifts them.
        batch: films a step.
        crop_below: a spine shorter than this share of the film is cropped to and passed again.
    """

    encoder: EncoderSettings = EncoderSettings(name="vgg11_bn", options={"width": 0.25})
    mask: MaskSettings | None = MaskSettings()
    head: Head = RowsHeadSettings()
    size: Size = (384, 192)
    intensity: Intensity = "equalize"
    augment: AugmentSettings = AugmentSettings(small_share=0.1)
    batch: Count = 8
    train: TrainSettings = TrainSettings(epochs=50, lr=2e-3, ema=0.995, validate_every=5)
    crop_below: Share = 0.6

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(side % 32 for side in self.size):
            raise ValueError("size is a multiple of 32")
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        return cls(
            size=(128, 64), batch=2, mask=MaskSettings(decoder=(16, 16, 16, 8)),
            encoder=EncoderSettings(name="vgg11_bn", options={"width": 0.125}),
            head=RowsHeadSettings(rows=32, width=24),
            train=TrainSettings(epochs=2, validate_every=2, precision="32-true"),
        )  # fmt: skip
