"""`multitask_pyramid`: one network segments the vertebrae and regresses the three angles from what it saw.

Wang, Wang, Liu: A Multi-task Learning Method for Direct Estimation of Spinal Curvature, AASCE 2019. Its parts
stand here under their names: a VGG-11 or ResNet-50 encoder, trained from scratch; a U-Net decoder whose largest
map gives the vertebra mask by a softmax; the encoder's last map and every stage of the decoder but the last
pooled, concatenated, and read for three angles; Dice and SMAPE losses; films resized with their aspect kept
and padded. `output` and `pyramid` are the paper's own comparisons.

Departures, each a setting, the paper's own value beside it in the configuration file: a narrower encoder that
trains on a CPU; pooling row by row instead of global averages (`head.pooling`), and a head that knows tilts and
pairs (`head.head`), taught the tilts and places of the vertebrae too; the answer measured of these tilts by the
challenge's rule instead of the angles learned (`head.answer`); smooth L1 of the angles and cross entropy of the
mask beside SMAPE and Dice; bent films with angles measured anew, turns, scales and grey values where the
paper shifts (`augment`); AdamW; an automatic crop of whole films. The challenge's second and third angle depend
on the film's height; on a cropped whole film they are those of the crop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from aasce.datasets import FilmSet
from aasce.preprocess.crop import View
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import FitReport, RunFolder
from aasce.solvers.multitask_pyramid.network import MultitaskNet
from aasce.solvers.multitask_pyramid.settings import MultitaskPyramidConfig
from aasce.solvers.multitask_pyramid.task import MultitaskTask, see
from aasce.solvers.shared.autocrop import autocrop, joined, largest_part
from aasce.solvers.shared.masks import film_mask
from aasce.solvers.shared.readout import Readout, pass_angles
from aasce.solvers.shared.regressor import FilmReading, RegressingSolver
from aasce.solvers.shared.samples import Box, Floats, canvas_of, load_samples
from aasce.targets.mask import Shares
from aasce.types import Radiograph


@dataclass(frozen=True, slots=True)
class MaskPass:
    """What the network finds in a rectangle of a film.

    Attributes:
        view: film px to canvas px.
        box: the rectangle, film px.
        both: what the head says of the canvas, plain and mirrored.
        vertebra: (H/2, W/2) probability, None where the network makes no mask.
    """

    view: View
    box: Box
    both: Readout
    vertebra: Shares | None

    @property
    def spine(self) -> Floats | None:
        """(x0, y0, x1, y1) film px around the largest column of vertebrae; None without one."""
        if self.vertebra is None:
            return None
        # A vertebra and its gap take a 17th of a spine that fills the film, and a gap never all of it.
        reach = self.vertebra.shape[0] // 12 | 1
        return largest_part(joined(self.vertebra > 0.5, (reach, 5)), self.view)


class MultitaskPyramidSolver(RegressingSolver):
    """See the module. Answers angles and a mask, no landmarks."""

    name: ClassVar[str] = "multitask_pyramid"
    Config: ClassVar[type[MultitaskPyramidConfig]] = MultitaskPyramidConfig
    config: MultitaskPyramidConfig
    module: MultitaskNet

    def networks(self, start: bool) -> MultitaskNet:
        return MultitaskNet(self.config, start)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the network; weights are kept by SMAPE on `validation`, which also sets the confidence."""
        self.begin()
        held = load_samples(validation, self.config.intensity) if validation is not None else []
        items = load_samples(train, self.config.intensity)
        task = MultitaskTask(self.config, self.module, items, held)
        report = self.trained(task, self.config.train, run)
        return replace(report, notes=self.calibrate(validation))

    def read(self, film: Radiograph, spine: Floats | None = None) -> FilmReading | str:
        """Mask and angles of a film, or the reason why there are none."""
        pixels = to_uint8(film.pixels)
        seen = autocrop(lambda box: self.run(pixels, box), film.size, self.config.crop_below, spine)
        if not seen.both.finite:
            return "the network gave no number"
        settings = self.config.mask
        if (
            settings
            and seen.vertebra is not None
            and float((seen.vertebra > 0.5).mean()) < settings.min_share
        ):
            return "no vertebra found on the film"
        mask = None if seen.vertebra is None else film_mask(seen.vertebra, seen.view, film.size)
        angles, combined = pass_angles(seen.both, seen.view, seen.box, self.config.head)
        return FilmReading(angles, mask, combined=combined)

    def run(self, pixels: Bytes, box: Box) -> MaskPass:
        """Passes a rectangle of a film through the network, plain and mirrored."""
        canvas, view = canvas_of(pixels, box, self.config.size, self.config.intensity)
        return MaskPass(view, box, *see(self.module, canvas))
