"""`seg4reg`: segment vertebrae and the gaps between them, then regress the three angles from the mask.

Lin, Zhou, Ma, Yang, Zheng: Seg4Reg Networks for Automated Spinal Curvature Estimation, AASCE 2019. Taken from the
paper: histogram equalisation; a PSPNet with a dilation pyramid; three classes; a classifier that regresses three
angles from film, film and mask, or mask; a gradient-reversal discriminator; rescaling by 0.85 to 1.25 and rotations of
45 degrees, under which angles stay the same; cosine schedules; angles under 4 degrees set to zero.

Departures, each a setting (the paper's values are in configs/solvers/paper): small encoders that train on a CPU; a
decoder to a map of stride 2; bent films, their angles measured again (`augment.bend`); masks drawn from landmarks;
heads that predict tilts; angles measured on these tilts by the challenge's rule instead of the regressed ones; AdamW;
an automatic crop of films of the whole body, which the paper crops by hand. The challenge's second and third angle
depend on the film's height; on a cropped film they are those of the crop.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from aasce.datasets import FilmSet
from aasce.preprocess.crop import Box
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import FitReport, LearnedState, RunFolder
from aasce.solvers.seg4reg.adaptation import target_films
from aasce.solvers.seg4reg.inference import SegmentedPass, regressor_input, segment
from aasce.solvers.seg4reg.network import Seg4RegNet
from aasce.solvers.seg4reg.settings import Seg4RegConfig
from aasce.solvers.seg4reg.task import RegressionTask, SegmentationTask
from aasce.solvers.shared.autocrop import autocrop
from aasce.solvers.shared.cascade import read_channels
from aasce.solvers.shared.masks import film_mask
from aasce.solvers.shared.readout import pass_angles
from aasce.solvers.shared.regressor import FilmReading, RegressingSolver
from aasce.solvers.shared.samples import Floats, SampleSplit, canvas_of, load_images, load_split
from aasce.solvers.shared.tta import mirrored_back, with_mirror
from aasce.targets.mask import decode_mask
from aasce.types import Radiograph

Films = tuple[SampleSplit, list[Bytes]]
"""Labelled films, and unlabelled target films."""

SMALL = 4.0
"""Degrees under which an angle may be set to zero (Seg4Reg, section 3.2)."""


class Seg4RegState(LearnedState):
    """What training learns besides weights.

    Attributes:
        small_angles_to_zero: whether angles under 4 degrees become zero; None before validation films decide.
    """

    small_angles_to_zero: bool | None = None


class Seg4RegSolver(RegressingSolver):
    """See the module. Predicts angles and a mask, no landmarks."""

    name: ClassVar[str] = "seg4reg"
    Config: ClassVar[type[Seg4RegConfig]] = Seg4RegConfig
    Learned: ClassVar[type[Seg4RegState]] = Seg4RegState
    learned: Seg4RegState

    def networks(self, start: bool) -> Seg4RegNet:
        return Seg4RegNet(self.config.segmentation, self.config.regression, start)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the segmenter (in seg/ of the run), then the regressor on its masks (in reg/).

        Weights are chosen by mean intersection over union and by SMAPE on `validation`, which also sets the confidence
        and whether small angles become zero.
        """
        films = self.films(train, validation, run)
        first, second = self.fit_segmentation(films, run), self.fit_regression(films, run)
        epochs, seconds = first.epochs + second.epochs, first.seconds + second.seconds
        notes = self.calibrate(validation)
        if first.best_score is not None:
            notes["validation_miou"] = 1 - first.best_score
        return FitReport(epochs, second.best_epoch, second.best_score, seconds, notes)

    def films(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> Films:
        """Reads all films once for both stages."""
        wide = load_images(target_films(self.config.adaptation, run.data))
        return load_split(train, validation, self.config.intensity), wide

    def fit_segmentation(self, films: Films, run: RunFolder) -> FitReport:
        """Trains the segmenter alone."""
        self.begin()
        task = SegmentationTask(self.config, self.module.segmentation, *films)
        return self.trained(task, self.config.segmentation.train, run, "seg")

    def fit_regression(self, films: Films, run: RunFolder) -> FitReport:
        """Trains the regressor on the masks of the segmenter as it is."""
        task = RegressionTask(self.config, (self.module.segmentation, self.module.regression), *films)
        return self.trained(task, self.config.regression.train, run, "reg")

    def calibrate(self, films: FilmSet | None) -> dict[str, float]:
        """Decides whether small angles become zero, where the settings leave it open, and fits the confidence."""
        if films is None or not len(films):
            return {}
        chosen = self.config.small_angles_to_zero
        tried: list[tuple[dict[str, float], Seg4RegState]] = []
        for zero in (False, True) if chosen is None else (chosen,):
            self.learned = self.learned.model_copy(update={"small_angles_to_zero": zero})
            tried.append((super().calibrate(films), self.learned))
        scores, self.learned = min(tried, key=lambda pair: pair[0].get("validation_smape", math.inf))
        return scores

    def read(self, film: Radiograph, spine: Floats | None = None) -> FilmReading | str:
        """Angles and mask of a film, or the reason why there are none."""
        pixels = to_uint8(film.pixels)
        found = autocrop(lambda box: self.run(pixels, box), film.size, self.config.crop_below, spine)
        vertebra = found.mask[1]
        if float((vertebra > 0.5).mean()) < self.config.min_mask:
            return "no vertebra found on the film"
        shown = regressor_input(self.config.regression)
        # Masks are in the frame of the canvas; the regressor reads the second pass mirrored.
        pairs = zip(with_mirror(found.canvas), mirrored_back(found.masks)[:, 1:], strict=True)
        channels = np.stack([shown.channels(*pair) for pair in pairs])
        both = read_channels(self.module.regression, channels, shown.film)
        if not both.finite:
            return "the regressor gave no number"
        angles, combined = pass_angles(both, found.view, found.box, self.config.regression.head)
        flags = () if len(decode_mask(vertebra)) >= 17 else ("vertebra_missing",)
        combined = without_small(combined) if self._zeroes() else combined
        return FilmReading(angles, film_mask(vertebra, found.view, film.size), flags=flags, combined=combined)

    def run(self, pixels: Bytes, box: Box) -> SegmentedPass:
        """Segments a rectangle of a film, plain and mirrored."""
        canvas, view = canvas_of(pixels, box, self.config.segmentation.size, self.config.intensity)
        masks = mirrored_back(segment(self.module.segmentation, with_mirror(canvas)))
        return SegmentedPass(canvas, view, box, masks)

    def _zeroes(self) -> bool:
        chosen = self.config.small_angles_to_zero
        return bool(self.learned.small_angles_to_zero) if chosen is None else chosen


def without_small(degrees: Floats) -> Floats:
    """Angles with those under 4 degrees set to 0 (Seg4Reg, section 3.2)."""
    return np.where(degrees < SMALL, 0.0, degrees)
