"""Signed distance of `template`: against all triangles, trimesh, hand-made cases and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from aasce.ct.template.distance import Topology, closest_weights, nearest, signed_distance, vertex_normals
from aasce.ct.template.meshes import template_mesh
from aasce.types import AasceError

CUBE = trimesh.creation.box((2.0, 2.0, 2.0))


def cube() -> tuple[torch.Tensor, Topology]:
    """A cube from -1 to 1."""
    return torch.tensor(CUBE.vertices, dtype=torch.float64), Topology.of(np.array(CUBE.faces), 8)


def around(vertices: np.ndarray, count: int, spread: float) -> np.ndarray:
    """Points scattered around vertices."""
    rng = np.random.default_rng(0)
    return vertices[rng.integers(len(vertices), size=count)] + rng.normal(size=(count, 3)) * spread


@pytest.mark.parametrize(
    ("point", "distance"),
    [
        ((0.2, 0.3, 1.5), 0.5),  # above a face
        ((2.0, 2.0, 0.3), np.sqrt(2)),  # off an edge
        ((2.0, 2.0, 2.0), np.sqrt(3)),  # off a corner
        ((0.0, 0.1, 0.6), -0.4),  # inside
        ((0.9, 0.8, 0.7), -0.1),  # inside, near a corner
    ],
)
def test_distance_from_a_cube(point: tuple[float, float, float], distance: float) -> None:
    vertices, topology = cube()
    found, _ = signed_distance(torch.tensor([point], dtype=torch.float64), vertices, topology)
    assert found.tolist() == [pytest.approx(distance, abs=1e-12)]


def test_weights_are_zero_off_the_face_that_is_hit() -> None:
    corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]], dtype=torch.float64)
    points = torch.tensor([[0.25, 0.5, 3.0], [0.25, -1, 0], [-1, -2, 5], [3, -1, 0], [-1, 4, 1], [1, 1, 1]])
    found = closest_weights(points.double(), corners.expand(6, 3, 3))
    expected = [[0.25, 0.25, 0.5], [0.75, 0.25, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0.5, 0.5]]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    assert ((found == 0) == (torch.tensor(expected) == 0)).all()


@pytest.mark.parametrize("level", ["C1", "T5", "L3"])
def test_a_dozen_candidates_find_nearly_always_the_nearest_of_all_triangles(level: str) -> None:
    mesh = template_mesh(level, 4)
    points = torch.as_tensor(around(mesh.vertices, 400, 3.0))
    topology, vertices = Topology.of(mesh.faces, len(mesh.vertices)), torch.as_tensor(mesh.vertices)
    few = nearest(points, vertices, topology, 12).distance
    every = nearest(points, vertices, topology, len(mesh.faces)).distance
    wrong = (few.abs() - every.abs()).abs()
    assert float((wrong < 1e-9).double().mean()) > 0.95
    assert float(wrong.mean()) < 0.01
    assert float(((few < 0) == (every < 0)).double().mean()) > 0.99


def test_distance_and_sign_of_a_vertebra_against_trimesh() -> None:
    mesh = template_mesh("L3", 4)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    points, topology = around(mesh.vertices, 300, 4.0), Topology.of(mesh.faces, len(mesh.vertices))
    places, vertices = torch.as_tensor(points), torch.as_tensor(mesh.vertices)
    found, _ = signed_distance(places, vertices, topology, len(mesh.faces))
    _, distance, _ = trimesh.proximity.closest_point(solid, points)
    np.testing.assert_allclose(found.abs().numpy(), distance, atol=1e-9)
    np.testing.assert_array_equal(found.numpy() < 0, solid.contains(points))


def test_gradients_by_finite_differences() -> None:
    sphere = trimesh.creation.icosphere(1, 2.0)
    topology = Topology.of(np.array(sphere.faces), len(sphere.vertices))
    vertices = torch.tensor(sphere.vertices, dtype=torch.float64, requires_grad=True)
    points = torch.as_tensor(around(sphere.vertices, 12, 0.5)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p, v: signed_distance(p, v, topology, 20)[0], (points, vertices), eps=1e-7, atol=1e-5
    )


def test_on_the_surface_the_gradient_is_the_normal() -> None:
    vertices, topology = cube()
    point = torch.tensor([[0.25, 0.5, 1.0]], dtype=torch.float64, requires_grad=True)
    found, _ = signed_distance(point, vertices, topology)
    found.sum().backward()
    assert found.tolist() == [0]
    assert point.grad is not None
    assert point.grad.tolist() == [[0, 0, 1]]


def test_normals_of_a_cube_point_along_its_diagonals() -> None:
    vertices, topology = cube()
    normals = vertex_normals(vertices, topology.faces)
    np.testing.assert_allclose(normals.numpy(), vertices.numpy() / np.sqrt(3), atol=1e-2)


def test_an_open_or_flipped_mesh_is_refused() -> None:
    faces = np.array(CUBE.faces)
    with pytest.raises(AasceError, match="needs a closed one"):
        Topology.of(faces[1:], 8)
    faces[0] = faces[0, ::-1]
    with pytest.raises(AasceError, match="flipped faces"):
        Topology.of(faces, 8)
