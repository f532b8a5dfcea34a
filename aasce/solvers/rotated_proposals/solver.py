"""`rotated_proposals`: vertebrae as rotated boxes, and their corners in maps aligned to these boxes.

Tao, Xu, Wu, Zhang, Lv: Automated Spinal Curvature Assessment from X-Ray Images Using Landmarks Estimation Network via
Rotation Proposals, CSI 2019, LNCS 11963, 95-100. Taken from the paper: a ResNet with a feature pyramid; anchors of 5
scales, 3 ratios and 3 rotations; boxes (x, y, w, h, theta) with theta in (-90, 90) degrees, the rotation taught by its
squared error (section 2.1); rotated ROI align to maps of one size, and a fully convolutional network that finds four
corners in each (section 2.2); isolation of the spine's rows by horizontal intensity projection with thresholds from
the training films, segmentation of the cord, its midline for co-registration, suppression of what lies off the cord,
a region of aspect 3.5 (section 3.1). `angles` is the paper's comparison of rotated with upright proposals.

Departures, each a setting (the paper's values are in configs/solvers/paper): a smaller encoder that trains on a CPU,
anchors on two of its strides; the localizer in place of the projection (`region.isolation`); corners as the expected
place under the softmax of a heatmap, taught by their own error and by the midline's beside the cross-entropy; the film
itself, aligned at twice the size, beside the features (`corners.detail`); films that are bent and rotated; several
passes; angles averaged over the spread of the heatmaps (`corner_sd_share`). Without a setting: the cord's head reads
the shared pyramid; differences of boxes are taken along the anchor's own axes; detections are joined to a column of 17
by `targets.field.choose_column`, where the paper keeps all that it detects and finds the last cervical vertebra taken
for the first thoracic one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from aasce.datasets import FilmSet
from aasce.geometry.cobb import cobb_angles
from aasce.geometry.expectation import expected_angles
from aasce.preprocess.crop import Box, View, crop_view
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import FitReport, LearnedState, RunFolder
from aasce.solvers.rotated_proposals.inference import (
    Found,
    detect_in,
    find_column,
    labelled_boxes,
    region_of,
    suppressed,
)
from aasce.solvers.rotated_proposals.network import RotatedProposalNet
from aasce.solvers.rotated_proposals.postprocess import DetectionCounts, count_detections
from aasce.solvers.rotated_proposals.regions import isolated_box, projection_thresholds
from aasce.solvers.rotated_proposals.settings import RotatedProposalsConfig
from aasce.solvers.rotated_proposals.task import ProposalTask
from aasce.solvers.shared.autocrop import between_ends, film_box
from aasce.solvers.shared.landmark_solver import LandmarkReading, LandmarkSolver
from aasce.solvers.shared.orientation import upright_once
from aasce.solvers.shared.samples import Floats, even_out, load_split
from aasce.types import CobbAngles, Radiograph


class ProposalsLearned(LearnedState):
    """What training learned besides weights.

    Attributes:
        projection: least and largest horizontal projection of the trunk, see `regions.projection`.
    """

    projection: tuple[float, float] = (0.0, 10.0)


class RotatedProposalsSolver(LandmarkSolver):
    """See the module. Predicts landmarks; angles follow from them."""

    name: ClassVar[str] = "rotated_proposals"
    Config: ClassVar[type[RotatedProposalsConfig]] = RotatedProposalsConfig
    Learned: ClassVar[type[ProposalsLearned]] = ProposalsLearned
    config: RotatedProposalsConfig
    module: RotatedProposalNet

    def networks(self, start: bool) -> RotatedProposalNet:
        return RotatedProposalNet(self.config, start)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains all parts together; weights are chosen by the error of the tilts on `validation`.

        The notes hold the recall and the precision of the detections on `validation`, see `detection_scores`.
        """
        self.begin()
        split = load_split(train, validation, self.config.intensity, self.config.rows)
        limits = projection_thresholds(sample.pixels[..., 0] for sample in split.train)
        self.learned = self.learned.model_copy(update={"projection": limits})
        report = self.trained(ProposalTask(self.config, self.module, split), self.config.train, run)
        notes = self.calibrate(validation)
        if validation is not None and len(validation):
            notes |= detection_scores(self, validation)
        return replace(report, notes=notes)

    def read(self, film: Radiograph, spine: Floats | None = None) -> LandmarkReading | str:
        """Landmarks of a film, or the reason why there are none."""
        part, placed = self.part_of(film, spine)
        found = find_column(
            self.module,
            part,
            self.config,
            possible=lambda middle: between_ends(placed.undo(middle), film.size, self._localized(spine)),
        )
        if found is None:
            return "no column of vertebrae found on the film"
        column = found.column
        landmarks = placed.undo(found.landmarks)
        scale = found.view.scale * placed.scale
        confidence = np.where(column.mass > 0, np.clip(column.mass, 0, 1), 0.0)
        line = None if found.line is None else placed.undo(found.view.undo(found.line))
        return LandmarkReading(
            landmarks, np.repeat(confidence[:, None], 4, axis=1), self._disagreement(found, placed, film.height),
            centerline=line, angles=self._angles(landmarks, column.spread / scale, film.height),
            first_level=column.first,
        )  # fmt: skip

    def part_of(self, film: Radiograph, spine: Floats | None) -> tuple[Bytes, View]:
        """The isolated part of an upright film, evened out, and the view from film to part."""
        pixels = to_uint8(film.pixels)
        x0, y0, x1, y1 = box = self._isolated(pixels, spine)
        part = even_out(np.ascontiguousarray(pixels[y0:y1, x0:x1]), self.config.intensity)
        view = crop_view(box)
        small = view.scaled(min(1.0, self.config.rows / part.shape[0]))
        inner = View.identity(view.size).scaled(min(1.0, self.config.rows / part.shape[0]))
        return np.asarray(inner.render(part), np.uint8), small

    def _localized(self, spine: Floats | None) -> Floats | None:
        """The spine as localized, if the settings let the localizer say where it is."""
        return spine if self.config.region.isolation == "localizer" else None

    def _isolated(self, pixels: Bytes, spine: Floats | None) -> Box:
        if self.config.region.isolation == "localizer":
            return film_box((pixels.shape[0], pixels.shape[1]), spine)
        return isolated_box(even_out(pixels, self.config.intensity), self.learned.projection)

    def _angles(self, landmarks: Floats, spread: Floats, height: int) -> CobbAngles | None:
        """Median angles under the uncertainty of the corners; None if the corners alone decide."""
        share = self.config.corner_sd_share
        return None if share == 0 else expected_angles(landmarks, share * spread, height)

    def _disagreement(self, found: Found, placed: View, height: int) -> float:
        """Degrees between the major angles of the plain and of the mirrored pass."""
        columns = [placed.undo(found.view.undo(corners)) for corners in found.alone]
        major = [float(cobb_angles(corners, height).degrees[0]) for corners in columns]
        return abs(major[0] - major[1]) if len(major) == 2 else 0.0


def detection_scores(solver: RotatedProposalsSolver, films: FilmSet) -> dict[str, Any]:
    """Recall and precision of the sure detections (IoU of 0.5 with the labelled boxes), one pass a film.

    Args:
        solver: trained.
        films: with landmarks; others are left out.

    Returns:
        "recall" and "precision" of all detections, "recall_on_cord" and "precision_on_cord" of those that the cord
        leaves, as shares.
    """
    before, after = DetectionCounts(), DetectionCounts()
    for index, film in enumerate(films):
        if film.landmarks is None:
            continue
        radiograph = films.radiograph(index)
        lies = solver.localized(radiograph)
        part, placed = solver.part_of(upright_once(radiograph, lies.orientation), lies.spine)
        view = region_of(solver.module, part, solver.config)
        found = detect_in(solver.module, part, view, solver.config)
        found = found.kept(found.scores >= solver.config.boxes.sure)
        truth = labelled_boxes(placed.then(view).apply(film.landmarks), solver.config.angles == "upright")
        before = before.plus(count_detections(found.boxes, truth))
        after = after.plus(count_detections(suppressed(found, solver.config).boxes, truth))
    return {
        "recall": before.recall,
        "precision": before.precision,
        "recall_on_cord": after.recall,
        "precision_on_cord": after.precision,
    }
