"""`labelling`: a heatmap a level, coordinates by the soft-argmax, and a corrector that sees the spine as a whole.

Bayat, Sekuboyina, Hofmann, El Husseini, Kirschke, Menze: Vertebral Labelling in Radiographs: Learning a Coordinate
Corrector to Enforce Spinal Shape, CSI 2019. Taken from the paper: a fully convolutional U-net with a channel for each
level and one for the background, minus the maximum of the Gaussians; the soft-argmax; a residual block of fully
connected layers over all coordinates, trained end to end with the U-net on films of any size; the squared distance of
the maps, the cross entropy between their softmaxes, the Huber loss of the corrected coordinates, and their sum
(equations 1 to 5). `corrector` is the comparison of the paper; `aasce.scoring.localization` holds its measures.

The paper stops at labelled centroids. Here a smoothing spline through T1 to L5 gives tangents, a linear correction
fitted to training films makes them the tilts of the vertebrae, and the challenge's rule measures these.

Departures, each a setting (the paper's values are in configs/solvers/paper): only T1 to L5 have channels, since no
label of the challenge names C1 to C7 (`levels`); an encoder that begins from trained weights (`network.encoder`); maps
of half the canvas (`network.stride`); sharper softmaxes in the cross entropy (`target.sharpness`), since those of
values from 0 to 1 hardly ask for the right level; a map of the tilts of the vertebrae beside the heatmaps, read at the
centroids, because an error of 1 px of a centroid is 2 degrees of a tangent (`target.tilt`, `curve.tilt_share`); a
smaller weight of the coordinates, which are in px and outweigh the maps (`target.coordinate`); passes over the mirror
image and at a second scale, averaged (`scales`); bent films; AdamW; an automatic crop of films of the whole body. The
challenge's second and third angle depend on the film's height; on a cropped film they are those of the crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from aasce.datasets import FilmSet
from aasce.geometry.cobb import limit_tilts, tilts
from aasce.geometry.correction import Correction, places_on, reaches_edge
from aasce.preprocess.crop import Box
from aasce.preprocess.intensity import to_uint8
from aasce.preprocess.orientation import points_as_read
from aasce.solvers.base import FitReport, LearnedState, RunFolder
from aasce.solvers.labelling.inference import Centroids, centroids_on, mean_of
from aasce.solvers.labelling.neck import necks_of
from aasce.solvers.labelling.network import LabellingNet
from aasce.solvers.labelling.postprocess import curve_angles, plain_correction
from aasce.solvers.labelling.settings import TRUNK, LabellingConfig
from aasce.solvers.labelling.task import LabellingTask
from aasce.solvers.shared.autocrop import film_box
from aasce.solvers.shared.correction import CorrectionState
from aasce.solvers.shared.orientation import upright_once
from aasce.solvers.shared.regressor import FilmReading, RegressingSolver
from aasce.solvers.shared.samples import FilmSampler, Floats, Sample, SampleSplit, canvas_of, load_samples
from aasce.types import Radiograph

CORRECTED = 400
"""Augmented training films that the correction is fitted to."""


class LabellingState(LearnedState):
    """What training learns besides weights.

    Attributes:
        correction: from tangents and tilts to the tilts of the vertebrae, None before it is fitted.
    """

    correction: CorrectionState | None = None


@dataclass(frozen=True, slots=True)
class LevelPass:
    """The networks' output for a rectangle of a film.

    Attributes:
        box: the rectangle, film px.
        centroids: of the film and of its mirror image, px of the film.
    """

    box: Box
    centroids: Centroids


class LabellingSolver(RegressingSolver):
    """See the module. Predicts the centroids of T1 to L5 as a centreline and angles, no landmarks."""

    name: ClassVar[str] = "labelling"
    Config: ClassVar[type[LabellingConfig]] = LabellingConfig
    Learned: ClassVar[type[LabellingState]] = LabellingState
    config: LabellingConfig
    learned: LabellingState
    module: LabellingNet

    def networks(self, start: bool) -> LabellingNet:
        return LabellingNet(self.config, start)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains U-net and corrector end to end, then fits the correction of the tilts.

        Weights are chosen by the error of the tilts on `validation`, which also sets the confidence.
        """
        self.begin()
        held_out = [] if validation is None else load_samples(validation, self.config.intensity)
        split = SampleSplit(load_samples(train, self.config.intensity), held_out)
        necks = necks_of(train, split.train) if self.config.level_count > TRUNK else []
        task = LabellingTask(self.config, self.module, split, necks)
        report = self.trained(task, self.config.train, run)
        if self.config.curve.correction is not None:
            self.fit_correction(split.train, self.config.curve.correction.ridge)
        notes = self.calibrate(validation)
        if report.best_score is not None:
            notes["validation_tilt"] = report.best_score
        return FitReport(report.epochs, report.best_epoch, report.best_score, report.seconds, notes)

    def fit_correction(self, samples: list[Sample], ridge: float) -> None:
        """Fits the tilts to tangents and tilts read from augmented training films, where both err more."""
        rng = np.random.default_rng((self.config.seed, 10))
        sampler, rows = FilmSampler(self.config.size, self.config.augment), []
        for index in np.resize(rng.permutation(len(samples)), min(CORRECTED, 2 * len(samples))):
            drawn = sampler.draw(samples[int(index)], rng)
            found = centroids_on(self.module, drawn.image, self.config, fast=True).mean
            curve = found.curve(self.config.curve.smoothing)
            wanted = limit_tilts(tilts(drawn.landmarks))
            rows.append((found.features(curve), wanted, places_on(curve.points, drawn.landmarks)))
        read, wanted, places = (np.stack(column) for column in zip(*rows, strict=True))
        start = self.plain(self.config.target.tilt > 0)
        correction = Correction.fitted(read, wanted, places, ridge, start)
        self.learned = self.learned.model_copy(update={"correction": CorrectionState.of(correction)})

    def plain(self, with_tilts: bool) -> Correction:
        """The correction before it is fitted."""
        return plain_correction(TRUNK, self.config.curve.tilt_share if with_tilts else None)

    def read(self, film: Radiograph, spine: Floats | None = None) -> FilmReading | str:
        """Centroids and angles of a film, or the reason why there are none."""
        found = self.run(film, film_box(film.size, spine))
        every, settings = found.centroids, self.config.curve
        if not every.finite:
            return "the network gave no number"
        both = every.mean
        seen = both.seen[0, -TRUNK:] >= settings.least
        if seen.sum() < settings.min_levels:
            return f"no spine found on the film ({seen.sum()} of {TRUNK} levels seen)"
        angles = np.stack([self.angles(every.one(k), found.box) for k in (0, 1)])
        flags = ("vertebra_missing",) if not seen.all() else ()
        if reaches_edge(both.curve(settings.smoothing).points, film.size):
            flags = (*flags, "curve_leaves_film")
        return FilmReading(angles, None, both.trunk, flags, self.angles(both, found.box))

    def centroids(self, film: Radiograph) -> Floats:
        """(levels, 2) px of the film as read: what a film is labelled with, C1 (or T1) to L5.

        A level that no map shows clearly has a centroid, too, which is what the corrector is for.
        """
        found = self.localized(film)
        upright = upright_once(film, found.orientation)
        points = self.run(upright, film_box(upright.size, found.spine)).centroids.mean.points[0]
        return points_as_read(points, film.size, found.orientation)

    def run(self, film: Radiograph, box: Box) -> LevelPass:
        """Passes a rectangle of an upright film through the networks, plain and mirrored, at each scale."""
        canvas, view = canvas_of(to_uint8(film.pixels), box, self.config.size, self.config.intensity)
        scales = self.config.scales
        passes = [centroids_on(self.module, canvas, self.config, scale=scale) for scale in scales]
        return LevelPass(box, mean_of(passes).undone(view))

    def angles(self, found: Centroids, frame: Box) -> Floats:
        """(3,) degrees of centroids in px of the film, measured in the frame of a rectangle of it."""
        state = self.learned.correction
        correction = self.plain(found.tilts is not None) if state is None else state.correction
        curve = found.curve(self.config.curve.smoothing)
        tilt = correction.apply(found.features(curve))
        return curve_angles(curve, tilt, np.array(frame[:2]), frame[3] - frame[1], self.config.curve)
