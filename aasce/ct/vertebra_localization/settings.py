"""Settings of `vertebra_localization`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aasce.config import Count, Positive, Range, Settings, Weight
from aasce.ct.shared.augment import AugmentSettings
from aasce.ct.shared.network_method import IntensitySettings
from aasce.ct.shared.unet import UNetSettings
from aasce.readers.vertebrae import HEAD_TO_FOOT
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.trainer import TrainSettings


class ConfigurationSettings(Settings):
    """The spatial configuration of the landmarks.

    Attributes:
        pool: cells of the network's grid averaged along each axis before it; with cells of 4 mm, 2 works at 8 mm, as
            in the paper (4 of 2 mm).
        width: feature maps.
        kernel: cells of a convolution along each axis, odd.
        layers: convolutions.
    """

    pool: Count = 2
    width: Count = 32
    kernel: Annotated[int, Field(ge=1, le=31)] = 7
    layers: Annotated[int, Field(ge=2, le=20)] = 4


class HeatmapSettings(Settings):
    """Targets.

    Attributes:
        sigma: mm, of the Gaussians at first.
        sigma_weight: of the squared widths in cells (alpha of the paper), by which the widths are learned; 0 keeps
            `sigma`.
        focus: further weight of the squared error at a vertebra, which falls off as its Gaussian does; 0 weighs all
            voxels alike, as the paper does.
        naming: weight of the cross-entropy of each vertebra's place in its heatmap, and of its name among the heatmaps
            there; 0 is the paper's.
    """

    sigma: Positive = 8.0
    sigma_weight: Weight = 5.0
    focus: Weight = 20.0
    naming: Weight = 5.0


class SequenceSettings(Settings):
    """From the heatmaps' maxima to the vertebrae.

    Attributes:
        threshold: lowest value of a maximum, as a share of the target's height.
        candidates: maxima that are kept of each heatmap, at most.
        distance: mm between consecutive vertebrae, least and largest.
        skipped: what a vertebra left out within the sequence costs, in heights of a heatmap.
        ends: "outermost": the sequence reaches from the topmost to the lowest maximum, as in the paper; "best": it may
            begin and end anywhere, so that a false maximum in the skull does not name it.
    """

    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.2
    candidates: Count = 4
    distance: Range = (12.5, 50.0)
    skipped: Weight = 0.5
    ends: Literal["outermost", "best"] = "outermost"


class ChainSettings(Settings):
    """From all heatmaps at once to the vertebrae, laid on one line; see `chain`.

    Attributes:
        price: of each vertebra, in heights of a heatmap: where the heatmaps are lower, the chain ends.
        endplates: weight of the endplates between two middles.
        tightness: weight of the squared share by which a step is off its level's.
        reach: largest such share.
        sizes: of the persons that are tried, least and largest; 1 is the middle size of a grown person.
        usual: weight of the squared difference of the size from 1.
        least: lowest value of a vertebra that is answered.
        sharp: value from which a heatmap's own maximum near a vertebra is its place: closer than the line, if the
            heatmap is sure.
    """

    price: Weight = 0.25
    endplates: Weight = 2.0
    tightness: Weight = 8.0
    reach: Annotated[float, Field(gt=0, lt=1)] = 0.375
    sizes: Range = (0.8, 1.2)
    usual: Weight = 13.0
    least: Annotated[float, Field(ge=0, lt=1)] = 0.1
    sharp: Annotated[float, Field(gt=0, le=1)] = 0.7


class VertebraLocalizationConfig(SolverConfig):
    """All settings of `vertebra_localization`.

    Attributes:
        labels: of VerSe, a heatmap each, in the order of the spine.
        spacing: mm per voxel of the network's grid.
        size: (X, Y, Z) voxels of it.
        overlap: voxels along z that tiles share.
        intensity: HU that are told apart.
        network: the U-Net of the local appearance.
        configuration: the spatial configuration.
        heatmap: targets.
        sequence: choice of the vertebrae among the heatmaps' maxima, the paper's.
        chain: the choice along one line instead; null keeps to `sequence`, which training is validated by, too.
        steps: batches of an epoch.
        batch: samples of a batch.
        uses: samples made of each drawn volume.
        augment: of the samples.
        train: of the loop.
    """

    labels: tuple[int, ...] = (*range(1, 25), 26)
    spacing: Positive = 2.0
    size: tuple[Count, Count, Count] = (96, 96, 128)
    overlap: Count = 96
    intensity: IntensitySettings = IntensitySettings()
    network: UNetSettings = UNetSettings(widths=(32, 48, 64, 96))
    configuration: ConfigurationSettings = ConfigurationSettings()
    heatmap: HeatmapSettings = HeatmapSettings()
    sequence: SequenceSettings = SequenceSettings()
    chain: ChainSettings | None = None
    steps: Count = 100
    batch: Count = 1
    uses: Count = 2
    augment: AugmentSettings = AugmentSettings()
    train: TrainSettings = TrainSettings(epochs=15, lr=1.5e-3, ema=0.99, validate_every=3)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        order = [HEAD_TO_FOOT.index(label) for label in self.labels if label in HEAD_TO_FOOT]
        if len(order) < max(1, len(self.labels)) or sorted(set(order)) != order:
            raise ValueError("labels are numbers of VerSe, each once, from the head")
        cell = max(self.network.cell, self.network.unshuffle * self.configuration.pool)
        if any(side % cell for side in self.size):
            raise ValueError(f"size is a multiple of {cell}")
        if self.overlap >= self.size[2] or self.overlap % self.network.unshuffle:
            raise ValueError("overlap is below size.2, and a multiple of network.unshuffle")
        if self.configuration.kernel % 2 == 0:
            raise ValueError("configuration.kernel is odd")
        return self

    @property
    def cell(self) -> float:
        """mm per voxel of the heatmaps."""
        return self.spacing * self.network.unshuffle

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        return cls(
            labels=(18, 19, 20, 21), spacing=4.0, size=(16, 16, 48), overlap=32, steps=40, uses=1,
            network=UNetSettings(widths=(16, 24), unshuffle=1),
            configuration=ConfigurationSettings(pool=2, width=8, kernel=5),
            augment=AugmentSettings(
                rotation=8.0, scale=0.03, shift=6.0, elastic=0.0, elastic_share=0.0, cut_share=0.0, noise=0.0
            ),
            train=TrainSettings(epochs=4, lr=5e-3, ema=0.9, validate_every=4, precision="32-true"),
        )  # fmt: skip
