"""Settings of `multitask_pyramid`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from aasce.config import Settings
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.encoders import BackboneSettings
from aasce.solvers.shared.row_head import HeadSettings
from aasce.solvers.shared.samples import AugmentSettings
from aasce.solvers.shared.trainer import TrainSettings


class NetworkSettings(Settings):
    """Encoder and decoder.

    Attributes:
        encoder: VGG-11, the paper's choice, or a residual network, its other candidate.
        vgg_width: channels of VGG-11 as a share of the original's; the paper's is 1.
        resnet: the residual network; the paper's is resnet50 without options.
        decoder: channels of the decoder's stages, of stride 16, 8, 4, 2 and 1. Four of them end at half the
            canvas, which is what masks are compared at; the paper's five end at the canvas.
    """

    encoder: Literal["vgg", "resnet"] = "vgg"
    vgg_width: float = 0.25
    resnet: BackboneSettings = BackboneSettings(
        name="resnet50", options={"channels": [16, 32, 64, 128], "layers": [3, 4, 6, 3]}
    )
    decoder: tuple[int, ...] = (64, 48, 32, 24)


class MultitaskPyramidConfig(SolverConfig):
    """All settings of `multitask_pyramid`.

    Attributes:
        output: angles alone, or the mask as well: the paper's comparison.
        pyramid: the decoder's stages but the last are pooled too, beside the encoder's last map.
        network: see there.
        head: how the pooled maps become angles; the paper's is pooling average, head direct, near 0, smape 1.
        size: (H, W) of the canvas that films are letterboxed to.
        intensity: how films are evened out; the paper does not.
        dice, entropy: weights of the mask's losses; the paper's are 1 and 0.
        augment: how samples differ from the films; the paper shifts them.
        batch: films a step.
        crop_below: a spine shorter than this share of the picture is cropped to and looked at again.
        least_mask: share of the canvas that vertebrae must cover for a film to be measured.
    """

    output: Literal["angle", "angle+mask"] = "angle+mask"
    pyramid: bool = True
    network: NetworkSettings = NetworkSettings()
    head: HeadSettings = HeadSettings()
    size: tuple[int, int] = (384, 192)
    intensity: Literal["equalize", "clahe", "none"] = "equalize"
    dice: float = 1.0
    entropy: float = 1.0
    augment: AugmentSettings = AugmentSettings(far=0.1)
    batch: int = 8
    train: TrainSettings = TrainSettings(epochs=50, lr=2e-3, ema=0.995, validate_every=5)
    crop_below: float = 0.6
    least_mask: float = 0.004

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(side % 32 for side in self.size):
            raise ValueError("size is a multiple of 32")
        if not 4 <= len(self.network.decoder) <= 5:
            raise ValueError("network.decoder has four stages, or five for a mask as large as the canvas")
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        return cls(
            size=(128, 64), batch=2, network=NetworkSettings(vgg_width=0.125, decoder=(16, 16, 16, 8)),
            head=HeadSettings(rows=32, width=24),
            train=TrainSettings(epochs=2, validate_every=2, precision="32-true"),
        )  # fmt: skip
