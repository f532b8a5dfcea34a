"""From detections to a column of boxes, and from corners to 17 vertebrae: the paper's section 4 without networks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.column import complete_column, reject_outliers, surest_part, unique_detections
from aasce.geometry.polynomial import smooth_x
from aasce.preprocess.crop import Box
from aasce.solvers.corner_regression.settings import CropRule, InferenceSettings, LocalizerCrop, RuleCrop
from aasce.solvers.shared.autocrop import film_box
from aasce.solvers.shared.samples import Floats
from aasce.targets.boxes import box_overlaps
from aasce.targets.field import LEVELS, ROOM, Candidates, choose_column


class Detections(NamedTuple):
    """Boxes found on a film or a canvas.

    Attributes:
        boxes: (N, 4) px x0, y0, x1, y1.
        scores: (N,) in [0, 1].
    """

    boxes: Floats
    scores: Floats

    def chosen(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Detections:
        """Some of them, by a mask or by indices."""
        return Detections(self.boxes[which], self.scores[which])

    def least(self, score: float) -> Detections:
        """Those of at least a score."""
        return self.chosen(self.scores >= score)


def crop_by(rule: CropRule, film: tuple[int, int], spine: Floats | None) -> Box:
    """The part of a film that is read.

    Args:
        rule: of the settings. The paper's rule cuts off shares of the height in proportion to the film's aspect, at
            most all but a tenth of it (section 4, "Cropping").
        film: (H, W) of the film.
        spine: (4,) px as the localizer found it.
    """
    height, width = film
    if isinstance(rule, LocalizerCrop):
        return film_box(film, spine)
    if not isinstance(rule, RuleCrop):
        return 0, 0, width, height
    stretch = height / width / rule.aspect
    stretch = min(stretch, 0.9 / max(rule.top + rule.bottom, 1e-9))
    top, bottom = round(rule.top * stretch * height), round(rule.bottom * stretch * height)
    return 0, top, width, max(height - bottom, top + 1)


def merge_detections(passes: list[Detections], nms: float) -> Detections:
    """The detections of several passes over one canvas as one set.

    Non-maximum suppression over all; each box kept becomes the mean of those it suppressed, weighted by their scores
    (box voting, Gidaris & Komodakis 2015), and its score the sum of theirs over the number of passes, so that a box
    of one pass alone counts less.

    Args:
        passes: detections of each pass, in px of one canvas.
        nms: overlap from which two boxes are one.
    """
    boxes, scores = np.concatenate([p.boxes for p in passes]), np.concatenate([p.scores for p in passes])
    overlaps = box_overlaps(boxes, boxes)
    free = np.ones(len(boxes), bool)
    merged: list[tuple[Floats, float]] = []
    for index in np.argsort(-scores, kind="stable"):
        if not free[index]:
            continue
        one = free & (overlaps[index] >= nms)
        one[index] = True
        free &= ~one
        weight = scores[one] / scores[one].sum()
        merged.append((weight @ boxes[one], min(1.0, float(scores[one].sum()) / len(passes))))
    return Detections(
        np.array([box for box, _ in merged]).reshape(-1, 4), np.array([score for _, score in merged])
    )


def rectangles(boxes: Floats) -> Floats:
    """(N, 4, 2) corners TL, TR, BL, BR of boxes (N, 4)."""
    return boxes[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 4, 2)


def column_of(found: Detections, settings: InferenceSettings) -> Detections:
    """Detections from the top, one for each vertebra, without those far from their neighbours.

    Args:
        found: of a film, in any order.
        settings: `score`, `column` and `outliers` are read.
    """
    found = found.least(settings.score)
    if settings.column == "chain":
        return chained(found)
    found = found.chosen(unique_detections(rectangles(found.boxes), found.scores))
    return found.chosen(reject_outliers(found.boxes)) if settings.outliers else found


def chained(found: Detections) -> Detections:
    """The best column of detections, boxes interpolated in its gaps with the score 0; none if fewer than four make one.

    Args:
        found: of a film, in any order; nothing says which level each is.
    """
    count = len(found.scores)
    candidates = Candidates(
        rectangles(found.boxes), np.zeros((count, LEVELS)), found.scores, np.ones((count, 4))
    )
    column = choose_column(candidates, room=ROOM)
    if column is None:
        return Detections(np.zeros((0, 4)), np.zeros(0))
    corners = np.asarray(column.corners, np.float64)
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return Detections(boxes, np.asarray(column.mass, np.float64))


def filled_column(column: Detections, settings: InferenceSettings) -> Detections:
    """17 boxes from the top, surplus ones dropped and missing ones filled in with the score 0.

    Args:
        column: from the top, at least two.
        settings: `surplus` and `missing` are read.
    """
    if settings.surplus == "unsure":
        part = surest_part(column.scores)
        column = Detections(column.boxes[part], column.scores[part])
    corners, present = complete_column(rectangles(column.boxes), missing=settings.missing)
    scores = np.zeros(len(present))
    scores[present] = column.scores[: present.sum()]
    return Detections(corners[:, [0, 3]].reshape(-1, 4), scores)


class Vertebrae(NamedTuple):
    """The spine of a film.

    Attributes:
        landmarks: (17, 4, 2) px.
        scores: (17,) of their detections, 0 where a vertebra was filled in.
    """

    landmarks: Floats
    scores: Floats


def finished(corners: Floats, scores: Floats, settings: InferenceSettings) -> Vertebrae:
    """17 vertebrae from the corners found in each box.

    Two boxes whose corners came to lie on one vertebra give one; what is then missing is filled in; the corners are
    smoothed.

    Args:
        corners: (N, 4, 2) px of the film, from the top.
        scores: (N,) of the boxes.
        settings: `missing` and `smoothing` are read.
    """
    kept = unique_detections(corners, scores)
    if len(kept) < 2:
        kept = np.arange(len(corners))
    landmarks, present = complete_column(corners[kept], missing=settings.missing)
    confidence = np.zeros(len(present))
    confidence[present] = scores[kept][: present.sum()]
    if settings.smoothing is not None:
        landmarks = smooth_x(landmarks, settings.smoothing)
    return Vertebrae(landmarks, confidence)
