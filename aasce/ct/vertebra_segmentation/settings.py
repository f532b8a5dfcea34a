"""Settings of `vertebra_segmentation`."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from aasce.config import Count, Positive, Settings, Weight
from aasce.ct.shared.augment import AugmentSettings
from aasce.ct.shared.network_method import IntensitySettings
from aasce.ct.shared.unet import UNetSettings
from aasce.readers.vertebrae import HEAD_TO_FOOT
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.trainer import TrainSettings


class MaskSettings(Settings):
    """Input, loss and result.

    Attributes:
        sigma: mm, of the heatmap of the centroid, the second channel.
        jitter: mm by which a centroid is off along each axis in training, at most, as that of a localisation is.
        dice: weight of the soft Dice loss beside the cross-entropy; 0 leaves it out, as the paper does.
        threshold: probability from which a voxel is of the vertebra.
        largest_part: whether only the largest connected part of a vertebra is kept.
        turned: whether a vertebra is read on a grid that leans in the coronal plane as the line through the
            centroids does. A network draws masks that lean less than the vertebrae do; on such a grid they hardly lean.
    """

    sigma: Positive = 8.0
    jitter: Weight = 4.0
    dice: Weight = 1.0
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    largest_part: bool = True
    turned: bool = False


class VertebraSegmentationConfig(SolverConfig):
    """All settings of `vertebra_segmentation`.

    Attributes:
        labels: of VerSe, of the vertebrae that training samples are centred on.
        spacing: mm per voxel of the network's grid.
        size: (X, Y, Z) voxels of it.
        intensity: HU that are told apart.
        network: the U-Net.
        mask: input, loss and result.
        steps: batches of an epoch.
        batch: samples of a batch.
        uses: samples made of each drawn volume: the vertebra in its middle, then neighbours.
        augment: of the samples.
        train: of the loop.
    """

    labels: tuple[int, ...] = tuple(range(1, 25))
    spacing: Positive = 1.0
    size: tuple[Count, Count, Count] = (128, 128, 96)
    intensity: IntensitySettings = IntensitySettings()
    network: UNetSettings = UNetSettings(widths=(32, 48, 64, 96))
    mask: MaskSettings = MaskSettings()
    steps: Count = 100
    batch: Count = 1
    uses: Count = 2
    augment: AugmentSettings = AugmentSettings(
        rotation=15.0, shift=0.0, elastic=5.0, cut_share=0.1, noise=0.03
    )
    train: TrainSettings = TrainSettings(epochs=12, lr=1.5e-3, ema=0.99, validate_every=3)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.labels or set(self.labels) - set(HEAD_TO_FOOT):
            raise ValueError("labels are numbers of VerSe, at least one")
        if any(side % self.network.cell for side in self.size):
            raise ValueError(
                f"size is a multiple of {self.network.cell}, with {len(self.network.widths)} scales"
            )
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        return cls(
            spacing=4.0, size=(16, 16, 16), steps=60, network=UNetSettings(widths=(16, 24), unshuffle=1),
            labels=(18, 19, 20, 21),
            mask=MaskSettings(sigma=8.0, jitter=2.0),
            augment=AugmentSettings(
                rotation=3.0, scale=0.03, shift=0.0, elastic=0.0, elastic_share=0.0, cut_share=0.0, noise=0.0
            ),
            train=TrainSettings(epochs=2, lr=1e-2, ema=0.9, validate_every=2, precision="32-true"),
        )  # fmt: skip
