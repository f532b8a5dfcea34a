"""The chest: closed surfaces with limited numbers of faces, anatomical sizes, and its dependence on the spine."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest
import torch

from aasce.phantom.anatomy.arms import arm_joints
from aasce.phantom.anatomy.cage import RibRecord, build_cage, lean_frames, leans, rib_lengths
from aasce.phantom.anatomy.girdle import GirdleRecord
from aasce.phantom.anatomy.heart import HeartRecord
from aasce.phantom.anatomy.lungs import LungRecord
from aasce.phantom.anatomy.thorax import PsoasRecord, ThoraxRecord, build_thorax, draw_thorax, place_thorax
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.phantom.spine.statistics import average_pose
from tests.unit.phantom.bodies import (
    T8,
    array,
    by_name,
    inside,
    points_of,
    scoliotic,
    turned,
    upright,
)
from tests.unit.phantom.surfaces import assert_closed, volume

BUDGET = {"rib": 9600, "cartilage": 3400, "sternum": 500, "clavicle": 600, "scapula": 2400, "lung": 4300}
"""Faces of both sides together; the lungs with their vessels."""


@pytest.mark.parametrize("bent", [False, True])
def test_twenty_drawn_chests_are_closed_and_within_budget(bent: bool) -> None:
    pose, points = scoliotic() if bent else upright()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        record = draw_thorax(rng, age=float(rng.uniform(10, 85)), female=bool(seed % 2))
        meshes = build_thorax(record, pose, points)
        for mesh in meshes:
            assert_closed(mesh)
        for part, most in BUDGET.items():
            faces = sum(len(mesh.faces) for mesh in meshes if mesh.name.startswith(part))
            assert 0 < faces <= most, part
        assert sum(len(mesh.faces) for mesh in meshes) < 23000


def test_names_are_unique_and_nesting_is_right() -> None:
    found = by_name(build_thorax(ThoraxRecord(ribs=RibRecord(calcified=0.6)), *upright()))
    for name, mesh in found.items():
        inner = name.rsplit("/", 1)
        if len(inner) == 2 and inner[0] in found and inner[1] in ("marrow", "calcified", "vessels"):
            outer = found[inner[0]]
            assert mesh.inside == outer.material, name
            assert volume(mesh) < volume(outer), name
    assert {mesh.inside for mesh in found.values() if mesh.material == "lung"} == {"soft"}
    assert found["windpipe"].material == "air"


def test_marrow_stays_within_the_cortex_of_the_ribs() -> None:
    found = by_name(build_thorax(ThoraxRecord(), *upright()))
    for rib in (1, 4, 8, 11):
        marrow = array(found[f"rib {rib} right/marrow"])
        assert inside(found[f"rib {rib} right"], marrow).all(), rib


def test_rib_lengths_grow_to_the_middle_ribs_and_fall_again() -> None:
    # Hutchinson 1849 (Cyclopaedia of Anatomy and Physiology 4:1028), inches along the rib from end to end.
    measured = 25.4 * np.array([5.25, 9, 11, 12.25, 12.5, 12.6, 12.25, 12.1, 11.5, 10.5, 8.25, 4.5])
    lengths = rib_lengths()
    assert np.argmax(lengths) in (4, 5, 6)
    assert np.abs(lengths / measured - 1)[1:].max() < 0.12
    # He measured the broad first rib along its outer edge.
    assert 0.75 < lengths[0] / measured[0] < 1


def test_sizes_of_the_average_cage() -> None:
    pose, points = upright()
    cage = build_cage(RibRecord(), pose, points)
    outer = 2 * np.abs(cage.ribs[0, :, :, 0]).max(1)
    # Inner breadth: less the two ribs' thickness. Widest at ribs 7 to 9, narrow within the first.
    assert 235 < outer[6:9].max() - 8 < 270
    assert np.argmax(outer) in (6, 7, 8)
    assert 90 < outer[0] - 14 < 125
    depth = cage.sternum[2, 1] - cage.ribs[:, 6:9, :, 1].min()
    assert 175 < depth < 230
    assert np.linalg.norm(cage.sternum[2] - cage.sternum[0]) == pytest.approx(146, abs=8)


def test_anatomical_levels() -> None:
    pose, points = upright()
    placed = place_thorax(ThoraxRecord(), pose, points)
    height = {level: float(pose.centre[index, 2]) for index, level in enumerate(LEVELS)}
    top, angle, end, _ = placed.cage.sternum[:, 2]
    assert height["T4"] < top < height["T1"]
    assert height["T6"] < angle < height["T3"]
    assert height["T11"] < end < height["T7"]
    lowest = placed.cage.ribs[0, 9, :, 2].min()
    assert height["L4"] < lowest < height["L1"]
    for dome in placed.lungs.domes[:, 2]:
        assert height["T11"] < dome < height["T8"]
    carina = placed.mediastinum.windpipe[-1, 2]
    assert height["T6"] < carina < height["T4"]


def test_symmetric_record_gives_symmetric_bones() -> None:
    found = by_name(build_thorax(ThoraxRecord(), *upright()))
    for name, mesh in found.items():
        if " right" in name and name.split()[0] in ("rib", "cartilage", "clavicle", "scapula", "psoas"):
            other = array(found[name.replace(" right", " left")]) * [-1, 1, 1]
            own = array(mesh)
            assert np.allclose(np.sort(own, 0), np.sort(other, 0), atol=1e-6), name


def test_heads_and_tubercles_meet_their_vertebra() -> None:
    pose, points = upright()
    cage = build_cage(RibRecord(), pose, points)
    for rib, level in enumerate(LEVELS[7:19]):
        head = points[level]["right_costal"].numpy()
        assert np.linalg.norm(cage.ribs[0, rib, 0] - head) < 8, level
        if rib < 10:
            tubercle = points[level]["right_costotransverse"].numpy()
            assert np.linalg.norm(cage.ribs[0, rib] - tubercle, axis=-1).min() < 8, level


def test_a_rib_follows_the_rotation_of_its_vertebra() -> None:
    pose, _ = upright()
    bent = turned(pose, T8, 20.0)
    before = build_cage(RibRecord(), pose, points_of(pose))
    after = build_cage(RibRecord(), bent, points_of(bent))
    moved = after.ribs - before.ribs
    # Counter-clockwise from above: the right side goes forward at its bulge, the left one back; the hump.
    bulge = 18
    assert moved[0, 7, bulge, 1] > 15
    assert moved[1, 7, bulge, 1] < -15
    assert np.abs(moved[:, 3]).max() < 1e-9
    # The sternum holds the front end: it gives way by less than half of a rigid rib's swing.
    rigid = np.radians(20) * (before.ribs[:, 7, -1, 1] - before.spine[7, 1])
    assert (np.abs(moved[:, 7, -1, 0]) < 0.5 * rigid).all()


def test_scoliosis_closes_the_concave_spaces_and_opens_the_convex_ones() -> None:
    pose, points = scoliotic()
    cage = build_cage(RibRecord(), pose, points)
    # At the level of the apex, beside the spine: steps from rib 6 to rib 10, right (convex) and left.
    steps = cage.ribs[:, 5, 14, 2] - cage.ribs[:, 9, 14, 2]
    straight_cage = build_cage(RibRecord(), *upright())
    usual = straight_cage.ribs[0, 5, 14, 2] - straight_cage.ribs[0, 9, 14, 2]
    assert steps[0] > usual + 5
    assert steps[1] < usual - 5


@pytest.mark.parametrize("bent", [False, True])
def test_ribs_stay_out_of_bodies_and_lungs(bent: bool) -> None:
    pose, points = scoliotic() if bent else upright()
    placed = place_thorax(ThoraxRecord(), pose, points)
    found = by_name(build_thorax(ThoraxRecord(), pose, points, placed))
    for side in ("right", "left"):
        lung = found[f"lung {side}"]
        for rib in range(2, 11):
            line = placed.cage.ribs[0 if side == "right" else 1, rib - 1, 4:]
            assert not inside(lung, line).any(), (side, rib)
    for rib, level in enumerate(LEVELS[7:19]):
        middle = pose.centre[LEVELS.index(level)].numpy()
        gap = np.linalg.norm(placed.cage.ribs[:, rib] - middle, axis=-1).min()
        half = abs(float(points[level]["superior_right"][0] - points[level]["superior_left"][0])) / 2
        assert gap > half - 2, level


def test_lungs_leave_the_heart_free() -> None:
    found = by_name(build_thorax(ThoraxRecord(), *upright()))
    heart = array(found["heart"])
    shared = sum(int(inside(found[f"lung {side}"], heart).sum()) for side in ("right", "left"))
    assert shared < 0.1 * len(heart)


def test_capacity_is_that_of_an_adult() -> None:
    # Functional residual capacity with the tissue and blood in the lungs: 2.5 to 5 litres upright.
    found = by_name(build_thorax(ThoraxRecord(), *upright()))
    litres = [volume(found[f"lung {side}"]) / 1e6 for side in ("right", "left")]
    assert 2.5 < sum(litres) < 5.0
    assert litres[0] > litres[1], "the heart takes its place from the left lung"


def test_a_deep_breath_lifts_ribs_and_lowers_the_lungs() -> None:
    pose, points = upright()
    quiet, deep = (build_cage(RibRecord(breath=breath), pose, points) for breath in (0.0, 1.0))
    assert (deep.ribs[0, 1:9, -1, 2] > quiet.ribs[0, 1:9, -1, 2] + 3).all()
    low, high = (
        place_thorax(ThoraxRecord(lungs=LungRecord(deep=more)), pose, points).lungs for more in (0.8, -0.8)
    )
    assert low.wall[..., 2].min() < high.wall[..., 2].min() - 10


def test_size_of_the_heart() -> None:
    pose, points = upright()
    found = by_name(build_thorax(ThoraxRecord(heart=HeartRecord(size=1.0)), pose, points))
    breadth = np.ptp(array(found["heart"])[:, 0])
    chest = max(np.ptp(array(found[f"rib {r} {s}"])[:, 0]) for r in (8,) for s in ("right", "left")) * 2
    # Cardiothoracic ratio; the normal is below one half.
    assert 0.3 < breadth / chest < 0.5


def test_scale_scales_everything() -> None:
    small = average_pose(0.8)
    one = by_name(build_thorax(ThoraxRecord(), *upright()))
    other = by_name(build_thorax(ThoraxRecord(), small, points_of(small)))
    for name in ("rib 6 left", "lung right", "clavicle left", "scapula right", "heart"):
        assert volume(other[name]) == pytest.approx(0.8**3 * volume(one[name]), rel=0.02), name


def test_the_same_record_gives_the_same_meshes() -> None:
    pose, points = upright()
    record = draw_thorax(np.random.default_rng(5), 14.0, True)
    assert record == draw_thorax(np.random.default_rng(5), 14.0, True)
    again = ThoraxRecord.model_validate_json(record.model_dump_json())
    for one, other in zip(build_thorax(record, pose, points), build_thorax(again, pose, points), strict=True):
        assert torch.equal(one.vertices, other.vertices)


def test_shoulders_rise_and_scapulae_lie_behind_the_ribs() -> None:
    pose, points = upright()
    low = place_thorax(ThoraxRecord(), pose, points)
    high = place_thorax(ThoraxRecord(girdle=GirdleRecord(raise_shoulders=10, uneven=8)), pose, points)
    rise = high.girdle.clavicles[:, -1, 2] - low.girdle.clavicles[:, -1, 2]
    assert rise[0] > rise[1] > 5
    found = by_name(build_thorax(ThoraxRecord(), pose, points, low))
    for side, name in enumerate(("right", "left")):
        blade = found[f"scapula {name}"]
        assert not inside(blade, low.cage.ribs[side, 1:8].reshape(-1, 3)).any()
        # 155 mm long, 105 mm wide (von Schroeder 2001).
        assert np.ptp(array(blade)[:, 2]) == pytest.approx(146, abs=14)


def test_arms_keep_their_lengths() -> None:
    pose, points = upright()
    for arms in ("hanging", "folded", "forward"):
        placed = place_thorax(ThoraxRecord(girdle=GirdleRecord(arms=arms)), pose, points)
        joints = arm_joints(placed.girdle, placed.cage, np.full(2, 0.2))
        lengths = np.linalg.norm(np.diff(joints, axis=1), axis=-1)
        assert np.allclose(lengths, [310, 255, 90])


def test_psoas_can_be_left_out() -> None:
    names = by_name(build_thorax(ThoraxRecord(psoas=PsoasRecord(size=0)), *upright()))
    assert not any(name.startswith("psoas") for name in names)


def test_leans_and_frames_are_inverse() -> None:
    rng = np.random.default_rng(0)
    angles = rng.uniform(-0.5, 0.5, (3, 7))
    frame = lean_frames(*angles)
    assert np.allclose(np.linalg.det(frame), 1)
    found = np.stack(leans(frame))
    assert np.allclose(found[:2], angles[:2])
    # Leaning moves the front axis a little out of its turn: by no more than the product of the leans.
    assert np.abs(found[2] - angles[2]).max() < 0.5 * 0.5


def test_float32_pose_gives_float32_meshes() -> None:
    pose, points = upright()
    single = SpinePose(pose.rotation.float(), pose.centre.float(), pose.scale)
    assert {mesh.vertices.dtype for mesh in build_thorax(ThoraxRecord(), single, points)} == {torch.float32}


def test_quick_enough_for_training() -> None:
    pose, points = upright()
    record = ThoraxRecord()
    times = []
    for _ in range(7):
        start = perf_counter()
        build_thorax(record, pose, points)
        times.append(perf_counter() - start)
    # 10 ms on an idle core; the bound leaves room for a busy machine.
    assert min(times) < 0.25
