"""The lines of a Cobb angle in column and row of the image they refer to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.spine import turn_points, turned_size
from aasce.preprocess.orientation import points_as_read
from aasce.types import Array, SpinePrediction, as_float
from aasce.writers.construction import Construction, construct
from aasce.writers.dicom.source import Source, clipped

Floats = NDArray[np.float64]


def endplates(source: Source, prediction: SpinePrediction, ends: tuple[int, int] | None) -> Floats | None:
    """(4, 2) column and row: the upper endplate from the left, the lower one from the right.

    In this order a viewer that measures the angle between the first line and the reversed second one, as OHIF
    does, gets the Cobb angle and not its supplement.

    Args:
        source: of the film.
        prediction: of the film.
        ends: indices of the end vertebrae.

    Returns:
        None without landmarks, for one vertebra, or where an endplate lies off the image.
    """
    pair = _end_vertebrae(prediction, ends)
    if pair is None:
        return None
    upper, lower = source.to_image(pair)
    first, second = clipped(upper[[0, 1]], source.grid), clipped(lower[[3, 2]], source.grid)
    return None if first is None or second is None else np.concatenate([first, second])


def outlines(source: Source, prediction: SpinePrediction) -> Floats:
    """(V, 4, 2) column and row: TL, TR, BR, BL of each vertebra, corners off the image moved onto its border."""
    if prediction.landmarks is None:
        return np.empty((0, 4, 2))
    rows, columns = source.grid
    return np.clip(source.to_image(prediction.landmarks)[:, [0, 1, 3, 2]], 0, [columns, rows])


def construction(prediction: SpinePrediction, ends: tuple[int, int] | None) -> Construction | None:
    """The overlay's construction, inside the film set upright; px of that."""
    pair = _end_vertebrae(prediction, ends)
    if pair is None:
        return None
    turns = prediction.orientation.turns
    height, width = turned_size(prediction.size, turns)
    upright = turn_points(pair, prediction.size, turns)
    return construct(upright[0], upright[1], (0.0, 0.0, float(width), float(height)))


def placed(source: Source, prediction: SpinePrediction, upright: Array) -> Floats:
    """(..., 2) px of the film set upright to column and row of the image; they may lie off it."""
    return source.to_image(points_as_read(upright, prediction.size, prediction.orientation))


def as_drawn(source: Source, prediction: SpinePrediction, lines: Array) -> list[Floats]:
    """Lines of a construction, each (2, 2) column and row, the parts on the image."""
    kept = [clipped(line, source.grid) for line in placed(source, prediction, lines).reshape(-1, 2, 2)]
    return [line for line in kept if line is not None]


def _end_vertebrae(prediction: SpinePrediction, ends: tuple[int, int] | None) -> Floats | None:
    """(2, 4, 2) px of the film as read: upper and lower end vertebra."""
    points = prediction.landmarks
    if points is None or ends is None or ends[0] == ends[1]:
        return None
    if not all(0 <= v < len(points) for v in ends):
        return None
    pair = as_float(points)[sorted(ends)]
    return pair if np.isfinite(pair).all() else None
