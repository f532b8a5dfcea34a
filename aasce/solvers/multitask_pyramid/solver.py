"""`multitask_pyramid`: one network segments the vertebrae and regresses the three angles.

Wang, Wang, Liu: A Multi-task Learning Method for Direct Estimation of Spinal Curvature, AASCE 2019. Taken from the
paper, under its names: a VGG-11 or ResNet-50 encoder, trained from scratch; a U-Net decoder whose largest map gives the
mask of the vertebrae by a softmax; the three angles regressed from the pooled maps of the encoder's last stage and of
all stages of the decoder but the last; Dice and SMAPE losses; films resized with their aspect kept, and padded.
`mask` and `mask.pyramid` are the paper's own comparisons.

Departures, each a setting (the paper's values are in configs/solvers/paper): a narrower encoder that trains on a CPU;
pooling row by row instead of averages over the film (`head`); a head that predicts the tilts and places of the
vertebrae and is trained on them; angles measured on these tilts by the challenge's rule instead of the
regressed ones (`head.angles`); smooth L1 of the angles and cross entropy of the mask beside SMAPE and Dice; films that
are bent (their angles measured again), rotated and scaled, with other grey values, where the paper shifts them
(`augment`); AdamW; an automatic crop of films of the whole body. The challenge's second and third angle depend on the
film's height; on a cropped film they are those of the crop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from aasce.datasets import FilmSet
from aasce.preprocess.crop import Box
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import FitReport, RunFolder
from aasce.solvers.multitask_pyramid.inference import MaskPass, predict_canvas
from aasce.solvers.multitask_pyramid.network import MultitaskNet
from aasce.solvers.multitask_pyramid.settings import MultitaskPyramidConfig
from aasce.solvers.multitask_pyramid.task import MultitaskTask
from aasce.solvers.shared.autocrop import autocrop
from aasce.solvers.shared.masks import film_mask
from aasce.solvers.shared.readout import pass_angles
from aasce.solvers.shared.regressor import FilmReading, RegressingSolver
from aasce.solvers.shared.samples import Floats, canvas_of, load_split
from aasce.types import Radiograph


class MultitaskPyramidSolver(RegressingSolver):
    """See the module. Predicts angles and a mask, no landmarks."""

    name: ClassVar[str] = "multitask_pyramid"
    Config: ClassVar[type[MultitaskPyramidConfig]] = MultitaskPyramidConfig
    config: MultitaskPyramidConfig
    module: MultitaskNet

    def networks(self, start: bool) -> MultitaskNet:
        return MultitaskNet(self.config, start)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the network; weights are chosen by SMAPE on `validation`, which also sets the confidence."""
        self.begin()
        task = MultitaskTask(self.config, self.module, load_split(train, validation, self.config.intensity))
        report = self.trained(task, self.config.train, run)
        return replace(report, notes=self.calibrate(validation))

    def read(self, film: Radiograph, spine: Floats | None = None) -> FilmReading | str:
        """Mask and angles of a film, or the reason why there are none."""
        pixels = to_uint8(film.pixels)
        found = autocrop(lambda box: self.run(pixels, box), film.size, self.config.crop_below, spine)
        if not found.both.finite:
            return "the network gave no number"
        mask = self.config.mask
        if mask and found.vertebra is not None and float((found.vertebra > 0.5).mean()) < mask.min_share:
            return "no vertebra found on the film"
        drawn = None if found.vertebra is None else film_mask(found.vertebra, found.view, film.size)
        angles, combined = pass_angles(found.both, found.view, found.box, self.config.head)
        return FilmReading(angles, drawn, combined=combined)

    def run(self, pixels: Bytes, box: Box) -> MaskPass:
        """Passes a rectangle of a film through the network, plain and mirrored."""
        canvas, view = canvas_of(pixels, box, self.config.size, self.config.intensity)
        return MaskPass(view, box, *predict_canvas(self.module, canvas))
