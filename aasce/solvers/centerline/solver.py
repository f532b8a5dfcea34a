"""`centerline`: a cascade of U-nets finds the spine and its centreline, tangents of which give the angles.

Dubost, Collery, Renaudier, Roc, Posocco, Niessen, de Bruijne: Automated Estimation of the Spinal Curvature via
Spine Centerline Extraction with Ensembles of Cascaded Neural Networks, AASCE 2019. Its stages stand here under
their names: two cascaded U-nets with few feature maps and batch norm before each pooling, trained end to end,
the first on the whole spine and the second on its centreline, both by the mean squared error; a threshold of
0.25, small components removed, borders to mid-curve; smoothing by the heat equation (the exact solution of the
paper's Euler steps); tangents at 19 points; major, upper and lower angle (`curve.angles` "paper"). Maps are
averaged over the film, its mirror image and `members` networks, each trained without another tenth of the
patients; angles of several runs are averaged by the kit's ensembler (`aasce.ensemble`), which makes the paper's
ensemble of ensembles.

Departures, each a setting, the paper's own value beside it in the configuration file: the second network also
sees the film and the first one's features (`network.sees`); the centreline that is taught leans towards the
tilts of the vertebrae, since the angles of a plain midline are 4 degrees off even where it is labelled
(`target.stray`), and so does its slope from row to row (`target.slope`); maps of half the canvas
(`network.stride`); straight tips (`curve.tip`); a linear correction from tangents to tilts (`curve.correct`),
fitted to training films; the challenge's rule on these tilts (`curve.angles`); bent films; AdamW in place of
Adadelta; an automatic crop of whole films, which the paper crops by hand. The challenge's second and third angle
depend on the film's height; on a cropped whole film they are those of the crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from aasce.datasets import FilmSet, grouped_folds
from aasce.geometry.cobb import tilts
from aasce.geometry.correction import Correction, places_on, reaches_edge
from aasce.preprocess.crop import View
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import FitReport, LearnedState, RunFolder
from aasce.solvers.centerline.curve import (
    Reading,
    curve_angles,
    read_tangents,
    to_canvas,
)
from aasce.solvers.centerline.network import Members
from aasce.solvers.centerline.settings import CenterlineConfig
from aasce.solvers.centerline.task import CenterlineTask, Sampler, half, see, trimmed, trimmed_rows
from aasce.solvers.shared.autocrop import autocrop, longest_part
from aasce.solvers.shared.correction import CorrectionState, correction_of
from aasce.solvers.shared.masks import film_mask
from aasce.solvers.shared.regressor import FilmReading, RegressingSolver
from aasce.solvers.shared.samples import Box, Floats, Sample, canvas_of, load_samples
from aasce.targets.mask import Shares
from aasce.types import Radiograph

CORRECTED = 400
"""Augmented training films that the correction is fitted to."""


@dataclass(frozen=True, slots=True)
class LinePass:
    """What the networks find in a rectangle of a film.

    Attributes:
        view: film px to canvas px.
        box: the rectangle, film px.
        spines, lines: (2, h, w) probabilities, plain and mirrored, both in the frame of the canvas.
    """

    view: View
    box: Box
    spines: Shares
    lines: Shares

    @property
    def mask(self) -> Shares:
        """(H/2, W/2) probability of the spine."""
        return half(self.spines.mean(axis=0), self.view.size)

    @property
    def spine(self) -> Floats | None:
        """(x0, y0, x1, y1) film px around the spine; None without one."""
        return longest_part(self.mask > 0.5, self.view)


class CenterlineState(LearnedState):
    """What training learns besides weights.

    Attributes:
        correction: from tangents to tilts, None before it is fitted.
    """

    correction: CorrectionState | None = None


class CenterlineSolver(RegressingSolver):
    """See the module. Answers angles, a centreline and a mask, no landmarks."""

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

        Weights are kept by the error of the tilts on `validation`, which also sets the confidence.
        """
        self.begin()
        held = self.items(validation) if validation is not None else []
        items = self.items(train)
        reports = []
        for member, chosen in enumerate(self.parts(train)):
            net = self.module.cascade(member)
            task = CenterlineTask(self.config, net, [items[i] for i in chosen], held, member)
            reports.append(self.trained(task, self.config.train, run, f"member-{member}"))
        last = reports[-1]
        epochs, seconds = sum(r.epochs for r in reports), sum(r.seconds for r in reports)
        if self.config.curve.correction is not None:
            self.fit_correction(items, self.config.curve.correction.ridge)
        notes = self.calibrate(validation)
        if last.best_score is not None:
            notes["validation_tilt"] = last.best_score
        return FitReport(epochs, last.best_epoch, last.best_score, seconds, notes)

    def items(self, films: FilmSet) -> list[Sample]:
        """Films decoded once, trimmed where the settings ask for it."""
        found = load_samples(films, self.config.intensity)
        trim = self.config.trim
        return found if trim is None else [trimmed(item, trim) for item in found]

    def parts(self, train: FilmSet) -> list[list[int]]:
        """Indices of the films of each member: all for one alone, else all but another of the subsets."""
        everything = list(range(len(train)))
        if self.config.members == 1 or len(set(train.studies)) < self.config.subsets:
            return [everything] * self.config.members
        folds = grouped_folds(train.studies, self.config.subsets, self.config.seed)
        return [sorted(kept) for kept, _ in folds[: self.config.members]]

    def fit_correction(self, items: list[Sample], ridge: float) -> None:
        """Fits tangents to tilts on augmented training films, whose maps are less sure than the films' own."""
        rng = np.random.default_rng((self.config.seed, 8))
        sampler, rows = Sampler(self.config), []
        for index in np.resize(rng.permutation(len(items)), min(CORRECTED, 2 * len(items))):
            canvas, landmarks = sampler.draw(items[int(index)], rng)
            read = self.tangents(see(self.module, canvas, fast=True)[1])
            if read is not None:
                curve = to_canvas(read.curve, self.config.network.stride)
                rows.append((read.tilts, np.clip(tilts(landmarks), -80, 80), places_on(curve, landmarks)))
        if rows:
            tangents, wanted, places = (np.stack(column) for column in zip(*rows, strict=True))
            correction = Correction.fitted(tangents, wanted, places, ridge)
            self.learned = self.learned.model_copy(update={"correction": CorrectionState.of(correction)})

    def tangents(self, lines: Shares) -> Reading | None:
        """Curve and tangents of the mean of (N, h, w) maps."""
        return read_tangents(np.asarray(lines.mean(axis=0), np.float32), self.config)

    def read(self, film: Radiograph, spine: Floats | None = None) -> FilmReading | str:
        """Centreline, angles and mask of a film, or the reason why there are none."""
        pixels = to_uint8(film.pixels)
        whole = autocrop(lambda box: self.run(pixels, box), film.size, self.config.crop_below, spine)
        seen = self.trimmed_pass(pixels, whole)
        both = self.tangents(seen.lines)
        if both is None:
            return "no centreline found on the film"
        # Each pass by itself only says how sure the mean is; a pass without a curve says nothing.
        passes = [self.tangents(seen.lines[k : k + 1]) or both for k in (0, 1)]
        angles = np.stack([self.angles(each, seen.view, whole.box) for each in passes])
        curve = self.on_film(both, seen.view)
        flags = ("curve_leaves_film",) if reaches_edge(curve, film.size) else ()
        mask = film_mask(whole.mask, whole.view, film.size)
        return FilmReading(angles, mask, curve, flags, self.angles(both, seen.view, whole.box))

    def trimmed_pass(self, pixels: Bytes, whole: LinePass) -> LinePass:
        """A pass over the rows of the spine alone, where the settings ask for it and a spine is found."""
        spine, trim = whole.spine, self.config.trim
        if trim is None or spine is None:
            return whole
        top, bottom = trimmed_rows(spine[1], spine[3], trim, pixels.shape[0])
        return self.run(pixels, (whole.box[0], top, whole.box[2], bottom))

    def run(self, pixels: Bytes, box: Box) -> LinePass:
        """Maps of a rectangle of a film, plain and mirrored."""
        canvas, view = canvas_of(pixels, box, self.config.size, self.config.intensity)
        return LinePass(view, box, *see(self.module, canvas))

    def on_film(self, read: Reading, view: View) -> Floats:
        """(N, 2) film px of a curve on the map."""
        return view.undo(to_canvas(read.curve, self.config.network.stride))

    def angles(self, read: Reading, view: View, frame: Box) -> Floats:
        """(3,) degrees of a reading on the map of a view, in the frame of a rectangle of the film."""
        curve = self.on_film(read, view) - np.array(frame[:2], np.float64)
        correction = correction_of(self.learned.correction, self.config.curve.levels)
        return curve_angles(curve, read.tilts, frame[3] - frame[1], correction, self.config.curve)
