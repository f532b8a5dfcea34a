"""Gas: closed surfaces inside the abdomen, in natural amounts, with a horizontal fluid level."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.phantom.anatomy.gas import FACES, GasCluster, GasRecord, StomachBubble, build_gas, draw_gas
from aasce.phantom.anatomy.trunk import Trunk
from aasce.phantom.spine.pose import LEVELS
from aasce.phantom.spine.statistics import average_pose
from tests.unit.phantom.surfaces import assert_closed, volume

BUBBLE = StomachBubble(x=-50, y=20, z=212, width=60, height=40, depth=44, level=0.2, lumps=0.03, seed=1)


def test_draws_are_closed_within_budget_and_belly() -> None:
    pose = average_pose()
    trunk = Trunk(pose, pose.centre.numpy())
    for seed in range(20):
        meshes = build_gas(draw_gas(np.random.default_rng(seed)), pose)
        assert sum(len(mesh.faces) for mesh in meshes) <= FACES
        for mesh in meshes:
            assert_closed(mesh)
            assert (mesh.material, mesh.inside) == ("air", "soft")
            x, y, z = mesh.vertices.numpy().T
            wide, ahead, behind = trunk.reach(z).T
            middle = trunk.middle(z)
            deep = np.where(y > middle[:, 1], ahead, behind)
            assert (np.abs(x - middle[:, 0]) < wide).all(), (seed, mesh.name)
            assert (((x - middle[:, 0]) / wide) ** 2 + ((y - middle[:, 1]) / deep) ** 2 < 1).all(), (
                seed,
                mesh.name,
            )
            assert z.max() < float(pose.centre[LEVELS.index("T9"), 2])


def test_gut_holds_the_published_volume_in_the_middle_of_draws() -> None:
    pose = average_pose()
    totals = [
        sum(volume(mesh) for mesh in build_gas(draw_gas(np.random.default_rng(seed)), pose)) / 1000
        for seed in range(60)
    ]
    assert 60 < np.median(totals) < 180  # ml; 95 (71 to 141) lying, with less in the stomach


def test_bubble_over_fluid_is_level_below() -> None:
    mesh = build_gas(GasRecord(stomach=BUBBLE), average_pose())[0]
    z = mesh.vertices[:, 2].numpy()
    bottom = np.isclose(z, z.min(), atol=1e-6)
    assert bottom.sum() > 30  # a flat floor
    assert z.max() - z.min() == pytest.approx(20 + 0.2 * 20, abs=2)


def test_bubble_stays_below_the_diaphragm() -> None:
    dome = np.array([-60.0, 20.0, 200.0])
    mesh = build_gas(GasRecord(stomach=BUBBLE), average_pose(), dome)[0]
    assert float(mesh.vertices[:, 2].max()) < 200 - 3


def test_haustra_narrow_between_the_pouches() -> None:
    cluster = GasCluster(
        segment="descending", start=0.1, stop=0.8, look="haustra", count=4, radius=12, lumps=0.0, seed=3
    )
    mesh = build_gas(GasRecord(clusters=(cluster,)), average_pose())[0]
    rings = mesh.vertices[:-2].reshape(-1, 10, 3)
    width = (rings - rings.mean(1, keepdim=True)).norm(dim=-1).mean(1)
    necks, pouches = width[[6, 12, 18]], width[[3, 9, 15, 21]]
    assert float(necks.max()) < 0.7 * float(pouches.min())


def test_same_record_same_gas() -> None:
    record = draw_gas(np.random.default_rng(4))
    first, second = (build_gas(record, average_pose()) for _ in range(2))
    assert all(torch.equal(a.vertices, b.vertices) for a, b in zip(first, second, strict=True))
