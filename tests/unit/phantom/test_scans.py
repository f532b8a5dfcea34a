"""CT scans of a phantom: labels at the vertebrae, and the same radiograph as from its meshes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.phantom.person import Person, build_person, draw_person
from aasce.phantom.scans import (
    VERSE,
    PhantomScan,
    ScanSettings,
    draw_scan_settings,
    nesting,
    phantom_scan,
    take_scan,
)
from aasce.phantom.spine.pose import LEVELS
from aasce.types import AasceError
from aasce.xray.camera import ConeBeam
from aasce.xray.drr import drr
from aasce.xray.mesh import Mesh
from aasce.xray.raster import material_maps
from aasce.xray.transmission import transmission, tungsten_spectrum
from aasce.xray.voxels import voxelise


@pytest.fixture(scope="module")
def person() -> Person:
    return draw_person(11, cobb=35.0, curve="thoracolumbar")


@pytest.fixture(scope="module")
def scan(person: Person) -> PhantomScan:
    return phantom_scan(person, seed=1, spacing=3.0)


def test_labels_are_those_of_verse(scan: PhantomScan) -> None:
    assert scan.labels.kind == "label"
    assert set(np.unique(scan.labels.data)) == {0, *(VERSE[level] for level in LEVELS)}
    assert (VERSE["C1"], VERSE["T1"], VERSE["L1"], VERSE["L5"]) == (1, 8, 20, 24)


def test_bone_is_denser_than_flesh_and_lung_lighter(scan: PhantomScan) -> None:
    values = scan.ct.data
    assert 150 < values[scan.labels.data == VERSE["L3"]].mean() < 1200
    assert (values < -600).mean() > 0.05
    assert -200 < np.median(values[(values > -300) & (scan.labels.data == 0)]) < 120


def test_centroids_are_the_middles_of_the_bodies(person: Person, scan: PhantomScan) -> None:
    direction, *places = scan.centroids
    assert direction == {"direction": ["R", "A", "S"]}
    assert [place["label"] for place in places] == list(range(1, 25))
    index = np.array([[place[axis] for axis in "XYZ"] for place in places])
    world = scan.ct.to_world(index)
    assert np.abs(world - person.pose().centre.numpy()[:-1]).max() < 0.05


def test_noise_differs_with_the_seed_and_labels_do_not(person: Person, scan: PhantomScan) -> None:
    other = phantom_scan(person, seed=2, spacing=3.0)
    assert np.array_equal(other.labels.data, scan.labels.data)
    assert 5 < (other.ct.data - scan.ct.data).std() < 60


def test_a_scan_cut_between_two_levels_shows_them_and_drops_the_others(person: Person) -> None:
    settings = ScanSettings(
        spacing=(2.0, 2.0, 4.0),
        thickness=5.0,
        kernel=0.4,
        first="T11",
        last="L2",
        width=80,
        orientation="PIR",
    )
    scan = take_scan(person, settings, seed=1)
    assert scan.ct.axcodes == scan.labels.axcodes == ("P", "I", "R")
    assert np.allclose(scan.ct.spacing, (2.0, 4.0, 2.0))
    direction, *places = scan.centroids
    assert direction == {"direction": ["P", "I", "R"]}
    labels = [place["label"] for place in places]
    assert {VERSE[level] for level in ("T11", "T12", "L1", "L2")} <= set(labels)
    assert not {VERSE["T8"], VERSE["L5"]} & {*labels, *np.unique(scan.labels.data).tolist()}
    for place in places:
        index = np.rint([place[axis] for axis in "XYZ"]).astype(int)
        assert scan.labels.data[tuple(index)] == place["label"]


def test_drawn_scans_differ_and_are_the_same_for_a_seed() -> None:
    drawn = [draw_scan_settings(np.random.default_rng(seed), cut=True) for seed in range(20)]
    assert drawn[3] == draw_scan_settings(np.random.default_rng(3), cut=True)
    assert all(LEVELS.index(s.last) - LEVELS.index(s.first) >= 3 for s in drawn)
    assert {draw_scan_settings(np.random.default_rng(s)).first for s in range(5)} == {"C1"}
    assert len({s.orientation for s in drawn}) > 1


def test_levels_in_the_wrong_order_are_refused(person: Person) -> None:
    with pytest.raises(AasceError, match="name the upper level first"):
        take_scan(person, ScanSettings(first="L2", last="T4"))
    with pytest.raises(AasceError, match="'T15' is unknown"):
        take_scan(person, ScanSettings(first="T15"))


def test_the_scan_throws_the_shadow_of_its_meshes(person: Person) -> None:
    """The voxelised trunk through the library's DRR against the mesh renderer: the same beam, the same camera."""
    box = np.array([[-70.0, -75.0, 40.0], [70.0, 75.0, 190.0]])
    meshes = sorted(build_person(person).meshes, key=nesting)
    inner = [
        mesh
        for mesh in meshes
        if mesh.inside != "air" and mesh.name.split("/")[0] in ("T12", "L1", "L2", "L3")
    ]
    corners = torch.tensor(
        [[x, y, z] for x in (-65.0, 65.0) for y in (-70.0, 70.0) for z in (45.0, 185.0)], dtype=torch.float32
    )
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = torch.tensor([tri for a, b, c, d in quads for tri in ((a, b, c), (a, c, d))])
    scene = [Mesh("block", "soft", "air", corners, faces), *inner]
    volume = voxelise(scene, 0.8, box)
    camera = ConeBeam((96, 80), (-50.0, 50.0, 60.0, 170.0), "AP", 1500.0, 200.0)
    spectrum = tungsten_spectrum(85, 3.0)
    seen = -torch.log(transmission(material_maps(scene, camera), spectrum)).numpy()
    through = drr(volume, camera, spectrum).numpy()
    assert np.corrcoef(seen.ravel(), through.ravel())[0, 1] > 0.99
    assert np.abs(seen - through).mean() / seen.mean() < 0.02
