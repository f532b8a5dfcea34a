"""Settings of `vertebra_field`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from aasce.config import Count, Degrees, Range, Settings, Share, Size, Weight
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.encoders import EncoderSettings
from aasce.solvers.shared.trainer import TrainSettings


class NetworkSettings(Settings):
    """An encoder with a feature pyramid; maps at a quarter of the canvas.

    Attributes:
        encoder: its features of strides 4 to 32 are used.
        pyramid_channels: of the pyramid. head_channels: of the map the votes are read from.
    """

    encoder: EncoderSettings = EncoderSettings(
        options={"channels": [32, 64, 128, 256], "layers": [2, 2, 2, 2], "stem_width": 16}
    )
    pyramid_channels: Count = 96
    head_channels: Count = 64


class ViewSettings(Settings):
    """The two passes over a film.

    Attributes:
        coarse: (H, W) of the canvas that the whole film is letterboxed to.
        fine: (H, W) of the canvas that the upright spine is brought to.
        spacing: px between vertebra centres on the fine canvas.
        passes: fine passes of one prediction: 1 plain, 2 with the mirrored canvas, 4 with two scales of each.
    """

    coarse: Size = (512, 256)
    fine: Size = (704, 288)
    spacing: Annotated[float, Field(ge=4, le=500)] = 36.0
    passes: Literal[1, 2, 4] = 4


class AugmentSettings(Settings):
    """How training samples differ from the film.

    Attributes:
        fine_share: share of samples on the fine canvas; the others show the film small, as the coarse pass sees it.
        coarse_spacing: px between vertebra centres on the coarse canvas, log-uniform between the two.
        rotation, scale, shift: spread (one standard deviation) in degrees, log units and fine px.
        stretch: spread of the log ratio of the axes.
        intensity: strength of the grey-value pipeline.
    """

    fine_share: Share = 0.65
    coarse_spacing: Range = (13.0, 30.0)
    rotation: Degrees = 5.0
    scale: Share = 0.09
    shift: Weight = 12.0
    stretch: Share = 0.05
    intensity: float = Field(default=1.0, ge=0, le=5)


class BackgroundSettings(Settings):
    """Whole films whose surroundings (never whose spines) are pasted around the labelled films.

    Attributes:
        folder: of unlabelled films, a path or a name below AASCE_DATA.
        film_share: the share of that folder that is used, the first ones by name being left out.
        sample_share: share of the samples that are pasted on one.
    """

    folder: str = "aasce19_wide"
    film_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    sample_share: Share = 0.5


class LossSettings(Settings):
    """Weights of the terms of the loss, see `network.field_losses`."""

    objectness: Weight = 1.0
    level: Weight = 0.3
    votes: Weight = 2.0
    corners: Weight = 4.0
    tilt: Weight = 8.0
    spread: Weight = 0.05


class VertebraFieldConfig(SolverConfig):
    """All settings of `vertebra_field`.

    Attributes:
        batch: films a step.
        corner_sd_share: standard deviation of a corner, as a share of the corner error that the network expects, over
            which angles are averaged (`geometry.expectation`); below 1 because most of a corner's error moves
            the whole vertebra, which turns nothing. 0 measures the corners themselves.
        backgrounds: null for plain borders.
        rendered: films rendered anew for every epoch, beside those of the data set.
    """

    network: NetworkSettings = NetworkSettings()
    views: ViewSettings = ViewSettings()
    augment: AugmentSettings = AugmentSettings()
    loss: LossSettings = LossSettings()
    train: TrainSettings = TrainSettings()
    batch: Count = 8
    corner_sd_share: Annotated[float, Field(ge=0, le=10)] = 0.35
    backgrounds: BackgroundSettings | None = None
    rendered: int = Field(default=0, ge=0, le=1_000_000)

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        options = {"channels": [8, 16, 24, 32], "layers": [1, 1, 1, 1], "stem_width": 8}
        return cls(
            network=NetworkSettings(
                encoder=EncoderSettings(options=options), pyramid_channels=32, head_channels=32
            ),
            views=ViewSettings(coarse=(256, 128), fine=(352, 160), spacing=18.0, passes=2),
            train=TrainSettings(epochs=2, validate_every=2, precision="32-true"),
            batch=2,
        )
