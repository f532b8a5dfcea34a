"""The upper parts of the femora, and the bones of the arms.

Sizes of the templates: femoral head 46.6 mm across, neck-shaft angle 127 degrees, anteversion 12 degrees, offset 43 mm
(Carmona et al. 2019, J Arthroplasty 34:2403: 124.7 +- 6.2 degrees, 14.5 +- 8.1 degrees, 42.9 +- 6.8 mm; Jiang et al.
2015, Medicine 94:e891: 133 and 10.6 degrees in Chinese adults); humeral head of radius 22.6 mm, offset 7 mm inwards and
2 mm backwards from the shaft (Robertson et al. 2000, J Bone Joint Surg Am 82:1594: 23, 7 and 2 mm), greater tubercle
8 mm below its top; humerus 310 and forearm 255 mm (Gordon et al. 2014, NATICK/TR-15/007).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from aasce.config import Settings
from aasce.phantom.anatomy.pelvis import SIDES, PelvisRecord, hip_centres
from aasce.phantom.solids.loft import unit
from aasce.phantom.solids.primitives import Solid, ball, merged, mesh_of, rod, spline, stored, thinned
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.types import Array
from aasce.xray.mesh import Mesh

Arms = Literal["hanging", "folded", "forward"]
_ELBOW = np.array([3.0, 2.0, -284.0])
"""The elbow in the humerus's template, mm."""


class LimbsRecord(Settings):
    """Numbers of the limb bones; sizes are factors on the average.

    Attributes:
        arms: "hanging", "folded" (hands at the clavicles) or "forward" (on a rest), as in the shoulder girdle's record.
        femur: size of the femora.
        neck_angle: degrees by which the neck-shaft angle exceeds 127.
        adduction: degrees by which both thighs are inclined inward, from the hips down.
        turn: degrees of external rotation of the legs.
        sway: degrees by which the legs are inclined to the patient's right, from the hips down.
        humerus: thickness of the arm bones.
        arm_turn: degrees of external rotation of hanging arms.
        cortex: thickness of the cortex.
        with_arms: False if the arms are not on the film.
    """

    arms: Arms = "hanging"
    femur: float = 1.0
    neck_angle: float = 0.0
    adduction: float = 0.0
    turn: float = 0.0
    sway: float = 0.0
    humerus: float = 1.0
    arm_turn: float = 0.0
    cortex: float = 1.0
    with_arms: bool = True


def draw_limbs(
    rng: np.random.Generator, age: float = 15.0, female: bool = True, arms: Arms | None = None
) -> LimbsRecord:
    """Draws limb bones by age in years and sex; the position of the arms is drawn too when None, mostly hanging."""
    child = float(np.clip((15 - age) / 6, 0, 1))
    held = str(rng.choice(["hanging", "folded", "forward"], p=[0.7, 0.15, 0.15]))
    thin = 0.008 * max(0.0, age - 50)
    return LimbsRecord.model_validate(
        {
            "arms": arms if arms is not None else held,
            "femur": _near(rng, (0.975 if female else 1.02) + 0.02 * child, 0.025, 0.9, 1.05),
            "neck_angle": _near(rng, 1.0 + 4 * child, 4.0, -9, 12),
            "adduction": _near(rng, 0, 2.5, -6, 6),
            "turn": _near(rng, 6, 7, -12, 26),
            "sway": _near(rng, 0, 1.2, -4, 4),
            "humerus": _near(rng, 0.96 if female else 1.03, 0.04, 0.85, 1.12),
            "arm_turn": _near(rng, 0, 20, -45, 45),
            "cortex": _near(rng, 1.0 - 0.1 * child - thin, 0.1, 0.6, 1.3),
        }
    )


def _near(rng: np.random.Generator, mean: float, spread: float, low: float, high: float) -> float:
    return round(float(np.clip(rng.normal(mean, spread), low, high)), 4)


def build_limbs(
    record: LimbsRecord, pose: SpinePose, hips: torch.Tensor | None = None, joints: Array | None = None
) -> list[Mesh]:
    """Femora (700 faces each with their marrow) and arm bones (humeri 500 each, forearms; hands unless arms hang).

    Args:
        record: see `LimbsRecord`.
        pose: of the spine.
        hips: (2, 3) mm, middles of the acetabula, right then left, by `pelvis.hip_centres`; those of an average pelvis
            when None.
        joints: (2, 4, 3) mm, shoulder, elbow, wrist and knuckles, by `arms.arm_joints`; average ones when None.
    """
    hips = hip_centres(PelvisRecord(), pose) if hips is None else hips
    joints = arm_joints(record.arms, pose) if joints is None else joints
    meshes = _femora(record, pose, hips)
    return [*meshes, *_arms(record, pose, joints)] if record.with_arms else meshes


def arm_joints(arms: Arms, pose: SpinePose) -> Array:
    """Average shoulder, elbow, wrist and knuckles (2, 4, 3) mm, right then left, for use without a thorax."""
    spine = pose.centre.detach().cpu().double().numpy()
    sign = np.array([1.0, -1.0])[:, None]
    chest = spine[LEVELS.index("T2")]
    aside = sign * [1.0, 0, 0]
    shoulder = chest + pose.scale * (165 * aside + np.array([0, 18, -18]))
    if arms == "hanging":
        first, second = unit(0.2 * aside + [0, 0.05, -1]), unit(0.12 * aside + [0, 0.25, -1])
    elif arms == "folded":
        first = unit(0.3 * aside + [0, 0.62, -0.85])
        goal = chest + pose.scale * (62 * aside + np.array([0, 125, -40]))
        second = unit(goal - (shoulder + 310 * pose.scale * first))
    else:
        first, second = unit(0.22 * aside + [0, 0.9, -0.42]), unit(0.05 * aside + [0, 1.0, 0.12])
    elbow = shoulder + 310 * pose.scale * first
    wrist = elbow + 255 * pose.scale * second
    return np.stack([shoulder, elbow, wrist, wrist + 90 * pose.scale * second], 1)


def _femora(record: LimbsRecord, pose: SpinePose, hips: torch.Tensor) -> list[Mesh]:
    outer, faces = stored("femur")
    inner, inner_faces = thinned("femur/marrow", record.cortex, 2.5), stored("femur/marrow")[1]
    meshes = []
    for index, side in enumerate(SIDES):
        sign = 1 - 2 * index
        turn = _thigh(record, sign)
        flip = slice(None, None, sign)
        for name, points, triangles in (("", outer, faces), ("/marrow", inner, inner_faces)):
            shape = _bent(record, points) * [sign, 1.0, 1.0] * record.femur * pose.scale
            placed = torch.as_tensor(shape @ turn.T).to(hips) + hips[index]
            material, inside = ("marrow", "cortex") if name else ("cortex", "soft")
            meshes.append(
                mesh_of(f"femur {side}{name}", material, inside, placed, triangles[:, flip], hips.dtype)
            )
    return meshes


def _bent(record: LimbsRecord, points: Array) -> Array:
    """The right femur with another neck-shaft angle, with the middle of the head at the origin."""
    rise = np.tan(np.radians(record.neck_angle))
    inward = 1 / (1 + np.exp((points[:, 0] - 24) / 6)) / (1 + np.exp(-(points[:, 2] + 60) / 8))
    drop = rise * (43 - points[:, 0]) * inward - rise * 43 / (1 + np.exp(-24 / 6))
    return np.asarray(points + np.stack([0 * drop, 0 * drop, drop], -1))


def _thigh(record: LimbsRecord, sign: int) -> Array:
    """Rotation (3, 3) of a thigh about its hip."""
    turn = np.radians(-sign * record.turn)
    lean = np.radians(sign * record.adduction - record.sway)
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(lean), 0, np.sin(lean)], [0, 1, 0], [-np.sin(lean), 0, np.cos(lean)]])
    return np.asarray(about_y @ about_z)


def _arms(record: LimbsRecord, pose: SpinePose, joints: Array) -> list[Mesh]:
    outer, faces = stored("humerus")
    inner, inner_faces = thinned("humerus/marrow", record.cortex, 2.2), stored("humerus/marrow")[1]
    dtype = pose.centre.dtype
    meshes = []
    for index, side in enumerate(SIDES):
        sign = 1 - 2 * index
        shoulder, elbow, wrist, knuckles = joints[index]
        frame = _arm_frame(record, shoulder, elbow, sign)
        long = np.linalg.norm(elbow - shoulder) / np.linalg.norm(_ELBOW)
        thick = record.humerus * pose.scale
        flip = slice(None, None, sign)
        for name, points, triangles in (("", outer, faces), ("/marrow", inner, inner_faces)):
            # The thickness is that of the record, the length that of the arm; the head stays round.
            shaft = np.clip((-points[:, 2] - 30) / 60, 0, 1)
            stretch = np.stack([0 * shaft + thick, 0 * shaft + thick, thick + (long - thick) * shaft], -1)
            placed = shoulder + (points * stretch) @ frame
            material, inside = ("marrow", "cortex") if name else ("cortex", "soft")
            meshes.append(
                mesh_of(f"humerus {side}{name}", material, inside, placed, triangles[:, flip], dtype)
            )
        meshes += _forearm(side, elbow, wrist, frame[0] * sign, thick, dtype)
        if record.arms != "hanging":
            meshes.append(_hand(side, wrist, knuckles, frame[0], thick, dtype))
    return meshes


def _arm_frame(record: LimbsRecord, shoulder: Array, elbow: Array, sign: int) -> Array:
    """Rows: outward, forward, and up along an upper arm; left-handed on the left, where the bone is mirrored."""
    up = unit(shoulder - elbow)
    out = np.array([sign, 0.0, 0.0])
    out = unit(out - (out @ up) * up)
    front = np.cross(up, out) * sign
    turn = np.radians(record.arm_turn if record.arms == "hanging" else 0.0)
    return np.stack(
        [np.cos(turn) * out - np.sin(turn) * front, np.sin(turn) * out + np.cos(turn) * front, up]
    )


def _forearm(
    side: str, elbow: Array, wrist: Array, across: Array, thick: float, dtype: torch.dtype
) -> list[Mesh]:
    """Radius and ulna as tapered rods with a marrow cavity."""
    share = np.array([0.0, 0.06, 0.3, 0.7, 0.92, 1.0])[:, None]
    line = elbow + (wrist - elbow) * share
    offset = across * np.array([9, 9, 13, 13, 12, 11])[:, None] * thick
    radius = np.array([9, 8, 7, 7.5, 12, 13]) * thick
    ulna = np.array([14, 13, 8.5, 7, 6, 7]) * thick
    outer = [rod(line + offset, radius, 7), rod(line - offset, ulna, 7)]
    inner = [rod(line[1:] + offset[1:], radius[1:] * [0.8, 0.5, 0.5, 0.8, 0.85], 6)]
    inner.append(rod(line[:-1] - offset[:-1], ulna[:-1] * [0.85, 0.85, 0.5, 0.5, 0.7], 6))
    return [
        merged(f"forearm {side}", "cortex", "soft", outer, dtype),
        merged(f"forearm {side}/marrow", "marrow", "cortex", inner, dtype),
    ]


def _hand(side: str, wrist: Array, knuckles: Array, across: Array, thick: float, dtype: torch.dtype) -> Mesh:
    """Wrist and the five fingers of a loosely closed hand."""
    ahead = unit(knuckles - wrist)
    across = unit(across - (across @ ahead) * ahead)
    palm = np.cross(ahead, across)
    palm = palm if palm[1] < 0 else -palm
    solids: list[Solid] = [
        ball(wrist + thick * (12 * ahead + x * across), 7.5 * thick, 1) for x in (-14.0, 0.0, 14.0)
    ]
    for ray in range(5):
        side_way = (ray - 2) * 9.5
        start = wrist + thick * (22 * ahead + 0.8 * side_way * across)
        head = wrist + thick * ((78 if ray else 58) * ahead + 1.25 * side_way * across)
        joint = head + thick * (22 * ahead + 28 * palm)
        tip = joint + thick * (-16 * ahead + 20 * palm)
        solids.append(rod(spline(np.stack([start, head]), 2), np.array([5.0, 3.6, 5.2]) * thick, 5))
        solids.append(rod(np.stack([head + thick * 7 * ahead, joint]), np.array([4.5, 3.6]) * thick, 5))
        solids.append(rod(np.stack([joint + thick * 5 * palm, tip]), np.array([3.6, 2.6]) * thick, 5))
    return merged(f"hand {side}", "cortex", "soft", solids, dtype)
