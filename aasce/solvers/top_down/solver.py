"""`top_down`: the spine is segmented, a function is fitted to it, and its steepest places give the angles.

Zhao, Wang, Yang, Li: Automatic Spine Curvature Estimation by a Top-Down Approach, AASCE 2019. Its stages stand
here under their names: RU-Net (`network`), a U-Net with residual modules, 2x2 max pooling, bilinear up-sampling and
two output maps under a softmax cross entropy; the left and right border of the spine, joined to their nearest
neighbours both ways, and a least-squares function through the middles (`aasce.geometry.spine_function`);
the position of maximal curvature (`main_curve`); and vertebra angle correction by the response of a turned
flat Gaussian's derivative over a Canny edge map (`edges`).

Departures, each a setting, the paper's own value beside it in the configuration file: the network folds 4 x 4 px
into channels (`network.fold`); the function leaves the mask square to its upper and lower end (`pipe.openings`),
without which T1 and L5 are 7 degrees off even on true masks; a linear map from its tilts to those of vertebrae
(`pipe.calibrate`), fitted to training films; edges count the less the farther they turn off the function's normal
(`edges.prior`, `edges.gain`), since the strongest response by itself makes angles worse even on true masks; the
challenge's three angles, which the paper's one angle around the position of maximal curvature does not give, are
those of boxes like vertebrae along the function, and those boxes are corrected that end one of them (`edges.at`);
grey values evened out; bent films; AdamW; an automatic crop of whole films. The challenge's second and third angle
depend on the film's height; on a cropped whole film they are those of the crop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from aasce.datasets import FilmSet
from aasce.geometry.cobb import tilts
from aasce.geometry.correction import Correction, places_on, reaches_edge
from aasce.preprocess.crop import View
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import FitReport, LearnedState, RunFolder
from aasce.solvers.shared.autocrop import autocrop, longest_part
from aasce.solvers.shared.correction import CorrectionState, correction_of
from aasce.solvers.shared.masks import film_mask
from aasce.solvers.shared.regressor import FilmReading, RegressingSolver
from aasce.solvers.shared.samples import Box, Floats, Sample, Warper, load_samples
from aasce.solvers.top_down.edges import EdgeResponse
from aasce.solvers.top_down.network import RUNet
from aasce.solvers.top_down.reading import (
    GAIN,
    Reading,
    Rules,
    Scene,
    measure_scene,
    read_spine,
    scene_of,
)
from aasce.solvers.top_down.settings import TopDownConfig
from aasce.solvers.top_down.task import TopDownTask, see
from aasce.targets.mask import Shares
from aasce.types import Radiograph

CALIBRATED = 400
"""Augmented training films that the linear map is fitted to."""

GAINED = 120
"""Of them, those that the gain of the edges is fitted to."""

FARTHEST = 20.0
"""Degrees: a vertebra that far off its label tells of the label or a lost curve, not of edges."""


@dataclass(frozen=True, slots=True)
class SpinePass:
    """What the network finds in a rectangle of a film.

    Attributes:
        scene: the rectangle.
        box: film px.
        shares: (2, H, W) probability of the spine, from the canvas and its mirror image.
    """

    scene: Scene
    box: Box
    shares: Shares

    @property
    def view(self) -> View:
        """Film px to canvas px."""
        return self.scene.view(self.box)

    @property
    def mask(self) -> Shares:
        """(H/2, W/2) probability of the spine."""
        height, width = self.shares.shape[1:]
        cells = self.shares.reshape(2, height // 2, 2, width // 2, 2)
        return np.asarray(cells.mean(axis=(0, 2, 4)), np.float32)

    @property
    def spine(self) -> Floats | None:
        """(x0, y0, x1, y1) film px around the spine; None without one."""
        return longest_part(self.mask > 0.5, self.view)


class TopDownState(LearnedState):
    """What training learns besides weights.

    Attributes:
        correction: from tilts of the function to tilts of vertebrae, None before it is fitted.
        gain: share of an edge's direction by which tilts are corrected, None before it is fitted.
    """

    correction: CorrectionState | None = None
    gain: float | None = None


class TopDownSolver(RegressingSolver):
    """See the module. Answers angles, a centreline and a mask of the spine, no landmarks."""

    name: ClassVar[str] = "top_down"
    Config: ClassVar[type[TopDownConfig]] = TopDownConfig
    Learned: ClassVar[type[TopDownState]] = TopDownState
    config: TopDownConfig
    learned: TopDownState
    module: RUNet

    def networks(self, start: bool) -> RUNet:
        return RUNet(self.config.network)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the network, then fits the linear map of the tilts and the gain of the edges.

        Weights are kept by the error of the function's tilts on `validation`, which also sets the confidence.
        """
        held = load_samples(validation, self.config.intensity) if validation is not None else []
        items = load_samples(train, self.config.intensity)
        task = TopDownTask(self.config, self.module, items, held)
        report = self.trained(task, self.config.train, run)
        self.learn_rules(items)
        notes = self.calibrate(validation)
        if report.best_score is not None:
            notes["validation_tilt"] = report.best_score
        return replace(report, notes=notes)

    def learn_rules(self, items: list[Sample]) -> None:
        """Fits the linear map and the gain on training films moved and bent, whose maps are less sure."""
        rng = np.random.default_rng((self.config.seed, 10))
        warper = Warper(self.config.size, self.config.augment, small=False)
        drawn: list[tuple[Bytes, Reading, Floats, Floats]] = []
        for index in np.resize(rng.permutation(len(items)), min(CALIBRATED, 2 * len(items))):
            canvas, landmarks, _ = warper.draw(items[int(index)], rng)
            picture = canvas[..., 0]
            read = read_spine(see(self.module, picture, fast=True).mean(axis=0), self.config.spine_function)
            if read is not None:
                wanted = np.clip(tilts(landmarks), -80, 80)
                drawn.append((picture, read, wanted, places_on(read.curve, landmarks)))
        settings, edges = self.config.spine_function.correction, self.config.edges
        if drawn and settings is not None:
            found, wanted, places = (
                np.stack(c) for c in zip(*((d[1].tilts, *d[2:]) for d in drawn), strict=True)
            )
            correction = Correction.fitted(found, wanted, places, settings.ridge)
            self.learned = self.learned.model_copy(update={"correction": CorrectionState.of(correction)})
        if drawn and edges is not None and edges.gain is None:
            gain = self.fitted_gain([d[:3] for d in drawn[:GAINED]], EdgeResponse(edges))
            self.learned = self.learned.model_copy(update={"gain": gain})

    def fitted_gain(self, drawn: list[tuple[Bytes, Reading, Floats]], edges: EdgeResponse) -> float:
        """Least-squares share of the edges' directions in what the linear map leaves, from 0 to 5.

        Args:
            edges: whose directions are shared.
            drawn: pictures in the frame of the canvas, their readings, and the (17,) tilts of their vertebrae.
        """
        rules = self.rules()
        product = square = 0.0
        for picture, read, wanted in drawn:
            still = View(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), self.config.size)
            scene = Scene(picture, still, still, self.config.size[0])
            plain = measure_scene(scene, read, Rules(rules.correction, 0.0))
            everything = list(range(len(wanted)))
            offsets = edges.offsets(picture, plain.middles, plain.tilts, everything)
            left = wanted - plain.tilts
            near = np.abs(left) < FARTHEST
            product += float((offsets * left)[near].sum())
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
        seen = autocrop(lambda box: self.run(pixels, box), film.size, self.config.crop_below, spine)
        if float((seen.mask > 0.5).mean()) < self.config.min_mask:
            return "no spine found on the film"
        both = read_spine(seen.shares.mean(axis=0), self.config.spine_function)
        if both is None:
            return "the spine found is too short to be measured"
        # Each pass by itself only says how sure the mean is; a pass without a spine says nothing.
        passes = [read_spine(share, self.config.spine_function) or both for share in seen.shares]
        rules = self.rules()
        edges = None if self.config.edges is None else EdgeResponse(self.config.edges)
        spines = [measure_scene(seen.scene, r, rules, edges) for r in (*passes, both)]
        curve = spines[2].curve + np.array(seen.box[:2], np.float64)
        flags = ("curve_leaves_film",) if reaches_edge(curve, film.size) else ()
        angles = np.stack([spine.degrees for spine in spines[:2]])
        return FilmReading(
            angles, film_mask(seen.mask, seen.view, film.size), curve, flags, spines[2].degrees
        )

    def run(self, pixels: Bytes, box: Box) -> SpinePass:
        """Maps of a rectangle of a film, plain and mirrored."""
        scene = scene_of(pixels, box, self.config.size, self.config.intensity)
        return SpinePass(scene, box, see(self.module, scene.canvas))
