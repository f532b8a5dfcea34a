"""Settings of `coarse_to_fine`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aasce.config import KIND, Count, Degrees, Positive, Settings, Share, Size, Weight
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.encoders import EncoderSettings
from aasce.solvers.shared.samples import AugmentSettings, Intensity
from aasce.solvers.shared.trainer import TrainSettings

RENDERED = EncoderSettings(
    name="resnet18d", options={"channels": [32, 64, 128, 256], "layers": [2, 2, 2, 2], "stem_width": 16}
)
"""The encoder of `vertebra_field_rendered`, whose weights training may begin from."""


class PlainUNetSettings(Settings):
    """A U-net of its own (Ronneberger et al. 2015).

    Attributes:
        channels: of the levels, from the finest; each further one has half the size.
        shrink: the image is averaged over squares of so many px first; maps have that stride.
    """

    kind: Literal["plain"] = "plain"
    channels: tuple[Count, ...] = Field(default=(12, 24, 32, 40, 40), min_length=1, max_length=8)
    shrink: Literal[1, 2, 4] = 2

    @property
    def stride(self) -> int:
        """Canvas px per px of the maps."""
        return int(self.shrink)

    @property
    def multiple(self) -> int:
        """What the sides of a canvas are multiples of."""
        return int(self.shrink * 2 ** (len(self.channels) - 1))


class EncoderUNetSettings(Settings):
    """A U-net whose way down is a network for photographs, with levels of its own below and a decoder.

    Attributes:
        encoder: gives maps of strides 4, 8, ...
        stages: how many of them.
        deeper: channels of the levels below, each of half the size: a vertebra's index needs a view of the whole spine.
        decoder: channels of the way up, from the coarsest; as many as there are levels gives maps of stride 4, one more
            of stride 2.
    """

    kind: Literal["encoder"] = "encoder"
    encoder: EncoderSettings = RENDERED
    stages: int = Field(default=3, ge=1, le=4)
    deeper: tuple[Count, ...] = Field(default=(), max_length=3)
    decoder: tuple[Count, ...] = (64, 32)

    @property
    def joins(self) -> int:
        """Steps of the way up that meet a map of the way down."""
        return self.stages - 1 + len(self.deeper)

    @property
    def stride(self) -> int:
        """Canvas px per px of the maps."""
        return int(4 // 2 ** (len(self.decoder) - self.joins))

    @property
    def multiple(self) -> int:
        """What the sides of a canvas are multiples of."""
        return int(4 * 2**self.joins)

    @model_validator(mode="after")
    def _reaches_stride_4(self) -> Self:
        if not 0 <= len(self.decoder) - self.joins <= 1:
            raise ValueError("decoder has as many entries as stages - 1 and deeper together, or one more")
        return self


UNetSettings = Annotated[PlainUNetSettings | EncoderUNetSettings, Field(discriminator=KIND)]
"""One of the U-nets A to E."""


class MaskSettings(Settings):
    """The U-nets A, B and C, which read the whole spine.

    Attributes:
        whole: A, the mask of the whole spine. target: B, the mask of T1 to L5. boxes: C, a mask for each of the 17.
        size: (H, W) of the canvas.
        blur: px of the canvas, blur of the edges of A's and of B's mask.
        core: size of C's masks, as a share of the vertebra: the region in its middle.
        truth_share: share of the training films that B and C see under A's true mask; the others under A's own.
        batch: films a step.
    """

    whole: UNetSettings = PlainUNetSettings(shrink=4)
    target: UNetSettings = PlainUNetSettings(shrink=4)
    boxes: UNetSettings = EncoderUNetSettings(deeper=(72, 72), decoder=(56, 56, 48, 40))
    size: Size = (640, 320)
    blur: tuple[Positive, Positive] = (12.0, 4.0)
    core: Positive = 0.75
    truth_share: Share = 0.5
    batch: Count = 4
    train: TrainSettings = TrainSettings(epochs=6, lr=1.5e-3, ema=0.99, validate_every=3)


class DetectionSettings(Settings):
    """The Mask R-CNN, which reads the film under A's mask, on the canvas of the masks.

    Attributes:
        encoder: of the backbone. stages: its maps, from stride `finest`. finest: least stride.
        pyramid: channels of the feature pyramid.
        anchors: px of the canvas, square roots of the areas of the boxes that proposals begin from. aspects: their
            heights over their widths; every anchor has every aspect.
        proposals: kept after the first stage for prediction.
        head: width of the box head. mask: channels of the mask head.
        least: score below which a detection is left out.
        overlap: intersection over union above which the better of two boxes of one label is kept.
        batch: films a step.
    """

    encoder: EncoderSettings = RENDERED
    stages: int = Field(default=2, ge=1, le=4)
    finest: Literal[4, 8] = 8
    pyramid: Count = 64
    anchors: tuple[Positive, ...] = (24.0, 34.0, 48.0)
    aspects: tuple[Positive, ...] = (0.45, 0.7)
    proposals: Count = 100
    head: Count = 112
    mask: Count = 32
    least: Share = 0.05
    overlap: Share = 0.5
    batch: Count = 4
    train: TrainSettings = TrainSettings(epochs=5, lr=1e-3, ema=0.99, validate_every=5)


class LocalSettings(Settings):
    """The U-nets D and E, which read the region around one vertebra.

    Attributes:
        box: D, the mask of the vertebra in the middle. corners: E, a heatmap for each of its corners.
        film: (H, W) of the canvas that regions are cut from.
        region: (H, W) px of a region.
        spacing: px of a region from one vertebra to the next; 0 takes regions as they are on the canvas.
        grow: px of a region by which the mask of D is larger than the vertebra: room for the heatmaps.
        sigma: px of a region, standard deviation of a corner's Gaussian.
        level: of a heatmap, above which px count as the corner.
        place: weight of the expected place of each corner in the loss, beside the heatmaps.
        tilt: weight of the direction of the expected endplates in the loss.
        jitter: share of the spacing by which the middle of a region is off in training. zoom: the same of its scale.
        passes: over a film; each further one is over regions around the vertebrae that the one before found.
        batch: films a step, 17 regions each.
    """

    box: UNetSettings = PlainUNetSettings(channels=(12, 24, 32, 48), shrink=2)
    corners: UNetSettings = EncoderUNetSettings(decoder=(56, 40, 32))
    film: Size = (768, 352)
    region: Size = (64, 96)
    spacing: Weight = 38.0
    grow: Positive = 10.0
    sigma: Positive = 3.0
    level: Share = 0.5
    place: Weight = 1.0
    tilt: Weight = 1.0
    jitter: Share = 0.1
    zoom: Share = 0.08
    passes: Count = 2
    batch: Count = 2
    train: TrainSettings = TrainSettings(epochs=10, lr=1.5e-3, ema=0.99, validate_every=5)


class PeelingSettings(Settings):
    """The peeling crop.

    Attributes:
        level: of target mask times box mask, above which a channel shows its vertebra.
        step: a vertebra continues the column if its step is that many usual steps long, at least and at most.
        aspect: height of the region box over its width.
        margin: by which the region box is extended on each side, as a share of its height.
        narrowing: the crop ends when both sides together come nearer by less than this share of the height.
        iterations: largest number of crops.
    """

    level: Share = 0.2
    step: tuple[Positive, Positive] = (0.4, 2.2)
    aspect: Positive = 2.2
    margin: Share = 0.06
    narrowing: Share = 0.04
    iterations: Count = 5


class CurveSettings(Settings):
    """The polynomial refine, see `geometry.polynomial`.

    Attributes:
        degree: through the middle. ends: degree at both ends. end_steps: usual spacings that an end is long.
        far: standard deviations from the curve beyond which points are dropped. rounds: largest number of fits.
        unusual: degrees from the curve's normal beyond which an endplate is rotated.
        share: of the angle by which it is rotated.
    """

    degree: Count = 9
    ends: Count = 1
    end_steps: Positive = 2.0
    far: Positive = 3.0
    rounds: Count = 5
    unusual: Degrees = 8.0
    share: Share = 1.0


class CoarseToFineConfig(SolverConfig):
    """All settings of `coarse_to_fine`.

    Attributes:
        intensity: how films are evened out before anything else.
        masks, detection, local: the three stages of training.
        augment: how samples differ from the films.
        crop: what is read of a film of the whole body: the crop around the localizer's spine, the peeled one, or the
            peeled one of the localizer's.
        peeling: see there.
        match: least share of a box's middle that C's mask of its level fills for the two to match.
        least: a film with fewer matched vertebrae has no spine.
        refine: whether landmarks are refined by the curve; its numbers are in `curve`.
        corner_sd_share: spread of the corners, as a share of a vertebra's width, over which angles are averaged; 0
            measures the landmarks as they are.
    """

    intensity: Intensity = "clahe"
    masks: MaskSettings = MaskSettings()
    detection: DetectionSettings = DetectionSettings()
    local: LocalSettings = LocalSettings()
    augment: AugmentSettings = AugmentSettings(rotation_share=0.0, scale=(0.88, 1.15))
    crop: Literal["localizer", "peeling", "both"] = "localizer"
    peeling: PeelingSettings = PeelingSettings()
    match: Share = 0.05
    least: int = Field(default=6, ge=2, le=17)
    refine: bool = False
    curve: CurveSettings = CurveSettings()
    corner_sd_share: Share = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        m, d, s = self.masks, self.detection, self.local
        coarsest = d.finest * 2 ** (d.stages - 1)
        nets = (m.whole.multiple, m.target.multiple, m.boxes.multiple, coarsest)
        if any(side % multiple for side in m.size for multiple in nets):
            raise ValueError(f"masks.size is a multiple of {max(nets)}, the coarsest stride")
        local = (s.box.multiple, s.corners.multiple)
        if any(side % multiple for side in s.region for multiple in local):
            raise ValueError(f"local.region is a multiple of {max(local)}, the coarsest stride")
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        train = TrainSettings(epochs=2, validate_every=2, precision="32-true")
        small = PlainUNetSettings(channels=(8, 16, 16, 24), shrink=2)
        encoder = EncoderSettings(
            name="resnet18d", options={"channels": [16, 24, 32, 48], "layers": [1, 1, 1, 1], "stem_width": 8}
        )
        return cls(
            masks=MaskSettings(
                whole=small, target=small,
                boxes=EncoderUNetSettings(encoder=encoder, deeper=(32, 32), decoder=(32, 32, 24, 24)),
                size=(256, 128), blur=(5.0, 2.0), batch=4, train=train,
            ),
            detection=DetectionSettings(
                encoder=encoder, stages=3, finest=4, pyramid=24, anchors=(11.0, 16.0), head=48, mask=8,
                proposals=60, batch=4, train=train,
            ),
            local=LocalSettings(
                box=PlainUNetSettings(channels=(8, 16, 16), shrink=2),
                corners=EncoderUNetSettings(encoder=encoder, decoder=(24, 16, 16)),
                film=(448, 192), region=(48, 64), spacing=22.0, grow=8.0, sigma=2.5, batch=2, train=train,
            ),
        )  # fmt: skip
