"""Settings of `seg4reg`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from aasce.config import Settings
from aasce.solvers.base import SolverConfig
from aasce.solvers.shared.encoders import BackboneSettings
from aasce.solvers.shared.row_head import HeadSettings
from aasce.solvers.shared.samples import AugmentSettings
from aasce.solvers.shared.trainer import TrainSettings

Inputs = Literal["image", "image+mask", "mask"]


class SegmentationSettings(Settings):
    """PSPNet with a dilation pyramid beside the pooling pyramid.

    Attributes:
        encoder: its features of stride 4 and coarser are used; the paper's is resnet50 or resnet101.
        stages: how many of them, from stride 4 down; the pyramids stand on the last.
        output_stride: of the encoder; 8 is PSPNet's (the strides of the last stages become dilations).
        size: (H, W) of the canvas; the paper's is (1024, 512).
        pools: grid sizes of the pooling pyramid.
        dilations: of the 3x3 convolutions beside it, whose outputs are summed; () leaves them out.
        width: channels of the pyramid's output. decoder: channels of the way back up to stride 4.
        skips: finer features join on the way up and the map has stride 2; without them the pyramid's output
            is enlarged, as in the paper.
        dice: weight of the soft Dice term beside the cross entropy.
        batch: films a step.
    """

    encoder: BackboneSettings = BackboneSettings(
        options={"channels": [32, 64, 128, 256], "layers": [2, 2, 2, 2], "stem_width": 16}
    )
    stages: int = 3
    output_stride: Literal[8, 16, 32] = 32
    size: tuple[int, int] = (512, 256)
    pools: tuple[int, ...] = (1, 2, 3, 6)
    dilations: tuple[int, ...] = (2, 4, 6)
    width: int = 96
    decoder: int = 48
    skips: bool = True
    dice: float = 0.5
    batch: int = 8
    train: TrainSettings = TrainSettings(epochs=22, lr=2e-3, ema=0.99, validate_every=5)


class RegressionSettings(Settings):
    """From film, mask or both to the three angles.

    Attributes:
        backbone: the paper's are densenet169 and efficientnet_b5.
        input: what it sees; masks are the segmenter's soft probabilities of vertebra and gap.
        head: "direct" is the classifier's own pooling and three outputs, as in the paper; "pairs" predicts
            the tilts of the levels and takes each angle as a learned soft choice among all pairs of them;
            "rows" does so from the tilt of the spine in every row, see `solvers.rows`.
        rows: settings and loss weights of the head "rows".
        levels: how many tilts the "pairs" head knows.
        size: (H, W) of its canvas, of the same aspect as the segmenter's; the paper's is (512, 256).
        variants: predictions of the segmenter kept of each training film, each under another look.
        synthetic: share of samples whose mask is drawn from (bent, shaken) landmarks and then spoilt, instead
            of predicted; only where the input is the mask alone.
        spoil: share of predicted masks that are spoilt a little, since a segmenter errs less on films it
            knows.
        smape, tilt: weights of those terms beside the smooth L1 of the angles.
        drop: dropout before the outputs.
        batch: films a step. repeats: draws of each film in an epoch.
    """

    backbone: BackboneSettings = BackboneSettings(
        options={"channels": [32, 64, 128, 192], "layers": [2, 2, 2, 2], "stem_width": 16}
    )
    input: Inputs = "mask"
    head: Literal["direct", "pairs", "rows"] = "rows"
    rows: HeadSettings = HeadSettings(rows=32)
    levels: int = 17
    size: tuple[int, int] = (256, 128)
    variants: int = 4
    synthetic: float = 0.3
    spoil: float = 0.3
    smape: float = 3.0
    tilt: float = 1.0
    drop: float = 0.1
    batch: int = 16
    repeats: int = 1
    train: TrainSettings = TrainSettings(epochs=90, lr=2e-3, ema=0.995, validate_every=10)


class AdaptationSettings(Settings):
    """Gradient-reversal domain adaptation (Ganin & Lempitsky 2015) to unlabelled target films.

    Attributes:
        enabled: whether it takes part.
        films: folder of the target films; None takes aasce19_wide/ of the data set that AASCE_DATA names.
        stages: the segmenter's features alone, or the regression's too.
        weight: lambda of the paper's loss.
        share: target films a step, as a share of the batch.
    """

    enabled: bool = False
    films: str | None = None
    stages: Literal["segmentation", "both"] = "segmentation"
    weight: float = 1.0
    share: float = 0.5


class Seg4RegConfig(SolverConfig):
    """All settings of `seg4reg`.

    Attributes:
        intensity: how films are evened out before anything else; the paper equalises histograms.
        crop_below: a spine shorter than this share of the picture is cropped to and looked at again.
        least_mask: share of the canvas that vertebrae must cover for a film to be measured.
        small_angles_to_zero: angles under 4 degrees become 0; None chooses on the validation part (no,
            without one).
    """

    intensity: Literal["equalize", "clahe", "none"] = "equalize"
    segmentation: SegmentationSettings = SegmentationSettings()
    regression: RegressionSettings = RegressionSettings()
    augment: AugmentSettings = AugmentSettings()
    adaptation: AdaptationSettings = AdaptationSettings()
    crop_below: float = 0.7
    least_mask: float = 0.004
    small_angles_to_zero: bool | None = None

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        seg, reg = self.segmentation.size, self.regression.size
        if any(side % 32 for side in (*seg, *reg)):
            raise ValueError("segmentation.size and regression.size are multiples of 32")
        if seg[0] * reg[1] != seg[1] * reg[0]:
            raise ValueError(
                "segmentation.size and regression.size have one aspect: no angle survives stretching"
            )
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests."""
        backbone = BackboneSettings(options={"channels": [8, 16, 24, 24], "layers": [1] * 4, "stem_width": 8})
        train = TrainSettings(epochs=2, validate_every=2, precision="32-true")
        return cls(
            segmentation=SegmentationSettings(
                encoder=backbone, size=(128, 64), width=16, decoder=16, batch=2, train=train
            ),
            regression=RegressionSettings(
                backbone=backbone, head="pairs", size=(64, 32), variants=2, batch=2, train=train
            ),
        )
