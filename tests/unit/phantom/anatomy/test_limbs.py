"""Limb bones: closed, of the published sizes, femoral heads in the acetabula, arms at the joints."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.phantom.anatomy.limbs import Arms, LimbsRecord, arm_joints, build_limbs, draw_limbs
from aasce.phantom.anatomy.pelvis import build_pelvis, draw_pelvis, hip_centres
from aasce.phantom.spine.statistics import average_pose
from aasce.xray.mesh import Mesh
from tests.unit.phantom.surfaces import assert_closed, extent, volume


def named(meshes: list[Mesh], name: str) -> Mesh:
    return next(mesh for mesh in meshes if mesh.name == name)


def test_draws_are_closed_within_the_budget() -> None:
    pose = average_pose()
    for seed in range(20):
        record = draw_limbs(np.random.default_rng(seed), age=9.0 + 3 * seed, female=seed % 2 == 0)
        meshes = build_limbs(record, pose)
        for mesh in meshes:
            assert_closed(mesh)
        for bone, budget in (("femur", 700), ("humerus", 500)):
            for side in ("right", "left"):
                parts = [m for m in meshes if m.name.startswith(f"{bone} {side}")]
                assert sum(len(m.faces) for m in parts) <= budget
                assert volume(parts[1]) < volume(parts[0])


def test_femoral_head_sits_in_the_socket_with_a_joint_space() -> None:
    pose = average_pose()
    pelvis = draw_pelvis(np.random.default_rng(2), age=30, female=True)
    hips = hip_centres(pelvis, pose)
    femur = named(build_limbs(LimbsRecord(), pose, hips), "femur right")
    away = (femur.vertices - hips[0]).norm(dim=1)
    head = away < 30
    assert float(away[head].median()) == pytest.approx(23.3, abs=1)  # a head of 46.6 mm
    socket = build_pelvis(pelvis, pose)[0].vertices
    assert float((socket - hips[0]).norm(dim=1).min()) == pytest.approx(26, abs=2)


def test_neck_angle_moves_the_shaft_and_not_the_head() -> None:
    pose = average_pose()
    plain, steep = (
        named(build_limbs(LimbsRecord(neck_angle=angle), pose), "femur left").vertices for angle in (0.0, 8.0)
    )
    low = plain[:, 2] < plain[:, 2].max() - 150
    assert float((steep - plain)[low, 2].mean()) == pytest.approx(-43 * np.tan(np.radians(8)), abs=0.3)
    top = plain[:, 2].argmax()
    assert float((steep - plain)[top].norm()) < 2.5


@pytest.mark.parametrize("arms", ["hanging", "folded", "forward"])
def test_arm_bones_run_from_joint_to_joint(arms: Arms) -> None:
    pose = average_pose()
    joints = arm_joints(arms, pose)
    meshes = build_limbs(LimbsRecord(arms=arms), pose, joints=joints)
    for index, side in enumerate(("right", "left")):
        humerus = named(meshes, f"humerus {side}").vertices.numpy()
        shoulder, elbow, wrist, _ = joints[index]
        along = (elbow - shoulder) / np.linalg.norm(elbow - shoulder)
        reach = (humerus - shoulder) @ along
        assert -26 < reach.min() < -18
        assert reach.max() == pytest.approx(310, rel=0.06)
        forearm = named(meshes, f"forearm {side}").vertices.numpy()
        assert np.linalg.norm(forearm - wrist, axis=1).min() < 20
    assert any(mesh.name == "hand right" for mesh in meshes) == (arms != "hanging")


def test_right_and_left_mirror_each_other() -> None:
    meshes = build_limbs(LimbsRecord(), average_pose())
    for bone in ("femur", "humerus", "forearm"):
        right, left = named(meshes, f"{bone} right"), named(meshes, f"{bone} left")
        assert volume(right) == pytest.approx(volume(left), rel=2e-3)
        assert float(right.vertices[:, 0].mean()) > 0 > float(left.vertices[:, 0].mean())


def test_sizes_determinism_and_arms_off_the_film() -> None:
    record = draw_limbs(np.random.default_rng(5), arms="folded")
    assert record == draw_limbs(np.random.default_rng(5), arms="folded")
    assert record.arms == "folded"
    few = build_limbs(LimbsRecord(with_arms=False), average_pose())
    assert [mesh.name for mesh in few] == [
        "femur right",
        "femur right/marrow",
        "femur left",
        "femur left/marrow",
    ]
    # From the head's inner side to the trochanter's outer side: 23 + 43 + half a shaft and more.
    assert extent(few[0], 0) == pytest.approx(92, abs=6)
    assert few[0].vertices.dtype == torch.float64
