"""From detections of single vertebrae to the column T1 to L5: outliers, doubles, surplus and missing ones.

Frame: px, x right, y down; landmarks are (V, 4, 2), TL, TR, BL, BR, from the top.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.spine import centres
from aasce.types import VERTEBRAE, Array, as_float

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Missing = Literal["interpolate", "duplicate"]


def reject_outliers(boxes: Array) -> Bools:
    """(N,) which boxes are near their neighbours (Khanal et al. 2020, section 4, "Outlier Rejection").

    A box is rejected if its x-centre is more than half its width away from those of both the box above and the box
    below; the topmost and the lowest one are compared with their one neighbour.

    Args:
        boxes: (N, 4) px x0, y0, x1, y1, from the top.
    """
    b = as_float(boxes).reshape(-1, 4)
    if len(b) < 2:
        return np.ones(len(b), bool)
    x, half = (b[:, 0] + b[:, 2]) / 2, (b[:, 2] - b[:, 0]) / 2
    far = np.abs(np.diff(x))
    above = np.concatenate([[np.inf], far]) > half
    below = np.concatenate([far, [np.inf]]) > half
    return np.asarray(~(above & below))


def usual_spacing(points: Array) -> float:
    """px: median distance of neighbouring points (N, 2), from the top; 0 for fewer than two."""
    p = as_float(points).reshape(-1, 2)
    return float(np.median(np.linalg.norm(np.diff(p, axis=0), axis=1))) if len(p) > 1 else 0.0


def unique_detections(landmarks: Array, scores: Array, near: float = 0.5) -> NDArray[np.intp]:
    """Indices, from the top, of detections of which no two are of one vertebra.

    Two detections are of one vertebra when their centres are nearer than a share of the height of the better one, which
    is kept.

    Args:
        landmarks: (N, 4, 2) px in any order.
        scores: (N,) larger is better.
        near: share of a vertebra's height (between the middles of its endplates).
    """
    points = as_float(landmarks)
    middle = centres(points) if len(points) else np.zeros((0, 2))
    height = np.linalg.norm(points[:, 2:].mean(axis=1) - points[:, :2].mean(axis=1), axis=1)
    kept: list[int] = []
    for index in np.argsort(-as_float(scores), kind="stable"):
        distance = np.linalg.norm(middle[kept] - middle[index], axis=1)
        if not (distance < near * height[kept]).any():
            kept.append(int(index))
    order = np.argsort(middle[kept, 1], kind="stable")
    return np.asarray(kept, np.intp)[order]


def surest_part(scores: Array, count: int = len(VERTEBRAE)) -> slice:
    """The `count` detections that follow one another when the less sure one of the two ends goes, again and again.

    What a detector finds beyond T1 and L5, C7 for instance, it is less sure of than of what it was taught.

    Args:
        scores: (N,) from the top, larger is surer.
        count: of vertebrae; with no more detections than that all stay.
    """
    values = as_float(scores)
    first, last = 0, len(values)
    while last - first > count:
        if values[first] < values[last - 1]:
            first += 1
        else:
            last -= 1
    return slice(first, last)


def complete_column(
    landmarks: Array, count: int = len(VERTEBRAE), missing: Missing = "interpolate"
) -> tuple[Floats, Bools]:
    """A column of exactly `count` vertebrae.

    "duplicate" is the rule of Khanal et al. 2020, section 4: surplus vertebrae are dropped from the bottom, and the
    lowest one is repeated where some are missing. "interpolate" first fills gaps inside the column of about two or more
    usual steps, drops surplus ones, and continues the column in a straight line below.

    Args:
        landmarks: (N, 4, 2) px from the top, N at least 1 ("duplicate") or 2 ("interpolate").
        count: of vertebrae.
        missing: see above.

    Returns:
        (count, 4, 2) px, and (count,) whether each was detected.

    Raises:
        ValueError: too few vertebrae.
    """
    points = as_float(landmarks)
    if len(points) < (1 if missing == "duplicate" else 2):
        raise ValueError(f"{len(points)} vertebrae are too few to complete a column")
    present = np.ones(len(points), bool)
    if missing == "interpolate":
        points, present = _gaps_filled(points)
    points, present = points[:count], present[:count]
    lacking = count - len(points)
    steps = np.arange(1, lacking + 1)[:, None, None]
    step = 0.0 if missing == "duplicate" else points[-1] - points[-2]
    below = points[-1] + steps * step
    return np.concatenate([points, below]), np.concatenate([present, np.zeros(lacking, bool)])


def _gaps_filled(points: Floats) -> tuple[Floats, Bools]:
    """The column with vertebrae interpolated where the step is 1.6 or more of those around it.

    Steps grow from T1 to L5 by about three quarters, so that each is compared with the median of the five around it.
    """
    middle = centres(points)
    steps = np.linalg.norm(np.diff(middle, axis=0), axis=1)
    parts, present = [points[:1]], [True]
    for k, step in enumerate(steps):
        usual = float(np.median(steps[max(0, k - 2) : k + 3]))
        gap = round(float(step / usual)) if usual > 0 and step >= 1.6 * usual else 1
        shares = np.arange(1, gap + 1)[:, None, None] / gap
        parts.append(points[k] + shares * (points[k + 1] - points[k]))
        present += [False] * (gap - 1) + [True]
    return np.concatenate(parts), np.array(present)
