"""`seg4reg`: segment vertebrae and the gaps between them, then regress the three angles from the mask.

Lin, Zhou, Ma, Yang, Zheng: Seg4Reg Networks for Automated Spinal Curvature Estimation, AASCE 2019. Its parts
stand here under their names: histogram equalisation; a PSPNet with a dilation pyramid; three classes; a
classifier that regresses three angles from film, film and mask, or mask; a gradient-reversal discriminator;
rescaling by 0.85 to 1.25 and turns of 45 degrees under which angles stay true; cosine schedules; angles
under 4 degrees set to zero.

Departures, each a setting, the paper's own choice in configs where it is named: small encoders that train on
a CPU; a way up to a map of stride 2 (`segmentation.skips`); bent films with angles measured anew
(`augment.bent`); masks drawn from landmarks (`regression.synthetic`); heads that know tilts and pairs
(`regression.head`); the answer measured of these tilts by the challenge's rule instead of the angles learned
(`regression.rows.answer`); AdamW; an automatic crop of whole films, which the paper crops by hand. The challenge's
second and third angle depend on the film's height; on a cropped whole film they are those of the crop.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from aasce.datasets import FilmSet
from aasce.preprocess.intensity import Bytes
from aasce.solvers.base import FitReport, LearnedState, RunFolder
from aasce.solvers.seg4reg.adaptation import target_films
from aasce.solvers.seg4reg.inference import read_film
from aasce.solvers.seg4reg.network import Seg4RegNet
from aasce.solvers.seg4reg.regression import RegressionTask
from aasce.solvers.seg4reg.segmentation import SegmentationTask
from aasce.solvers.seg4reg.settings import (
    Seg4RegConfig,
)
from aasce.solvers.shared.regressor import FilmReading, RegressingSolver
from aasce.solvers.shared.samples import Sample, load_images, load_samples
from aasce.types import Radiograph

Floats = NDArray[np.float64]
Films = tuple[list[Sample], list[Sample], list[Bytes]]
"""Training films, validation films, unlabelled target films, as they wait in memory."""

SMALL = 4.0
"""Degrees under which an angle may be set to zero (Seg4Reg, section 3.2)."""


class Seg4RegState(LearnedState):
    """What training learns besides weights.

    Attributes:
        small_angles_to_zero: whether angles under 4 degrees become zero; None before validation films decide.
    """

    small_angles_to_zero: bool | None = None


class Seg4RegSolver(RegressingSolver):
    """See the module. Answers angles and a mask, no landmarks."""

    name: ClassVar[str] = "seg4reg"
    Config: ClassVar[type[Seg4RegConfig]] = Seg4RegConfig
    Learned: ClassVar[type[Seg4RegState]] = Seg4RegState
    learned: Seg4RegState

    def networks(self, start: bool) -> Seg4RegNet:
        return Seg4RegNet(self.config.segmentation, self.config.regression, start)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the segmenter (in seg/ of the run), then the regressor on its masks (in reg/).

        Weights are kept by mean intersection over union and by SMAPE on `validation`; the confidence's rule
        and whether small angles become zero are set there too.
        """
        films = self._films(train, validation, run)
        first = self._fit_segmentation(films, run)
        second = self._fit_regression(films, validation, run)
        epochs, seconds = first.epochs + second.epochs, first.seconds + second.seconds
        notes = {**first.notes, **second.notes}
        return FitReport(epochs, second.best_epoch, second.best_score, seconds, notes)

    def fit_segmentation(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the segmenter alone."""
        return self._fit_segmentation(self._films(train, validation, run), run)

    def fit_regression(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the regressor on the masks of the segmenter as it is, and calibrates the answers."""
        return self._fit_regression(self._films(train, validation, run), validation, run)

    def _films(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> Films:
        """Decodes everything once for both stages."""
        held = load_samples(validation, self.config.intensity) if validation is not None else []
        wide = load_images(target_films(self.config.adaptation, run.data))
        return load_samples(train, self.config.intensity), held, wide

    def _fit_segmentation(self, films: Films, run: RunFolder) -> FitReport:
        self.begin()
        task = SegmentationTask(self.config, self.module.segmentation, *films)
        report = self.trained(task, self.config.segmentation.train, run, "seg")
        if report.best_score is None:
            return report
        return replace(report, notes={"validation_miou": 1 - report.best_score})

    def _fit_regression(self, films: Films, validation: FilmSet | None, run: RunFolder) -> FitReport:
        task = RegressionTask(self.config, (self.module.segmentation, self.module.regression), *films)
        report = self.trained(task, self.config.regression.train, run, "reg")
        return replace(report, notes=self.calibrate(validation))

    def adopt_segmenter(self, other: Seg4RegSolver) -> None:
        """Takes over the trained segmenter of a solver with the same segmentation settings."""
        self.begin()
        self.module.segmentation.load_state_dict(other.module.segmentation.state_dict())

    def calibrate(self, films: FilmSet | None) -> dict[str, float]:
        """Sets whether small angles become zero, where the settings leave it open, and the confidence's rule."""
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
        found = read_film(self.module, film, self.config, spine)
        if isinstance(found, str):
            return found
        flags = () if found.vertebrae >= 17 else ("vertebra_missing",)
        combined = without_small(found.combined) if self._zeroes() else found.combined
        return FilmReading(found.angles, found.mask, flags=flags, combined=combined)

    def _zeroes(self) -> bool:
        chosen = self.config.small_angles_to_zero
        return bool(self.learned.small_angles_to_zero) if chosen is None else chosen


def without_small(degrees: Floats) -> Floats:
    """Angles with those under 4 degrees set to 0 (Seg4Reg, section 3.2)."""
    return np.where(degrees < SMALL, 0.0, degrees)
