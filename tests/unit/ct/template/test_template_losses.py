"""Losses of `template` on hand-made cases, and the scan as tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from aasce.ct.template import losses
from aasce.ct.template.appearance import AppearanceModel
from aasce.ct.template.image import SpineImage
from aasce.ct.template.model import SpineModel, correspondence
from aasce.ct.template.placement import Placement
from aasce.ct.template.sampling import sample_points
from aasce.ct.template.settings import Appearance, Sampling
from aasce.types import AasceError
from aasce.volume import Volume

SPHERE = trimesh.creation.icosphere(2, 10.0)
VERTICES = torch.tensor(SPHERE.vertices)
FACES = torch.tensor(np.array(SPHERE.faces))
EVERYWHERE = torch.ones(len(VERTICES), dtype=torch.bool)


def spine(apart: float) -> SpineModel:
    """Three lumbar templates, upright, so many mm apart."""
    centre = np.array([[0.0, 0.0, -apart * i] for i in range(3)])
    return SpineModel([21, 22, 23], Placement(np.tile(np.eye(3), (3, 1, 1)), centre, 1.0), 8)


def overlap(apart: float) -> float:
    model = spine(apart)
    halves = [losses.EverySecond.of(model, start) for start in (0, 1)]
    return float(losses.overlap_loss(model.vertices().detach(), model.slices, halves, 12))


def test_image_loss_counts_points_within_the_scan() -> None:
    rendered, intensity = torch.tensor([0.5, 0.0, 1.0]), torch.tensor([0.2, 0.1, 0.0])
    within = torch.tensor([True, True, False])
    assert float(losses.image_loss(rendered, intensity, within)) == pytest.approx(0.2)
    assert float(losses.image_loss(rendered, intensity, within & False)) == 0


def test_edge_loss_is_the_square_of_the_relative_change() -> None:
    edges = torch.tensor(SPHERE.edges_unique)
    assert float(losses.edge_loss(VERTICES * 1.2, VERTICES, edges)) == pytest.approx(0.04)
    assert float(losses.edge_loss(VERTICES, VERTICES, edges)) == 0


def test_normal_loss_is_least_where_the_image_brightens_inwards() -> None:
    inward = -VERTICES / 10  # 1/mm, far above FLAT
    straight, turned, against = (
        float(losses.normal_loss(VERTICES, FACES, gradient, EVERYWHERE))
        for gradient in (inward, inward[:, [1, 2, 0]], -inward)
    )
    share = 1 / (1 + losses.FLAT)
    assert straight == pytest.approx(1 - share, abs=1e-3)
    assert against == pytest.approx(1 + share, abs=1e-3)
    assert turned == pytest.approx(1, abs=0.05)  # a third of a turn: at right angles on average
    assert float(losses.normal_loss(VERTICES, FACES, 0 * inward, EVERYWHERE)) == pytest.approx(1)


def test_templates_overlap_when_they_come_too_close() -> None:
    assert overlap(120.0) == 0
    assert 0 < overlap(28.0) < overlap(20.0)


def test_overlap_pushes_apart() -> None:
    model = spine(25.0)
    halves = [losses.EverySecond.of(model, start) for start in (0, 1)]
    losses.overlap_loss(model.vertices(), model.slices, halves, 12).backward()
    assert model.affine.grad is not None
    up = -model.affine.grad[:, 3, 2]
    assert up[0] > 0 > up[2]


def test_equal_shapes_have_no_variance_and_one_that_differs_has() -> None:
    model = SpineModel([22, 22], Placement(np.tile(np.eye(3), (2, 1, 1)), np.zeros((2, 3)), 1.0), 8)
    pairs = [torch.as_tensor(index) for index in correspondence(model.meshes)]
    with torch.no_grad():
        model.spectral[:, 3] = torch.tensor([1.0, 2.0, 3.0])
        model.affine[:, 1, 1] = 4.0
        model.affine[1, 3] = 5.0  # a place is no shape
        assert float(losses.variance_loss(model.shape_change(), *pairs)) == pytest.approx(0, abs=1e-9)
        model.spectral[1, 3, 0] += 2.0
        found = float(losses.variance_loss(model.shape_change(), *pairs))
    mode = model.meshes[0].basis.modes[:, 3]
    assert found == pytest.approx(4.0 * float((mode**2).mean()), rel=1e-3)


def test_one_vertebra_has_neither_overlap_nor_variance() -> None:
    model = SpineModel([20], Placement(np.eye(3)[None], np.zeros((1, 3)), 1.0), 8)
    halves = [losses.EverySecond.of(model, 0)]
    assert float(losses.overlap_loss(model.vertices().detach(), model.slices, halves, 12)) == 0
    empty = torch.zeros(0, dtype=torch.int64)
    assert float(losses.variance_loss(model.shape_change().detach(), empty, empty)) == 0


def test_points_lie_around_the_surface_most_of_them_near() -> None:
    model = spine(40.0)
    settings = Sampling(points=400, near=0.8, sd=1.0, far=6.0)
    vertices = model.vertices().detach()
    points = sample_points(model, vertices, settings, torch.Generator().manual_seed(0))
    assert points.shape == (1200, 3)
    solid = trimesh.Trimesh(vertices.numpy(), model.topology.faces.numpy(), process=False)
    _, distance, _ = trimesh.proximity.closest_point(solid, points.numpy())
    assert distance.max() <= 6.0 + 1e-3
    # Of a Gaussian 95 percent lie within 2 sd, of the uniform part a third or more.
    assert (distance < 2.0).mean() > 0.8 * 0.95 + 0.2 / 3 - 0.04


@pytest.mark.parametrize(("shared", "networks"), [("spine", 1), ("region", 2), ("level", 3)])
def test_appearance_is_shared_as_asked(shared: str, networks: int) -> None:
    model = AppearanceModel(Appearance.model_validate({"shared": shared, "width": 4}), [18, 19, 20])
    assert len(model.networks) == networks
    distance = torch.tensor([-1.0, -1.0, -1.0, 2.0])
    with torch.no_grad():
        found = model(distance, torch.tensor([0, 1, 2, 0])).tolist()
    assert (found[1] == pytest.approx(found[0], abs=1e-6)) == (shared != "level")
    assert (found[2] == pytest.approx(found[0], abs=1e-6)) == (shared == "spine")
    assert found[3] != pytest.approx(found[0], abs=1e-6)


OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [20, -15, 30], degrees=True).as_matrix() @ np.diag(
    [1.0, -1.5, 2.0]
)
OBLIQUE[:3, 3] = [5, -7, 11]


def test_a_ramp_is_read_with_its_gradient_on_an_oblique_grid() -> None:
    """HU rise by 3, -2 and 5 a mm along the world's axes; the window divides them by 1000."""
    grid = Volume(np.zeros((16, 18, 20), np.float32), OBLIQUE, "ct")
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    slope = np.array([3.0, -2.0, 5.0])
    scan = Volume((grid.to_world(index) @ slope).astype(np.float32), OBLIQUE, "ct")
    middle = grid.to_world([7.3, 8.1, 9.4])
    view = SpineImage.of(scan, middle[None], (-500.0, 500.0), "cpu").low_passed(0.0)
    points = torch.tensor(np.stack([middle, grid.to_world([-3, 0, 0])]), dtype=torch.float32)
    intensity, gradient, within = view.sample(points)
    assert within.tolist() == [True, False]
    assert float(intensity[0]) == pytest.approx((middle @ slope + 500) / 1000, abs=1e-4)
    np.testing.assert_allclose(gradient[0].numpy(), slope / 1000, atol=1e-5)


def test_a_scan_of_one_slice_is_refused() -> None:
    scan = Volume(np.zeros((40, 40, 1), np.float32), np.eye(4), "ct")
    with pytest.raises(AasceError, match="two slices or more"):
        SpineImage.of(scan, np.zeros((1, 3)), (-200.0, 800.0), "cpu")
