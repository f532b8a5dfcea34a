"""`scg_net`: draw the spine's two borders, then regress the three angles from the film guided by them.

Wang, Huang, Wang: Spinal Curve Guide Network (SCG-Net) for Accurate Automated Spinal Curvature Estimation, AASCE 2019.
Taken from the paper: a U-Net that segments the borders, with a pyramid pooling block at the bottom and skips at the 1X
and 4X levels; targets that join the corners of each side to a smooth curve and dilate it; a DenseNet that regresses
three angles from the film and the map of the borders. `regression.input` is the comparison of the paper: the film, the
film and the borders, the borders.

Departures, each a setting (the paper's values are in configs/solvers/paper): networks that train on a CPU; the left
and the right border as two maps; a head that predicts tilts by rows (`regression.head`) from the last three maps of
the DenseNet (`regression.maps`); angles measured on these tilts by the challenge's rule instead of the regressed ones;
films that are bent (their angles measured again) and rotated, with other grey values, where the paper crops and
resizes (`augment`); borders that are corrupted at times in training; AdamW; an automatic crop of films of the whole
body. The challenge's second and third angle depend on the film's height; on a cropped film they are those of the crop.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from aasce.datasets import FilmSet
from aasce.preprocess.crop import Box
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import FitReport, RunFolder
from aasce.solvers.scg_net.inference import BorderPass, border_maps, regressor_input
from aasce.solvers.scg_net.network import ScgNet
from aasce.solvers.scg_net.settings import ScgNetConfig
from aasce.solvers.scg_net.task import BoundaryTask, RegressionTask
from aasce.solvers.shared.autocrop import autocrop
from aasce.solvers.shared.cascade import read_channels
from aasce.solvers.shared.readout import pass_angles
from aasce.solvers.shared.regressor import FilmReading, RegressingSolver
from aasce.solvers.shared.samples import Floats, SampleSplit, canvas_of, load_split
from aasce.solvers.shared.tta import with_mirror
from aasce.types import Radiograph


class ScgNetSolver(RegressingSolver):
    """See the module. Predicts angles and the middle between the borders, no landmarks."""

    name: ClassVar[str] = "scg_net"
    Config: ClassVar[type[ScgNetConfig]] = ScgNetConfig
    config: ScgNetConfig
    module: ScgNet

    def networks(self, start: bool) -> ScgNet:
        return ScgNet(self.config, start)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the segmenter (in curves/ of the run), then the regressor on its maps (in reg/).

        Weights are chosen by Dice and by SMAPE on `validation`, which also sets the confidence.
        """
        self.begin()
        split = load_split(train, validation, self.config.intensity)
        first = self.fit_boundaries(split, run)
        second = self.fit_regression(split, run)
        epochs, seconds = first.epochs + second.epochs, first.seconds + second.seconds
        notes = self.calibrate(validation)
        if first.best_score is not None:
            notes["validation_dice"] = 1 - first.best_score
        return FitReport(epochs, second.best_epoch, second.best_score, seconds, notes)

    def fit_boundaries(self, split: SampleSplit, run: RunFolder) -> FitReport:
        """Trains the segmenter alone."""
        task = BoundaryTask(self.config, self.module.boundaries, split)
        return self.trained(task, self.config.boundaries.train, run, "curves")

    def fit_regression(self, split: SampleSplit, run: RunFolder) -> FitReport:
        """Trains the regressor on the maps of the segmenter as it is."""
        task = RegressionTask(self.config, (self.module.boundaries, self.module.regression), split)
        return self.trained(task, self.config.regression.train, run, "reg")

    def read(self, film: Radiograph, spine: Floats | None = None) -> FilmReading | str:
        """Angles of a film and the middle of its spine, or the reason why there are none."""
        pixels = to_uint8(film.pixels)
        found = autocrop(lambda box: self.run(pixels, box), film.size, self.config.crop_below, spine)
        middle = found.middle
        if len(middle) < max(2, self.config.min_rows * len(found.canvas)):
            return "no spine found on the film"
        shown = regressor_input(self.config.regression)
        pairs = zip(with_mirror(found.canvas), found.curves, strict=True)
        channels = np.stack([shown.channels(*pair) for pair in pairs])
        both = read_channels(self.module.regression, channels, shown.film)
        if not both.finite:
            return "the regressor gave no number"
        angles, combined = pass_angles(both, found.view, found.box, self.config.regression.head)
        return FilmReading(angles, centerline=middle, combined=combined)

    def run(self, pixels: Bytes, box: Box) -> BorderPass:
        """Draws the borders in a rectangle of a film, plain and mirrored."""
        canvas, view = canvas_of(pixels, box, self.config.boundaries.size, self.config.intensity)
        return BorderPass(canvas, view, box, border_maps(self.module.boundaries, with_mirror(canvas)))
