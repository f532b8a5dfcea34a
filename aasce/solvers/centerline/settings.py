"""Settings of `centerline`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aasce.config import Count, Settings, Share, Size, Weight
from aasce.geometry.centerline import RATE, STEPS
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.correction import CorrectionSettings
from aasce.solvers.shared.encoders import EncoderSettings
from aasce.solvers.shared.samples import AugmentSettings, Intensity
from aasce.solvers.shared.trainer import TrainSettings
from aasce.targets.curves import LEAST


class CascadeSettings(Settings):
    """A first U-net, trained end to end with the second, which segments the whole spine.

    Attributes:
        input: what the second is shown: the first one's output, as in the paper, the film beside it, or also the
            first one's last features. An outline alone says nothing of how vertebrae are tilted inside it.
        encoder: the way down of the first U-net, with strides 4 to 32, so that it can begin from weights it has; its
            way up has the first three of `widths`. Takes an `unshuffle` of 4. null is a U-net as in the paper.
    """

    input: Literal["mask", "mask+film", "mask+features"] = "mask+features"
    encoder: EncoderSettings | None = None


class NetworkSettings(Settings):
    """Two U-nets, or one.

    Attributes:
        cascade: the U-net before the one that segments the centreline; null leaves it out, the paper's own comparison.
        widths: feature maps of each scale, from the finest; the paper has few, too.
        unshuffle: the U-nets work on a grid of so many px of the canvas to each side, whose values become channels
            (pixel unshuffle); 1 is a U-net as in the paper.
        stride: canvas px per px of the maps, shuffled back from channels likewise.
        norm: batch norm before each pooling, as in the paper, or after every convolution too.
    """

    cascade: CascadeSettings | None = CascadeSettings()
    widths: tuple[Count, ...] = (32, 48, 64, 96, 128)
    unshuffle: Literal[1, 2, 4] = 4
    stride: Literal[1, 2, 4] = 2
    norm: Literal["pooling", "all"] = "all"


class TargetSettings(Settings):
    """What the networks are taught.

    Attributes:
        width: of the drawn centreline, as a share of the canvas's height.
        tilt_cutoff: share of the spine's length below which shapes of the taught line follow the tilts of the vertebrae
            and not the midline, the `stray` of `targets.curves.tilt_line`; 0 draws the midline.
        line: weight of the centreline's mean squared error beside the spine's, which covers more of the film.
        slope: weight of the error of the line's tilt from row to row, against the tilts of the vertebrae; 0
            leaves it out, as the paper does.
        reach: rows above and below that a slope is taken over, as a share of the map's height.
    """

    width: Annotated[float, Field(gt=0, le=1)] = 0.03
    tilt_cutoff: Share = 0.2
    line: Weight = 4.0
    slope: Weight = 0.05
    reach: Annotated[float, Field(gt=0, lt=0.5)] = 0.016


class CurveSettings(Settings):
    """From the map of the centreline to angles.

    Attributes:
        threshold: of the map. min_part: smallest height of a part, as a share of the map's.
        points: the curve is brought to so many points before it is smoothed. The paper's 65,000 steps of 0.01
            are a Gaussian of 36 points: 2.2 % of a curve of 1,600. On the films as they are, one point a row,
            a spine has 2,200 points (median) and the same steps smooth over 1.6 % of it.
        steps, rate, ends: see `geometry.centerline.heat_smooth`.
        tip: share of the curve at each end that is drawn on straight from what lies next to it: there a line is
            seen in part. 0 leaves it as read.
        levels: tangents, evenly along the curve; the paper's 19 fall between the vertebrae they stand for.
        correction: from these tangents to the tilts of 17 vertebrae; null takes the tangents themselves.
        angles: by the challenge's rule, or by the paper's (major, upper, lower).
        tilt_sd_deg: standard deviation of a tilt, over which the challenge's rule is averaged; 0 takes the tilts as
            they are.
        min_length: a curve below this share of the canvas's height is no spine.
    """

    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.25
    min_part: Share = LEAST
    points: int = Field(default=1600, ge=100, le=100_000)
    steps: int = Field(default=STEPS, ge=0, le=10_000_000)
    rate: Annotated[float, Field(ge=0, le=0.5)] = RATE
    ends: Literal["fixed", "free"] = "fixed"
    tip: Annotated[float, Field(ge=0, lt=0.5)] = 0.015
    levels: int = Field(default=33, ge=2, le=200)
    correction: CorrectionSettings | None = CorrectionSettings(ridge=20000.0)
    angles: Literal["challenge", "paper"] = "challenge"
    tilt_sd_deg: float = Field(default=2.0, ge=0, le=45)
    min_length: Share = 0.2


class CenterlineConfig(SolverConfig):
    """All settings of `centerline`.

    Attributes:
        intensity: how films are evened out; the paper divides by the largest value, which "none" leaves to the
            standardisation of the input.
        size: (H, W) of the canvas.
        members: networks whose maps are averaged. With more than one, each is trained without another of
            `subsets` random parts of the patients.
        batch: films a step. crop_below: a spine shorter than this share of the film is cropped to.
        trim: films are cut above T1 and below L5, at this share of the spine's height: by the labels in training,
            by the first pass in prediction (the "crop" of the paper's table 1). null leaves them whole.
    """

    intensity: Intensity = "clahe"
    size: Size = (512, 256)
    network: NetworkSettings = NetworkSettings()
    target: TargetSettings = TargetSettings()
    curve: CurveSettings = CurveSettings()
    members: int = Field(default=1, ge=1, le=100)
    subsets: int = Field(default=10, ge=1, le=100)
    batch: Count = 8
    augment: AugmentSettings = AugmentSettings(rotation_share=0.05, small_share=0.1)
    train: TrainSettings = TrainSettings(epochs=60, lr=2e-3, ema=0.995, validate_every=10)
    crop_below: Share = 0.7
    trim: Share | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        network = self.network
        if network.stride > network.unshuffle:
            raise ValueError("network.stride is at most network.unshuffle")
        if network.cascade is not None and network.cascade.encoder is not None and network.unshuffle != 4:
            raise ValueError("network.cascade.encoder takes a network.unshuffle of 4")
        cell = network.unshuffle * 2 ** (len(network.widths) - 1)
        if any(side % cell for side in self.size):
            raise ValueError(f"size is a multiple of {cell}, with {len(network.widths)} scales")
        if self.members > self.subsets:
            raise ValueError("members is at most subsets")
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        return cls(
            size=(256, 128), batch=4, network=NetworkSettings(widths=(16, 24, 32, 48)),
            train=TrainSettings(epochs=2, validate_every=2, precision="32-true"),
        )  # fmt: skip
