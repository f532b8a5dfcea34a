"""Spines with their named points, for the tests of ribs, lungs and skin."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from aasce.phantom.spine.pose import LEVELS, SpinePose, axis_rotation, pose_from_angles
from aasce.phantom.spine.statistics import average_pose, scan_statistics
from aasce.phantom.spine.vertebra import build_vertebra
from aasce.xray.mesh import Mesh

Points = dict[str, dict[str, torch.Tensor]]
T8 = LEVELS.index("T8")


@cache
def upright() -> tuple[SpinePose, Points]:
    """The average spine and its points."""
    pose = average_pose()
    return pose, points_of(pose)


@cache
def scoliotic(cobb: float = 40.0, turn: float = 20.0) -> tuple[SpinePose, Points]:
    """A thoracic curve T5 to T12 convex to the right, apex T8-T9, whose bodies turn by `turn` degrees at T8."""
    measured = scan_statistics()
    level = np.arange(len(LEVELS), dtype=np.float64)
    inside = np.clip((level - 11) / 7, 0, 1)
    coronal = -cobb / 2 * np.cos(np.pi * inside) * np.exp(-(((level - 14.5) / 6) ** 2))
    axial = turn * np.exp(-(((level - T8) / 3) ** 2))
    pose = pose_from_angles(
        torch.as_tensor(measured.spacing_mean),
        torch.as_tensor(coronal),
        torch.as_tensor(measured.sagittal_mean),
        torch.as_tensor(axial),
    )
    return pose, points_of(pose)


def points_of(pose: SpinePose) -> Points:
    """Named points of average vertebrae in the person's frame."""
    return {level: _model(level).placed(pose)[1] for level in LEVELS}


@cache
def _model(level: str) -> object:
    return build_vertebra(level, dtype=torch.float64)


def turned(pose: SpinePose, level: int, degrees: float) -> SpinePose:
    """The pose with one vertebra rotated about the vertical by some degrees, counter-clockwise from above."""
    zero = torch.zeros(1, dtype=torch.float64)
    turn = axis_rotation(zero, zero, zero + degrees)[0]
    rotation = pose.rotation.clone()
    rotation[level] = turn @ rotation[level]
    return SpinePose(rotation, pose.centre, pose.scale)


def by_name(meshes: list[Mesh]) -> dict[str, Mesh]:
    """Meshes by name; no name occurs twice."""
    found = {mesh.name: mesh for mesh in meshes}
    assert len(found) == len(meshes)
    return found


def array(mesh: Mesh) -> NDArray[np.float64]:
    """Vertices (V, 3) as float64."""
    return mesh.vertices.double().numpy()


def slice_width(mesh: Mesh, height: float, reach: float = 14.0) -> float:
    """Breadth in mm, side to side, of the vertices within `reach` of a height."""
    vertices = array(mesh)
    near = vertices[np.abs(vertices[:, 2] - height) < reach]
    return float(np.ptp(near[:, 0]))


def inside(mesh: Mesh, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points (N, 3) lie in a closed mesh: the angles under which its faces are seen add up to a full sphere."""
    a, b, c = (array(mesh)[mesh.faces.numpy()[:, k]][None] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
    above = (a * np.cross(b, c)).sum(-1)
    below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return np.abs(2 * np.arctan2(above, below).sum(-1)) > 2 * np.pi
