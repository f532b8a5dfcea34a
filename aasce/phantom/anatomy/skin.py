"""Outline of the body from mid thigh to the top of the head: muscle envelope, skin, breasts, arms.

At each height the trunk is the convex hull of what it covers: ribs, shoulder girdle, back muscles and the given bones,
each with its thickness of muscle, together with cross-sections of an average body (adult breadths similar to those of
the 2012 survey of the US Army, Gordon et al. 2014, NATICK/TR-15/007: hips 345 mm, waist 290 mm, shoulders 450 to 510
mm, chest 290 mm, neck 120 mm; means of men and women, with less fat). A hull is stored as its support function, so
muscle and fat are added as thicknesses, and the surfaces nest for any shape of the spine. Below the crotch the
cross-section narrows to a bridge of one millimetre, so that the two thighs form one closed surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aasce.config import Settings
from aasce.phantom.anatomy.arms import ArmPose, build_arms, place_arms
from aasce.phantom.anatomy.cage import SIDES, SIGN, Points, RibCage
from aasce.phantom.anatomy.girdle import Girdle
from aasce.phantom.anatomy.hull import STEP, cloud_support, directions, hull_surface, smooth_hull
from aasce.phantom.anatomy.muscles import muscle_cover, shoulder_muscles
from aasce.phantom.solids.loft import close, ellipsoid, loft_faces, smoothstep, to_mesh
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.types import Array
from aasce.xray.mesh import Mesh

_PELVIS = np.array(
    [
        # z, half width, distance to the front and to the back, middle y, fat at the side, front, back; mm at scale 1
        [-335, 148, 76, 78, 8, 13, 13, 15],
        [-260, 158, 82, 86, 8, 13, 14, 17],
        [-200, 166, 88, 98, 8, 13, 15, 19],
        [-160, 168, 92, 102, 8, 13, 16, 20],
        [-115, 166, 95, 102, 8, 13, 17, 20],
        [-65, 155, 95, 96, 9, 15, 17, 18],
        [-20, 142, 90, 88, 12, 16, 17, 15],
    ]
)
_TRUNK = (
    # level, rise above it, half width, distance to front and back, middle y relative to the spine, fat side, front,
    # back
    ("L5", 0, 128, 86, 84, 14, 17, 17, 14),
    ("L3", 0, 119, 82, 82, 12, 15, 16, 12),
    ("L1", 0, 117, 88, 76, 14, 11, 13, 11),
    ("T11", 0, 110, 102, 72, 20, 9, 10, 10),
    ("T9", 0, 95, 104, 66, 26, 8, 8, 9),
    ("T5", 0, 60, 60, 55, 20, 7, 8, 9),
    ("T2", 0, 54, 46, 50, 12, 7, 7, 9),
    ("T1", 0, 55, 45, 55, 8, 6, 6, 8),
    ("C7", 0, 53, 46, 56, 6, 5, 5, 7),
    ("C6", 0, 51, 47, 56, 3, 5, 5, 6),
    ("C4", 0, 51, 54, 62, 2, 5, 5, 6),
    ("C3", 0, 53, 80, 68, 2, 5, 5, 6),
    ("C2", 0, 60, 92, 74, 4, 5, 5, 5),
    ("C1", 6, 68, 94, 84, 6, 4, 4, 5),
)
_HEAD = np.array(
    [
        [35, 71, 97, 94, 6, 4, 4, 4],
        [65, 73, 94, 96, 6, 4, 4, 4],
        [95, 70, 86, 90, 6, 4, 4, 4],
        [117, 57, 70, 75, 6, 4, 4, 4],
        [133, 38, 48, 52, 6, 4, 4, 4],
        [142, 18, 24, 26, 6, 3, 3, 3],
        [148, 2, 2, 2, 6, 1, 1, 1],
    ]
)
_CROTCH = -168.0
_SIZE = (43, 40)
"""Number of rings and of points per ring, equal for muscle and skin so that they nest."""


class SkinRecord(Settings):
    """Numbers of a body's outline; factors on the average unless a unit is given.

    Attributes:
        fat: thickness of the subcutaneous fat: 1 average, 0.4 thin, 3 obese.
        muscle: thickness of the muscle on ribs and shoulders.
        waist, hips: width of the cross-sections there.
        belly: mm by which the belly protrudes.
        breast: mm by which the breasts protrude; 0 for none.
        breast_drop: mm by which they lie below the end of rib 5.
        gland: share of the breast that is glandular, 0 to 1.
        arms_out: smallest abduction of hanging arms, degrees; larger if they would touch the trunk.
        with_arms: False if the arms are not on the film.
        head: size of the head relative to the body's scale.
    """

    fat: float = 1.0
    muscle: float = 1.0
    waist: float = 1.0
    hips: float = 1.0
    belly: float = 0.0
    breast: float = 0.0
    breast_drop: float = 10.0
    gland: float = 0.4
    arms_out: float = 12.0
    with_arms: bool = True
    head: float = 1.0


def draw_skin(rng: np.random.Generator, age: float = 15.0, female: bool = True) -> SkinRecord:
    """Draws an outline by age in years and sex; adolescents are mostly thin."""
    grown = float(np.clip((age - 10) / 6, 0, 1))
    fat = float(np.clip(np.exp(rng.normal(-0.25 + 0.12 * grown + 0.15 * (age > 30), 0.42)), 0.3, 3.2))
    breast = 0.0
    if female:
        breast = float(np.clip(grown * rng.normal(26 + 7 * (fat - 1), 9), 0, 62))
    return SkinRecord(
        fat=round(fat, 3),
        muscle=round(float(np.clip(rng.normal(0.95 if female else 1.08, 0.12), 0.65, 1.5)), 3),
        waist=round(float(np.clip(rng.normal(0.97 if female else 1.01, 0.035), 0.87, 1.12)), 3),
        hips=round(float(np.clip(rng.normal(1.02 if female else 0.96, 0.03), 0.88, 1.12)), 3),
        belly=round(float(np.clip(rng.normal(14 * (fat - 0.8), 6), -10, 75)), 2),
        breast=round(breast, 2),
        breast_drop=round(float(rng.uniform(0, 14 + 0.5 * breast)), 2),
        gland=round(float(rng.uniform(0.15, 0.75)), 3),
        arms_out=round(float(rng.uniform(8, 32)), 2),
        head=round(float(np.clip(1 + 0.1 * (1 - grown) + rng.normal(0, 0.02), 0.93, 1.14)), 3),
    )


@dataclass(frozen=True, slots=True)
class Body:
    """The outline placed over a chest, without the surfaces of the trunk; mm in the person's frame.

    Attributes:
        skin, muscle: (R, S, 3), rings of trunk and head, from the thighs up.
        glands: meshes of the breasts' glands.
        arms: position of the arms; the bones of the limbs follow `arms.joints`.
    """

    skin: Array
    muscle: Array
    glands: tuple[Mesh, ...]
    arms: ArmPose


def place_skin(
    record: SkinRecord,
    cage: RibCage,
    girdle: Girdle,
    pose: SpinePose,
    points: Points,
    bones: Sequence[Mesh] = (),
) -> Body:
    """Places muscle and skin over the bones; for the arguments see `build_skin`."""
    scale = pose.scale
    heights = _heights(pose, record)
    centre, sections, fat = _sections(record, pose, heights, directions())
    covered = cloud_support(*muscle_cover(record.muscle, cage, girdle, pose, points, bones), heights, scale)
    bare = smooth_hull(np.maximum(sections, covered))
    arms = place_arms(girdle, cage, record.arms_out, record.muscle, heights, bare + fat)
    shoulders = cloud_support(*shoulder_muscles(record.muscle, girdle, arms, pose), heights, scale)
    hull = smooth_hull(np.maximum(np.maximum(sections, covered), shoulders))
    around = centre @ directions()
    muscle, skin = (
        hull_surface(
            bare + more - around, hull + more - around, heights, centre, pits, _CROTCH * scale, _SIZE, web
        )
        for more, pits, web in (
            (0.0, arms.armpits(0.0, 7 * scale), 0.4),
            (fat, arms.armpits(_arm_fat(record, scale), 0.0), 1.0),
        )
    )
    muscle[[0, -1], :, 2] += scale * np.array([[1.5], [-1.5]])
    glands: list[Mesh] = []
    if record.breast > 0:
        skin, glands = _breasts(record, skin, muscle, cage, pose.centre.dtype)
    return Body(skin, muscle, tuple(glands), arms)


def build_skin(
    record: SkinRecord,
    cage: RibCage,
    girdle: Girdle,
    pose: SpinePose,
    points: Points,
    bones: Sequence[Mesh] = (),
    placed: Body | None = None,
) -> list[Mesh]:
    """Skin ("fat" in "air") and muscle ("soft" in "fat"), 3,440 faces each, breasts' glands and arms.

    Args:
        record: see `SkinRecord`.
        cage, girdle: from `aasce.phantom.anatomy.thorax.place_thorax`.
        pose: of the spine.
        points: by level, the named points of the vertebrae in the person's frame; `spinous_tip` is used.
        bones: further bones to cover, for example pelvis and skull; meshes of "cortex" are used.
        placed: the result of `place_skin` for the same arguments; computed when None.
    """
    placed = place_skin(record, cage, girdle, pose, points, bones) if placed is None else placed
    dtype = pose.centre.dtype
    meshes = [
        to_mesh("skin", "fat", "air", close(placed.skin), loft_faces(*_SIZE), dtype),
        to_mesh("muscle", "soft", "fat", close(placed.muscle), loft_faces(*_SIZE), dtype),
        *placed.glands,
    ]
    return (
        meshes + build_arms(placed.arms, _arm_fat(record, pose.scale), dtype) if record.with_arms else meshes
    )


def _arm_fat(record: SkinRecord, scale: float) -> float:
    return 6.5 * scale * record.fat


def _heights(pose: SpinePose, record: SkinRecord) -> Array:
    scale = pose.scale
    top = float(pose.centre[0, 2]) + 149 * scale * record.head
    return np.arange(_PELVIS[0, 0] * scale, top, STEP * scale)


def _sections(
    record: SkinRecord, pose: SpinePose, heights: Array, toward: Array
) -> tuple[Array, Array, Array]:
    """Middles (Z, 2), support functions (Z, D) about the origin, and fat (Z, D) of the average sections, mm."""
    rows = _section_rows(record, pose)
    order = np.argsort(rows[:, 0])
    at = np.stack([np.interp(heights, rows[order, 0], rows[order, k]) for k in range(1, rows.shape[1])], -1)
    x, wide, front, back, y, *fats = at.T
    cosine, sine = np.abs(toward[0]), toward[1]
    deep = np.where(sine > 0, front[:, None], back[:, None])
    # Support of a superellipse with exponent 2.4.
    power = 2.4 / 1.4
    hull = ((wide[:, None] * cosine) ** power + (deep * np.abs(sine)) ** power) ** (1 / power)
    centre = np.stack([x, y], -1)
    side, ahead, behind = fats
    fat = side[:, None] * cosine**2 + np.where(sine > 0, ahead[:, None], behind[:, None]) * sine**2
    return centre, hull + centre @ toward, fat


def _section_rows(record: SkinRecord, pose: SpinePose) -> Array:
    """All sections in mm: z, middle x, half width, distance to front and back, middle y, fat side, front, back."""
    scale, f = pose.scale, record.fat
    spine = pose.centre.detach().cpu().double().numpy()
    rows = []
    for z, wide, front, back, y, *fats in _PELVIS:
        sway = 0.25 * record.belly * smoothstep(-150, 0, np.array(z))
        rows.append([z, 0, wide * record.hips, front + float(sway), back, y, *(f * np.array(fats))])
    for level, rise, wide, front, back, y, *fats in _TRUNK:
        own = spine[LEVELS.index(level)] / scale
        low = level[0] == "L"
        share = 0.7 if low else 1.0
        belly = record.belly * (1 if low else 0.6 if level in ("T11", "T9") else 0)
        thick = np.array(fats) * (f if low or level[0] == "T" else f**0.5)
        width = wide * (record.waist if low or level in ("T11", "T9") else 1) + 0.2 * max(belly, 0)
        rows.append([own[2] + rise, share * own[0], width, front + belly, back, own[1] + y, *thick])
    top, size = spine[0] / scale, record.head
    for rise, wide, front, back, y, *fats in _HEAD:
        head = size * np.array([wide, front, back])
        rows.append([top[2] + rise * size, top[0], *head, top[1] + y, *fats])
    return scale * np.array(rows)


def _breasts(
    record: SkinRecord, skin: Array, muscle: Array, cage: RibCage, dtype: torch.dtype
) -> tuple[Array, list[Mesh]]:
    """The skin with two breasts, steeper below than above, and their glands."""
    scale, size = cage.scale, record.breast * cage.scale
    ends = cage.ribs[:, 4, -1]
    x = ends[:, 0] + SIGN * 12 * scale
    z = ends[:, 2] - record.breast_drop * scale
    wide = (34 + 0.35 * record.breast) * scale
    front = skin[..., 1] > skin[..., 1].mean(1, keepdims=True)
    push = np.zeros(skin.shape[:2])
    for side in (0, 1):
        below = skin[..., 2] < z[side]
        tall = np.where(below, 0.75, 1.35) * wide
        bump = np.exp(
            -(np.abs((skin[..., 0] - x[side]) / wide) ** 2.4) - np.abs((skin[..., 2] - z[side]) / tall) ** 2.4
        )
        push += size * bump * front
    skin = skin.copy()
    skin[..., 1] += push
    glands = []
    if record.gland > 0.05 and record.breast > 8:
        ring = np.abs(muscle[:, 0, 2] - z.mean()).argmin()
        for side, name in enumerate(SIDES):
            chest = muscle[ring]
            ahead = chest[:, 1] > chest[:, 1].mean()
            order = np.argsort(chest[ahead, 0])
            wall = np.interp(x[side], chest[ahead][order, 0], chest[ahead][order, 1])
            half = np.array([0.5 * wide, 0.3 * size, 0.5 * wide]) * np.sqrt(record.gland)
            middle = np.array([x[side], wall + 3 * scale + 0.36 * size, z[side]])
            ball = ellipsoid(middle, np.diag(half), 7, 12)
            glands.append(to_mesh(f"breast {name}/gland", "soft", "fat", ball, loft_faces(7, 12), dtype))
    return skin, glands
