"""Structure maps: what voxels belong to, two grids that agree, bone's layers, shapes painted into the body."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aasce.phantom.person import build_person, draw_person
from aasce.phantom.scan_bone import cover, pad_with_fat, put_metal, roughen
from aasce.phantom.scan_filling import Shape, among, paint
from aasce.phantom.scan_map import LabelGrid, StructureMap, structure_map
from aasce.phantom.scan_streaks import streaks
from aasce.phantom.scan_structures import NUMBER, STRUCTURES, VERSE_OF, disc_meshes, structure_of
from aasce.phantom.spine.pose import LEVELS
from aasce.readers.vertebrae import VERSE
from aasce.types import AasceError
from aasce.volume import Volume
from aasce.xray.repair import check_mesh

PERSON = draw_person(11, cobb=35.0, curve="thoracolumbar")


@pytest.fixture(scope="module")
def structures() -> StructureMap:
    return structure_map(PERSON, "eleven", arms=False, fine_mm=2.0)


def cube(size: int = 13, bone: int = 9) -> Volume:
    """Muscle with a cube of a lumbar body's marrow in its middle, 1 mm per voxel."""
    data = np.full((size, size, size), NUMBER["muscle"], np.uint8)
    edge = (size - bone) // 2
    data[edge:-edge, edge:-edge, edge:-edge] = NUMBER["L3 body marrow"]
    return Volume(data, np.eye(4), "label")


def test_every_mesh_belongs_to_a_structure_and_discs_are_closed() -> None:
    phantom = build_person(PERSON)
    assert {structure_of(mesh) for mesh in phantom.meshes} <= set(NUMBER)
    discs = disc_meshes(phantom)
    assert [mesh.name for mesh in discs] == [f"{level} disc" for level in LEVELS[1:-1]]
    for mesh in discs:
        check_mesh(mesh)


def test_the_middle_of_each_body_carries_its_label_in_both_maps(structures: StructureMap) -> None:
    for grid in (structures.fine, structures.coarse):
        numbers = grid.full()
        for level in LEVELS[2:]:
            index = np.rint((structures.centroids[VERSE[level]] - grid.origin) / grid.spacing).astype(int)
            assert VERSE_OF[numbers[tuple(index)]] == VERSE[level]


def test_arches_lie_behind_bodies_and_discs_between_them(structures: StructureMap) -> None:
    numbers = structures.fine.full()
    pose = PERSON.pose()

    def middle(name: str) -> np.ndarray:
        kinds = [n for n, s in enumerate(STRUCTURES) if s.name.startswith(name)]
        found = np.argwhere(np.isin(numbers, kinds)).mean(0)
        return np.asarray(structures.fine.origin + found * structures.fine.spacing)

    for level, below in (("C5", "C6"), ("T8", "T9"), ("L3", "L4")):
        place = LEVELS.index(level)
        own = pose.rotation[place].numpy().T
        body, arch = (
            own @ (middle(f"{level} {part}") - pose.centre[place].numpy()) for part in ("body", "arch")
        )
        assert arch[1] < body[1] - 8
        assert abs(body[1]) < 5
        between = (structures.centroids[VERSE[level]] + structures.centroids[VERSE[below]]) / 2
        assert np.linalg.norm(middle(f"{level} disc") - between) < 6


def test_the_body_is_filled_with_what_scans_show(structures: StructureMap) -> None:
    found = {STRUCTURES[n].kind for n in np.unique(structures.fine.full())}
    assert {
        "canal",
        "deep fat",
        "visceral fat",
        "aorta",
        "vena cava",
        "psoas",
        "bowel wall",
        "disc",
        "margin",
    } <= found


def test_the_two_maps_meet_without_a_seam(structures: StructureMap) -> None:
    """Whatever box is read, its voxels are those of the fine map inside it and of the coarse one beyond."""
    fine, coarse = structures.fine, structures.coarse
    edge = fine.bounds[1]
    box = edge + np.array([[-40.0, -40.0, -60.0], [30.0, 20.0, -20.0]])
    block = structures.block(box, 2.0)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in block.shape), indexing="ij"), -1)
    world = block.to_world(index)
    inside = (world < edge).all(-1)
    for grid, where in ((fine, inside), (coarse, ~inside)):
        place = np.rint((world[where] - grid.origin) / grid.spacing).astype(int)
        known = ((place >= 0) & (place < grid.shape)).all(-1)
        expected = np.where(known, grid.full()[tuple(np.clip(place, 0, np.array(grid.shape) - 1).T)], 0)
        assert np.array_equal(block.data[where], expected)
    assert inside.any()
    assert not inside.all()
    # Both maps are painted from the same shapes, so most voxels agree.
    start = np.rint((fine.bounds[0] - coarse.bounds[0]) / coarse.spacing).astype(int) + 2
    seen = coarse.block(start, start + 25)
    first = np.rint((coarse.origin + start * coarse.spacing - fine.origin) / fine.spacing).astype(int)
    same = fine.block(first, first + 75)[::3, ::3, ::3] == seen
    assert len(np.unique(seen)) > 5
    assert same.mean() > 0.9


def test_a_map_is_read_back_as_it_was_written(structures: StructureMap, tmp_path: Path) -> None:
    structures.save(tmp_path / "map.npz")
    again = StructureMap.load(tmp_path / "map.npz")
    assert again.scan_id == "eleven"
    assert again.age == PERSON.age
    assert np.array_equal(again.fine.full(), structures.fine.full())
    assert np.array_equal(again.coarse.bounds, structures.coarse.bounds)
    assert {k: v.tolist() for k, v in again.centroids.items()} == {
        k: v.tolist() for k, v in structures.centroids.items()
    }


def test_a_file_with_another_table_is_refused(structures: StructureMap, tmp_path: Path) -> None:
    structures.save(tmp_path / "map.npz")
    with np.load(tmp_path / "map.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "other.npz", **(arrays | {"names": arrays["names"][::-1]}))
    with pytest.raises(AasceError, match=r"other\.npz: was packed by another version"):
        StructureMap.load(tmp_path / "other.npz")


def test_any_block_of_a_packed_grid_is_the_same_part_of_the_array() -> None:
    data = np.random.default_rng(0).integers(0, 200, (7, 5, 41)).astype(np.uint8)
    grid = LabelGrid.pack(data, np.array([1.0, 2.0, 3.0]), 2.0)
    assert np.array_equal(grid.bounds, [[0.0, 1.0, 2.0], [14.0, 11.0, 84.0]])
    padded = np.pad(data, 3)
    for low, high in (((0, 0, 0), (7, 5, 41)), ((2, 1, 15), (4, 3, 17)), ((-3, -2, -3), (9, 8, 44))):
        assert np.array_equal(
            grid.block(np.array(low), np.array(high)),
            padded[tuple(slice(a + 3, b + 3) for a, b in zip(low, high, strict=True))],
        )
    assert not grid.block(np.array([0, 0, 50]), np.array([7, 5, 60])).any()


def test_bone_is_covered_by_cortex_and_lined_by_the_margin() -> None:
    volume = cube()
    cover(volume)
    names = [STRUCTURES[n].name for n in volume.data[:, 6, 6]]
    assert names[:7] == [*["muscle"] * 2, "L3 body cortex", *["L3 body margin"] * 2, *["L3 body marrow"] * 2]
    counts = {name: int((volume.data == NUMBER[f"L3 body {name}"]).sum()) for name in ("cortex", "marrow")}
    assert counts["cortex"] == 9**3 - 7**3
    # The margin follows two steps along the axes, so that only the cube of 3 keeps marrow.
    assert counts["marrow"] == 3**3


def test_rough_bone_grows_by_at_most_a_voxel_and_only_into_what_it_may() -> None:
    grown = set()
    for seed in range(12):
        volume = cube()
        volume.data[6, 6, 11] = NUMBER["canal"]
        before = volume.data.copy()
        roughen(volume, np.random.default_rng(seed), among("muscle"))
        changed = volume.data != before
        assert not changed[3:-3, 3:-3, 3:-3].any()
        assert not changed[0].any()
        assert volume.data[6, 6, 11] == NUMBER["canal"]
        assert set(volume.data[changed].tolist()) <= {NUMBER["L3 body cortex"]}
        grown.add(int(changed.sum()))
    assert len(grown) > 3
    assert max(grown) <= 6 * 9**2


def test_fat_lies_in_the_muscle_beside_bone_and_nowhere_else() -> None:
    shares = []
    for seed in range(8):
        volume = cube(41)
        volume.data[20, 20, 26] = NUMBER["canal"]
        before = volume.data.copy()
        pad_with_fat(volume, np.random.default_rng(seed))
        fat = volume.data == NUMBER["deep fat"]
        assert (before[fat] == NUMBER["muscle"]).all()
        assert np.array_equal(volume.data[~fat], before[~fat])
        assert np.abs(np.argwhere(fat) - 20).max(initial=0) <= 4 + 6
        shares.append(int(fat.sum()))
    assert len(set(shares)) > 4


def test_metal_in_a_vertebra_keeps_its_label() -> None:
    volume = cube()
    metal = np.zeros(volume.shape, bool)
    metal[6, 6, :] = True
    put_metal(volume, metal)
    assert STRUCTURES[volume.data[6, 6, 6]].name == "L3 metal"
    assert STRUCTURES[volume.data[6, 6, 0]].name == "metal"
    assert VERSE_OF[volume.data[6, 6, 6]] == VERSE["L3"]


def test_a_painted_ellipsoid_has_its_volume_place_and_limits() -> None:
    data = np.full((60, 60, 60), NUMBER["visceral fat"], np.uint8)
    data[:, :, 40:] = NUMBER["lung"]
    volume = Volume(data, np.diag([0.5, 0.5, 0.5, 1.0]), "label")
    centre, half = np.array([15.0, 14.0, 9.0]), np.array([9.0, 5.0, 7.0])
    turn = np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1]])
    paint(volume, Shape("liver", centre, half[:, None] * turn, among("visceral fat")))
    found = volume.to_world(np.argwhere(volume.data == NUMBER["liver"]))
    assert len(found) * 0.125 == pytest.approx(4 / 3 * np.pi * half.prod(), rel=0.01)
    assert np.abs(found.mean(0) - centre).max() < 0.05
    own = (found - centre) @ turn.T
    assert np.abs(np.abs(own).max(0) - half).max() < 0.51
    paint(volume, Shape("bowel gas", centre, np.diag([4.0, 4.0, 40.0]), among("liver"), above=14.0))
    gas = volume.to_world(np.argwhere(volume.data == NUMBER["bowel gas"]))
    assert gas[:, 1].min() > 14.0
    assert (volume.data[:, :, 40:] == NUMBER["lung"]).all()


def test_streaks_lie_in_the_slices_of_the_metal_and_fade_with_the_distance() -> None:
    metal = np.zeros((41, 41, 5), bool)
    metal[20, 20, 2] = True
    thrown = streaks(metal, np.ones(3), 2, np.random.default_rng(4))
    assert not thrown[:, :, [0, 1, 3, 4]].any()
    slice_ = thrown[:, :, 2]
    assert np.allclose(slice_, slice_[::-1, ::-1], atol=1e-3 * np.abs(slice_).max())
    x, y = np.meshgrid(*[np.arange(41) - 20.0] * 2, indexing="ij")
    distance = np.hypot(x, y)
    near, far = (np.abs(slice_[(distance > a) & (distance < a + 4)]).mean() for a in (4, 16))
    assert near / far == pytest.approx((18 + 4) / (6 + 4), rel=0.25)
