"""The registration experiment: its shape model, and a short run that already reduces the errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.xray.mesh import Mesh
from tools.bench_xray import Shapes, bones_of, hausdorff, pelvis, register


@pytest.fixture(scope="module")
def people() -> list[list[Mesh]]:
    return [pelvis(10_000 + k) for k in range(6)]


def vertices(meshes: list[Mesh]) -> torch.Tensor:
    return torch.cat([mesh.vertices for mesh in meshes])


def test_the_shape_model_holds_the_people_it_is_made_of(people: list[list[Mesh]]) -> None:
    shapes = Shapes.of(people, 5)
    mean = vertices(shapes.at(torch.zeros(5)))
    assert torch.allclose(mean, torch.stack([vertices(one) for one in people]).mean(dim=0), atol=1e-3)
    axes = shapes.changes.flatten(1)
    weights = axes @ (vertices(people[2]) - mean).flatten() / axes.square().sum(dim=1)
    assert weights.abs().max() < 3
    assert torch.allclose(vertices(shapes.at(weights)), vertices(people[2]), atol=0.05)


def test_a_known_shape_does_not_change(people: list[list[Mesh]]) -> None:
    shapes = Shapes.known(people[0])
    assert torch.equal(vertices(shapes.at(torch.zeros(0))), vertices(people[0]))


@pytest.mark.parametrize("known", [True, False])
def test_registration_comes_nearer(people: list[list[Mesh]], known: bool) -> None:
    shapes = Shapes.known(people[0]) if known else Shapes.of(people[1:], 4)
    box = (-200.0, 200.0, -270.0, 130.0)
    done = register(shapes, people[0], box, np.random.default_rng(0), (64, 64), (25,))
    assert done.hausdorff[1] < done.hausdorff[0]
    assert done.landmarks[1] < 0.8 * done.landmarks[0]
    assert done.similarity[1] > done.similarity[0]


def test_hausdorff_is_the_farthest_vertex(people: list[list[Mesh]]) -> None:
    bones = bones_of(people[0]).numpy()
    moved = bones.copy()
    moved[0] += (0.0, 0.0, 500.0)
    assert hausdorff(bones, bones) == 0
    assert hausdorff(bones, moved) > 200
