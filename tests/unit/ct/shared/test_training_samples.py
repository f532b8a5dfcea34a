"""Training samples: phantoms with fresh grey values, fields of view, and a patient's own labelled scan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aasce.ct.base import Grid
from aasce.ct.shared.randomize import AIR_HU, RandomizeSettings, draw_greys
from aasce.ct.shared.samples import (
    LabelledScan,
    PhantomTrainingScan,
    pack_phantoms,
    read_scan_set,
)
from aasce.ct.shared.view import FieldOfView
from aasce.phantom.person import draw_person
from aasce.phantom.scan_map import StructureMap, structure_map
from aasce.phantom.scan_structures import STRUCTURES
from aasce.readers.vertebrae import VERSE
from aasce.types import AasceError, Array
from aasce.volume import Volume


@pytest.fixture(scope="module")
def structures() -> StructureMap:
    return structure_map(draw_person(5, "adults"), "five", arms=False, fine_mm=2.5)


@pytest.fixture(scope="module")
def scan(structures: StructureMap) -> PhantomTrainingScan:
    return PhantomTrainingScan(structures, RandomizeSettings(wide=0.0, thickness_mm=(0.5, 1.0), noise_hu=4.0))


def grid_about(centre: Array, spacing: float, *shape: int) -> Grid:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = np.asarray(centre) - (np.array(shape) - 1) / 2 * spacing
    x, y, z = shape
    return Grid((x, y, z), affine)


def test_the_same_generator_gives_the_same_sample_and_another_one_another(scan: PhantomTrainingScan) -> None:
    grid = grid_about(scan.centroids[VERSE["L2"]], 3.0, 24, 24, 24)
    first, second, third = (scan.sample(grid, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first[0], second[0])
    assert not np.array_equal(first[0], third[0])
    assert np.array_equal(first[1], third[1])
    assert first[0].dtype == np.float32
    assert first[1].dtype == np.uint8


def test_the_voxel_in_the_middle_of_a_body_carries_its_label(scan: PhantomTrainingScan) -> None:
    for level in ("C3", "T1", "T12", "L5", "S1"):
        _, labels = scan.sample(
            grid_about(scan.centroids[VERSE[level]], 2.0, 5, 5, 5), np.random.default_rng(0)
        )
        assert labels[2, 2, 2] == VERSE[level]


def test_a_shift_reads_the_body_elsewhere(scan: PhantomTrainingScan) -> None:
    grid = grid_about(scan.centroids[VERSE["L1"]], 2.0, 24, 24, 24)
    moved = grid_about(scan.centroids[VERSE["L1"]] + np.array([6.0, -4.0, 10.0]), 2.0, 24, 24, 24)
    shift = np.broadcast_to(np.array([6.0, -4.0, 10.0], np.float32), (24, 24, 24, 3))
    _, labels = scan.sample(grid, np.random.default_rng(0), shift)
    assert np.array_equal(labels, scan.sample(moved, np.random.default_rng(0))[1])


def test_a_coarse_voxel_is_the_mean_of_voxels_of_half_the_size(scan: PhantomTrainingScan) -> None:
    centre = scan.centroids[VERSE["L1"]]
    coarse, labels = scan.sample(grid_about(centre, 3.0, 12, 10, 8), np.random.default_rng(4))
    fine, own = scan.sample(grid_about(centre, 1.5, 24, 20, 16), np.random.default_rng(4))
    means = fine.reshape(12, 2, 10, 2, 8, 2).mean(axis=(1, 3, 5))
    assert np.abs(coarse - means).max() < 0.01
    assert np.array_equal(labels, own[1::2, 1::2, 1::2])
    assert coarse.std() < fine.std()


def test_a_field_of_view_drops_the_vertebrae_outside_and_blanks_the_rest(scan: PhantomTrainingScan) -> None:
    whole = scan.bounds
    top, bottom = (scan.centroids[VERSE[level]][2] for level in ("T10", "L2"))
    box = np.stack([[*whole[0, :2], bottom - 1.0], [*whole[1, :2], top + 1.0]])
    cut = replace(scan, field_of_view=FieldOfView.of(box))
    assert sorted(cut.centroids) == [VERSE[level] for level in ("T10", "T11", "T12", "L1", "L2")]
    grid = grid_about(scan.centroids[VERSE["L2"]], 2.0, 32, 32, 40)
    value, labels = cut.sample(grid, np.random.default_rng(0))
    height = grid.affine[2, 3] + 2.0 * np.arange(40)
    assert (value[:, :, height < bottom - 1.6] == AIR_HU).all()
    assert not labels[:, :, height < bottom - 1.6].any()
    assert (labels[:, :, height > bottom] == VERSE["L2"]).any()


def test_a_sample_beside_the_body_is_air(scan: PhantomTrainingScan) -> None:
    value, labels = scan.sample(grid_about(np.array([5000.0, 0, 0]), 8.0, 6, 6, 6), np.random.default_rng(0))
    assert (value == AIR_HU).all()
    assert not labels.any()


def test_grey_values_keep_the_order_of_tissues() -> None:
    settings = RandomizeSettings(wide=0.0, osteoporotic=0.0)
    kinds = np.array([structure.kind for structure in STRUCTURES])
    for seed in range(20):
        value = draw_greys(np.random.default_rng(seed), 40.0, settings).value
        mean = {
            kind: value[kinds == kind].mean() for kind in ("lung", "deep fat", "muscle", "marrow", "cortex")
        }
        assert list(mean.values()) == sorted(mean.values())


def test_marrow_of_the_old_is_as_dark_as_muscle_within_a_bright_cortex() -> None:
    kinds = np.array([structure.kind for structure in STRUCTURES])
    found = []
    for seed in range(20):
        value = draw_greys(
            np.random.default_rng(seed), 40.0, RandomizeSettings(wide=0.0, osteoporotic=1.0)
        ).value
        bodies = np.array([structure.part == "body" for structure in STRUCTURES])
        marrow, cortex = (value[(kinds == kind) & bodies].mean() for kind in ("marrow", "cortex"))
        assert cortex > marrow + 50
        found.append(marrow - value[kinds == "muscle"].mean())
    assert min(found) < -20
    assert max(found) < 110


def test_packed_phantoms_are_read_back_with_further_fields_of_view(tmp_path: Path) -> None:
    (path,) = pack_phantoms(tmp_path / "set", 1, seed=3, fine_mm=4.0)
    before = path.stat().st_mtime_ns
    pack_phantoms(tmp_path / "set", 1, seed=3, fine_mm=4.0)
    assert path.stat().st_mtime_ns == before
    assert path.stat().st_size < 3_000_000
    scans = read_scan_set(tmp_path / "set", views=3)
    assert [scan.scan_id for scan in scans] == ["phantom_00003", "phantom_00003_view1", "phantom_00003_view2"]
    assert len(scans[0].centroids) == 25
    again = read_scan_set(tmp_path / "set", views=3)
    assert np.array_equal(scans[2].bounds, again[2].bounds)
    with pytest.raises(AasceError, match="no packed phantoms"):
        read_scan_set(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "phantom_00000.npz").write_bytes(b"nothing")
    with pytest.raises(AasceError, match=r"phantom_00000\.npz: is no packed phantom"):
        read_scan_set(tmp_path)


def oblique() -> Array:
    """An affine with axes turned out of the world's by 20 and 30 degrees, of 1, 1.5 and 2 mm."""
    a, b = np.radians([20.0, 30.0])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x * np.array([1.0, 1.5, 2.0])
    affine[:3, 3] = [12.0, -30.0, 7.0]
    return affine


def test_a_labelled_scan_on_an_oblique_grid_keeps_world_positions() -> None:
    shape, affine = (40, 30, 24), oblique()
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    middle = affine[:3, :3] @ np.array([19.5, 14.5, 11.5]) + affine[:3, 3]
    ct = Volume((world @ np.array([2.0, -1.0, 3.0])).astype(np.float32), affine, "ct")
    ball = np.linalg.norm(world - middle, axis=-1) < 9
    labels = Volume((ball * VERSE["L3"]).astype(np.uint8), affine, "label")
    scan = LabelledScan.of("patient", ct, labels)
    assert np.abs(scan.centroids[VERSE["L3"]] - middle).max() < 1e-6
    grid = grid_about(middle, 1.0, 9, 9, 9)
    value, found = scan.sample(grid, np.random.default_rng(0))
    offsets = np.stack(np.meshgrid(*[np.arange(9) - 4.0] * 3, indexing="ij"), -1)
    assert np.abs(value - (middle + offsets) @ np.array([2.0, -1.0, 3.0])).max() < 0.01
    assert (found[np.linalg.norm(offsets, axis=-1) < 5] == VERSE["L3"]).all()
    far = scan.sample(grid_about(middle + 500, 1.0, 3, 3, 3), np.random.default_rng(0))
    assert (far[0] == AIR_HU).all()
    assert not far[1].any()


def test_a_label_map_without_vertebrae_or_with_other_numbers_is_refused() -> None:
    ct = Volume(np.zeros((4, 4, 4), np.float32), np.eye(4), "ct")
    for number, message in ((0, "holds no vertebra"), (77, r"labels \[77\] are no vertebrae")):
        labels = Volume(np.full((4, 4, 4), number, np.uint8), np.eye(4), "label")
        with pytest.raises(AasceError, match=message):
            LabelledScan.of("patient", ct, labels)
