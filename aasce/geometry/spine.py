"""Order of vertebrae along the spine and of the four corners of each, found from their positions alone.

Frame: px, x right, y down. The spine runs down the film: its axis has a positive y.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.cobb import endplate_midpoints
from aasce.types import Array, as_float

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

DISC_SHARE = 0.2
"""Of a vertebra and the disc above it, the part that is disc."""

RING = [0, 1, 3, 2]
"""TL, TR, BR, BL: the corners in the order in which a pen goes round the vertebra."""


def centres(landmarks: Array) -> Floats:
    """(V, 2) px mean of the corners of each vertebra; relabelling corners does not move it."""
    return np.asarray(as_float(landmarks).mean(axis=1))


def heights(landmarks: Array) -> Floats:
    """(V,) px distance between the middles of the two endplates."""
    middles = endplate_midpoints(landmarks).reshape(-1, 2, 2)
    return np.asarray(np.linalg.norm(middles[:, 1] - middles[:, 0], axis=1))


def widths(landmarks: Array) -> Floats:
    """(V,) px distance between the middles of the two sides."""
    p = as_float(landmarks)
    return np.asarray(np.linalg.norm(p[:, 1] + p[:, 3] - p[:, 0] - p[:, 2], axis=1) / 2)


def spine_axis(landmarks: Array) -> Floats:
    """(2,) unit vector of the line through the centres, pointing down the film."""
    c = centres(landmarks)
    if len(c) < 2:
        return np.array([0.0, 1.0])
    axis = np.linalg.svd(c - c.mean(axis=0))[2][0]
    return np.asarray(-axis if axis[1] < 0 else axis)


def spine_directions(landmarks: Array) -> Floats:
    """(V, 2) unit vectors down the spine at each vertebra, from its neighbours' centres.

    Where two neighbours coincide (a vertebra labelled twice) wider ones are taken, and the spine's axis where
    those coincide too.
    """
    c = centres(landmarks)
    last = len(c) - 1
    directions = np.tile(spine_axis(landmarks), (len(c), 1))
    shortest = 0.25 * float(np.median(np.linalg.norm(np.diff(c, axis=0), axis=1))) if last else 0.0
    for v in range(len(c)):
        for reach in (1, 2, 3):
            step = c[min(v + reach, last)] - c[max(v - reach, 0)]
            length = float(np.hypot(*step))
            if length > shortest:
                directions[v] = step / length
                break
    return directions


def quarter_turns(landmarks: Array) -> int:
    """Clockwise quarter turns of the film that set a spine upright; 0 for one that leans less than 45 degrees.

    Args:
        landmarks: (V, 4, 2) px, from the head's side.
    """
    c = centres(landmarks)
    chord = c[-1] - c[0]
    if not np.isfinite(chord).all():
        return 0
    return int(np.round(np.degrees(np.arctan2(chord[0], chord[1])) / 90)) % 4


def set_upright(landmarks: Array, size: tuple[int, int], turns: int) -> tuple[Floats, tuple[int, int]]:
    """Landmarks on the film turned upright, and (H, W) of that film; both as they are for an upright one.

    Args:
        landmarks: (V, 4, 2) px, from the head's side.
        size: (H, W) of the film.
        turns: clockwise quarter turns that set the film upright, see `quarter_turns`.
    """
    return turn_points(landmarks, size, turns), turned_size(size, turns)


def turned_size(film: tuple[int, int], turns: int) -> tuple[int, int]:
    """(H, W) of a film after quarter turns."""
    return film if turns % 2 == 0 else (film[1], film[0])


def turn_points(points: Array, size: tuple[int, int], turns: int) -> Floats:
    """Where points of a film lie when it is turned.

    Args:
        points: (..., 2) px.
        size: (H, W) of the film.
        turns: quarter turns, clockwise as seen.
    """
    turned = as_float(points)
    for done in range(turns % 4):
        rows, _ = turned_size(size, done)
        turned = np.stack([rows - 1 - turned[..., 1], turned[..., 0]], axis=-1)
    return turned


def vertebra_order(landmarks: Array) -> Ints:
    """(V,) indices that put the vertebrae in order from the top.

    The order given is kept unless a vertebra lies before its predecessor by more than half the usual height:
    two boxes on one vertebra are no matter of order. A vertebra above T1 that was stored last comes first.
    """
    along = centres(landmarks) @ spine_axis(landmarks)
    if len(along) < 2 or np.diff(along).min() > -0.5 * float(np.median(heights(landmarks))):
        return np.arange(len(along))
    return np.argsort(along, kind="stable")


def order_vertebrae(landmarks: Array) -> Floats:
    """Sorts vertebrae from the top along the spine, see `vertebra_order`.

    Args:
        landmarks: (V, 4, 2) px, corners TL, TR, BL, BR.

    Returns:
        (V, 4, 2) float64, a copy.
    """
    points = as_float(landmarks)
    return np.asarray(points[vertebra_order(points)])


def is_split(landmarks: Array) -> bool:
    """True when the last vertebra joins the lowest endplate of the film with one from above the first.

    The labeller left out an endplate on the way down and made up for it above the top.
    """
    points = as_float(landmarks)
    if len(points) < 3:
        return False
    middles = endplate_midpoints(points) @ spine_axis(points[:-1])
    usual = float(np.median(heights(points)))
    return bool(middles[-1] < middles[0] and middles[-2] > middles[-3] and heights(points)[-1] > 4 * usual)


def pair_endplates(landmarks: Array) -> Floats:
    """Leaves out the last endplate and adds one where it is missed, so that boxes cover bodies and not discs.

    An endplate left out shifts all below it by one: their boxes lie on discs. The missing one is looked for
    where adding it makes the bodies' heights exceed the discs' most; it is put into the gap there, a disc's
    usual share below the endplate above it.

    Args:
        landmarks: (V, 4, 2) px in order from the top, V at least 2.

    Returns:
        (V, 4, 2) float64.
    """
    plates = as_float(landmarks).reshape(-1, 2, 2)[:-1]
    candidates = [_with_endplate(plates, v) for v in range(1, len(plates) // 2 + 1)]
    return max(candidates, key=lambda p: float(heights(p).sum() - disc_heights(p).sum()))


def _with_endplate(plates: Floats, vertebra: int) -> Floats:
    above, below = plates[2 * vertebra - 1], plates[2 * vertebra]
    added = above + DISC_SHARE * (below - above)
    return np.concatenate([plates[: 2 * vertebra], added[None], plates[2 * vertebra :]]).reshape(-1, 4, 2)


def disc_heights(landmarks: Array) -> Floats:
    """(V - 1,) px between the lower endplate of a vertebra and the upper one of the next, along the spine.

    Negative where they overlap.
    """
    middles = endplate_midpoints(landmarks)
    step = middles[2::2] - middles[1:-1:2]
    directions = spine_directions(landmarks)
    down = directions[1:] + directions[:-1]
    length = np.linalg.norm(step, axis=1)
    return np.asarray(np.where((step * down).sum(axis=1) < 0, -length, length))


def repair_corners(landmarks: Array) -> Floats:
    """Relabels the corners of each vertebra so that they agree with the spine's direction at that place.

    A vertebra is left alone when TL, TR, BR, BL go round it clockwise (as seen on the film) without crossing
    and its midline lies within 45 degrees of the perpendicular to the spine. Otherwise its four points are
    sorted round their mean and the start is taken that agrees best, so that no point moves.

    Args:
        landmarks: (V, 4, 2) px, vertebrae in order from the top.

    Returns:
        (V, 4, 2) float64, a copy.
    """
    points = as_float(landmarks).copy()
    down = spine_directions(points)
    for v in np.flatnonzero(~corners_agree(points, down)):
        points[v] = _relabelled(points[v], down[v])
    return points


def corners_agree(landmarks: Array, down: Floats) -> NDArray[np.bool_]:
    """(V,) whether the corners as labelled are clockwise, uncrossed, and turned with the spine.

    Args:
        landmarks: (V, 4, 2) px.
        down: (V, 2) unit vectors down the spine.
    """
    points = as_float(landmarks)
    right = np.stack([down[:, 1], -down[:, 0]], axis=1)
    midline = points[:, 1] + points[:, 3] - points[:, 0] - points[:, 2]
    across, along = (midline * right).sum(axis=1), (midline * down).sum(axis=1)
    ring = points[:, RING]
    return np.asarray((_doubled_area(ring) > 0) & ~_crosses(ring) & (across >= np.abs(along)))


def _doubled_area(ring: Floats) -> Floats:
    """(V,) twice the signed area of (V, 4, 2) rings; positive clockwise on the film (y runs down)."""
    x, y = ring[..., 0], ring[..., 1]
    return np.asarray((x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1))


def _crosses(ring: Floats) -> NDArray[np.bool_]:
    """(V,) whether two opposite sides of (V, 4, 2) rings cross."""
    a, b, c, d = (ring[:, k] for k in range(4))
    return _segments_cross(a, b, c, d) | _segments_cross(b, c, d, a)


def _segments_cross(a: Floats, b: Floats, c: Floats, d: Floats) -> NDArray[np.bool_]:
    def side(p: Floats, q: Floats, r: Floats) -> Floats:
        u, w = q - p, r - p
        return np.asarray(u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0])

    apart_cd = side(a, b, c) * side(a, b, d) < 0
    apart_ab = side(c, d, a) * side(c, d, b) < 0
    return np.asarray(apart_cd & apart_ab)


def _relabelled(corners: Floats, down: Floats) -> Floats:
    """(4, 2) as TL, TR, BL, BR, chosen among the four clockwise starts by agreement with `down` (2,)."""
    offset = corners - corners.mean(axis=0)
    ring = corners[np.argsort(np.arctan2(offset[:, 1], offset[:, 0]), kind="stable")]
    right = np.array([down[1], -down[0]])

    def agreement(start: int) -> float:
        tl, tr, br, bl = np.roll(ring, -start, axis=0)
        return float((tr + br - tl - bl) @ right + (bl + br - tl - tr) @ down)

    best = max(range(4), key=agreement)
    tl, tr, br, bl = np.roll(ring, -best, axis=0)
    return np.stack([tl, tr, bl, br])
