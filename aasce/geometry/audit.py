"""Errors in landmark labels that can be found from the coordinates alone, and their repair.

Only errors of order or naming are repaired, where the points themselves are right. Points at a wrong place are
reported and left as they are, since only a reader of the film knows the right place.

The thresholds below separate right from wrong labels on the 481 training films of AASCE 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.geometry.cobb import angle_matrix, midlines
from aasce.geometry.spine import (
    RING,
    centres,
    corners_agree,
    disc_heights,
    heights,
    is_split,
    pair_endplates,
    repair_corners,
    spine_directions,
    vertebra_order,
    widths,
)
from aasce.types import Array, as_float

Floats = NDArray[np.float64]
LEFT = "left as it is"
EDGE = "put on the edge of the film"

SAME = 0.6  # overlap, as a share of the smaller box, of two boxes on one vertebra
OVERLAP = 0.15  # share of the smaller box; in the sharpest true curves boxes overlap less
GAP = 1.7  # times the neighbouring steps: room for one more vertebra
GAP_EXCESS = 0.5  # vertebra heights by which a disc is higher than its neighbours
ON_DISC_RUN = 4  # consecutive discs higher than the neighbouring bodies
TALL, LOW = 1.9, 0.45  # height over the neighbours' height
WIDE, NARROW = 1.5, 0.62  # width over the neighbours' width
SKEW = 0.26  # distance between the middles of the diagonals over the square root of the area
NEAR_EDGE = 0.25  # share of a vertebra's height by which a corner may lie off the film and still be repaired
TURN = 40.0  # degrees between a midline and the perpendicular to the spine


@dataclass(frozen=True, slots=True)
class Fault:
    """One error in the labels of one film.

    Attributes:
        vertebra: 0-based position in the file; None for the film as a whole.
        kind: "order", "split", "corners", "off_film", "over_90", "duplicate", "overlap", "corner_sequence",
            "gap", "on_discs", "height", "width", "shape", "turned"; for a whole data set "same_film", "same_labels",
            "same_exposure".
        detail: what was measured.
        repair: what `fix_landmarks` does about it.
    """

    vertebra: int | None
    kind: str
    detail: str
    repair: str = LEFT


def fix_landmarks(landmarks: Array, size: tuple[int, int]) -> Floats:
    """Landmarks with order and naming repaired.

    Vertebrae are sorted from the top, endplates paired so that boxes cover bodies and not discs (one endplate is then
    estimated), corners renamed, and corners slightly off the film moved to its edge.

    Args:
        landmarks: (V, 4, 2) px as labelled, V at least 2.
        size: (H, W) of the film.

    Returns:
        (V, 4, 2) float64; equal to the input if there is nothing to repair.
    """
    points = _in_order(as_float(landmarks))
    points = _paired(repair_corners(points))
    beyond = _beyond(points, size)
    near = (beyond > 0) & (beyond <= NEAR_EDGE * heights(points))
    points[near] = np.clip(points[near], 0.0, [size[1] - 1.0, size[0] - 1.0])
    return points


def _in_order(points: Floats) -> Floats:
    return pair_endplates(points) if is_split(points) else np.asarray(points[vertebra_order(points)])


def _paired(points: Floats) -> Floats:
    """Pairs endplates again where boxes lie on discs down to the last one, if pairing corrects this."""
    runs = disc_runs(points)
    if not runs or runs[-1][1] < len(points) - 2:
        return points
    paired = pair_endplates(points)
    return points if disc_runs(paired) else paired


def audit_landmarks(landmarks: Array, size: tuple[int, int]) -> list[Fault]:
    """Errors in one film's landmarks, by position in the file; errors of the whole film come last.

    Args:
        landmarks: (V, 4, 2) px as labelled, V at least 2.
        size: (H, W) of the film.
    """
    points = as_float(landmarks)
    split = is_split(points)
    order = np.arange(len(points)) if split else vertebra_order(points)
    ordered = _in_order(points)
    faults = _corner_faults(ordered) + _edge_faults(ordered, size)
    renamed = repair_corners(ordered)
    for check in (_overlaps, _sequence, _gaps, _on_discs, _sizes, _shapes):
        faults += check(renamed)
    # These are found on sorted vertebrae, but reported by their position in the file.
    faults = [_at(fault, order) for fault in faults]
    faults += [_split_fault(len(points) - 1)] if split else _order_faults(order)
    faults.sort(key=lambda f: -1 if f.vertebra is None else f.vertebra)
    return faults + _film_faults(points, fix_landmarks(points, size))


def _at(fault: Fault, order: NDArray[np.intp]) -> Fault:
    assert fault.vertebra is not None
    return Fault(int(order[fault.vertebra]), fault.kind, fault.detail, fault.repair)


def _split_fault(last: int) -> Fault:
    detail = "its endplates lie at the two ends of the spine: one was left out on the way down"
    return Fault(last, "split", detail, "endplates paired anew, the missing one estimated")


def _order_faults(order: NDArray[np.intp]) -> list[Fault]:
    last = len(order) - 1
    if np.array_equal(order, np.arange(last + 1)):
        return []
    place = np.argsort(order)
    if np.array_equal(order, np.roll(np.arange(last + 1), 1)):
        return [
            Fault(last, "order", "lies above the first vertebra but is stored last", "moved to the front")
        ]
    # The smallest set of vertebrae that must move: those outside a longest ascending subsequence.
    moved = sorted(set(range(len(order))) - set(_ascending(place)))
    return [Fault(v, "order", f"lies at place {place[v] + 1} from the top", "moved there") for v in moved]


def _ascending(place: NDArray[np.intp]) -> list[int]:
    """Positions of one longest ascending subsequence of `place`."""
    runs: list[list[int]] = []
    for v in range(len(place)):
        before = [run for run in runs if place[run[-1]] < place[v]]
        runs.append([*max(before, key=len, default=[]), v])
    return max(runs, key=len)


def _corner_faults(points: Floats) -> list[Fault]:
    wrong = np.flatnonzero(~corners_agree(points, spine_directions(points)))
    fixed = repair_corners(points)
    return [Fault(int(v), "corners", _renamed(points[v], fixed[v]), "corners renamed") for v in wrong]


def _renamed(before: Floats, after: Floats) -> str:
    """Describes the swap between two labellings."""
    names = {
        (0, 1, 2, 3): "crossed or turned, yet no other naming fits better",
        (1, 0, 3, 2): "left and right are swapped",
        (2, 3, 0, 1): "top and bottom are swapped",
        (3, 2, 1, 0): "top and bottom, left and right are swapped",
        (1, 0, 2, 3): "the upper corners are swapped",
        (0, 1, 3, 2): "the lower corners are swapped",
        (2, 1, 0, 3): "the left corners are swapped",
        (0, 3, 2, 1): "the right corners are swapped",
    }
    a, b, c, d = (int(np.argmin(np.linalg.norm(before - corner, axis=1))) for corner in after)
    return names.get((a, b, c, d), "corners are named in a wrong order")


def _beyond(points: Floats, size: tuple[int, int]) -> Floats:
    """(V,) px by which the farthest corner of a vertebra lies off the film; 0 for one on the film."""
    limit = np.array([size[1] - 1.0, size[0] - 1.0])
    return np.asarray(np.maximum(np.maximum(-points, points - limit), 0.0).max(axis=(1, 2)))


def _edge_faults(points: Floats, size: tuple[int, int]) -> list[Fault]:
    beyond = _beyond(points, size)
    usable = beyond <= NEAR_EDGE * heights(points)
    return [
        Fault(int(v), "off_film", f"{beyond[v]:.0f} px off the film", EDGE if usable[v] else LEFT)
        for v in np.flatnonzero(beyond > 0)
    ]


def overlap(first: Array, second: Array) -> float:
    """Overlap of two vertebrae, (4, 2) corners each, as a share of the smaller one's area, 0 to 1."""
    a, b = (cv2.convexHull(np.asarray(p, dtype=np.float32)[RING]) for p in (first, second))
    smaller = min(cv2.contourArea(a), cv2.contourArea(b))
    if smaller <= 0:
        return 0.0
    return float(cv2.intersectConvexConvex(a, b)[0]) / smaller


def _overlaps(points: Floats) -> list[Fault]:
    faults = []
    reach = widths(points).max() + heights(points).max()
    c = centres(points)
    for v in range(1, len(points)):
        near = [u for u in range(v) if np.abs(c[u] - c[v]).max() < reach]
        shares = [overlap(points[u], points[v]) for u in near]
        share = max(shares, default=0.0)
        if share > OVERLAP:
            kind = "duplicate" if share > SAME else "overlap"
            faults.append(Fault(v, kind, f"{share:.0%} of it or its neighbour above lies in the other"))
    return faults


def _sequence(points: Floats) -> list[Fault]:
    """On each side, corners should come in order down the film from one vertebra to the next."""
    faults = []
    for side, (top, bottom) in (("left", (0, 2)), ("right", (1, 3))):
        back = points[:-1, bottom, 1] - points[1:, top, 1]
        for v in np.flatnonzero(back > 0):
            detail = f"upper {side} corner {back[v]:.0f} px above the vertebra before"
            faults.append(Fault(int(v) + 1, "corner_sequence", detail))
    return faults


def _around(values: Floats) -> Floats:
    """Median of up to two values on either side of each value; the value itself if it has no neighbours."""
    beside = [np.delete(values[max(k - 2, 0) : k + 3], min(k, 2)) for k in range(len(values))]
    return np.array([np.median(b) if len(b) else v for b, v in zip(beside, values, strict=True)])


def _relative(values: Floats) -> Floats:
    usual = _around(values)
    return np.divide(values, usual, out=np.ones_like(values), where=usual > 0)


def _gaps(points: Floats) -> list[Fault]:
    """Steps or discs with room for one more vertebra, compared with the two on either side."""
    steps = _relative(np.linalg.norm(np.diff(centres(points), axis=0), axis=1))
    discs = disc_heights(points)
    excess = (discs - _around(discs)) / np.median(heights(points))
    faults = []
    for k in np.flatnonzero((discs > 0) & ((steps > GAP) | (excess > GAP_EXCESS))):
        detail = (
            f"{steps[k]:.1f} times the usual step below the vertebra before, {excess[k]:.1f} heights too much"
        )
        faults.append(Fault(int(k) + 1, "gap", detail))
    return faults


def disc_runs(points: Array) -> list[tuple[int, int]]:
    """First and last disc of each run of at least 4 discs that are higher than the boxes on either side of them."""
    height = heights(points)
    high = disc_heights(points) > (height[:-1] + height[1:]) / 2
    return [(a, b) for a, b in _runs(high) if b - a + 1 >= ON_DISC_RUN]


def _on_discs(points: Floats) -> list[Fault]:
    anew = not np.array_equal(_paired(points), points)
    repair = "endplates paired anew, the missing one estimated" if anew else LEFT
    return [
        Fault(
            a,
            "on_discs",
            f"the {b - a + 1} gaps from here down are higher than the boxes between them",
            repair,
        )
        for a, b in disc_runs(points)
    ]


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _sizes(points: Floats) -> list[Fault]:
    faults = []
    for kind, values, low, high in (
        ("height", heights(points), LOW, TALL),
        ("width", widths(points), NARROW, WIDE),
    ):
        ratio = _relative(values)
        for v in np.flatnonzero((ratio < low) | (ratio > high)):
            faults.append(Fault(int(v), kind, f"{ratio[v]:.2f} times its neighbours'"))
    return faults


def skewness(points: Array) -> Floats:
    """(V,) distance between the diagonals' middles over the square root of the box's area; 0 for a parallelogram."""
    p = as_float(points)
    distance = np.linalg.norm(p[:, 0] + p[:, 3] - p[:, 1] - p[:, 2], axis=1) / 2
    area = widths(p) * heights(p)
    return np.asarray(distance / np.sqrt(np.maximum(area, 1.0)))


def _shapes(points: Floats) -> list[Fault]:
    skew = skewness(points)
    down = spine_directions(points)
    midline = midlines(points)
    along = (midline * down).sum(axis=1)
    across = midline[:, 0] * down[:, 1] - midline[:, 1] * down[:, 0]
    turn = np.degrees(np.arctan2(along, across))
    faults = [
        Fault(int(v), "shape", f"a corner stands out, {skew[v]:.2f} of the box's size")
        for v in np.flatnonzero(skew > SKEW)
    ]
    faults += [
        Fault(int(v), "turned", f"{turn[v]:.0f} degrees from the perpendicular to the spine")
        for v in np.flatnonzero(np.abs(turn) > TURN)
    ]
    return faults


def _film_faults(points: Floats, fixed: Floats) -> list[Fault]:
    before, after = (float(angle_matrix(midlines(p)).max()) for p in (points, fixed))
    if before <= 90:
        return []
    repair = f"{after:.1f} after the repairs" if not np.array_equal(points, fixed) else LEFT
    return [Fault(None, "over_90", f"an angle of {before:.1f} degrees", repair)]
