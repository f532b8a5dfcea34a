"""Settings of `spine_localization`."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from aasce.config import Count, Positive, Settings
from aasce.ct.shared.augment import AugmentSettings
from aasce.ct.shared.network_method import IntensitySettings
from aasce.ct.shared.unet import UNetSettings
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.trainer import TrainSettings


class LineSettings(Settings):
    """From the heatmap to the centreline.

    Attributes:
        sigma: mm, of the Gaussians of the vertebrae, the largest of which is the target at each voxel.
        threshold: of the heatmap (which is 1 at a vertebra's middle), below which there is no spine.
        smoothing: mm along z, standard deviation over which the line is smoothed.
    """

    sigma: Positive = 16.0
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.3
    smoothing: Positive = 16.0


class SpineLocalizationConfig(SolverConfig):
    """All settings of `spine_localization`.

    Attributes:
        spacing: mm per voxel of the network's grid.
        size: (X, Y, Z) voxels of it.
        overlap: voxels along z that tiles share, on scans that are longer than the grid.
        intensity: HU that are told apart.
        network: the U-Net.
        line: target and centreline.
        steps: batches of an epoch.
        batch: samples of a batch.
        uses: samples made of each drawn volume.
        augment: of the samples.
        train: of the loop.
    """

    spacing: Positive = 8.0
    size: tuple[Count, Count, Count] = (64, 64, 128)
    overlap: Count = 64
    intensity: IntensitySettings = IntensitySettings()
    network: UNetSettings = UNetSettings(widths=(16, 32, 48, 64))
    line: LineSettings = LineSettings()
    steps: Count = 100
    batch: Count = 2
    uses: Count = 2
    augment: AugmentSettings = AugmentSettings(shift=40.0, elastic=15.0, cut_share=0.5)
    train: TrainSettings = TrainSettings(epochs=10, lr=2e-3, ema=0.99, validate_every=2)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(side % self.network.cell for side in self.size):
            raise ValueError(
                f"size is a multiple of {self.network.cell}, with {len(self.network.widths)} scales"
            )
        if self.overlap >= self.size[2]:
            raise ValueError("overlap is below size.2")
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        return cls(
            size=(16, 16, 32), overlap=16, steps=20, batch=1, uses=1,
            network=UNetSettings(widths=(8, 16), unshuffle=1),
            augment=AugmentSettings(
                rotation=3.0, scale=0.03, shift=8.0, elastic=0.0, elastic_share=0.0, cut_share=0.0, noise=0.0
            ),
            train=TrainSettings(epochs=2, lr=1e-2, ema=0.9, validate_every=2, precision="32-true"),
        )  # fmt: skip
