"""Hip bones: closed, of the published sizes, attached to the sacrum, with a joint space on either side."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from aasce.phantom.anatomy.pelvis import PelvisRecord, build_pelvis, draw_pelvis, hip_centres
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.phantom.spine.statistics import average_pose
from aasce.phantom.spine.templates import template
from tests.unit.phantom.surfaces import assert_closed, extent, volume


def test_draws_are_closed_and_nested() -> None:
    pose = average_pose()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        meshes = build_pelvis(draw_pelvis(rng, age=10.0 + 3 * seed, female=seed % 2 == 0), pose)
        for mesh in meshes:
            assert_closed(mesh)
        assert [(m.material, m.inside) for m in meshes[:2]] == [("cortex", "soft"), ("marrow", "cortex")]
        assert volume(meshes[1]) < 0.9 * volume(meshes[0])


def test_average_sizes_agree_with_anthropometry() -> None:
    right, _, left, _ = build_pelvis(PelvisRecord(), average_pose())
    both = torch.cat([right.vertices, left.vertices])
    assert float(both[:, 0].max() - both[:, 0].min()) == pytest.approx(280, abs=5)  # bi-iliac breadth
    assert extent(right, 2) == pytest.approx(4.65 * 46.6, rel=0.06)  # height, 4.65 femoral heads
    # The gap of the symphysis: 4 to 6 mm in adults.
    assert 2 * float(right.vertices[:, 0].min()) == pytest.approx(5, abs=1.5)
    brim = right.vertices[(right.vertices[:, 1] - 15).abs() < 12]
    brim = brim[(brim[:, 2] + 78).abs() < 12]
    assert 2 * float(brim[:, 0].min()) == pytest.approx(130, abs=8)  # the inlet, between the arcuate lines


def test_crest_reaches_the_disc_of_l4_and_l5() -> None:
    pose = average_pose()
    top = float(build_pelvis(PelvisRecord(), pose)[0].vertices[:, 2].max())
    fourth, fifth = (float(pose.centre[LEVELS.index(level), 2]) for level in ("L4", "L5"))
    assert fifth - 5 < top < fourth + 5


def test_hip_axis_makes_the_published_pelvic_tilt() -> None:
    centres = hip_centres(PelvisRecord(), average_pose())
    axis = centres.mean(0)
    tilt = math.degrees(math.atan2(float(axis[1]), -float(axis[2])))
    assert tilt == pytest.approx(13, abs=6)
    assert float(centres[0, 0] - centres[1, 0]) == pytest.approx(178, abs=6)


def test_sacroiliac_joints_keep_a_narrow_space() -> None:
    pose = average_pose()
    sacrum = pose.place("S1", torch.tensor(template("S1").outer)).numpy()
    hip = build_pelvis(PelvisRecord(), pose)[0].vertices.numpy()
    gap = cKDTree(sacrum).query(hip)[0].min()
    assert 1 < gap < 6


def test_oblique_sacrum_takes_the_hip_bones_along() -> None:
    level = average_pose()
    angle = math.radians(8)
    lean = torch.eye(3, dtype=level.rotation.dtype)
    lean[0, 0] = lean[2, 2] = math.cos(angle)
    lean[0, 2], lean[2, 0] = math.sin(angle), -math.sin(angle)
    tipped = SpinePose(lean @ level.rotation, level.centre @ lean.T, level.scale)
    before, after = (hip_centres(PelvisRecord(), pose) for pose in (level, tipped))
    torch.testing.assert_close(after, before @ lean.T, atol=0.05, rtol=0)


def test_scale_and_determinism_and_gradient() -> None:
    record = draw_pelvis(np.random.default_rng(3), age=14, female=True)
    assert record == draw_pelvis(np.random.default_rng(3), age=14, female=True)
    full, small = (build_pelvis(record, average_pose(scale))[0] for scale in (1.0, 0.8))
    assert extent(small, 2) == pytest.approx(0.8 * extent(full, 2), rel=1e-6)
    pose = average_pose()
    rotation = pose.rotation.clone().requires_grad_()
    hip_centres(record, SpinePose(rotation, pose.centre, 1.0)).sum().backward()  # type: ignore[no-untyped-call]
    assert float(rotation.grad[-1].abs().sum()) > 0  # type: ignore[index]


def test_budget_of_faces() -> None:
    counts = [len(mesh.faces) for mesh in build_pelvis(PelvisRecord(), average_pose())]
    assert max(counts[0], counts[2]) <= 1800
    assert max(counts[1], counts[3]) <= 1000
