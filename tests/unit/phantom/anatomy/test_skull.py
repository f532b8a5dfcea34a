"""The head: closed, of the published sizes, upright on an inclined neck, with the jaw in front of the upper neck."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aasce.phantom.anatomy.skull import SkullRecord, build_skull, draw_skull
from aasce.phantom.solids.primitives import stored
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.phantom.spine.statistics import average_pose
from aasce.xray.mesh import Mesh
from tests.unit.phantom.surfaces import assert_closed, extent

LEVEL = SkullRecord(pitch=0.0)


def named(meshes: list[Mesh], name: str) -> Mesh:
    return next(mesh for mesh in meshes if mesh.name == name)


def test_draws_are_closed_within_the_budget() -> None:
    pose = average_pose()
    for seed in range(20):
        record = draw_skull(np.random.default_rng(seed), age=9.0 + 3.5 * seed, female=seed % 2 == 1)
        meshes = build_skull(record, pose)
        for mesh in meshes:
            assert_closed(mesh)
        assert sum(len(mesh.faces) for mesh in meshes) <= 8000 + 20 * len(record.fillings)


def test_average_sizes_agree_with_craniometry() -> None:
    meshes = build_skull(LEVEL, average_pose())
    skull, jaw = named(meshes, "skull"), named(meshes, "jaw")
    assert extent(skull, 0) == pytest.approx(139, abs=5)  # breadth
    assert extent(skull, 1) == pytest.approx(185, abs=6)  # glabella and nose to the occiput
    condyles = jaw.vertices[jaw.vertices[:, 2] > jaw.vertices[:, 2].max() - 8]
    assert float(condyles[:, 0].max() - condyles[:, 0].min()) == pytest.approx(118, abs=5)
    origin = average_pose().place("C1", torch.tensor([[0.0, -2.0, 6.0]]))[0]
    angles = jaw.vertices[(jaw.vertices[:, 2] - origin[2] + 34).abs() < 6]
    assert float(angles[:, 0].max() - angles[:, 0].min()) == pytest.approx(100, abs=6)  # bigonial


def test_jaw_covers_the_upper_neck_from_the_front() -> None:
    pose = average_pose()
    jaw = named(build_skull(LEVEL, pose), "jaw")
    third, fifth = (float(pose.centre[LEVELS.index(level), 2]) for level in ("C3", "C5"))
    assert fifth < float(jaw.vertices[:, 2].min()) < third


def test_head_follows_half_of_the_neck_s_lean() -> None:
    upright = average_pose()
    angle = math.radians(20)
    lean = torch.eye(3, dtype=upright.rotation.dtype)
    lean[0, 0] = lean[2, 2] = math.cos(angle)
    lean[0, 2], lean[2, 0] = math.sin(angle), -math.sin(angle)
    rotation = upright.rotation.clone()
    rotation[0] = lean @ rotation[0]
    crown = []
    for pose in (upright, SpinePose(rotation, upright.centre, 1.0)):
        skull = named(build_skull(LEVEL, pose), "skull").vertices
        crown.append(skull[stored("skull")[0][:, 2].argmax()] - skull[stored("skull")[0][:, 2].argmin()])
    turned = [math.degrees(math.atan2(float(v[0]), float(v[2]))) for v in crown]
    assert turned[1] - turned[0] == pytest.approx(10, abs=0.6)


def test_raised_chin_and_open_mouth() -> None:
    pose = average_pose()
    chin = {
        name: named(build_skull(record, pose), "jaw").vertices
        for name, record in (
            ("level", LEVEL),
            ("raised", SkullRecord(pitch=15.0)),
            ("open", SkullRecord(pitch=0.0, jaw_open=12.0)),
        )
    }
    front = chin["level"][:, 1].argmax()
    assert float(chin["raised"][front, 2]) > float(chin["level"][front, 2]) + 10
    assert float(chin["open"][front, 2]) < float(chin["level"][front, 2]) - 10


def test_missing_and_filled_teeth() -> None:
    pose = average_pose()
    full = build_skull(LEVEL, pose)
    gaps = build_skull(SkullRecord(pitch=0.0, missing=(0, 1, 20), fillings=(5, 20)), pose)
    faces = [sum(len(m.faces) for m in meshes if m.name.endswith("teeth")) for meshes in (full, gaps)]
    assert faces[1] == faces[0] * 25 // 28
    assert len(named(gaps, "fillings").faces) == 20  # tooth 20 is missing, and so is its filling


def test_same_draw_same_head() -> None:
    records = [draw_skull(np.random.default_rng(7), age=12, female=False) for _ in range(2)]
    assert records[0] == records[1]
    first, second = (build_skull(record, average_pose()) for record in records)
    assert all(torch.equal(a.vertices, b.vertices) for a, b in zip(first, second, strict=True))
