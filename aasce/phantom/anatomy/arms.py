"""Position and soft parts of the arms: hanging, folded (hands at the clavicles), or forward on a rest.

Lengths of an average adult: shoulder to elbow 310 mm, elbow to wrist 255 mm; girths by Gordon et al. 2014
(NATICK/TR-15/007): upper arm 320 mm, forearm 280 mm, wrist 165 mm, men's and women's means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from aasce.phantom.anatomy.cage import SIDES, SIGN, RibCage
from aasce.phantom.anatomy.girdle import Girdle
from aasce.phantom.anatomy.hull import Armpits
from aasce.phantom.solids.loft import frames, loft_faces, to_mesh, tube, unit
from aasce.types import Array
from aasce.xray.mesh import Mesh

UPPER_ARM_MM, FOREARM_MM, HAND_MM = 310.0, 255.0, 90.0
_ROUND = np.array([0.0, 0.12, 0.3, 0.45, 0.5, 0.6, 0.75, 0.88, 0.93, 1.0])
_MUSCLE = np.array([38.5, 39, 37, 32, 31, 33, 28, 21, 23, 18.0])
"""Radius in mm of the muscle at these positions from the armpit by elbow (0.5) and wrist (0.88) to the knuckles."""
_ARMPIT = 68.0
"""Distance in mm from the middle of the humeral head down to the armpit."""
_RINGS, _SIDES = 15, 14


@dataclass(frozen=True, slots=True)
class ArmPose:
    """Position of the arms; right then left, mm in the person's frame.

    Attributes:
        joints: (2, 4, 3), shoulder, elbow, wrist and knuckles.
        lines: (2, 15, 3), middle lines from the armpits' height down.
        radius: (2, 15), of the muscle along these lines.
        armpit: height at which the arms leave the trunk.
    """

    joints: Array
    lines: Array
    radius: Array
    armpit: float

    def armpits(self, fat: float, more: float) -> Armpits:
        """Connection of arms and trunk with a layer of `fat` mm; the hollow is `more` mm higher than that of the
        skin."""
        radius = float(self.radius[0, 0])
        return Armpits(
            self.armpit, self.lines[:, 0, :2], radius + fat, 0.95 * radius + more, 1.5 * radius + 7
        )


def place_arms(
    girdle: Girdle, cage: RibCage, arms_out: float, muscle: float, heights: Array, hull: Array
) -> ArmPose:
    """Places the arms in the position that the shoulder girdle defines.

    Args:
        girdle: of the shoulders.
        cage: the ribs.
        arms_out: smallest abduction of hanging arms, degrees.
        muscle: factor on the average thickness of the muscles.
        heights, hull: support (Z, D) mm of the skin of the trunk at heights (Z,) mm; the arms do not touch it.
    """
    scale = cage.scale
    armpit = float(girdle.shoulder[:, 2].mean()) - _ARMPIT * scale
    reach = np.stack([hull[:, 0], hull[:, hull.shape[1] // 2]])
    out = np.array(
        [_stand_off(girdle.shoulder[side], side, armpit, heights, reach[side], scale) for side in (0, 1)]
    )
    joints = arm_joints(girdle, cage, np.maximum(np.radians(arms_out), out))
    share = np.linspace(0, 1, _RINGS)
    at = np.array([0, 0.5, 0.88, 1.0])
    lines = np.empty((2, _RINGS, 3))
    for side, (shoulder, elbow, wrist, tip) in enumerate(joints):
        start = shoulder + (elbow - shoulder) * (shoulder[2] - armpit) / (shoulder[2] - elbow[2])
        corners = np.stack([start, elbow, wrist, tip])
        line = np.stack([np.interp(share, at, corners[:, k]) for k in range(3)], -1)
        # Rounds the corner at the elbow.
        line[1:-1] = 0.25 * line[:-2] + 0.5 * line[1:-1] + 0.25 * line[2:]
        lines[side] = line
    radius = np.interp(share, _ROUND, _MUSCLE) * scale * (0.5 + 0.5 * muscle)
    return ArmPose(joints, lines, np.stack([radius, radius]), armpit)


def arm_joints(girdle: Girdle, cage: RibCage, out: Array) -> Array:
    """Shoulder, elbow, wrist and knuckles (2, 4, 3) mm, right then left; `out` (2,) is hanging arms' abduction in
    rad."""
    scale = cage.scale
    upper, fore = UPPER_ARM_MM * scale, FOREARM_MM * scale
    shoulder = girdle.shoulder
    aside = SIGN[:, None] * np.array([1.0, 0, 0])
    if girdle.arms == "hanging":
        lean = out[:, None]
        first = unit(np.sin(lean) * aside + np.cos(lean) * np.array([0, 0.06, -1.0]))
        second = unit(np.sin(0.8 * lean) * aside + np.cos(lean) * np.array([0, 0.28, -1.0]))
    elif girdle.arms == "folded":
        first = unit(0.32 * aside + np.array([0, 0.6, -0.85]))
        goal = cage.sternum[0] + scale * np.array([0, 52, 0]) + 62 * scale * aside
        second = unit(goal - (shoulder + upper * first))
    else:
        first = unit(0.25 * aside + np.array([0, 0.75, -0.62]))
        second = unit(0.05 * aside + np.array([0, 1.0, 0.12]))
    elbow = shoulder + upper * first
    wrist = elbow + fore * second
    return np.stack([shoulder, elbow, wrist, wrist + HAND_MM * scale * second], 1)


def _stand_off(
    shoulder: Array, side: int, armpit: float, heights: Array, reach: Array, scale: float
) -> float:
    """Smallest abduction in radians at which a hanging arm does not touch the trunk."""
    below = shoulder[2] - heights
    beside = (heights < armpit) & (below < 330 * scale)
    need = reach[beside] + 44 * scale - SIGN[side] * shoulder[0]
    return float(np.clip(np.arctan2(need, below[beside]).max(initial=0.0), 0, np.radians(45)))


def build_arms(arms: ArmPose, fat: float, dtype: torch.dtype = torch.float64) -> list[Mesh]:
    """Skin ("fat" in "air") and muscle ("soft" in "fat") of both arms, 420 faces each; `fat` in mm at the top."""
    meshes = []
    layer = fat * np.interp(np.linspace(0, 1, _RINGS), [0, 0.5, 0.88, 1], [1.0, 0.7, 0.35, 0.3])
    for line, radius, name in zip(arms.lines, arms.radius, SIDES, strict=True):
        first, second = frames(line, np.array([1.0, 0, 0]))
        # The first ring is horizontal and lies against the trunk's lower side.
        first[0], second[0] = np.array([1.0, 0, 0]), np.array([0, -1.0, 0])
        slant = np.ones((_RINGS, 2))
        slant[0, 1] = 1 / max(-unit(line[1] - line[0])[2], 0.5)
        skin = tube(line, first, second, (radius + layer)[:, None] * slant, _SIDES, 0.0)
        flesh = tube(_drawn_in(line), first, second, radius[:, None] * slant, _SIDES, 0.0)
        meshes.append(to_mesh(f"arm {name}", "fat", "air", skin, loft_faces(_RINGS, _SIDES), dtype))
        meshes.append(to_mesh(f"arm {name}/muscle", "soft", "fat", flesh, loft_faces(_RINGS, _SIDES), dtype))
    return meshes


def _drawn_in(line: Array) -> Array:
    """The line with its lower end slightly shortened, so that the muscle stays inside the skin."""
    inner = line.copy()
    inner[-1] += 0.3 * (line[-2] - line[-1])
    return inner
