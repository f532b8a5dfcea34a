"""Settings of `labelling`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aasce.config import Count, Positive, Settings, Share, Size, Weight
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.correction import CorrectionSettings
from aasce.solvers.shared.encoders import EncoderSettings
from aasce.solvers.shared.samples import AugmentSettings, Intensity
from aasce.solvers.shared.trainer import TrainSettings

TRUNK = 17
"""T1 to L5: the levels that the challenge's labels name, the last ones of every list of levels here."""

NECK = 7
"""C1 to C7, which are known on rendered films alone."""

LEVELS: dict[str, int] = {"C1-L5": NECK + TRUNK, "T1-L5": TRUNK}
"""Number of levels of each choice of `levels`."""


class NetworkSettings(Settings):
    """The fully convolutional network, a U-net.

    Attributes:
        encoder: its way down. `vgg13_bn` is that of a plain U-net: two convolutions a scale, then pooling.
        stages: how many of its maps, from the finest.
        finest: stride of the finest of them, the scale at which the way up ends.
        widths: channels of the way up at each scale, from the finest; one fewer than maps.
        stride: canvas px per px of the heatmaps, shuffled from the channels of the finest scale.
    """

    encoder: EncoderSettings = EncoderSettings(
        options={"channels": [32, 64, 128, 256], "layers": [2, 2, 2, 2], "stem_width": 16}
    )
    stages: int = Field(default=4, ge=2, le=6)
    finest: Literal[1, 2, 4] = 4
    widths: tuple[Count, ...] = (48, 64, 96)
    stride: Literal[1, 2, 4] = 2


class ResidualSettings(Settings):
    """The residual block of fully connected layers that corrects the coordinates.

    Attributes:
        width: units of each hidden layer.
        layers: number of hidden layers.
    """

    width: Count = 256
    layers: int = Field(default=2, ge=1, le=10)


class TargetSettings(Settings):
    """What the network is taught, and by which weights.

    Attributes:
        sigma: px of the canvas, of the Gaussians.
        gaussian: weight of the squared distance of the maps (equation 1).
        entropy: weight of the cross entropy between their softmaxes over the channels (equation 2).
        sharpness: factor of the maps before these softmaxes, 1 in the paper. Values from -1 to 1 have softmaxes that
            are almost even; sharper ones ask for the right level.
        coordinate: weight of the Huber loss of the corrected coordinates (equation 4), in px of the maps.
        tilt: weight of the error of a map of the vertebrae's tilts, taught under the Gaussians; 0, as in the paper,
            leaves the map out of the network.
    """

    sigma: Positive = 6.0
    gaussian: Weight = 1.0
    entropy: Weight = 0.5
    sharpness: Positive = 10.0
    coordinate: Weight = 0.1
    tilt: Weight = 3.0


class CurveSettings(Settings):
    """From centroids to angles.

    Attributes:
        smoothing: of the spline through the centroids, whose parameter is the level: the weight of its squared second
            derivative beside the squared distances; see `scipy.interpolate.make_smoothing_spline`.
        tilt_share: share of the tilts read from the map of tilts; the rest are tangents of the curve. The fitted
            correction begins from this mean. Without a map of tilts, the tangents alone.
        correction: from these to the tilts of the vertebrae, fitted to training films; null takes the mean as it is.
        tilt_sd_deg: standard deviation of a tilt, over which the challenge's rule is averaged; 0 takes the tilts as
            they are.
        least: how clearly a vertebra must be seen, from 0 to 1, at the centroid of a level that counts as seen.
        min_levels: of T1 to L5 that must be seen for a film to be measured.
    """

    smoothing: Weight = 0.7
    tilt_share: Share = 0.6
    correction: CorrectionSettings | None = CorrectionSettings(ridge=100.0)
    tilt_sd_deg: float = Field(default=2.0, ge=0, le=45)
    least: Share = 0.15
    min_levels: int = Field(default=6, ge=2, le=TRUNK)


class LabellingConfig(SolverConfig):
    """All settings of `labelling`.

    Attributes:
        intensity: how films are evened out; the paper takes them as they are.
        size: (H, W) of the canvas.
        levels: which levels have a map. C1 to C7 are taught on rendered films, whose record names them; on other films
            they are left out of every loss.
        corrector: whether the coordinates are corrected. false predicts by the U-net and the soft-argmax alone, also
            with weights that were trained with the corrector; trained with false, the maps alone are taught, which is
            the paper's own comparison.
        residual: the corrector.
        beta: factor of the maps in the soft-argmax.
        scales: of the passes over a film, each with one over its mirror image, whose means are predicted.
        batch: films a step.
        augment: how samples differ from the films; the paper rotates by 2 and 5 degrees.
    """

    intensity: Intensity = "clahe"
    size: Size = (512, 224)
    levels: Literal["T1-L5", "C1-L5"] = "T1-L5"
    network: NetworkSettings = NetworkSettings()
    corrector: bool = True
    residual: ResidualSettings = ResidualSettings()
    beta: Positive = 60.0
    scales: tuple[Annotated[float, Field(ge=0.5, le=1.0)], ...] = Field(default=(1.0, 0.92), min_length=1)
    target: TargetSettings = TargetSettings()
    curve: CurveSettings = CurveSettings()
    batch: Count = 8
    augment: AugmentSettings = AugmentSettings(rotation_share=0.05, small_share=0.1)
    train: TrainSettings = TrainSettings(epochs=36, lr=2e-3, ema=0.998, validate_every=6, clip=30.0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        network = self.network
        if network.stride > network.finest:
            raise ValueError("network.stride is at most network.finest")
        if len(network.widths) != network.stages - 1:
            raise ValueError("network.widths has one fewer than network.stages")
        cell = network.finest * 2 ** (network.stages - 1)
        if any(side % cell for side in self.size):
            raise ValueError(f"size is a multiple of {cell}, with {network.stages} scales")
        return self

    @property
    def level_count(self) -> int:
        """Number of levels that have a map."""
        return LEVELS[self.levels]

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        options = {"channels": [16, 24, 32, 48], "layers": [1, 1, 1, 1], "stem_width": 8}
        return cls(
            size=(256, 128), batch=4, target=TargetSettings(sigma=4.0),
            network=NetworkSettings(encoder=EncoderSettings(options=options), widths=(16, 24, 32)),
            residual=ResidualSettings(width=64, layers=1),
            train=TrainSettings(epochs=2, validate_every=2, precision="32-true"),
        )  # fmt: skip
