"""Settings of `centerline`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from aasce.config import Settings
from aasce.geometry.centerline import RATE, STEPS
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.encoders import BackboneSettings
from aasce.solvers.shared.samples import AugmentSettings
from aasce.solvers.shared.trainer import TrainSettings
from aasce.targets.curves import LEAST


class NetworkSettings(Settings):
    """Two U-nets trained end to end, or one.

    Attributes:
        cascade: the first U-net segments the whole spine and the second the centreline; False has one, straight
            to the centreline, the paper's own comparison.
        sees: what the second is shown: the first one's output, as in the paper, the film beside it, or also the
            first one's last features. An outline alone says nothing of how vertebrae are tilted inside it.
        widths: feature maps of each scale, from the finest; the paper has few, too.
        fold: the U-nets work on a grid of fold x fold px of the canvas, whose values become channels; 1 is a
            U-net as in the paper. stride: canvas px per px of the maps, unfolded from channels likewise.
        norm: batch norm before each pooling, as in the paper, or after every convolution too.
        encoder: a timm network as the way down of the first U-net, with strides 4 to 32, so that it can start from
            weights it has; its way up has the first three of `widths`. Takes a fold of 4. None is the paper's.
    """

    cascade: bool = True
    sees: Literal["mask", "mask+film", "mask+features"] = "mask+features"
    widths: tuple[int, ...] = (32, 48, 64, 96, 128)
    fold: Literal[1, 2, 4] = 4
    stride: Literal[1, 2, 4] = 2
    norm: Literal["pooling", "all"] = "all"
    encoder: BackboneSettings | None = None


class TargetSettings(Settings):
    """What the networks are taught.

    Attributes:
        width: of the drawn centreline, as a share of the canvas's height.
        stray: see `targets.curves.tilt_line`; 0 draws the midline.
        line: weight of the centreline's mean squared error beside the spine's, which covers more of the film.
        slope: weight of the error of the line's tilt from row to row, against the tilts of the vertebrae; 0
            leaves it out, as the paper does.
        reach: rows above and below that a slope is taken over, as a share of the map's height.
    """

    width: float = 0.03
    stray: float = 0.2
    line: float = 4.0
    slope: float = 0.05
    reach: float = 0.016


class CurveSettings(Settings):
    """From the map of the centreline to angles.

    Attributes:
        threshold: of the map. least: smallest height of a part, as a share of the map's.
        points: the curve is brought to so many points before it is smoothed. The paper's 65,000 steps of 0.01
            are a Gaussian of 36 points: 2.2 % of a curve of 1,600. On the films as they are, one point a row,
            a spine has 2,200 points (median) and the same steps smooth over 1.6 % of it.
        steps, rate, ends: see `geometry.centerline.heat_smooth`.
        tip: share of the curve at each end that is drawn on straight from what lies next to it: there a line is
            seen in part. 0 leaves it as read.
        levels: tangents, evenly along the curve; the paper's 19 fall between the vertebrae they stand for.
        correct: from these tangents to the tilts of 17 vertebrae by a linear map, fitted to training films.
        ridge: how strongly that map is held to plain interpolation, in square degrees per film.
        doubt: degrees, standard deviation of a tilt in the angles to be expected; 0 measures the tilts themselves.
        angles: by the challenge's rule, or by the paper's (major, upper, lower).
        shortest: a curve below this share of the canvas's height is no spine.
    """

    threshold: float = 0.25
    least: float = LEAST
    points: int = 1600
    steps: int = STEPS
    rate: float = RATE
    ends: Literal["fixed", "free"] = "fixed"
    tip: float = 0.015
    levels: int = 33
    correct: bool = True
    ridge: float = 20000.0
    doubt: float = Field(default=2.0, ge=0)
    angles: Literal["challenge", "paper"] = "challenge"
    shortest: float = 0.2


class CenterlineConfig(SolverConfig):
    """All settings of `centerline`.

    Attributes:
        intensity: how films are evened out; the paper divides by the largest value, which "none" leaves to the
            standardisation of the input.
        size: (H, W) of the canvas.
        members: networks whose maps are averaged. With more than one, each is trained without another of
            `subsets` random parts of the patients.
        batch: films a step. crop_below: a spine shorter than this share of the picture is cropped to.
        trim: films are cut above T1 and below L5, at this share of the spine's height: by the labels in training,
            by a first look in answering (the "crop" of the paper's table 1). None leaves them whole.
    """

    intensity: Literal["equalize", "clahe", "none"] = "clahe"
    size: tuple[int, int] = (512, 256)
    network: NetworkSettings = NetworkSettings()
    target: TargetSettings = TargetSettings()
    curve: CurveSettings = CurveSettings()
    members: int = 1
    subsets: int = 10
    batch: int = 8
    augment: AugmentSettings = AugmentSettings(turned=0.05, far=0.1)
    train: TrainSettings = TrainSettings(epochs=60, lr=2e-3, ema=0.995, validate_every=10)
    crop_below: float = 0.7
    trim: float | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.network.stride > self.network.fold:
            raise ValueError("network.stride is at most network.fold")
        if self.network.encoder is not None and not (self.network.cascade and self.network.fold == 4):
            raise ValueError("network.encoder takes the cascade and a network.fold of 4")
        cell = self.network.fold * 2 ** (len(self.network.widths) - 1)
        if any(side % cell for side in self.size):
            raise ValueError(f"size is a multiple of {cell}, with {len(self.network.widths)} scales")
        if not 1 <= self.members <= self.subsets:
            raise ValueError("members is at least 1 and at most subsets")
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        return cls(
            size=(256, 128), batch=4, network=NetworkSettings(widths=(16, 24, 32, 48)),
            train=TrainSettings(epochs=2, validate_every=2, precision="32-true"),
        )  # fmt: skip
