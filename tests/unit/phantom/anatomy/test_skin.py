"""The body's outline: closed, around everything it covers, and of the drawn breadths."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.phantom.anatomy.girdle import GirdleRecord
from aasce.phantom.anatomy.hull import DIRECTIONS, cloud_support, directions
from aasce.phantom.anatomy.skin import SkinRecord, build_skin, draw_skin, place_skin
from aasce.phantom.anatomy.thorax import ThoraxRecord, build_thorax, draw_thorax, place_thorax
from aasce.phantom.spine.pose import LEVELS
from aasce.xray.mesh import Mesh
from tests.unit.phantom.bodies import array, by_name, inside, scoliotic, slice_width, upright
from tests.unit.phantom.surfaces import assert_closed, volume


def dressed(record: SkinRecord, bent: bool = False, thorax: ThoraxRecord | None = None) -> dict[str, Mesh]:
    pose, points = scoliotic() if bent else upright()
    chest = thorax or ThoraxRecord()
    placed = place_thorax(chest, pose, points)
    bones = build_thorax(chest, pose, points, placed)
    return by_name(bones + build_skin(record, placed.cage, placed.girdle, pose, points, bones))


@pytest.mark.parametrize("bent", [False, True])
def test_twenty_drawn_bodies_are_closed_and_within_budget(bent: bool) -> None:
    pose, points = scoliotic() if bent else upright()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        thorax = draw_thorax(rng)
        placed = place_thorax(thorax, pose, points)
        record = draw_skin(rng, age=float(rng.uniform(9, 80)), female=bool(seed % 2))
        meshes = build_skin(record, placed.cage, placed.girdle, pose, points)
        for mesh in meshes:
            assert_closed(mesh)
        found = by_name(meshes)
        assert len(found["skin"].faces) + len(found["muscle"].faces) <= 7000
        assert volume(found["muscle"]) < volume(found["skin"])


@pytest.mark.parametrize("bent", [False, True])
def test_lungs_and_bones_lie_in_the_muscle_and_the_muscle_in_the_skin(bent: bool) -> None:
    found = dressed(SkinRecord(fat=0.6), bent)
    muscle, skin = found["muscle"], found["skin"]
    for side in ("right", "left"):
        lung = array(found[f"lung {side}"])
        assert inside(muscle, lung[::11]).all()
        assert inside(skin, lung[::11]).all()
    for name, mesh in found.items():
        if mesh.material == "cortex":
            points = array(mesh)[::9]
            assert inside(skin, points).all(), name
            # An edge may graze the muscle's surface, as a spine of the scapula does under thin skin.
            assert inside(muscle, points).mean() > 0.85, name
    ring = array(muscle)[:-2]
    trunk = ring[ring[:, 2] < 250]
    inner = trunk[trunk[:, 2] > trunk[:, 2].min() + 1]
    assert inside(skin, inner[::13]).all()


def test_breadths_of_the_average_body() -> None:
    found = dressed(SkinRecord())
    # Breadths of Gordon et al. 2014, men's and women's means; hips 350, waist 290 with clothes' ease, chest 290.
    assert slice_width(found["skin"], -140, 20) == pytest.approx(355, abs=20)
    assert slice_width(found["skin"], 95, 20) == pytest.approx(275, abs=25)
    assert slice_width(found["skin"], 230, 20) == pytest.approx(285, abs=25)
    assert slice_width(found["skin"], 510, 16) == pytest.approx(118, abs=12)
    assert slice_width(found["skin"], 640, 14) == pytest.approx(153, abs=12)


@pytest.mark.parametrize(
    ("change", "height", "least"),
    [
        ({"fat": 2.5}, 95.0, 30.0),
        ({"hips": 1.1}, -140.0, 20.0),
        ({"waist": 1.1}, 95.0, 15.0),
        ({"muscle": 1.5}, 240.0, 4.0),
    ],
)
def test_numbers_widen_what_they_name(change: dict[str, float], height: float, least: float) -> None:
    plain, other = dressed(SkinRecord()), dressed(SkinRecord(**change))
    assert slice_width(other["skin"], height, 20) - slice_width(plain["skin"], height, 20) > least


def test_breasts_stand_out_in_front_with_glands_inside() -> None:
    plain, female = dressed(SkinRecord()), dressed(SkinRecord(breast=35, gland=0.5))
    # About the end of the fifth rib, 76 mm beside the middle.
    front = []
    for body in (plain, female):
        v = array(body["skin"])
        near = v[(np.abs(v[:, 2] - 258) < 30) & (np.abs(np.abs(v[:, 0]) - 76) < 22)]
        front.append(near[:, 1].max())
    assert 15 < front[1] - front[0] < 40
    assert "breast right/gland" not in plain
    gland = array(female["breast right/gland"])
    assert inside(female["skin"], gland).all()
    assert female["breast right/gland"].inside == "fat"


def test_symmetric_record_gives_a_symmetric_skin() -> None:
    skin = array(dressed(SkinRecord(breast=20))["skin"])
    assert np.allclose(np.sort(skin, 0), np.sort(skin * [-1, 1, 1], 0), atol=1e-6)


def test_the_hump_of_a_rotated_chest_shows_on_the_back() -> None:
    straight_back, bent = dressed(SkinRecord())["skin"], dressed(SkinRecord(), bent=True)["skin"]

    pose, _ = scoliotic()
    middle = float(pose.centre[LEVELS.index("T11"), 0])

    def depth(body: Mesh, aside: float) -> float:
        v = array(body)
        near = v[(np.abs(v[:, 2] - 225) < 25) & (np.abs(v[:, 0] - aside) < 30)]
        return float(near[:, 1].min())

    assert depth(straight_back, 75) == pytest.approx(depth(straight_back, -75), abs=1e-6)
    # Below the scapulae, 75 mm beside the spine. Bodies turn counter-clockwise from above: the left ribs go back.
    assert depth(bent, middle - 75) < depth(bent, middle + 75) - 10


def test_arms_meet_the_trunk_in_one_plane_and_clear_it_below() -> None:
    found = dressed(SkinRecord())
    skin = array(found["skin"])
    for name, sign in (("right", 1), ("left", -1)):
        arm = array(found[f"arm {name}"])
        top = arm[:, 2].max()
        assert np.abs(skin[:, 2] - top).min() < 0.05
        for drop in (60, 120, 180):
            level = arm[np.abs(arm[:, 2] - top + drop) < 12]
            chest = skin[np.abs(skin[:, 2] - top + drop) < 20]
            assert (sign * level[:, 0]).min() > (sign * chest[:, 0]).max() - 6, drop


@pytest.mark.parametrize("arms", ["folded", "forward"])
def test_other_arms_reach_in_front_of_the_chest(arms: str) -> None:
    record = ThoraxRecord(girdle=GirdleRecord(arms=arms))  # type: ignore[arg-type]
    found = dressed(SkinRecord(), thorax=record)
    assert array(found["arm left"])[:, 1].max() > array(found["lung left"])[:, 1].max()
    assert "arm left" not in dressed(SkinRecord(with_arms=False), thorax=record)


def test_thighs_part_below_the_crotch() -> None:
    pose, points = upright()
    placed = place_thorax(ThoraxRecord(), pose, points)
    rings = place_skin(SkinRecord(), placed.cage, placed.girdle, pose, points).skin
    low = rings[1]
    quarter = low.shape[0] // 4
    assert np.ptp(low[[quarter, 3 * quarter], 1]) < 3, "two thighs joined by a web"
    assert np.ptp(low[:, 1]) > 130


def test_the_same_record_gives_the_same_skin() -> None:
    record = draw_skin(np.random.default_rng(2), 15.0, True)
    assert SkinRecord.model_validate_json(record.model_dump_json()) == record
    one, other = dressed(record), dressed(record)
    assert all(torch.equal(one[name].vertices, other[name].vertices) for name in one)


def test_support_of_balls() -> None:
    points = np.array([[10.0, 0, 0], [-20, 5, 0], [0, 0, 60]])
    heights = np.array([-12.0, 0, 12, 24, 36, 48, 60])
    hull = cloud_support(points, np.array([3.0, 1, 7]), heights, 1.0)
    assert hull.shape == (7, DIRECTIONS)
    assert directions()[:, 0].tolist() == [1, 0]
    # Towards +x the first ball reaches 10 + 3, towards -x the second one 20 + 1.
    assert hull[1, 0] == pytest.approx(13)
    assert hull[1, DIRECTIONS // 2] == pytest.approx(21)
    assert hull[-1] == pytest.approx(np.full(DIRECTIONS, 7.0))
