"""Settings of `vertebra_field`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aasce.config import Count, Degrees, Range, Settings, Share, Size, Weight
from aasce.phantom.devices.on_film.worn import KINDS, HardwareKind
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


class HardwareSettings(Settings):
    """Metal drawn through the X-ray over training films; see `phantom.devices.on_film`. Labels stay those of the film.

    Attributes:
        share: of the samples that get metal.
        kinds: of metal, equally often: implants ("posterior" rods on screws and hooks, "single_rods" that grow or are
            Harrington's, "anterior", "cages", "clips") and what is worn ("brace", "leads", "belongings").
    """

    share: Share = 0.0
    kinds: Annotated[tuple[HardwareKind, ...], Field(min_length=1)] = KINDS


class BendSettings(Settings):
    """Films bent like a beam along the spine; see `preprocess.bend`.

    Attributes:
        share: of the samples that are bent.
        degrees: spread (one standard deviation) of the angle by which vertebrae turn.
    """

    share: Share = 0.0
    degrees: Degrees = 6.0


class AugmentSettings(Settings):
    """How training samples differ from the film.

    Attributes:
        fine_share: share of samples on the fine canvas; the others show the film small, as the coarse pass sees it.
        coarse_spacing: px between vertebra centres on the coarse canvas, log-uniform between the two.
        rotation, scale, shift: spread (one standard deviation) in degrees, log units and fine px.
        stretch: spread of the log ratio of the axes.
        bend: other curves of the same spine.
        intensity: strength of the grey-value pipeline.
        hardware: implants and other metal, drawn over the film.
    """

    fine_share: Share = 0.65
    coarse_spacing: Range = (13.0, 30.0)
    rotation: Degrees = 5.0
    scale: Share = 0.09
    shift: Weight = 12.0
    stretch: Share = 0.05
    bend: BendSettings = BendSettings()
    intensity: float = Field(default=1.0, ge=0, le=5)
    hardware: HardwareSettings = HardwareSettings()


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


class TrustSettings(Settings):
    """How much the labels of a source count: factors of the terms of the loss on its films.

    Attributes:
        objectness, votes, corners, tilt, spread: of the terms of `LossSettings`. Where spread is 0, the network does
            not learn from these labels how large its errors are.
    """

    objectness: Weight = 1.0
    votes: Weight = 1.0
    corners: Weight = 1.0
    tilt: Weight = 1.0
    spread: Weight = 1.0


class RenderedSettings(Settings):
    """Rendered films as a source of samples: exact labels, every level named.

    Attributes:
        folder: of films rendered beforehand (`aasce synth`), a path or a name below AASCE_DATA; null for none.
        share: of the samples that are drawn from this folder.
        trust: in its labels, and in those of films rendered anew for every epoch (`rendered`).
    """

    folder: str | None = None
    share: Share = 0.0
    trust: TrustSettings = TrustSettings()


class SpinalAiSettings(Settings):
    """Films of Spinal-AI2024 as a source of samples: loose labels, no level named; see `datasets.spinal_ai2024`.

    Attributes:
        folder: of the set, a path or a name below AASCE_DATA; read only where `share` is above 0.
        share: of the samples that are drawn from it.
        part: "other" leaves out every second film, which are there to measure on; "all" takes them too.
        aligned: move the labels, which lie a few px lower and farther right than the bodies, onto these.
        ends: labelled vertebrae at either end of a film that teach nothing: it is not known whether they are of T1 to
            L5.
        margin: width on either side of the column, as a share of a vertebra's, where objectness is not taught, since
            the boxes are narrower than the bodies.
        trust: in its labels.
    """

    folder: str = "spinal_ai2024"
    share: Share = 0.0
    part: Literal["other", "all"] = "other"
    aligned: bool = True
    ends: int = Field(default=2, ge=0, le=4)
    margin: Share = 0.4
    trust: TrustSettings = TrustSettings(objectness=0.5, votes=0.5, corners=0.25, tilt=0.5, spread=0.0)


class SourcesSettings(Settings):
    """Films beside those of the data set. What their shares leave is drawn from the data set and from `rendered`.

    Attributes:
        rendered, spinal_ai2024: one group each. The seed and the number of the epoch decide which films are drawn.
    """

    rendered: RenderedSettings = RenderedSettings()
    spinal_ai2024: SpinalAiSettings = SpinalAiSettings()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.rendered.share + self.spinal_ai2024.share > 1:
            raise ValueError("the shares of the sources are more than 1 together; lower one")
        if self.rendered.share > 0 and self.rendered.folder is None:
            raise ValueError("rendered.share asks for rendered films; name their folder, or set it to 0")
        return self


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
        sources: further films.
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
    sources: SourcesSettings = SourcesSettings()

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
