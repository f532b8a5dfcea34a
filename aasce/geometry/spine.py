"""Order of vertebrae along the spine and naming of their corners, from the coordinates alone; rotation of a film.

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
"""Height of a disc as a share of the height of a vertebra and its disc together."""

RING = [0, 1, 3, 2]
"""TL, TR, BR, BL: the corners in the order of the vertebra's outline."""


def centres(landmarks: Array) -> Floats:
    """(V, 2) px mean of the corners of each vertebra; it does not depend on the naming of the corners."""
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

    If two neighbours coincide (a vertebra labelled twice) the next ones are used, and the spine's axis if these
    coincide too.
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
    """Clockwise quarter turns of the film that make the spine upright; 0 for one less than 45 degrees from upright.

    Args:
        landmarks: (V, 4, 2) px, T1 first.
    """
    c = centres(landmarks)
    chord = c[-1] - c[0]
    if not np.isfinite(chord).all():
        return 0
    return int(np.round(np.degrees(np.arctan2(chord[0], chord[1])) / 90)) % 4


def set_upright(landmarks: Array, size: tuple[int, int], turns: int) -> tuple[Floats, tuple[int, int]]:
    """Landmarks on the film rotated upright, and (H, W) of that film; both unchanged for an upright film.

    Args:
        landmarks: (V, 4, 2) px, T1 first.
        size: (H, W) of the film.
        turns: clockwise quarter turns that make the film upright, see `quarter_turns`.
    """
    return turn_points(landmarks, size, turns), turned_size(size, turns)


def leaves_film(landmarks: Array, size: tuple[int, int]) -> bool:
    """Whether a corner lies off the film.

    Args:
        landmarks: (..., 2) px.
        size: (H, W) of the film.
    """
    points = as_float(landmarks)
    return bool((points < 0).any() or (points > [size[1] - 1, size[0] - 1]).any())


def turned_size(film: tuple[int, int], turns: int) -> tuple[int, int]:
    """(H, W) of a film after quarter turns."""
    return film if turns % 2 == 0 else (film[1], film[0])


def turn_points(points: Array, size: tuple[int, int], turns: int) -> Floats:
    """Points of a film after quarter turns of the film.

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

    The given order is kept unless a vertebra lies above its predecessor by more than half the usual height, so that two
    boxes on one vertebra do not change it. A vertebra above T1 that was stored last comes first.
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
    """True if the last vertebra joins the lowest endplate of the film with one above the first vertebra.

    This happens where the annotator left out an endplate and added one above the first vertebra.
    """
    points = as_float(landmarks)
    if len(points) < 3:
        return False
    middles = endplate_midpoints(points) @ spine_axis(points[:-1])
    usual = float(np.median(heights(points)))
    return bool(middles[-1] < middles[0] and middles[-2] > middles[-3] and heights(points)[-1] > 4 * usual)


def pair_endplates(landmarks: Array) -> Floats:
    """Removes the last endplate and adds a missing one, so that boxes cover bodies and not discs.

    A missing endplate shifts all endplates below it by one, so that their boxes lie on discs. It is added at the place
    where the sum of the bodies' heights then exceeds that of the discs' most, below the endplate above by the usual
    share of a disc.

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
    """(V - 1,) px from the lower endplate of a vertebra to the upper one of the next; negative if they overlap."""
    middles = endplate_midpoints(landmarks)
    step = middles[2::2] - middles[1:-1:2]
    directions = spine_directions(landmarks)
    down = directions[1:] + directions[:-1]
    length = np.linalg.norm(step, axis=1)
    return np.asarray(np.where((step * down).sum(axis=1) < 0, -length, length))


def repair_corners(landmarks: Array) -> Floats:
    """Renames the corners of each vertebra so that they agree with the direction of the spine; no point moves.

    A vertebra is left as it is if TL, TR, BR, BL run clockwise (as seen on the film) without crossing and its midline
    lies within 45 degrees of the perpendicular to the spine. Otherwise its four points are sorted by angle around their
    mean, and the start is chosen that agrees best.

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
    """(V,) whether the corners are clockwise, do not cross, and are oriented like the spine.

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
    """(V,) twice the signed area of (V, 4, 2) outlines; positive if clockwise on the film (y runs down)."""
    x, y = ring[..., 0], ring[..., 1]
    return np.asarray((x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1))


def _crosses(ring: Floats) -> NDArray[np.bool_]:
    """(V,) whether two opposite sides of (V, 4, 2) outlines cross."""
    a, b, c, d = (ring[:, k] for k in range(4))
    return _segments_cross(a, b, c, d) | _segments_cross(b, c, d, a)


def _segments_cross(a: Floats, b: Floats, c: Floats, d: Floats) -> NDArray[np.bool_]:
    def side(p: Floats, q: Floats, r: Floats) -> Floats:
        u, w = q - p, r - p
        return np.asarray(u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0])

    separates_cd = side(a, b, c) * side(a, b, d) < 0
    separates_ab = side(c, d, a) * side(c, d, b) < 0
    return np.asarray(separates_cd & separates_ab)


def _relabelled(corners: Floats, down: Floats) -> Floats:
    """(4, 2) as TL, TR, BL, BR: of the four clockwise namings the one that agrees best with `down` (2,)."""
    offset = corners - corners.mean(axis=0)
    ring = corners[np.argsort(np.arctan2(offset[:, 1], offset[:, 0]), kind="stable")]
    right = np.array([down[1], -down[0]])

    def agreement(start: int) -> float:
        tl, tr, br, bl = np.roll(ring, -start, axis=0)
        return float((tr + br - tl - bl) @ right + (bl + br - tl - tr) @ down)

    best = max(range(4), key=agreement)
    tl, tr, br, bl = np.roll(ring, -best, axis=0)
    return np.stack([tl, tr, bl, br])
