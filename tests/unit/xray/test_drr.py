"""Voxelised solids through the DRR library against formulas and against the mesh renderer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from aasce.types import AasceError
from aasce.volume import Volume
from aasce.xray.camera import Camera, ConeBeam, SlotScanner
from aasce.xray.drr import TISSUES, drr, thresholds, volume_maps
from aasce.xray.materials import linear_attenuation
from aasce.xray.mesh import Mesh
from aasce.xray.raster import material_maps
from aasce.xray.transmission import transmission, tungsten_spectrum
from aasce.xray.voxels import hounsfield, voxelise

BOX = (-60.0, 60.0, -70.0, 70.0)
BOUNDS = [[-50, -50, -50], [50, 50, 50]]
CAMERAS = {
    "cone": ConeBeam((112, 96), BOX),
    "cone turned": ConeBeam((112, 96), BOX, view="PA", rotation=(4.0, -3.0, 8.0), shift=(3.0, 0.0, -4.0)),
    "slot": SlotScanner((112, 96), BOX, rotation=(2.0, 3.0, -6.0)),
}


def solid(body: trimesh.Trimesh, material: str, inside: str = "air") -> Mesh:
    vertices = torch.from_numpy(np.array(body.vertices))
    return Mesh(material, material, inside, vertices, torch.from_numpy(np.array(body.faces)).long())


def chord(camera: Camera, radius: float) -> torch.Tensor:
    """(H, W) mm of every ray within a sphere about the origin."""
    origin, direction = camera.rays()
    middle = (origin * direction).sum(-1)
    return 2 * (radius**2 - (origin**2).sum(-1) + middle**2).clamp(min=0).sqrt()


def agreement(first: torch.Tensor, second: torch.Tensor) -> tuple[float, float]:
    """Correlation, and the mean absolute difference over the mean."""
    first, second = first.double(), second.double()
    correlation = float(torch.corrcoef(torch.stack([first.ravel(), second.ravel()]))[0, 1])
    return correlation, float((first - second).abs().mean() / second.mean())


@pytest.mark.parametrize("name", CAMERAS)
def test_sphere_against_its_chord(name: str) -> None:
    camera = CAMERAS[name]
    sphere = solid(trimesh.creation.icosphere(5, radius=40), "soft")
    integrals = drr(voxelise([sphere], 1.0, BOUNDS), camera, 60.0)
    mu = float((linear_attenuation("soft", [60.0]) - linear_attenuation("air", [60.0]))[0])
    correlation, difference = agreement(integrals, chord(camera, 40) * mu)
    assert correlation > 0.99
    assert difference < 0.02


def test_box_along_the_middle_ray_is_as_thick_as_it_is() -> None:
    slab = solid(trimesh.creation.box((60, 37, 80)), "cortex")
    maps = volume_maps(voxelise([slab], 1.0, BOUNDS), ConeBeam((113, 97), BOX))
    assert float(maps["cortex"][56, 48]) == pytest.approx(37, abs=0.1)
    assert float(maps["cortex"][0, 0]) == 0


@pytest.mark.parametrize("name", CAMERAS)
def test_nested_materials_against_the_mesh_renderer(name: str) -> None:
    meshes = [
        solid(trimesh.creation.icosphere(4, radius=45), "fat"),
        solid(trimesh.creation.icosphere(4, radius=38), "soft", "fat"),
        solid(trimesh.creation.box((24, 30, 36)), "cortex", "soft"),
        solid(trimesh.creation.box((18, 24, 30)), "marrow", "cortex"),
    ]
    spectrum = tungsten_spectrum(85, 3)
    rendered = -torch.log(transmission(material_maps(meshes, CAMERAS[name]), spectrum))
    correlation, difference = agreement(drr(voxelise(meshes, 1.0, BOUNDS), CAMERAS[name], spectrum), rendered)
    assert correlation > 0.99
    assert difference < 0.02


def test_oblique_volume_gives_the_same_film() -> None:
    """The affine counts, not the order of the voxels."""
    ct = voxelise([solid(trimesh.creation.box((40, 20, 60)), "marrow")], 2.0, BOUNDS)
    film = drr(ct, CAMERAS["cone"], 70.0)
    assert torch.allclose(drr(ct.reorient("IPL"), CAMERAS["cone"], 70.0), film, atol=1e-3)


def test_thresholds_tell_every_tissue_from_the_next() -> None:
    values = np.array([hounsfield(name) for name in TISSUES])
    assert np.digitize(values, thresholds()).tolist() == list(range(len(TISSUES)))


def test_half_density_counts_half() -> None:
    """A voxel half-way between air and lung lets through as half its thickness would."""
    hu = np.full((20, 20, 20), (hounsfield("lung") - 1000) / 2, np.float32)
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = -19
    maps = volume_maps(Volume(hu, affine, "ct"), ConeBeam((113, 97), BOX))
    assert sum(float(m[56, 48]) for n, m in maps.items() if n != "air") == pytest.approx(20, rel=0.01)


def test_only_a_ct_makes_a_radiograph() -> None:
    labels = Volume(np.ones((4, 4, 4), np.uint8), np.eye(4), "label")
    with pytest.raises(AasceError, match="needs HU"):
        drr(labels, CAMERAS["cone"], 60.0)
