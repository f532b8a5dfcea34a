"""`coarse_to_fine`: masks and boxes of the whole spine, then corner heatmaps of each vertebra.

Zhong, Li, Zhang, Jiao, Gao: A Coarse-to-Fine Deep Heatmap Regression Method for Adolescent Idiopathic Scoliosis
Assessment, CSI 2019, LNCS 11963, pp. 101-106. Taken from the paper:

- U-nets A (mask of the whole spine), B (mask of T1 to L5, with sharper edges) and C (17 box masks of the vertebrae's
  middle regions and one background that all share), each trained by itself; B and C see the film times A's mask;
- the peeling crop: B's mask times C's, the place of each channel, outliers and continuity, a box of fixed aspect from
  endplate to endplate, extended by a margin, cropped to again until it hardly narrows;
- a Mask R-CNN on the film multiplied by A's mask, whose labels are the vertebrae's indices from the top;
- U-nets D (mask of the vertebra in the middle of a region) and E (a heatmap for each of its four corners and a shared
  background) on the region around each box, multiplied; a corner is the mean place of the px above 0.5;
- the polynomial refine: a curve of degree 9 with straight ends through the middles of boxes and of C's masks, fitted
  again without the points far from it; unusual endplates are rotated onto its normal.

Departures, each a setting where it can be one (the paper's choices are in configs/solvers/paper): the crop of a film of
the whole body comes from the kit's localizer (`crop`); the refine turns an endplate by 0.3 of the angle
(`curve.share`), as all of it makes the angles worse; A and B have one output, whose background is 1 less it; C, E and
the Mask R-CNN have an encoder trained on rendered films, so that all networks together have 3.8 million weights;
regions have one spacing between vertebrae (`local.spacing`) and are read twice (`local.passes`); E is also taught where
its heatmaps' centres of mass are and how they are tilted (`local.place`, `local.tilt`); films and regions are passed
plain and mirrored; where no px is above 0.5, px above half the largest value count; boxes, labels and C's masks are
matched level by level by dynamic programming, and vertebrae without a box take the place of C's mask. The paper names
no sizes, losses or rates.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from aasce.datasets import FilmSet
from aasce.geometry.cobb import cobb_angles
from aasce.geometry.expectation import expected_angles
from aasce.geometry.polynomial import SpineCurve, fit_curve, refine_on_curve
from aasce.preprocess.augment import mirror_landmarks
from aasce.preprocess.crop import Box, render_all, undo_all
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import FitReport, RunFolder
from aasce.solvers.coarse_to_fine.column import Column, find_column
from aasce.solvers.coarse_to_fine.inference import MaskPass, detection_pass, local_corners, mask_pass
from aasce.solvers.coarse_to_fine.local_task import LocalTask
from aasce.solvers.coarse_to_fine.network import CoarseToFineNet
from aasce.solvers.coarse_to_fine.peeling import channel_places, continuous_levels, peel
from aasce.solvers.coarse_to_fine.regions import local_spacings, region_views
from aasce.solvers.coarse_to_fine.settings import CoarseToFineConfig
from aasce.solvers.coarse_to_fine.task import DetectionTask, MasksTask
from aasce.solvers.shared.autocrop import film_box
from aasce.solvers.shared.landmark_solver import LandmarkReading, LandmarkSolver
from aasce.solvers.shared.samples import Floats, canvas_of, load_split
from aasce.types import Radiograph

NO_SPINE = "no spine found on the film"


class CoarseToFineSolver(LandmarkSolver):
    """See the module. Predicts landmarks, the spine's curve and a mask; angles follow from the landmarks."""

    name: ClassVar[str] = "coarse_to_fine"
    Config: ClassVar[type[CoarseToFineConfig]] = CoarseToFineConfig
    config: CoarseToFineConfig
    module: CoarseToFineNet

    def networks(self, start: bool) -> CoarseToFineNet:
        return CoarseToFineNet(self.config, start)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains A, B and C (masks/ of the run), the Mask R-CNN (detection/), then D and E (local/).

        Weights are chosen by overlap, by overlap and by the error of the tilts on `validation`, which also sets the
        confidence.
        """
        self.begin()
        c = self.config
        split = load_split(train, validation, c.intensity, max(c.local.film[0], c.masks.size[0]))
        reports = [
            self.trained(MasksTask(c, self.module, split), c.masks.train, run, "masks"),
            self.trained(DetectionTask(c, self.module, split), c.detection.train, run, "detection"),
            self.trained(LocalTask(c, self.module, split), c.local.train, run, "local"),
        ]
        epochs, seconds = sum(r.epochs for r in reports), sum(r.seconds for r in reports)
        return FitReport(
            epochs, reports[-1].best_epoch, reports[-1].best_score, seconds, self.calibrate(validation)
        )

    def read(self, film: Radiograph, spine: Floats | None = None) -> LandmarkReading | str:
        """See the base class."""
        pixels = to_uint8(film.pixels)
        seen = self._cropped(pixels, spine)
        places, values = channel_places(seen.target, seen.boxes, seen.stride)
        chain = continuous_levels(places, values, self.config.peeling)
        found = detection_pass(self.module, seen.film)
        column = find_column(found, seen.boxes, seen.stride, places, chain, self.config.match)
        if column is None or (column.matched | column.shown).sum() < self.config.least:
            return NO_SPINE
        landmarks, heights = self._local(pixels, seen.box, seen.view.undo(column.places))
        centres = np.concatenate([column.places[column.matched], places[chain]])
        curve = self._curve(seen.view.undo(centres))
        if curve is not None:
            c = self.config.curve
            landmarks = np.stack([refine_on_curve(part, curve, c.share, c.unusual) for part in landmarks])
        mask = (seen.view.to_film(found.mask, film.size) > 0.5).astype(np.uint8)
        return self._reading(film, landmarks, heights, column, curve, mask)

    def _reading(
        self,
        film: Radiograph,
        passes: Floats,
        heights: Floats,
        column: Column,
        curve: SpineCurve | None,
        mask: Bytes,
    ) -> LandmarkReading:
        """Mean of the two passes, (2, 17, 4, 2), with what else is known."""
        landmarks = passes.mean(axis=0)
        major = [cobb_angles(part, film.height).degrees[0] for part in passes]
        seen = (column.matched | column.shown)[:, None]
        rows = np.linspace(landmarks[0, :, 1].min(), landmarks[-1, :, 1].max(), 100)
        angles = None
        if self.config.corner_sd_share > 0:
            width = np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=1, keepdims=True)
            angles = expected_angles(
                landmarks, np.repeat(self.config.corner_sd_share * width, 4, axis=1), film.height
            )
        return LandmarkReading(
            landmarks, np.where(seen, heights.clip(0, 1), 0.0), abs(float(major[0] - major[1])),
            centerline=None if curve is None else np.stack([curve.x(rows), rows], axis=1),
            mask=mask, angles=angles,
        )  # fmt: skip

    def _cropped(self, pixels: Bytes, spine: Floats | None) -> MaskPass:
        """The pass of A, B and C over the rectangle of the film that everything else reads."""
        film = pixels.shape[0], pixels.shape[1]
        c = self.config

        def run(box: Box) -> MaskPass:
            canvas, view = canvas_of(pixels, box, c.masks.size, c.intensity)
            return mask_pass(self.module, canvas, view, box, c.masks.boxes.stride)

        start = film_box(film, None if c.crop == "peeling" else spine)
        return run(start) if c.crop == "localizer" else peel(run, film, start, c.peeling)

    def _local(self, pixels: Bytes, box: Box, places: Floats) -> tuple[Floats, Floats]:
        """Corners of the vertebrae at (17, 2) film px, read by D and E.

        Returns:
            (2, 17, 4, 2) film px from regions and from mirrored regions, and (17, 4) mean heights of the heatmaps.
        """
        s, nets = self.config.local, (self.module.box, self.module.corners)
        canvas, view = canvas_of(pixels, box, s.film, self.config.intensity)
        places = view.apply(places)
        spacings = local_spacings(places)
        both = np.zeros((2, len(places), 4, 2))
        heights = np.zeros((len(places), 4))
        for _ in range(s.passes):
            views = region_views(places, spacings, s)
            regions = render_all(views, canvas)
            plain, values = local_corners(nets, regions, s)
            mirrored, others = local_corners(nets, regions[:, :, ::-1], s)
            back = mirror_landmarks(mirrored, s.region[1])
            both = np.stack([undo_all(views, plain), undo_all(views, back)])
            heights = (values + others[:, [1, 0, 3, 2]]) / 2
            places = both.mean(axis=(0, 2))
        return view.undo(both), heights

    def _curve(self, centres: Floats) -> SpineCurve | None:
        """The curve through the middles of boxes and masks, film px; None where landmarks stay as they are."""
        c = self.config.curve
        if not self.config.refine or len(centres) < 4:
            return None
        return fit_curve(centres, c.degree, c.ends, c.far, c.rounds, c.end_steps)
