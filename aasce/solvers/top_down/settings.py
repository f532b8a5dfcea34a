"""Settings of `top_down`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aasce.config import Count, Positive, Settings, Share, Size, Weight
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.correction import CorrectionSettings
from aasce.solvers.shared.samples import AugmentSettings, Intensity
from aasce.solvers.shared.trainer import TrainSettings


class NetworkSettings(Settings):
    """RU-Net: a U-Net of residual modules.

    Attributes:
        widths: feature maps of each scale, from the finest; U-Net's are (64, 128, 256, 512, 1024).
        unshuffle: the network works on a grid of so many px of the canvas to each side, whose values become channels
            (pixel unshuffle), and is shuffled back to the canvas at its end; 1 is the paper's.
        dropout: share of the coarsest feature maps dropped in training.
    """

    widths: tuple[Count, ...] = (32, 64, 96, 128, 160)
    unshuffle: Literal[1, 2, 4] = 4
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1


class SpineFunctionSettings(Settings):
    """From the mask to the spine function, see `geometry.spine_function`.

    Attributes:
        threshold: of the probability of the spine, at which its borders run.
        degree, pieces: of the function; the paper only says least squares. One piece is a polynomial.
        openings: weight of the tilts of both ends of the mask in the fit; 0 fits to the midpoints alone.
        inset: px of the canvas from an end of the mask at which its borders begin.
        levels: tilts that are read evenly along the function.
        correction: from these to the tilts of 17 vertebrae; null gives each vertebra the tilt of the function at its
            usual place.
        tilt_sd_deg: standard deviation of a tilt, over which the challenge's rule is averaged; 0 takes the tilts as
            they are.
    """

    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    degree: int = Field(default=3, ge=2, le=12)
    pieces: int = Field(default=7, ge=1, le=40)
    openings: Weight = 0.3
    inset: Weight = 1.0
    levels: int = Field(default=17, ge=2, le=200)
    correction: CorrectionSettings | None = CorrectionSettings(ridge=50.0)
    tilt_sd_deg: float = Field(default=2.0, ge=0, le=45)


class EdgeSettings(Settings):
    """Vertebra angle correction, see `top_down.edges`.

    Attributes:
        at: which vertebrae are corrected: the end vertebrae of the three angles, those nearest to the ends of
            the curve around the position of maximal curvature (the paper's), or all.
        size: px of the square that is cut around a vertebra, turned along the function.
        reach: half of its side, in distances between vertebrae.
        blur: px, of the film before edges are taken.
        high, low: Canny's thresholds: a percentile of the gradient, and a share of that.
        along, across: px, spread of the flat Gaussian.
        window: spread of the weight of the middle of the square, as a share of its side.
        range, step: degrees, directions tried on each side of the function's normal; the paper turns over
            180 degrees, which is a range of 90.
        prior: degrees, how far a vertebra is believed to be turned off the normal.
        sharpness: how much a response counts against that. The direction is the mean under both; with
            prior and sharpness at 1000 it is the direction of the strongest response, the paper's.
        gain: share of that direction by which a tilt is corrected; 1 is the paper's, null is fitted to training
            films.
    """

    at: Literal["ends", "curvature", "all"] = "ends"
    size: int = Field(default=48, ge=16, le=512)
    reach: Positive = 1.0
    blur: Positive = 0.7
    high: Annotated[float, Field(gt=0, lt=100)] = 75.0
    low: Share = 0.4
    along: Annotated[float, Field(gt=0, le=100)] = 6.0
    across: Annotated[float, Field(gt=0, le=100)] = 0.6
    window: Positive = 0.4
    range: Annotated[float, Field(gt=0, le=90)] = 24.0
    step: Annotated[float, Field(gt=0, le=45)] = 2.0
    prior: Positive = 8.0
    sharpness: Weight = 1.0
    gain: Annotated[float, Field(ge=0, le=10)] | None = None


class TopDownConfig(SolverConfig):
    """All settings of `top_down`.

    Attributes:
        intensity: how films are evened out.
        size: (H, W) of the canvas.
        edges: vertebra angle correction; null leaves it out.
        min_mask: share of the canvas that a spine must cover for a film to be measured.
        batch: films a step. crop_below: a spine shorter than this share of the film is cropped to.
    """

    intensity: Intensity = "clahe"
    size: Size = (512, 256)
    network: NetworkSettings = NetworkSettings()
    spine_function: SpineFunctionSettings = SpineFunctionSettings()
    edges: EdgeSettings | None = EdgeSettings()
    augment: AugmentSettings = AugmentSettings(rotation_share=0.05, small_share=0.1)
    batch: Count = 8
    train: TrainSettings = TrainSettings(epochs=45, lr=2e-3, ema=0.99, validate_every=9)
    crop_below: Share = 0.7
    min_mask: Share = 0.01

    @model_validator(mode="after")
    def _fits(self) -> Self:
        cell = self.network.unshuffle * 2 ** (len(self.network.widths) - 1)
        if any(side % max(cell, 2) for side in self.size):
            raise ValueError(f"size is a multiple of {cell}, with {len(self.network.widths)} scales")
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        return cls(
            size=(256, 128), batch=4, network=NetworkSettings(widths=(16, 24, 32, 48), dropout=0.0),
            train=TrainSettings(epochs=2, validate_every=2, precision="32-true"),
        )  # fmt: skip
