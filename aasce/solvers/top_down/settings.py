"""Settings of `top_down`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from aasce.config import Settings
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.samples import AugmentSettings
from aasce.solvers.shared.trainer import TrainSettings


class NetworkSettings(Settings):
    """RU-Net: a U-Net of residual modules.

    Attributes:
        widths: feature maps of each scale, from the finest; U-Net's are (64, 128, 256, 512, 1024).
        fold: the network works on a grid of fold x fold px of the canvas, whose values become channels, and is
            unfolded to the canvas at its end; 1 is the paper's.
        drop: share of the coarsest feature maps dropped in training.
    """

    widths: tuple[int, ...] = (32, 64, 96, 128, 160)
    fold: Literal[1, 2, 4] = 4
    drop: float = 0.1


class PipeSettings(Settings):
    """From the mask to the spine function, see `geometry.spine_function`.

    Attributes:
        threshold: of the probability of the spine, at which its borders run.
        degree, pieces: of the function; the paper only says least squares. One piece is a polynomial.
        openings: weight of the tilts of both ends of the mask in the fit; 0 fits to the midpoints alone.
        inset: px of the canvas from an end of the mask at which its walls begin.
        levels: tilts that are read evenly along the function.
        calibrate: from these to the tilts of 17 vertebrae by a linear map fitted to training films; else each
            vertebra takes the tilt of the function at its usual place.
        ridge: how strongly that map is held to plain interpolation, in square degrees per film.
        doubt: degrees, standard deviation of a tilt in the angles to be expected; 0 measures the tilts themselves.
    """

    threshold: float = 0.5
    degree: int = Field(default=3, ge=2, le=12)
    pieces: int = Field(default=7, ge=1, le=40)
    openings: float = 0.3
    inset: float = 1.0
    levels: int = 17
    calibrate: bool = True
    ridge: float = 50.0
    doubt: float = Field(default=2.0, ge=0)


class EdgeSettings(Settings):
    """Vertebra angle correction, see `top_down.edges`.

    Attributes:
        at: which vertebrae are corrected: the end vertebrae of the three angles, those nearest to the ends of
            the curve around the position of maximal curvature (the paper's), or all.
        size: px of the square that a vertebra is looked at in, turned along the function.
        reach: half of its side, in distances between vertebrae.
        blur: px, of the picture before edges are taken.
        high, low: Canny's thresholds: a percentile of the gradient, and a share of that.
        along, across: px, spread of the flat Gaussian.
        window: spread of the weight of the middle of the square, as a share of its side.
        range, step: degrees, directions looked at on each side of the function's normal; the paper turns over
            180 degrees, which is a range of 90.
        prior: degrees, how far a vertebra is believed to stand off the normal.
        sharpness: how much a response counts against that. The answer is the mean direction under both; with
            prior and sharpness at 1000 it is the direction of the strongest response, the paper's.
        gain: share of that answer by which a tilt is corrected; 1 is the paper's, None is fitted to training
            films.
    """

    at: Literal["ends", "curvature", "all"] = "ends"
    size: int = Field(default=48, ge=16)
    reach: float = 1.0
    blur: float = 0.7
    high: float = 75.0
    low: float = 0.4
    along: float = 6.0
    across: float = 0.6
    window: float = 0.4
    range: float = Field(default=24.0, gt=0, le=90)
    step: float = 2.0
    prior: float = 8.0
    sharpness: float = 1.0
    gain: float | None = None


class TopDownConfig(SolverConfig):
    """All settings of `top_down`.

    Attributes:
        intensity: how films are evened out.
        size: (H, W) of the canvas.
        correction: vertebra angle correction.
        least_mask: share of the canvas that a spine must cover for a film to be measured.
        batch: films a step. crop_below: a spine shorter than this share of the picture is cropped to.
    """

    intensity: Literal["equalize", "clahe", "none"] = "clahe"
    size: tuple[int, int] = (512, 256)
    network: NetworkSettings = NetworkSettings()
    pipe: PipeSettings = PipeSettings()
    correction: bool = True
    edges: EdgeSettings = EdgeSettings()
    augment: AugmentSettings = AugmentSettings(turned=0.05, far=0.1)
    batch: int = 8
    train: TrainSettings = TrainSettings(epochs=45, lr=2e-3, ema=0.99, validate_every=9)
    crop_below: float = 0.7
    least_mask: float = 0.01

    @model_validator(mode="after")
    def _fits(self) -> Self:
        cell = self.network.fold * 2 ** (len(self.network.widths) - 1)
        if any(side % max(cell, 2) for side in self.size):
            raise ValueError(f"size is a multiple of {cell}, with {len(self.network.widths)} scales")
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        return cls(
            size=(256, 128), batch=4, network=NetworkSettings(widths=(16, 24, 32, 48), drop=0.0),
            train=TrainSettings(epochs=2, validate_every=2, precision="32-true"),
        )  # fmt: skip
