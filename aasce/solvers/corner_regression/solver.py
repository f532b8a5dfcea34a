"""`corner_regression`: detect the vertebrae as boxes, then regress the four corners in each box.

Khanal, Dahal, Adhikari, Khanal: Automatic Cobb Angle Detection Using Vertebra Detector and Vertebra Corners Regression,
CSI 2019, LNCS 11963, pp. 81-87. Taken from the paper: boxes around four corners, grown by 50 x 10 px; a Faster R-CNN of
one class with anchors of two areas and two ratios; each box as a patch of its own, whose corners a second network
regresses; the crop of the film in proportion to its aspect; rejection of boxes far from both neighbours; surplus
vertebrae dropped from the bottom, the lowest one repeated where some are missing; polynomials of order 6 through the
corners. The lines of its table are settings of `inference`, which can be changed on trained weights: `crop`,
`outliers`, `smoothing`, `surplus`, `missing`.

Departures, each a setting (the paper's values are in configs/solvers/paper): small networks that train on a CPU, begun
from one that knows rendered vertebrae, and all of them trained (the paper keeps the first two blocks of its ResNet);
boxes that grow by as much as on a film of 2,000 rows, whatever the film's resolution, as the paper does not say at
which one it drew them; heatmaps whose mean places are the corners, since pooling over the patch loses where they are;
patches wider than the box, of unchanged aspect; the localizer's crop; of more than 17 vertebrae the less sure end goes,
and missing ones are filled in; means
over mirrored films, mirrored patches and patches of two sizes; no smoothing; films that are bent and rotated in
training; AdamW.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from aasce.datasets import FilmSet
from aasce.geometry.cobb import cobb_angles
from aasce.geometry.expectation import expected_angles
from aasce.preprocess.crop import Box, View
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import FitReport, RunFolder
from aasce.solvers.corner_regression.inference import corner_passes, detect
from aasce.solvers.corner_regression.network import CornerRegression
from aasce.solvers.corner_regression.postprocess import (
    Detections,
    Vertebrae,
    column_of,
    crop_by,
    filled_column,
    finished,
)
from aasce.solvers.corner_regression.settings import CornerRegressionConfig, LocalizerCrop
from aasce.solvers.corner_regression.task import CornerTask, DetectorTask
from aasce.solvers.shared.autocrop import between_ends
from aasce.solvers.shared.detection import visible_boxes
from aasce.solvers.shared.landmark_solver import LandmarkReading, LandmarkSolver
from aasce.solvers.shared.samples import Floats, SampleSplit, canvas_of, load_split
from aasce.types import CobbAngles, Radiograph


class CornerRegressionSolver(LandmarkSolver):
    """See the module. Predicts the landmarks of 17 vertebrae."""

    name: ClassVar[str] = "corner_regression"
    Config: ClassVar[type[CornerRegressionConfig]] = CornerRegressionConfig
    config: CornerRegressionConfig
    module: CornerRegression

    def networks(self, start: bool) -> CornerRegression:
        return CornerRegression(self.config, start)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the detector (in detector/ of the run), then the corner network (in corners/).

        Weights are chosen by the overlap of the boxes and by the error of the tilts on `validation`, which also sets
        the confidence.
        """
        self.begin()
        split = load_split(train, validation, self.config.intensity, self.config.corners.film[0])
        first = self.fit_detector(split, run)
        second = self.fit_corners(split, run)
        notes = self.calibrate(validation)
        if first.best_score is not None:
            notes["validation_box_f1"] = 1 - first.best_score
        epochs, seconds = first.epochs + second.epochs, first.seconds + second.seconds
        return FitReport(epochs, second.best_epoch, second.best_score, seconds, notes)

    def fit_detector(self, split: SampleSplit, run: RunFolder) -> FitReport:
        """Trains the detector alone."""
        task = DetectorTask(self.config, self.module.detector, split)
        return self.trained(task, self.config.detector.train, run, "detector")

    def fit_corners(self, split: SampleSplit, run: RunFolder) -> FitReport:
        """Trains the corner network alone, in labelled boxes."""
        task = CornerTask(self.config, self.module.corners, split)
        return self.trained(task, self.config.corners.train, run, "corners")

    def read(self, film: Radiograph, spine: Floats | None = None) -> LandmarkReading | str:
        settings, pixels = self.config.inference, to_uint8(film.pixels)
        box = crop_by(settings.crop, film.size, spine)
        found = self._detections(pixels, box)
        middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        ends = spine if isinstance(settings.crop, LocalizerCrop) else None
        found = column_of(found.chosen(between_ends(middle, film.size, ends)), settings)
        if len(found.boxes) < settings.least:
            return f"{len(found.boxes)} vertebrae were found, {settings.least} are needed"
        column = filled_column(found, settings)
        column = column.chosen(visible_boxes(column.boxes, film.size)[1])
        return self._reading(self._corners(pixels, box, column), column, film.height)

    def _detections(self, pixels: Bytes, box: Box) -> Detections:
        """Boxes in px of the film."""
        detector = self.config.detector
        canvas, view = self._canvas(pixels, box, detector.size)
        found = detect(self.module.detector, canvas, detector.nms)
        return Detections(_moved_back(found.boxes, view), found.scores)

    def _corners(self, pixels: Bytes, box: Box, column: Detections) -> Floats:
        """(2, Z, N, 4, 2) px of the film, see `corner_passes`."""
        corners = self.config.corners
        canvas, view = self._canvas(pixels, box, corners.film)
        boxes = view.apply(column.boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        passes = corner_passes(self.module.corners, canvas, boxes, corners, self.config.inference.zooms)
        return view.undo(passes)

    def _canvas(self, pixels: Bytes, box: Box, size: tuple[int, int]) -> tuple[Bytes, View]:
        return canvas_of(pixels, box, size, self.config.intensity)

    def _reading(self, passes: Floats, column: Detections, height: int) -> LandmarkReading:
        """What is read from the corners of all passes; plain and mirrored ones apart say how sure it is."""
        settings = self.config.inference
        plain, mirrored = (finished(part.mean(axis=0), column.scores, settings) for part in passes)
        both = finished(passes.mean(axis=(0, 1)), column.scores, settings)
        majors = [cobb_angles(part.landmarks, height).degrees[0] for part in (plain, mirrored)]
        confidence = np.repeat(both.scores[:, None], 4, axis=1)
        return LandmarkReading(
            both.landmarks,
            confidence,
            abs(float(majors[0] - majors[1])),
            angles=self._angles(both, passes, height),
        )

    def _angles(self, found: Vertebrae, passes: Floats, height: int) -> CobbAngles | None:
        """Angles over uncertain corners, where the settings ask for them.

        One spread serves all corners: that of single vertebrae over a few passes is itself too uncertain.
        """
        share = self.config.inference.corner_sd_share
        if share == 0:
            return None
        spread = float(np.sqrt(passes.var(axis=(0, 1)).mean()))
        return expected_angles(found.landmarks, np.full(found.landmarks.shape[:2], share * spread), height)


def _moved_back(boxes: Floats, view: View) -> Floats:
    """(N, 4) boxes of a canvas in px of the film; the view neither rotates nor mirrors."""
    return view.undo(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
