"""Voxelised solids against their volumes and formulas, on grids that hit vertices and edges exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from numpy.typing import NDArray

from aasce.types import AasceError
from aasce.volume import Volume
from aasce.xray.mesh import Mesh
from aasce.xray.voxels import add_ct_noise, hounsfield, voxelise


def mesh(body: trimesh.Trimesh, material: str = "soft", inside: str = "air", name: str = "body") -> Mesh:
    vertices = torch.from_numpy(np.array(body.vertices))
    return Mesh(name, material, inside, vertices, torch.from_numpy(np.array(body.faces)).long())


def box(size: tuple[float, float, float], at: tuple[float, float, float] = (0, 0, 0)) -> trimesh.Trimesh:
    body = trimesh.creation.box(size)
    body.apply_translation(at)
    return body


def world(volume: Volume) -> NDArray[np.float64]:
    return volume.to_world(np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), -1))


BOUNDS = [[-20, -20, -20], [20, 20, 20]]


def test_box_on_voxel_faces_fills_its_voxels_exactly() -> None:
    labels = voxelise([mesh(box((10, 6, 14)))], 1.0, BOUNDS, lambda _: 7, kind="label")
    assert int((labels.data == 7).sum()) == 10 * 6 * 14
    filled = world(labels)[labels.data == 7]
    assert np.abs(filled).max(0).tolist() == [4.5, 2.5, 6.5]


def test_box_through_voxel_centres_neither_leaks_nor_doubles() -> None:
    """Faces, edges and diagonals of this box pass exactly through rows of voxel centres."""
    labels = voxelise([mesh(box((10, 6, 14), (0.5, 0.5, 0.5)))], 1.0, BOUNDS, lambda _: 1, kind="label")
    assert int(labels.data.sum()) == 10 * 6 * 14


@pytest.mark.parametrize("seed", range(4))
def test_touching_boxes_share_every_voxel_once(seed: int) -> None:
    """Two boxes with a common face: no voxel is lost and none is in both, for any position of the face."""
    rng = np.random.default_rng(seed)
    cut = float(np.round(rng.uniform(-5, 5) * 4) / 4)
    left = box((10 + cut, 12, 12), ((cut - 10) / 2, 0.5, 0))
    right = box((10 - cut, 12, 12), ((cut + 10) / 2, 0.5, 0))
    one = voxelise([mesh(left)], 0.5, BOUNDS, lambda _: 1, kind="label").data.astype(int)
    two = voxelise([mesh(right)], 0.5, BOUNDS, lambda _: 1, kind="label").data.astype(int)
    whole = voxelise([mesh(box((20, 12, 12), (0, 0.5, 0)))], 0.5, BOUNDS, lambda _: 1, kind="label").data
    assert np.array_equal(one + two, whole)


def test_turned_mesh_agrees_with_a_point_in_mesh_test() -> None:
    body = trimesh.creation.torus(12, 4, major_sections=24, minor_sections=12)
    body.apply_transform(trimesh.transformations.rotation_matrix(0.7, (1, 2, 3)))
    labels = voxelise([mesh(body)], 1.0, BOUNDS, lambda _: 1, kind="label")
    points = world(labels)[::3, ::3, ::3].reshape(-1, 3)
    inside = trimesh.ray.ray_triangle.RayMeshIntersector(body).contains_points(points)
    assert np.array_equal(labels.data[::3, ::3, ::3].ravel().astype(bool), inside)


def test_sphere_fills_its_volume() -> None:
    sphere = trimesh.creation.icosphere(4, radius=15)
    sampled = voxelise([mesh(sphere)], 1.0, BOUNDS, {"soft": 1.0}, background=0.0, supersample=2)
    assert float(sampled.data.sum()) == pytest.approx(sphere.volume, rel=0.002)
    assert 0 < np.mean((sampled.data > 0) & (sampled.data < 1)) < 0.1  # partial volumes at the surface only


def test_later_meshes_displace_earlier_ones() -> None:
    outer, inner = mesh(box((16, 16, 16))), mesh(box((8, 8, 8)), "cortex", "soft", "bone")
    hu = voxelise([outer, inner], 1.0, BOUNDS)
    assert sorted(set(hu.data.ravel().tolist())) == pytest.approx(
        [-1000, hounsfield("soft"), hounsfield("cortex")]
    )
    assert int((hu.data == np.float32(hounsfield("cortex"))).sum()) == 512
    covered = voxelise([inner, outer], 1.0, BOUNDS)
    assert int((covered.data == np.float32(hounsfield("cortex"))).sum()) == 0


def test_meshes_without_a_label_displace_nothing() -> None:
    chosen = {"bone": 20}
    meshes = [mesh(box((8, 8, 8)), "cortex", "soft", "bone"), mesh(box((16, 16, 16)))]
    labels = voxelise(meshes, 1.0, BOUNDS, lambda m: chosen.get(m.name), kind="label")
    assert int((labels.data == 20).sum()) == 512
    assert labels.data.dtype == np.uint8


def test_mesh_beyond_the_grid_is_cut() -> None:
    labels = voxelise([mesh(box((100, 100, 100)))], 2.0, BOUNDS, lambda _: 1, kind="label")
    assert labels.data.all()
    above = voxelise([mesh(box((10, 10, 10), (0, 0, 60)))], 2.0, BOUNDS, lambda _: 1, kind="label")
    assert not above.data.any()


def test_overlap_within_one_mesh_stays_filled() -> None:
    """Deformed templates may intersect themselves; winding numbers, unlike parity, give no hole there."""
    double = trimesh.util.concatenate([box((10, 10, 10)), box((10, 10, 10), (5, 0, 0))])
    labels = voxelise([mesh(double)], 1.0, BOUNDS, lambda _: 1, kind="label")
    assert int(labels.data.sum()) == 15 * 10 * 10


def test_grid_is_placed_by_its_outer_faces() -> None:
    hu = voxelise([mesh(box((1, 1, 1)))], (1, 2, 4), [[0, 0, 0], [3, 4, 9]])
    assert hu.shape == (3, 2, 3)
    assert hu.to_world([0, 0, 0]).tolist() == [0.5, 1, 2]
    assert hu.kind == "ct"


def test_open_mesh_is_refused_by_name() -> None:
    body = mesh(box((10, 10, 10)), name="rib 4 left")
    opened = Mesh(body.name, body.material, body.inside, body.vertices, body.faces[2:])
    with pytest.raises(AasceError, match="rib 4 left"):
        voxelise([opened], 1.0, BOUNDS)


def test_wrong_grids_and_materials_are_refused() -> None:
    body = mesh(box((10, 10, 10)))
    with pytest.raises(AasceError, match="upper corner"):
        voxelise([body], 1.0, [[0, 0, 0], [5, 0, 5]])
    with pytest.raises(AasceError, match="larger spacing"):
        voxelise([body], 0.001, BOUNDS)
    with pytest.raises(AasceError, match="no value for 'soft'"):
        voxelise([body], 1.0, BOUNDS, {"fat": -80.0})
    with pytest.raises(AasceError, match="supersample=1"):
        voxelise([body], 1.0, BOUNDS, lambda _: 1, kind="label", supersample=2)


def test_hounsfield_units_are_those_of_a_ct() -> None:
    assert hounsfield("air") == pytest.approx(-1000)
    # Ranges of clinical CT: fat -120 to -60, muscle 35 to 70, inflated lung -850 to -700, cortex above 1000.
    for material, low, high in (
        ("fat", -120, -60),
        ("soft", 35, 70),
        ("lung", -850, -700),
        ("cortex", 1000, 2000),
    ):
        assert low < hounsfield(material) < high


def test_noise_has_its_sd_and_no_slow_part() -> None:
    flat = Volume(np.zeros((64, 64, 24), np.float32), np.diag([0.8, 0.8, 1.5, 1]), "ct")
    noise = add_ct_noise(flat, np.random.default_rng(1), sd=20).data
    assert float(noise.std()) == pytest.approx(20, rel=1e-3)
    neighbours = float(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1])
    assert 0.3 < neighbours < 0.9  # correlated in the slice
    power = np.abs(np.fft.fft2(noise, axes=(0, 1))) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64), indexing="ij"))
    slow, usual = power[frequency < 0.02].mean(), power[(frequency > 0.06) & (frequency < 0.2)].mean()
    assert slow < 0.1 * usual
