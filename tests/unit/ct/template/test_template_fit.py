"""The fit of `template`: a known sphere, a phantom, masks on any grid, mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from aasce.config import load_settings
from aasce.ct.base import Surface, vertebra_set
from aasce.ct.template import model as model_module
from aasce.ct.template.fit import SpineFit
from aasce.ct.template.meshes import TemplateMesh, edges_of
from aasce.ct.template.method import Template, label_map
from aasce.ct.template.settings import Appearance, Sampling, Stage, TemplateConfig
from aasce.ct.template.spectral import Basis, eigenbasis
from aasce.solvers.base import RunFolder
from aasce.types import AasceError
from aasce.volume import Volume


def ball(radius: float, affine: np.ndarray, shape: tuple[int, int, int], middle: np.ndarray) -> Volume:
    """HU 500 inside, 0 outside, blurred over one mm."""
    grid = Volume(np.zeros(shape, np.float32), affine, "ct")
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    distance = np.linalg.norm(grid.to_world(index) - middle, axis=-1) - radius
    return Volume((500 * np.clip(0.5 - distance, 0, 1)).astype(np.float32), affine, "ct")


def sphere_mesh(level: str, modes: int) -> TemplateMesh:
    """A sphere of 10 mm in place of every level's template."""
    sphere = trimesh.creation.icosphere(2, 10.0)
    vertices, faces = np.array(sphere.vertices), np.array(sphere.faces)
    basis = eigenbasis(vertices, faces, modes + 1)
    body = np.ones(len(vertices), bool)
    without_constant = Basis(basis.values[1:], basis.modes[:, 1:], basis.mass)
    return TemplateMesh(vertices, faces, edges_of(faces), body, without_constant)


def test_the_radius_and_place_of_a_ball_are_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sphere of 10 mm, placed 2 mm off, grows to a ball of 12.5 mm."""
    monkeypatch.setattr(model_module, "template_mesh", sphere_mesh)
    true = np.array([1.0, -2.0, 0.5])
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -25
    scan = ball(12.5, affine, (51, 51, 51), true)
    config = TemplateConfig(
        neighbours=False,
        modes=12,
        appearance=Appearance(width=16, warmup=20),
        sampling=Sampling(points=200, far=8.0),
        stages=(
            Stage(steps=35, blur=1.5, alpha=2.0, affine=0.25, spectral=0.0),
            Stage(steps=15, blur=0.5, alpha=1.0, affine=0.05, spectral=0.05),
        ),
    )
    start = true + np.array([0.0, 2.0, 0.0])
    fitted = SpineFit(scan, np.array([20]), start[None], config).run()
    found = fitted.vertices[0] - true
    assert np.linalg.norm(found.mean(0)) < 0.4
    radius = np.linalg.norm(found - found.mean(0), axis=1)
    assert radius.mean() == pytest.approx(12.5, abs=0.4)
    assert radius.std() < 0.5
    assert fitted.contrast[0] > 0.95


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_masks_on_an_oblique_or_mirrored_grid(flip: float) -> None:
    """A ball of 9 mm on an oblique grid of 1.5 x 1 x 2 mm: voxels are inside where their centres are."""
    affine = np.eye(4)
    turn = Rotation.from_euler("zyx", [30, 20, -10], degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag([flip * 1.5, 1.0, 2.0])
    scan = Volume(np.zeros((20, 26, 14), np.float32), affine, "ct")
    middle = scan.to_world([9.5, 12.5, 6.5])
    sphere = trimesh.creation.icosphere(4, 9.0)
    faces = np.array(sphere.faces)
    masks = label_map({20: Surface(np.array(sphere.vertices) + middle, faces)}, scan)
    index = np.stack(np.meshgrid(*map(np.arange, scan.shape), indexing="ij"), -1)
    distance = np.linalg.norm(scan.to_world(index) - middle, axis=-1)
    assert masks.kind == "label"
    np.testing.assert_array_equal(masks.affine, affine)
    clear = np.abs(distance - 9.0) > 0.05  # facets lie a little inside the sphere
    np.testing.assert_array_equal((masks.data == 20)[clear], (distance < 9.0)[clear])


def scene() -> tuple[Volume, np.ndarray]:
    """A ball where L3 is expected."""
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    return ball(18.0, affine, (30, 36, 28), np.array([45.0, 60.0, 40.0])), np.array([45.0, 60.0, 40.0])


def test_the_answer_carries_the_start_on_and_depends_on_nothing_but_the_seed() -> None:
    scan, middle = scene()
    start = vertebra_set("p1", {22: middle}, confidence={22: 0.4}, flags=("cut",))
    before = torch.random.get_rng_state()
    first, second = (Template(TemplateConfig.tiny()).predict(scan, start) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(first.surfaces[22].vertices, second.surfaces[22].vertices)
    assert first.scan_id == "p1"
    assert first.labels.tolist() == [22]
    assert first.flags == ("cut", "surface_unclear", "vertebra_leaves_scan")
    assert first.confidence[0] <= 0.4
    assert first.masks is not None
    assert set(np.unique(first.masks.data)) == {0, 22}
    assert np.linalg.norm(first.centroids[0] - middle) < 10


def test_a_vertebra_at_the_rim_is_flagged() -> None:
    scan, middle = scene()
    start = vertebra_set("p1", {22: [middle[0], 3.0, middle[2]]})
    assert "vertebra_leaves_scan" in Template(TemplateConfig.tiny()).predict(scan, start).flags


def test_mistakes_are_told() -> None:
    scan, middle = scene()
    method = Template(TemplateConfig.tiny())
    for start in (None, vertebra_set("p1", {})):
        with pytest.raises(AasceError, match="give centroids or locate"):
            method.predict(scan, start)
    with pytest.raises(AasceError, match=r"p1: the middles of \[22\] lie outside the scan"):
        method.predict(scan, vertebra_set("p1", {22: middle + 500}))
    mask = Volume(np.zeros(scan.shape, np.uint8), scan.affine, "label")
    with pytest.raises(AasceError, match="p1: is no CT but label"):
        method.predict(mask, vertebra_set("p1", {22: middle}))


def test_saved_and_loaded_it_has_the_same_settings(tmp_path: Path) -> None:
    method = Template(TemplateConfig.tiny())
    report = method.fit([], None, RunFolder(tmp_path / "run"))
    assert report.notes == {"trained": False}
    method.training = {"trained": False}
    method.save(tmp_path / "saved")
    loaded = Template.load(tmp_path / "saved")
    assert loaded.config == method.config
    assert loaded.training == {"trained": False}
    with pytest.raises(AasceError, match="no weights to go on from"):
        loaded.start_from(tmp_path / "saved")


def test_the_file_of_settings_holds_the_defaults() -> None:
    path = Path(__file__).parents[4] / "configs" / "ct" / "template.yaml"
    assert load_settings(TemplateConfig, path) == TemplateConfig()


def test_the_window_ascends() -> None:
    with pytest.raises(ValueError, match="smaller limit comes first"):
        TemplateConfig(window=(300.0, 300.0))


def test_a_scan_without_bone_has_a_reason() -> None:
    scan, middle = scene()
    soft = Volume(np.minimum(scan.data, 60), scan.affine, "ct")
    found = Template(TemplateConfig.tiny()).predict(soft, vertebra_set("p1", {22: middle}, flags=("cut",)))
    assert found.failure is not None
    assert "120 HU" in found.failure
    assert (found.scan_id, found.flags, found.masks, len(found.labels)) == ("p1", ("cut",), None, 0)
