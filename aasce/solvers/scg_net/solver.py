"""`scg_net`: draw the spine's two borders, then regress the three angles from the film guided by them.

Wang, Huang, Wang: Spinal Curve Guide Network (SCG-Net) for Accurate Automated Spinal Curvature Estimation, AASCE
2019. Its parts stand here under their names: a boundary segmentation U-Net with a pyramid pooling block at the
bottom and skips at the 1X and 4X levels; targets that join the corners of each side to a smooth curve and dilate
it; a DenseNet that regresses three angles from the film and the curve map. `regression.input` is the comparison
that its argument rests on: the film, the film and the curves, the curves.

Departures, each a setting, the paper's own value beside it in the configuration file: networks that train on a
CPU; the left and the right border as two maps; a head that knows rows, tilts and pairs (`regression.head`) on
the last three maps of the DenseNet (`regression.maps`); the answer measured of these tilts by the challenge's
rule instead of the angles learned (`regression.head.answer`); bent films with angles measured anew, turns and grey
values where the paper crops and resizes (`augment`); curve maps that are spoilt at times (`regression.spoil`);
AdamW; an automatic crop of whole films. The challenge's second and third angle depend on the film's height; on
a cropped whole film they are those of the crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from aasce.datasets import FilmSet
from aasce.preprocess.crop import View
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import FitReport, RunFolder
from aasce.solvers.scg_net.network import ScgNet
from aasce.solvers.scg_net.settings import ScgNetConfig
from aasce.solvers.scg_net.task import BoundaryTask, RegressionTask, curve_maps, make_stack, regress
from aasce.solvers.shared.autocrop import autocrop, joined, largest_part
from aasce.solvers.shared.readout import pass_angles
from aasce.solvers.shared.regressor import FilmReading, RegressingSolver
from aasce.solvers.shared.samples import Box, Floats, Sample, canvas_of, load_samples
from aasce.solvers.shared.tta import with_mirror
from aasce.targets.mask import Shares
from aasce.types import Radiograph

Films = tuple[list[Sample], list[Sample]]
"""Training and validation films, as they wait in memory."""


@dataclass(frozen=True, slots=True)
class BorderPass:
    """What the segmenter finds in a rectangle of a film.

    Attributes:
        canvas: (H, W) uint8.
        view: film px to canvas px.
        box: the rectangle, film px.
        curves: (2, 2, H, W) probabilities of the left and the right border, from the canvas and from its mirror
            image, each in its own frame.
    """

    canvas: Bytes
    view: View
    box: Box
    curves: Shares

    @property
    def borders(self) -> Shares:
        """(2, H, W) mean of the two in the frame of the canvas; a mirrored left border is a right one."""
        return np.asarray((self.curves[0] + self.curves[1, ::-1, :, ::-1]) / 2, np.float32)

    @property
    def spine(self) -> Floats | None:
        """(x0, y0, x1, y1) film px around the borders; None without one."""
        drawn = self.borders.max(axis=0) > 0.5
        across = drawn.shape[1] // 4 | 1  # the two borders stand a fourth of the canvas apart at most
        both = joined(drawn, (3, across))
        half = cv2.resize(both, (drawn.shape[1] // 2, drawn.shape[0] // 2), interpolation=cv2.INTER_AREA)
        return largest_part(half > 0, self.view)

    @property
    def middle(self) -> Floats:
        """(N, 2) film px half way between the borders in each row that shows both, from the top."""
        sure = self.borders * (self.borders > 0.25)
        both = (sure.sum(axis=2) > 0).all(axis=0)
        at = (sure * np.arange(sure.shape[2])).sum(axis=2)[:, both] / sure.sum(axis=2)[:, both]
        return self.view.undo(np.stack([at.mean(axis=0), np.flatnonzero(both)], axis=1))


class ScgNetSolver(RegressingSolver):
    """See the module. Answers angles and the middle between the borders, no landmarks."""

    name: ClassVar[str] = "scg_net"
    Config: ClassVar[type[ScgNetConfig]] = ScgNetConfig
    config: ScgNetConfig
    module: ScgNet

    def networks(self, start: bool) -> ScgNet:
        return ScgNet(self.config, start)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the segmenter (in curves/ of the run), then the regressor on its maps (in reg/).

        Weights are kept by Dice and by SMAPE on `validation`, which also sets the confidence.
        """
        self.begin()
        held = load_samples(validation, self.config.intensity) if validation is not None else []
        films = load_samples(train, self.config.intensity), held
        first = self.fit_boundaries(films, run)
        second = self.fit_regression(films, run)
        epochs, seconds = first.epochs + second.epochs, first.seconds + second.seconds
        notes = self.calibrate(validation)
        if first.best_score is not None:
            notes["validation_dice"] = 1 - first.best_score
        return FitReport(epochs, second.best_epoch, second.best_score, seconds, notes)

    def fit_boundaries(self, films: Films, run: RunFolder) -> FitReport:
        """Trains the segmenter alone."""
        task = BoundaryTask(self.config, self.module.boundaries, *films)
        return self.trained(task, self.config.boundaries.train, run, "curves")

    def fit_regression(self, films: Films, run: RunFolder) -> FitReport:
        """Trains the regressor on the maps of the segmenter as it is."""
        task = RegressionTask(self.config, (self.module.boundaries, self.module.regression), *films)
        return self.trained(task, self.config.regression.train, run, "reg")

    def read(self, film: Radiograph, spine: Floats | None = None) -> FilmReading | str:
        """Angles of a film and the middle of its spine, or the reason why there are none."""
        pixels = to_uint8(film.pixels)
        seen = autocrop(lambda box: self.run(pixels, box), film.size, self.config.crop_below, spine)
        middle = seen.middle
        if len(middle) < max(2, self.config.min_rows * len(seen.canvas)):
            return "no spine found on the film"
        size, kind = self.config.regression.size, self.config.regression.input.kind
        canvases = with_mirror(seen.canvas)
        stacks = [make_stack(c, curves, size, kind) for c, curves in zip(canvases, seen.curves, strict=True)]
        both = regress(self.module.regression, np.stack(stacks), kind)
        if not both.finite:
            return "the regressor gave no number"
        angles, combined = pass_angles(both, seen.view, seen.box, self.config.regression.head)
        return FilmReading(angles, centerline=middle, combined=combined)

    def run(self, pixels: Bytes, box: Box) -> BorderPass:
        """Draws the borders in a rectangle of a film, plain and mirrored."""
        canvas, view = canvas_of(pixels, box, self.config.boundaries.size, self.config.intensity)
        return BorderPass(canvas, view, box, curve_maps(self.module.boundaries, with_mirror(canvas)))
