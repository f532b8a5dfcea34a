"""Middle lines of the rib cage: twelve pairs of ribs attached to the vertebrae, their cartilages and the sternum.

Shape of a rib in its plane: size (end to end), position of its lateral peak, and the angle at which it leaves the
spine, by rib: means over 1,042 adults of Holcombe, Wang and Grotberg 2017 (J Anat 231:229; average of men's and women's
means, since the person's own size scales them). The part beyond the peak follows their logarithmic spiral within
1.5 mm. The inclinations of the planes are chosen such that the anterior ends have their anatomical positions: jugular
notch at T2-T3, sternal angle (rib 2) at T4-T5, end of the sternum at T9, lowest point of the costal margin (rib 10) at
L3 (Gray's Anatomy, 41st edition, chapter 53). They are within those of Wilson et al. 1987 (J Appl Physiol 62:1872) for
ribs 3 to 7, whose figures for deep inspiration (less by 11 and 13 degrees at rib 3, by 7 and 10 at rib 7) define the
effect of breathing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from aasce.config import Settings
from aasce.phantom.solids.loft import bezier, smoothstep, tangents, unit
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.phantom.spine.statistics import average_pose
from aasce.types import Array

Points = Mapping[str, Mapping[str, torch.Tensor]]
SIDES = ("right", "left")
SIGN = np.array([1.0, -1.0])
"""Sign of x on the right and on the left side."""
RIBS = 12
JOINED = 10
"""Number of ribs with a cartilage that joins the sternum or the cartilage above."""
SAMPLES = 49
THORACIC = slice(LEVELS.index("T1"), LEVELS.index("T12") + 1)

_SHAPE = np.array(
    [
        # end to end mm; peak forward and outward as shares of it; angle at the spine and at the end, degrees
        [69.5, 0.391, 0.524, 80.7, -63.5],
        [110.1, 0.321, 0.628, 111.7, -73.8],
        [140.6, 0.341, 0.593, 116.5, -77.1],
        [165.0, 0.319, 0.533, 114.8, -77.3],
        [182.7, 0.312, 0.488, 113.6, -77.1],
        [195.1, 0.303, 0.447, 112.1, -72.8],
        [206.7, 0.294, 0.399, 109.1, -60.9],
        [207.6, 0.311, 0.369, 104.2, -57.7],
        [197.8, 0.354, 0.361, 98.0, -58.9],
        [182.4, 0.373, 0.329, 90.1, -55.6],
        [153.3, 0.390, 0.274, 82.6, -44.7],
        [92.4, 0.381, 0.176, 59.8, -29.2],
    ]
)
_DROP = np.array([37, 35, 33, 33, 34, 35.5, 37, 38.5, 40, 42, 42, 38.0])
"""Degrees by which the line from end to end descends (pump-handle angle)."""
_SWING = np.array([14, 15, 17, 20, 23, 27, 31, 35, 39, 42, 50, 62.0])
"""Degrees by which that line runs outward instead of forward."""
_ROLL = np.array([-12, -9, -5, -1, 2.5, 5, 7, 9, 11, 12, 13, 12.0])
"""Degrees by which the rib's plane is rotated about that line, its peak downward (bucket-handle angle)."""
_BREATH = (
    np.array([[11, 11, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2], [13, 13, 13, 12, 11.5, 11, 10, 9, 8, 7, 5, 3.0]]) / 2
)
"""Degrees by which drop and roll decrease from the middle of a breath to full inspiration."""

_NOTCH = np.array([10, 46, 72, 94, 113, 129, 142.0])
"""Positions at which the cartilages of ribs 1 to 7 join the sternum, mm below the jugular notch."""
_RISE = np.array([-4, 2, 10, 20, 36, 58, 80.0])
"""Rise of a cartilage from the rib's end to the sternum, mm."""


class RibRecord(Settings):
    """Numbers of a rib cage; factors on the average unless a unit is given.

    Attributes:
        width: of the ribs' outward curve.
        depth: of the ribs' length from end to end.
        drop, swing, roll: degrees added to the inclinations of all ribs.
        stout: of the ribs' cross-sections.
        cortex: thickness of the outer wall at mid rib, mm; the pleural wall is 1.4 times as thick.
        calcified: calcification of the cartilages, 0 (none) to 1.
        breath: 0 at the end of quiet expiration to 1 at full inspiration.
        follow: share, 0 to 1, by which a rib's anterior part follows the rotation and tilt of its vertebra.
    """

    width: float = 1.0
    depth: float = 1.0
    drop: float = 0.0
    swing: float = 0.0
    roll: float = 0.0
    stout: float = 1.0
    cortex: float = 0.8
    calcified: float = 0.0
    breath: float = 0.5
    follow: float = 0.35


@dataclass(frozen=True, slots=True)
class RibCage:
    """Middle lines of ribs, cartilages and sternum; float64, mm in the person's frame.

    Attributes:
        ribs: (2, 12, SAMPLES, 3), right then left, from head to sternal end at equal arc lengths.
        wall: (2, 12, SAMPLES, 3), unit vectors up along the chest wall, perpendicular to the ribs.
        outward: (2, 12, SAMPLES, 3), unit normals of the chest wall.
        cartilages: (2, 10, 13, 3), from a rib's end to the sternum or to the cartilage above.
        sternum: (4, 3), jugular notch, sternal angle, end of the body, tip of the xiphoid process, in the middle plane.
        spine: (12, 3), middles of T1 to T12.
        scale: of the person.
    """

    ribs: Array
    wall: Array
    outward: Array
    cartilages: Array
    sternum: Array
    spine: Array
    scale: float


@lru_cache(maxsize=1)
def _plane_curves() -> tuple[Array, Array]:
    """Curves in the ribs' planes (12, SAMPLES, 2), from (0, 0) to (1, 0) with the peak along y, and their lengths
    (12,)."""
    _, ahead, out, leave, end = _SHAPE.T
    leave, end = np.radians(leave), np.radians(end)
    zero, one = np.zeros(RIBS), np.ones(RIBS)
    neck = 0.72 * out / np.sin(leave)
    behind = [
        np.stack([zero, zero], -1),
        np.stack([neck * np.cos(leave), neck * np.sin(leave)], -1),
        np.stack([ahead - 0.55 * np.maximum(ahead - neck * np.cos(leave), 0.2), out], -1),
        np.stack([ahead, out], -1),
    ]
    front = [
        behind[3],
        np.stack([ahead + 0.45 * (1 - ahead), out], -1),
        np.stack([1 - 0.42 * np.cos(end) * (1 - ahead), -0.42 * np.sin(end) * (1 - ahead)], -1),
        np.stack([one, zero], -1),
    ]
    fine = np.concatenate([bezier(behind, 80), bezier(front, 120)[:, 1:]], 1)
    walk = np.cumsum(np.linalg.norm(np.diff(fine, axis=1), axis=-1), axis=1)
    walk = np.concatenate([np.zeros((RIBS, 1)), walk], 1)
    even = np.linspace(0, 1, SAMPLES)
    curves = [
        np.stack([np.interp(even * w[-1], w, f[:, axis]) for axis in (0, 1)], -1)
        for w, f in zip(walk, fine, strict=True)
    ]
    return np.stack(curves), walk[:, -1]


def rib_lengths() -> Array:
    """(12,) mm, lengths of the average adult's bony ribs along their middle lines."""
    return np.asarray(_plane_curves()[1] * _SHAPE[:, 0])


def leans(rotation: Array) -> tuple[Array, Array, Array]:
    """Radians of frames (N, 3, 3): coronal tilt (positive right), sagittal tilt (positive forward), axial rotation."""
    up, front = rotation[..., :, 2], rotation[..., :, 1]
    return (
        np.arctan2(up[..., 0], up[..., 2]),
        np.arctan2(up[..., 1], up[..., 2]),
        np.arctan2(-front[..., 0], front[..., 1]),
    )


def lean_frames(coronal: Array, sagittal: Array, axial: Array) -> Array:
    """Frames (N, 3, 3) with the given angles in radians: the inverse of `leans`."""
    up = unit(np.stack([np.tan(coronal), np.tan(sagittal), np.ones_like(axial)], -1))
    front = np.stack([-np.sin(axial), np.cos(axial), np.zeros_like(axial)], -1)
    front = unit(front - (front * up).sum(-1, keepdims=True) * up)
    return np.stack([np.cross(front, up), front, up], -1)


@lru_cache(maxsize=1)
def _usual_lean() -> Array:
    """(12,) radians, sagittal tilt of T1 to T12 in the average spine, to which the ribs' inclinations refer."""
    return leans(average_pose().rotation.numpy()[THORACIC])[1]


def build_cage(record: RibRecord, pose: SpinePose, points: Points) -> RibCage:
    """Places the ribs along the spine.

    Heads and tubercles lie on the facets of their vertebra. The shaft follows the vertebra's rotation and most of its
    tilt, the anterior end only the share `record.follow` of both, because the sternum holds it. So the rib hump and the
    narrow and wide intercostal spaces of the concave and convex side follow from the shape of the spine.

    Args:
        record: see `RibRecord`.
        pose: of the spine.
        points: by level, the named points of `aasce.phantom.spine.vertebra` in the person's frame; of T1 to T12
            `right_costal`, `left_costal` and, if a level has them, `right_costotransverse`, `left_costotransverse`.
    """
    scale = pose.scale
    rotation, spine = (v.detach().cpu().double().numpy()[THORACIC] for v in (pose.rotation, pose.centre))
    coronal, sagittal, axial = leans(rotation)
    heads, tubercles, joined = _facets(points)
    heads = heads + _beside(rotation, 6.0 * scale)
    lean = 0.7 * (sagittal - _usual_lean())
    shaft = lean_frames(0.7 * coronal, lean, axial)
    local = _local_curves(record) * scale
    free = heads[:, :, None] + np.einsum("rij,srnj->srni", shaft, local)
    # The anterior ends as the sternum holds them: moved back towards the line from T1 to T12.
    share = np.linspace(0, 1, RIBS)[:, None]
    line = spine[:1] * (1 - share) + spine[-1:] * share
    calm = lean_frames(record.follow * 0.7 * coronal, lean, record.follow * axial)
    level = 0.5 * (heads[0] + heads[1]) + (1 - record.follow) * (line - spine) * np.array([1, 0, 0])
    halves = 0.5 * (heads - heads[::-1]) * np.array([1, 0, 0])
    ends = level + np.abs(halves) * SIGN[:, None, None] + np.einsum("rij,srj->sri", calm, local[:, :, -1])
    ribs = _hold_ends(free, ends)
    ribs = _hold_necks(ribs, tubercles, joined, scale)
    wall, outward = _walls(ribs)
    sternum, notches = _sternum_line(ribs[:, :, -1], scale)
    return RibCage(ribs, wall, outward, _cartilages(ribs, notches, scale), sternum, spine, scale)


def _facets(points: Points) -> tuple[Array, Array, Array]:
    """Facets of heads and of tubercles (2, 12, 3) mm, and whether a level has facets for tubercles (12,)."""
    heads = np.empty((2, RIBS, 3))
    tubercles = np.zeros((2, RIBS, 3))
    joined = np.zeros(RIBS, dtype=bool)
    for rib, level in enumerate(LEVELS[THORACIC]):
        own = points[level]
        joined[rib] = "right_costotransverse" in own and "left_costotransverse" in own
        for side, name in enumerate(SIDES):
            heads[side, rib] = own[f"{name}_costal"].detach().cpu().numpy()
            if joined[rib]:
                tubercles[side, rib] = own[f"{name}_costotransverse"].detach().cpu().numpy()
    return heads, tubercles, joined


def _beside(rotation: Array, distance: float) -> Array:
    """(2, 12, 3) offsets sideways and slightly backward, so that heads touch the bodies and do not enter them."""
    return np.asarray(distance * (SIGN[:, None, None] * rotation[:, :, 0] - 0.4 * rotation[:, :, 1]))


def _local_curves(record: RibRecord) -> Array:
    """(2, 12, SAMPLES, 3) mm at scale 1, relative to the rib's head, in the average posture."""
    flat, _ = _plane_curves()
    lift = _BREATH * (2 * record.breath - 1)
    drop, swing, roll = (
        np.radians(angle)
        for angle in (_DROP + record.drop - lift[0], _SWING + record.swing, _ROLL + record.roll - lift[1])
    )
    ahead = np.stack([np.sin(swing) * np.cos(drop), np.cos(swing) * np.cos(drop), -np.sin(drop)], -1)
    level = np.stack([np.cos(swing), -np.sin(swing), np.zeros(RIBS)], -1)
    up = np.cross(level, ahead)
    out = np.cos(roll)[:, None] * level - np.sin(roll)[:, None] * up
    size = _SHAPE[:, :1, None]
    right = size * (
        record.depth * flat[..., :1] * ahead[:, None] + record.width * flat[..., 1:] * out[:, None]
    )
    return np.stack([right, right * np.array([-1.0, 1.0, 1.0])])


def _hold_ends(free: Array, ends: Array) -> Array:
    """Bends the ribs so that those with a cartilage end at the given points."""
    weight = smoothstep(0.12, 1.0, np.linspace(0, 1, SAMPLES))[:, None]
    held = np.where(np.arange(RIBS) < JOINED, 1.0, 0.3)[:, None, None]
    return np.asarray(free + held * weight * (ends - free[:, :, -1])[:, :, None])


def _hold_necks(ribs: Array, tubercles: Array, joined: Array, scale: float) -> Array:
    """Moves the tubercles to the transverse facets; the shift decreases towards head and angle."""
    shares = np.linspace(0, 1, SAMPLES)
    target = tubercles + _in_front(tubercles, ribs, 5.0 * scale)
    length = np.linalg.norm(np.diff(ribs, axis=2), axis=-1).sum(-1)
    place = np.clip(np.linalg.norm(target - ribs[:, :, 0], axis=-1) / length, 0.03, 0.45)
    rising = np.minimum(shares / place[..., None], 1)
    weight = rising * (1 - smoothstep(0.0, 1.0, (shares - place[..., None]) / 0.4))
    index = np.rint(place * (SAMPLES - 1)).astype(int)
    at = np.take_along_axis(ribs, index[..., None, None], 2)[:, :, 0]
    move = np.where(joined[:, None], target - at, 0.0)
    return np.asarray(ribs + weight[..., None] * move[:, :, None])


def _in_front(tubercles: Array, ribs: Array, distance: float) -> Array:
    """(2, 12, 3) offsets from the transverse facets towards the inside of the chest."""
    inside = ribs.mean(2) - tubercles
    inside[..., 2] = 0
    inside[..., 0] *= 0.3
    return np.asarray(distance * unit(inside))


def _walls(ribs: Array) -> tuple[Array, Array]:
    """Unit vectors up along the chest wall, and outward from it, by each rib's neighbours above and below."""
    tangent = tangents(ribs)
    up = -np.gradient(ribs, axis=1)
    up = unit(up - (up * tangent).sum(-1, keepdims=True) * tangent)
    out = np.cross(tangent, up) * SIGN[:, None, None, None]
    return up, out


def _sternum_line(ends: Array, scale: float) -> tuple[Array, Array]:
    """Middle line of the sternum (4, 3) and the joints of cartilages 1 to 7 (2, 7, 3), mm."""
    rise = np.zeros((7, 3))
    rise[:, 2] = _RISE * scale
    middle = ends[:, :7].mean(0) + rise
    # A line fitted in x and y over the heights of the first six ribs, with the length of a sternum.
    z = middle[:6, 2]
    design = np.stack([np.ones(6), z], -1)
    slope = np.linalg.lstsq(design, middle[:6, :2], rcond=None)[0]
    down = unit(-np.append(slope[1], 1.0))
    centre = np.append(slope[0] + slope[1] * z.mean(), z.mean())
    centre = centre + np.array([0, 9.0 * scale, 0])
    along = _NOTCH * scale
    start = centre - down * along[:6].mean()
    # From the sternal angle upward, the manubrium is less inclined forward than the body.
    tilt = unit(down + np.array([0, 0.16, 0]))
    angle = start + down * along[1]
    top = angle - tilt * along[1]
    notch = angle + down * (along[:, None] - along[1])
    notch[0] = angle - tilt * (along[1] - along[0])
    side = unit(np.cross(down, np.array([0.0, 1.0, 0.0])))
    side = side * np.sign(side[0])
    half = scale * np.array([22, 15, 12, 13, 15, 15, 11.0])
    notches = notch + SIGN[:, None, None] * half[:, None] * side
    body_end = start + down * (along[6] + 4 * scale)
    tip = body_end + unit(down + np.array([0, -0.15, 0])) * 30 * scale
    return np.stack([top, angle, body_end, tip]), notches


def _cartilages(ribs: Array, notches: Array, scale: float) -> Array:
    """Middle lines (2, 10, 13, 3) mm; those of ribs 8 to 10 rise to the cartilage above."""
    ends = ribs[:, :JOINED, -1]
    ahead = unit(ribs[:, :JOINED, -1] - ribs[:, :JOINED, -5])
    lines = np.empty((2, JOINED, 13, 3))
    for first, last in ((0, 7), (7, 8), (8, 9), (9, 10)):
        goal = notches if first == 0 else lines[:, first - 1 : last - 1, 6 if first < 9 else 4]
        start = ends[:, first:last]
        reach = np.linalg.norm(goal - start, axis=-1, keepdims=True)
        gap = 5.0 * scale * np.array([0, 0, 1.0]) * (first > 0)
        inward = unit((goal - start) * np.array([1, 0.3, 0.9]))
        lines[:, first:last] = bezier(
            [
                start,
                start + 0.38 * reach * ahead[:, first:last],
                goal - gap - 0.4 * reach * inward,
                goal - gap,
            ],
            13,
        )
    return lines
