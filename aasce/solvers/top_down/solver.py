"""`top_down`: the spine is segmented, a function is fitted to it, and its steepest places give the angles.

Zhao, Wang, Yang, Li: Automatic Spine Curvature Estimation by a Top-Down Approach, AASCE 2019. Taken from the paper:
RU-Net (`network`), a U-Net with residual modules, 2x2 max pooling, bilinear up-sampling and two output maps under a
softmax cross entropy; the left and right border of the spine, each point joined to the nearest one of the other
border, and a least-squares function through the middles (`aasce.geometry.spine_function`); the position of maximal
curvature (`main_curve`); and the correction of vertebrae by the response of a rotated flat Gaussian's derivative to a
Canny edge map (`edges`).

Departures, each a setting (the paper's values are in configs/solvers/paper): the network takes 4 x 4 px as channels
(`network.unshuffle`); the function is fitted to leave the mask perpendicular to its upper and lower end, without which
T1 and L5 are 7 degrees off even on true masks; a linear map from its tilts to those of vertebrae, fitted to training
films; edges count less the farther they are off the function's normal, since the strongest response by itself makes
angles worse even on true masks; the challenge's three angles, which the paper's one angle around the position of
maximal curvature does not give, are those of boxes like vertebrae along the function, and the boxes at the ends of an
angle are corrected (`edges.at`); grey values evened out; bent films; AdamW; an automatic crop of films of the whole
body. The challenge's second and third angle depend on the film's height; on a cropped film they are those of the crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from aasce.datasets import FilmSet
from aasce.geometry.cobb import limit_tilts, tilts
from aasce.geometry.correction import Correction, places_on, reaches_edge
from aasce.preprocess.crop import Box, View
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import FitReport, LearnedState, RunFolder
from aasce.solvers.shared.autocrop import autocrop
from aasce.solvers.shared.correction import CorrectionState, correction_of
from aasce.solvers.shared.masks import film_mask
from aasce.solvers.shared.regressor import FilmReading, RegressingSolver
from aasce.solvers.shared.samples import Floats, Sample, Warper, load_split
from aasce.solvers.top_down.edges import EdgeResponse
from aasce.solvers.top_down.inference import (
    GAIN,
    FittedSpine,
    Rules,
    Scene,
    SpinePass,
    box_scene,
    fit_spine,
    measure_spine,
    spine_maps,
)
from aasce.solvers.top_down.network import RUNet
from aasce.solvers.top_down.settings import TopDownConfig
from aasce.solvers.top_down.task import TopDownTask
from aasce.types import Radiograph

CALIBRATED = 400
"""Augmented training films that the linear map is fitted to."""

GAINED = 120
"""Of these, the films that the gain of the edges is fitted to."""

FARTHEST = 20.0
"""Degrees: at a larger error the label or the curve is wrong, and edges say nothing."""


class TopDownState(LearnedState):
    """What training learns besides weights.

    Attributes:
        correction: from tilts of the function to tilts of vertebrae, None before it is fitted.
        gain: share of an edge's direction by which tilts are corrected, None before it is fitted.
    """

    correction: CorrectionState | None = None
    gain: float | None = None


@dataclass(frozen=True, slots=True)
class FittedFilm:
    """An augmented training film and what is known of it.

    Attributes:
        canvas: (H, W) uint8.
        fitted: the spine function that the network leads to.
        tilts: (17,) degrees of the labelled vertebrae.
        places: (17,) where they lie, as shares of the curve's length.
    """

    canvas: Bytes
    fitted: FittedSpine
    tilts: Floats
    places: Floats


class TopDownSolver(RegressingSolver):
    """See the module. Predicts angles, a centreline and a mask of the spine, no landmarks."""

    name: ClassVar[str] = "top_down"
    Config: ClassVar[type[TopDownConfig]] = TopDownConfig
    Learned: ClassVar[type[TopDownState]] = TopDownState
    fast: ClassVar[bool] = True
    config: TopDownConfig
    learned: TopDownState
    module: RUNet

    def networks(self, start: bool) -> RUNet:
        return RUNet(self.config.network)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the network, then fits the linear map of the tilts and the gain of the edges.

        Weights are chosen by the error of the function's tilts on `validation`, which also sets the confidence.
        """
        split = load_split(train, validation, self.config.intensity)
        report = self.trained(TopDownTask(self.config, self.module, split), self.config.train, run)
        self.learn_rules(split.train)
        notes = self.calibrate(validation)
        if report.best_score is not None:
            notes["validation_tilt"] = report.best_score
        return replace(report, notes=notes)

    def learn_rules(self, samples: list[Sample]) -> None:
        """Fits the linear map and the gain to augmented training films, on which the network is less certain."""
        films = self._fitted_films(samples)
        settings, edges = self.config.spine_function.correction, self.config.edges
        if films and settings is not None:
            found, wanted = np.stack([f.fitted.tilts for f in films]), np.stack([f.tilts for f in films])
            places = np.stack([f.places for f in films])
            correction = Correction.fitted(found, wanted, places, settings.ridge)
            self.learned = self.learned.model_copy(update={"correction": CorrectionState.of(correction)})
        if films and edges is not None and edges.gain is None:
            gain = self.fitted_gain(films[:GAINED], EdgeResponse(edges))
            self.learned = self.learned.model_copy(update={"gain": gain})

    def _fitted_films(self, samples: list[Sample]) -> list[FittedFilm]:
        """Augmented training films on which a spine is found."""
        rng = np.random.default_rng((self.config.seed, 10))
        warper = Warper(self.config.size, self.config.augment, small=False)
        films: list[FittedFilm] = []
        for index in np.resize(rng.permutation(len(samples)), min(CALIBRATED, 2 * len(samples))):
            drawn = warper.draw(samples[int(index)], rng)
            canvas = drawn.image[..., 0]
            fitted = fit_spine(
                spine_maps(self.module, canvas, fast=True).mean(axis=0), self.config.spine_function
            )
            if fitted is not None:
                places = places_on(fitted.curve, drawn.landmarks)
                films.append(FittedFilm(canvas, fitted, limit_tilts(tilts(drawn.landmarks)), places))
        return films

    def fitted_gain(self, films: Sequence[FittedFilm], edges: EdgeResponse) -> float:
        """Least-squares share of the edges' directions in the errors left by the linear map, from 0 to 5."""
        rules = replace(self.rules(), tilt_sd_deg=0.0)
        still = View.identity(self.config.size)
        product = square = 0.0
        for film in films:
            scene = Scene(film.canvas, still, still, self.config.size[0])
            plain = measure_spine(scene, film.fitted, rules)
            offsets = edges.offsets(film.canvas, plain.middles, plain.tilts, list(range(len(film.tilts))))
            error = film.tilts - plain.tilts
            near = np.abs(error) < FARTHEST
            product += float((offsets * error)[near].sum())
            square += float((offsets**2)[near].sum())
        return round(float(np.clip(product / max(square, 1e-9), 0.0, 5.0)), 4)

    def rules(self) -> Rules:
        """What training learned, as far as the settings ask for it."""
        s, edges = self.config.spine_function, self.config.edges
        correction = correction_of(None if s.correction is None else self.learned.correction, s.levels)
        gain = GAIN if self.learned.gain is None else self.learned.gain
        if edges is not None and edges.gain is not None:
            gain = edges.gain
        return Rules(correction, gain, s.tilt_sd_deg)

    def read(self, film: Radiograph, spine: Floats | None = None) -> FilmReading | str:
        """Centreline, angles and mask of a film, or the reason why there are none."""
        pixels = to_uint8(film.pixels)
        found = autocrop(lambda box: self.run(pixels, box), film.size, self.config.crop_below, spine)
        if float((found.mask > 0.5).mean()) < self.config.min_mask:
            return "no spine found on the film"
        both = fit_spine(found.shares.mean(axis=0), self.config.spine_function)
        if both is None:
            return "the spine found is too short to be measured"
        # Single passes only measure how certain their mean is; one without a spine takes the mean's.
        passes = [fit_spine(share, self.config.spine_function) or both for share in found.shares]
        rules = self.rules()
        edges = None if self.config.edges is None else EdgeResponse(self.config.edges)
        spines = [measure_spine(found.scene, one, rules, edges) for one in (*passes, both)]
        curve = spines[2].curve + np.array(found.box[:2], np.float64)
        flags = ("curve_leaves_film",) if reaches_edge(curve, film.size) else ()
        angles = np.stack([spine.degrees for spine in spines[:2]])
        mask = film_mask(found.mask, found.view, film.size)
        return FilmReading(angles, mask, curve, flags, spines[2].degrees)

    def run(self, pixels: Bytes, box: Box) -> SpinePass:
        """Passes a rectangle of a film through the network, plain and mirrored."""
        scene = box_scene(pixels, box, self.config.size, self.config.intensity)
        return SpinePass(scene, box, spine_maps(self.module, scene.canvas))
