"""`centerline`: a cascade of U-nets finds the spine and its centreline, tangents of which give the angles.

Dubost, Collery, Renaudier, Roc, Posocco, Niessen, de Bruijne: Automated Estimation of the Spinal Curvature via Spine
Centerline Extraction with Ensembles of Cascaded Neural Networks, AASCE 2019. Taken from the paper: two cascaded U-nets
with few feature maps and batch norm before each pooling, trained end to end, the first on the whole spine and the
second on its centreline, both by the mean squared error; a threshold of 0.25, small components removed, the middle
between the borders; smoothing by the heat equation (the exact solution of the paper's Euler steps); tangents at 19
points; major, upper and lower angle (`curve.angles` "paper"). Maps are averaged over the film, its mirror image and
`members` networks, each trained without another tenth of the patients; angles of several runs are averaged by
`aasce.ensemble`, which makes the paper's ensemble of ensembles.

Departures, each a setting (the paper's values are in configs/solvers/paper): the second network also reads the film
and the features of the first (`network.cascade.input`); the target centreline is inclined towards the tilts of the
vertebrae, since the angles of a plain midline are 4 degrees off even where it is labelled (`target.tilt_cutoff`), and
a loss on its slope (`target.slope`); maps of half the canvas (`network.stride`); straight tips (`curve.tip`); a linear
correction from tangents to tilts (`curve.correction`), fitted to training films; the challenge's rule on these tilts
(`curve.angles`); bent films; AdamW in place of Adadelta; an automatic crop of films of the whole body, which the paper
crops by hand. The challenge's second and third angle depend on the film's height; on a cropped film they are those of
the crop.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from aasce.datasets import FilmSet, grouped_folds
from aasce.geometry.cobb import limit_tilts, tilts
from aasce.geometry.correction import Correction, places_on, reaches_edge
from aasce.preprocess.crop import Box, View
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import FitReport, LearnedState, RunFolder
from aasce.solvers.centerline.inference import (
    LinePass,
    Tangents,
    curve_angles,
    line_maps,
    read_tangents,
    to_canvas,
)
from aasce.solvers.centerline.network import Members
from aasce.solvers.centerline.settings import CenterlineConfig
from aasce.solvers.centerline.task import CenterlineTask, trimmed, trimmed_rows
from aasce.solvers.shared.autocrop import autocrop
from aasce.solvers.shared.correction import CorrectionState, correction_of
from aasce.solvers.shared.masks import film_mask
from aasce.solvers.shared.regressor import FilmReading, RegressingSolver
from aasce.solvers.shared.samples import FilmSampler, Floats, Sample, SampleSplit, canvas_of, load_samples
from aasce.targets.mask import Shares
from aasce.types import Radiograph

CORRECTED = 400
"""Augmented training films that the correction is fitted to."""


class CenterlineState(LearnedState):
    """What training learns besides weights.

    Attributes:
        correction: from tangents to tilts, None before it is fitted.
    """

    correction: CorrectionState | None = None


class CenterlineSolver(RegressingSolver):
    """See the module. Predicts angles, a centreline and a mask, no landmarks."""

    name: ClassVar[str] = "centerline"
    Config: ClassVar[type[CenterlineConfig]] = CenterlineConfig
    Learned: ClassVar[type[CenterlineState]] = CenterlineState
    config: CenterlineConfig
    learned: CenterlineState
    module: Members

    def networks(self, start: bool) -> Members:
        return Members(self.config, start)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains each member (in member-0/, member-1/, ... of the run), then fits the correction.

        Weights are chosen by the error of the tilts on `validation`, which also sets the confidence.
        """
        self.begin()
        split = SampleSplit(self.samples(train), [] if validation is None else self.samples(validation))
        reports = []
        for member, chosen in enumerate(self.parts(train)):
            part = SampleSplit([split.train[index] for index in chosen], split.validation)
            task = CenterlineTask(self.config, self.module.cascade(member), part, member)
            reports.append(self.trained(task, self.config.train, run, f"member-{member}"))
        last = reports[-1]
        epochs, seconds = sum(r.epochs for r in reports), sum(r.seconds for r in reports)
        if self.config.curve.correction is not None:
            self.fit_correction(split.train, self.config.curve.correction.ridge)
        notes = self.calibrate(validation)
        if last.best_score is not None:
            notes["validation_tilt"] = last.best_score
        return FitReport(epochs, last.best_epoch, last.best_score, seconds, notes)

    def samples(self, films: FilmSet) -> list[Sample]:
        """Films read once, trimmed where the settings ask for it."""
        found = load_samples(films, self.config.intensity)
        trim = self.config.trim
        return found if trim is None else [trimmed(sample, trim) for sample in found]

    def parts(self, train: FilmSet) -> list[list[int]]:
        """Training films of each member: all for a single one, else all but another subset of the patients."""
        everything = list(range(len(train)))
        if self.config.members == 1 or len(set(train.studies)) < self.config.subsets:
            return [everything] * self.config.members
        folds = grouped_folds(train.studies, self.config.subsets, self.config.seed)
        return [sorted(kept) for kept, _ in folds[: self.config.members]]

    def fit_correction(self, samples: list[Sample], ridge: float) -> None:
        """Fits tilts to tangents on augmented training films, on which the networks are less certain."""
        rng = np.random.default_rng((self.config.seed, 8))
        sampler, rows = FilmSampler(self.config.size, self.config.augment), []
        for index in np.resize(rng.permutation(len(samples)), min(CORRECTED, 2 * len(samples))):
            drawn = sampler.draw(samples[int(index)], rng)
            found = self.tangents(line_maps(self.module, drawn.image, fast=True)[1])
            if found is not None:
                curve = to_canvas(found.curve, self.config.network.stride)
                wanted = limit_tilts(tilts(drawn.landmarks))
                rows.append((found.tilts, wanted, places_on(curve, drawn.landmarks)))
        if rows:
            tangents, wanted, places = (np.stack(column) for column in zip(*rows, strict=True))
            correction = Correction.fitted(tangents, wanted, places, ridge)
            self.learned = self.learned.model_copy(update={"correction": CorrectionState.of(correction)})

    def tangents(self, lines: Shares) -> Tangents | None:
        """Curve and tangents of the mean of (N, h, w) maps."""
        return read_tangents(np.asarray(lines.mean(axis=0), np.float32), self.config)

    def read(self, film: Radiograph, spine: Floats | None = None) -> FilmReading | str:
        """Centreline, angles and mask of a film, or the reason why there are none."""
        pixels = to_uint8(film.pixels)
        whole = autocrop(lambda box: self.run(pixels, box), film.size, self.config.crop_below, spine)
        found = self.trimmed_pass(pixels, whole)
        both = self.tangents(found.lines)
        if both is None:
            return "no centreline found on the film"
        # Single passes only measure how certain their mean is; one without a curve takes the mean's.
        passes = [self.tangents(found.lines[k : k + 1]) or both for k in (0, 1)]
        angles = np.stack([self.angles(one, found.view, whole.box) for one in passes])
        curve = self.on_film(both, found.view)
        flags = ("curve_leaves_film",) if reaches_edge(curve, film.size) else ()
        mask = film_mask(whole.mask, whole.view, film.size)
        return FilmReading(angles, mask, curve, flags, self.angles(both, found.view, whole.box))

    def trimmed_pass(self, pixels: Bytes, whole: LinePass) -> LinePass:
        """A pass over the rows of the spine alone, where the settings ask for it and a spine is found."""
        spine, trim = whole.spine, self.config.trim
        if trim is None or spine is None:
            return whole
        top, bottom = trimmed_rows(spine[1], spine[3], trim, pixels.shape[0])
        return self.run(pixels, (whole.box[0], top, whole.box[2], bottom))

    def run(self, pixels: Bytes, box: Box) -> LinePass:
        """Passes a rectangle of a film through the networks, plain and mirrored."""
        canvas, view = canvas_of(pixels, box, self.config.size, self.config.intensity)
        return LinePass(view, box, *line_maps(self.module, canvas))

    def on_film(self, found: Tangents, view: View) -> Floats:
        """(N, 2) film px of a curve on the map of a canvas."""
        return view.undo(to_canvas(found.curve, self.config.network.stride))

    def angles(self, found: Tangents, view: View, frame: Box) -> Floats:
        """(3,) degrees of a curve on the map of a canvas, measured in the frame of a rectangle of the film."""
        curve = self.on_film(found, view) - np.array(frame[:2], np.float64)
        correction = correction_of(self.learned.correction, self.config.curve.levels)
        return curve_angles(curve, found.tilts, frame[3] - frame[1], correction, self.config.curve)
