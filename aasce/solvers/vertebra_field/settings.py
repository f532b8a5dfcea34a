"""Settings of `vertebra_field`."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from aasce.config import Settings
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.trainer import TrainSettings


class NetworkSettings(Settings):
    """A residual encoder with a feature pyramid; maps at a quarter of the canvas.

    Attributes:
        channels, layers, stem: of the timm ResNet-D encoder.
        pyramid, head: channels of the pyramid and of the map the votes are read from.
    """

    channels: tuple[int, int, int, int] = (32, 64, 128, 256)
    layers: tuple[int, int, int, int] = (2, 2, 2, 2)
    stem: int = 16
    pyramid: int = 96
    head: int = 64


class ViewSettings(Settings):
    """The two looks at a film.

    Attributes:
        coarse: (H, W) of the canvas that the whole film is letterboxed to.
        fine: (H, W) of the canvas that the upright spine is brought to.
        spacing: px between vertebra centres on the fine canvas.
        passes: fine passes of one prediction: 1 plain, 2 with the mirrored canvas, 4 with two scales of each.
    """

    coarse: tuple[int, int] = (512, 256)
    fine: tuple[int, int] = (704, 288)
    spacing: float = 36.0
    passes: int = 4


class AugmentSettings(Settings):
    """How training samples differ from the film.

    Attributes:
        fine: share of samples on the fine canvas; the others show the film small, as the first pass sees it.
        coarse_spacing: px between vertebra centres on the coarse canvas, log-uniform between the two.
        rotation, scale, shift: spread (one standard deviation) in degrees, log units and fine px.
        stretch: spread of the log ratio of the axes.
        background: share of samples pasted on the trunk of a whole film, when `backgrounds` names some.
        intensity: strength of the grey-value pipeline.
    """

    fine: float = 0.65
    coarse_spacing: tuple[float, float] = (13.0, 30.0)
    rotation: float = 5.0
    scale: float = 0.09
    shift: float = 12.0
    stretch: float = 0.05
    background: float = 0.5
    intensity: float = 1.0


class LossSettings(Settings):
    """Weights of the terms of the loss, see `network.VertebraFieldNet.forward`."""

    objectness: float = 1.0
    level: float = 0.3
    votes: float = 2.0
    corners: float = 4.0
    tilt: float = 8.0
    spread: float = 0.05


class VertebraFieldConfig(SolverConfig):
    """All settings of `vertebra_field`.

    Attributes:
        batch: films a step.
        tilt_share: standard deviation of a corner, as a share of the corner error that the network expects, in
            the angles to be expected (`geometry.expectation`); below 1 because most of a corner's error moves
            the whole vertebra, which turns nothing. 0 measures the corners themselves.
        backgrounds: folder of unlabelled whole films whose surroundings (never whose spines) are pasted around
            the labelled films, a path or a name below AASCE_DATA; None for plain borders.
        background_share: the share of that folder that is used, the first ones by name being left out.
        rendered: films rendered anew for every epoch, beside those of the data set.
    """

    network: NetworkSettings = NetworkSettings()
    views: ViewSettings = ViewSettings()
    augment: AugmentSettings = AugmentSettings()
    loss: LossSettings = LossSettings()
    train: TrainSettings = TrainSettings()
    batch: int = 8
    tilt_share: float = 0.35
    backgrounds: str | None = None
    background_share: float = 0.5
    rendered: int = Field(default=0, ge=0)

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        return cls(
            network=NetworkSettings(
                channels=(8, 16, 24, 32), layers=(1, 1, 1, 1), stem=8, pyramid=32, head=32
            ),
            views=ViewSettings(coarse=(256, 128), fine=(352, 160), spacing=18.0, passes=2),
            train=TrainSettings(epochs=2, validate_every=2, precision="32-true"),
            batch=2,
        )
