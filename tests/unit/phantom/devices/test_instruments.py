"""Implants and small objects: closed, few faces, on the vertebrae or on the skin, rare."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aasce.phantom.devices.belongings import Belonging
from aasce.phantom.devices.brace import Brace
from aasce.phantom.devices.implants import Anchor, Cage, Construct, draw_construct, pedicle
from aasce.phantom.devices.instruments import FACES, InstrumentsRecord, build_instruments, draw_instruments
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.phantom.spine.statistics import average_pose
from tests.unit.phantom.surfaces import assert_closed, extent, volume

KINDS = (
    "clips", "sternal wires", "buttons", "zip", "bra", "necklace", "electrode", "navel ring", "ball chain",
    "skin marker", "gonad shield",
)  # fmt: skip


def bent(degrees: float = 40.0) -> SpinePose:
    """A spine with one C-shaped curve: every level leans a little more than the one below it."""
    pose = average_pose()
    lean = torch.deg2rad(torch.linspace(degrees / 2, -degrees / 2, len(LEVELS), dtype=torch.float64))
    turn = torch.zeros(len(LEVELS), 3, 3, dtype=torch.float64)
    turn[:, 1, 1] = 1
    turn[:, 0, 0] = turn[:, 2, 2] = lean.cos()
    turn[:, 0, 2], turn[:, 2, 0] = lean.sin(), -lean.sin()
    centre = pose.centre.clone()
    steps = (pose.centre[:-1, 2] - pose.centre[1:, 2]) * torch.tan((lean[:-1] + lean[1:]) / 2)
    centre[:-1, 0] = torch.flip(torch.cumsum(torch.flip(steps, [0]), 0), [0])
    return SpinePose(turn @ pose.rotation, centre, 1.0)


def screws(levels: list[str], side: str = "right") -> InstrumentsRecord:
    anchors = tuple(
        Anchor.model_validate({"level": level, "side": side, "kind": "screw"}) for level in levels
    )
    return InstrumentsRecord(
        fixation=Construct(kind="screws", metal="titanium", anchors=anchors, rod=5.5, overhang=8.0)
    )


def test_constructs_are_closed_within_the_budget() -> None:
    pose = bent()
    for seed in range(20):
        record = InstrumentsRecord(fixation=draw_construct(np.random.default_rng(seed), age=8.0 + 3 * seed))
        meshes = build_instruments(record, pose, {})
        assert sum(len(mesh.faces) for mesh in meshes) <= FACES
        for mesh in meshes:
            assert_closed(mesh)
            assert mesh.material in ("titanium", "steel")


@pytest.mark.parametrize("kind", KINDS)
def test_things_are_closed(kind: str) -> None:
    thing = Belonging.model_validate({"kind": kind, "level": "T7", "count": 2, "seed": 5, "turn": 10.0})
    meshes = build_instruments(InstrumentsRecord(things=(thing,)), average_pose(), {})
    assert len(meshes) == 1
    assert_closed(meshes[0])


def test_screw_runs_through_the_pedicle_into_the_body() -> None:
    pose = bent()
    record = InstrumentsRecord(
        fixation=screws(["T8", "T10"]).fixation,
    )
    shanks = next(mesh for mesh in build_instruments(record, pose, {}) if mesh.name == "screws").vertices
    for index, level in enumerate(("T8", "T10")):
        shank = shanks[index * 20 : index * 20 + 20]  # three hexagons and two poles
        frame = pose.rotation[LEVELS.index(level)]
        tip = (shank[-1] - pose.centre[LEVELS.index(level)]) @ frame
        assert abs(float(tip[0])) < 14  # within the body, on the screw's own side of it
        assert -8 < float(tip[1]) < 14
        middle = torch.as_tensor(pedicle(pose, {}, level, "right"))
        entry, end = shank[-2], shank[-1]
        way = (end - entry) / (end - entry).norm()
        off = (middle - entry) - ((middle - entry) @ way) * way
        assert float(off.norm()) < 0.5


def test_rods_follow_the_curve_of_the_spine() -> None:
    levels = [LEVELS[k] for k in range(LEVELS.index("T3"), LEVELS.index("L4"))]
    record = screws(levels)
    for pose in (average_pose(), bent(60)):
        meshes = build_instruments(record, pose, {})
        rods = next(mesh for mesh in meshes if mesh.name == "rods").vertices.numpy()
        for level in levels[::3]:
            centre = pose.centre[LEVELS.index(level)].numpy()
            near = rods[np.abs(rods[:, 2] - centre[2]) < 12]
            assert 2 < np.median(near[:, 0]) - centre[0] < 34, level


def test_known_pedicles_are_used_where_given() -> None:
    pose = average_pose()
    place = torch.tensor([17.0, -20.0, float(pose.centre[LEVELS.index("T8"), 2])], dtype=torch.float64)
    found = pedicle(pose, {"T8": {"right_pedicle": place}}, "T8", "right")
    assert found.tolist() == place.tolist()


def test_cage_lies_in_the_disc() -> None:
    pose = bent()
    cages = tuple(
        Cage(level="L3", metal=metal, width=28, depth=10, height=10, aside=0) for metal in (True, False)
    )
    meshes = build_instruments(InstrumentsRecord(cages=cages), pose, {})
    third, fourth = (pose.centre[LEVELS.index(level)] for level in ("L3", "L4"))
    for mesh in meshes:
        assert_closed(mesh)
        assert torch.allclose(
            (mesh.vertices.amin(0) + mesh.vertices.amax(0)) / 2, (third + fourth) / 2, atol=1.5
        )
    assert {mesh.material for mesh in meshes} == {"titanium", "plastic", "steel"}


@pytest.mark.parametrize("style", ["boston", "cheneau"])
def test_brace_is_a_thin_closed_shell_round_the_trunk(style: str) -> None:
    brace = Brace.model_validate(
        {"style": style, "top": "T6", "bottom": 90.0, "thickness": 4.0, "gap": 4.0, "push": 12.0, "side": 1}
        | {"buckles": 3, "front": True}
    )
    shell, straps = build_instruments(InstrumentsRecord(brace=brace), average_pose(), {})
    assert_closed(shell)
    assert_closed(straps)
    # About 2 pi * 125 mm round, 400 mm high, 4 mm thick.
    assert volume(shell) == pytest.approx(2 * math.pi * 125 * 400 * 4, rel=0.25)
    assert extent(shell, 0) > 240
    assert (shell.material, straps.material) == ("plastic", "steel")


def test_most_films_have_none_and_draws_repeat() -> None:
    records = [draw_instruments(np.random.default_rng(seed), 15, True, 30) for seed in range(400)]
    plain = sum(record == InstrumentsRecord() for record in records)
    assert 0.65 * 400 < plain < 0.92 * 400
    assert sum(record.fixation is not None for record in records) in range(4, 32)
    assert records[11] == draw_instruments(np.random.default_rng(11), 15, True, 30)


def test_drawn_records_build_within_the_budget() -> None:
    pose = bent()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        record = draw_instruments(rng, age=float(rng.uniform(9, 85)), female=seed % 2 == 0, cobb=30)
        meshes = build_instruments(record, pose, {})
        assert sum(len(mesh.faces) for mesh in meshes) <= FACES
        for mesh in meshes:
            assert_closed(mesh)
