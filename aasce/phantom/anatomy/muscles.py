"""Muscles as balls around bones, with the thickness of muscle as radius; shoulders and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from aasce.phantom.anatomy.arms import ArmPose
from aasce.phantom.anatomy.cage import SIGN, Points, RibCage
from aasce.phantom.anatomy.girdle import Girdle
from aasce.phantom.anatomy.hull import STEP
from aasce.phantom.solids.loft import at_shares
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.types import Array
from aasce.xray.mesh import Mesh

_RIB_COVER = np.array([6, 9, 12, 13, 13, 12, 11, 10, 9, 9, 8, 8.0])
"""Thickness of the muscle over each rib, mm."""


def muscle_cover(
    thick: float,
    cage: RibCage,
    girdle: Girdle,
    pose: SpinePose,
    points: Points,
    bones: Sequence[Mesh] = (),
) -> tuple[Array, Array]:
    """Points (N, 3) mm covered by muscle, and its thickness (N,) mm over each.

    Args:
        thick: factor on the average thickness.
        cage, girdle: ribs and shoulder girdle.
        pose: of the spine.
        points: by level, named points of the vertebrae in the person's frame.
        bones: further bones; meshes of "cortex" are used.
    """
    scale = pose.scale
    balls: list[tuple[Array, Array | float]] = []
    ribs = at_shares(cage.ribs, np.linspace(0.1, 1, 13))
    cover = (4 + thick * _RIB_COVER)[:, None] * np.ones((2, 1, 13))
    balls.append((ribs.reshape(-1, 3), cover.reshape(-1)))
    balls.append((at_shares(cage.cartilages, np.array([0.15, 0.4, 0.65, 0.9])).reshape(-1, 3), 8 + 5 * thick))
    balls.append((cage.sternum, 12.0))
    offsets = np.array([[-100, 5, 5], [-80, 5, -100], [-50, 18, 12], [-85, 5, 30], [-50, 5, -70.0]]) * scale
    blade = girdle.glenoid[:, None] + offsets @ girdle.frames
    balls.append((blade.reshape(-1, 3), 7 + 5 * thick))
    balls.append((girdle.clavicles[:, ::6].reshape(-1, 3), 8 + 4 * thick))
    balls.append((_trapezius(girdle, pose), 14 + 4 * thick))
    balls.append((_back(pose), np.repeat(np.array([15.0] * 4 + [18.0] * 12 + [20.0] * 5), 2)))
    tips = [
        own["spinous_tip"].detach().cpu().double().numpy() for own in points.values() if "spinous_tip" in own
    ]
    if tips:
        balls.append((np.stack(tips), 3.0))
    for bone in bones:
        if bone.material == "cortex":
            stride = max(1, len(bone.vertices) // 300)
            balls.append((bone.vertices[::stride].detach().cpu().double().numpy(), 5.0))
    middles = np.concatenate([b[0] for b in balls])
    radii = np.concatenate([np.broadcast_to(b[1], len(b[0])) for b in balls]) * scale
    return middles, radii


def shoulder_muscles(thick: float, girdle: Girdle, arms: ArmPose, pose: SpinePose) -> tuple[Array, Array]:
    """Balls that fill the deltoids and the arms down to the armpits: middles (N, 3) and radii (N,) mm.

    Args:
        thick: factor on the average thickness.
        girdle: of the shoulders.
        arms: their position.
        pose: of the spine.
    """
    scale = pose.scale
    balls = [
        (
            girdle.shoulder + np.array([0, 0, rise * scale]),
            np.full(2, (size + 4 * (thick - 1)) * scale),
        )
        for rise, size in ((4, 36), (16, 30))
    ]
    deep = np.linspace(0, 1, 12)[:, None]
    for joints, radius in zip(arms.joints, arms.radius, strict=True):
        line = joints[0] + deep * 0.6 * (joints[1] - joints[0])
        keep = line[:, 2] > arms.armpit - 3 * STEP * scale
        balls.append((line[keep], np.full(int(keep.sum()), radius[0])))
    return np.concatenate([b[0] for b in balls]), np.concatenate([b[1] for b in balls])


def _trapezius(girdle: Girdle, pose: SpinePose) -> Array:
    """Points (N, 3) mm of the trapezius, from the neck to the acromion."""
    neck = pose.centre[LEVELS.index("C7")].detach().cpu().double().numpy()
    start = neck + pose.scale * np.stack([34 * SIGN, [-16, -16], [-2, -2]], -1)
    end = girdle.clavicles[:, -1] + pose.scale * np.array([0, -12, -4])
    share = np.linspace(0.12, 0.95, 7)[:, None]
    # The contour is concave towards the neck.
    sag = pose.scale * np.array([0, -6, -16]) * np.sin(np.pi * share)
    return np.asarray((start[:, None] * (1 - share) + end[:, None] * share + sag).reshape(-1, 3))


def _back(pose: SpinePose) -> Array:
    """Middles (N, 3) mm of the erector muscles beside the spinous processes, C4 to L5, right and left."""
    levels = range(LEVELS.index("C4"), LEVELS.index("S1"))
    aside = {"C": (20, -40), "T": (30, -47), "L": (34, -54)}
    local = [
        pose.place(level, torch.tensor([[s * x, y, 0.0] for s in (1, -1)], dtype=pose.centre.dtype))
        for level in levels
        for x, y in [aside[LEVELS[level][0]]]
    ]
    return torch.cat(local).detach().cpu().double().numpy()
