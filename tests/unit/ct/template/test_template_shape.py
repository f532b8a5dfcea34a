"""Shape of `template`: spectral basis, update, optimiser, placement, deformation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.ct.template.meshes import template_level, template_mesh
from aasce.ct.template.model import SIZE_MM, SpineModel, correspondence
from aasce.ct.template.optimizer import AdamVector
from aasce.ct.template.placement import Placement, place, with_neighbours
from aasce.ct.template.spectral import eigenbasis, update_scale
from aasce.phantom.spine.pose import LEVELS
from aasce.phantom.spine.statistics import average_pose
from aasce.readers.vertebrae import VERSE

LABELS = [20, 21, 22]


def spine(labels: list[int] = LABELS, scale: float = 1.0) -> Placement:
    """Templates 40 mm apart, upright."""
    count = len(labels)
    centre = np.array([[0.0, 0.0, -40.0 * i] for i in range(count)])
    return Placement(np.tile(np.eye(3), (count, 1, 1)), centre, scale)


@pytest.mark.parametrize("count", [50, 805])
def test_modes_are_orthonormal_and_span_the_template(count: int) -> None:
    """50 modes by iteration, all 805 of L1 by the dense solver."""
    mesh = template_mesh("L1", 4)
    basis = eigenbasis(mesh.vertices, mesh.faces, count)
    area = basis.mass.sum()
    product = basis.modes.T @ (basis.mass[:, None] * basis.modes) / area
    np.testing.assert_allclose(product, np.eye(count), atol=1e-7)
    assert basis.values[0] == pytest.approx(0, abs=1e-9)
    assert (np.diff(basis.values) >= 0).all()
    rebuilt = basis.modes @ basis.coefficients(mesh.vertices)
    error = np.linalg.norm(rebuilt - mesh.vertices, axis=1)
    assert error.mean() < (2.0 if count < 805 else 1e-7)


def test_the_update_of_a_mode_falls_with_its_eigenvalue() -> None:
    np.testing.assert_allclose(update_scale(np.array([2.0, 8.0, 50.0]), 0.5), [1, 0.5, 0.2])
    np.testing.assert_allclose(update_scale(np.array([2.0, 8.0]), 0.0), [1, 1])


def moved(vectorwise: bool, turn: torch.Tensor) -> torch.Tensor:
    """Where three steps on turned gradients take a parameter, turned back."""
    parameter = torch.nn.Parameter(torch.zeros(5, 3, dtype=torch.float64))
    optimizer = AdamVector([parameter], lr=0.1, vectorwise=vectorwise)
    rng = torch.Generator().manual_seed(0)
    for _ in range(3):
        parameter.grad = torch.randn(5, 3, dtype=torch.float64, generator=rng) @ turn.T
        optimizer.step()
    return parameter.detach() @ turn


def test_adamvector_turns_with_its_vectors_and_adamw_does_not() -> None:
    c, s = np.cos(0.6), np.sin(0.6)
    turn = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    straight = torch.eye(3, dtype=torch.float64)
    assert torch.allclose(moved(True, turn), moved(True, straight), atol=1e-9)
    assert float((moved(False, turn) - moved(False, straight)).abs().max()) > 0.01


def test_the_first_step_of_a_vector_has_the_length_of_the_learning_rate() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1, 3))
    optimizer = AdamVector([parameter], lr=0.1)
    parameter.grad = torch.tensor([[3.0, 0.0, 4.0]])
    optimizer.step()
    assert parameter.tolist() == [pytest.approx([-0.06, 0, -0.08])]


def test_without_vectors_it_is_adamw() -> None:
    ours, theirs = (torch.nn.Parameter(torch.ones(4, 3)) for _ in range(2))
    one = AdamVector([ours], lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.2, vectorwise=False)
    two = torch.optim.AdamW([theirs], lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.2)
    for step in range(4):
        for parameter in (ours, theirs):
            parameter.grad = torch.linspace(-1, 1, 12).reshape(4, 3) * (step + 1) ** 2
        one.step()
        two.step()
    assert torch.allclose(ours, theirs, atol=2e-3)


def test_templates_lie_at_their_places() -> None:
    model = SpineModel(LABELS, spine(scale=1.1), 8)
    vertices = model.vertices().detach().numpy()
    for i, mesh in enumerate(model.meshes):
        expected = mesh.vertices * 1.1 + [0, 0, -40 * i]
        np.testing.assert_allclose(vertices[model.slices[i]], expected, atol=1e-4)


def test_affine_rows_move_the_axes_and_the_whole() -> None:
    model = SpineModel([20], spine([20]), 8)
    with torch.no_grad():
        model.affine[0, 0, 0] = SIZE_MM * 0.1  # 10 percent wider
        model.affine[0, 3, 2] = 2.0
    expected = model.meshes[0].vertices * [1.1, 1, 1] + [0, 0, 2]
    np.testing.assert_allclose(model.vertices().detach().numpy(), expected, atol=1e-4)
    # The translation is no change of shape.
    change = model.shape_change().detach().numpy()
    np.testing.assert_allclose(change, model.meshes[0].vertices * [0.1, 0, 0], atol=1e-4)


def test_a_spectral_coefficient_moves_along_its_mode() -> None:
    model = SpineModel([20], spine([20]), 8)
    with torch.no_grad():
        model.spectral[0, 5, 1] = 3.0
    mesh = model.meshes[0]
    moved = model.vertices().detach().numpy() - mesh.vertices
    np.testing.assert_allclose(moved[:, 1], 3.0 * mesh.basis.modes[:, 5], atol=1e-4)
    root = np.sqrt((mesh.basis.mass * moved[:, 1] ** 2).sum() / mesh.basis.mass.sum())
    assert root == pytest.approx(3.0, abs=1e-4)  # a coefficient is in mm
    assert np.abs(moved[:, [0, 2]]).max() < 1e-4


def test_neighbouring_templates_correspond() -> None:
    same = [template_mesh("L2", 4)] * 2
    first, second = correspondence(same)
    np.testing.assert_array_equal(second - first, len(same[0].vertices))
    first, second = correspondence([template_mesh("L2", 4), template_mesh("L3", 4)])
    points = [template_mesh(level, 4).vertices for level in ("L2", "L3")]
    apart = points[0][first] - points[1][second - len(points[0])]
    assert np.median(np.linalg.norm(apart, axis=1)) < 3.0
    assert len(correspondence(same[:1])[0]) == 0


def test_the_average_spine_is_placed_as_it_stands() -> None:
    pose = average_pose(0.9)
    levels = LEVELS[7:24]
    labels = np.array([VERSE[level] for level in levels])
    found = place(labels, pose.centre.numpy()[7:24])
    assert found.scale == pytest.approx(0.9, abs=1e-6)
    cosine = np.einsum("nij,nij->nj", found.rotation, pose.rotation.numpy()[7:24])
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < 10  # L5 lies steeper than the line to L4
    assert np.linalg.det(found.rotation) == pytest.approx(np.ones(17))


def test_a_single_vertebra_stands_upright_at_average_size() -> None:
    found = place(np.array([20]), np.array([[1.0, 2.0, 3.0]]))
    np.testing.assert_allclose(found.rotation[0], np.eye(3), atol=1e-12)
    assert found.scale == 1.0


def test_a_spine_along_the_front_still_has_frames() -> None:
    found = place(np.array([3, 4]), np.array([[0.0, 20.0, 0.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(found.rotation[0] @ [0, 0, 1], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(found.rotation[0] @ [0, 1, 0], [0, 0, -1], atol=1e-12)


def test_neighbours_go_on_along_the_line() -> None:
    labels, places = with_neighbours(np.array([20, 21]), np.array([[0.0, 0, 40], [0, 0, 0]]))
    assert labels.tolist() == [19, 20, 21, 22]
    assert (places[:, :2] == 0).all()
    assert places[0, 2] > 60
    assert places[3, 2] < -30
    ends, _ = with_neighbours(np.array([1, 2]), np.array([[0.0, 0, 20], [0, 0, 0]]))
    assert ends.tolist() == [1, 2, 3]
    last, _ = with_neighbours(np.array([24, 26]), np.array([[0.0, 0, 40], [0, 0, 0]]))
    assert last.tolist() == [23, 24, 26]


def test_rare_levels_have_substitutes_and_bodies_are_in_front() -> None:
    assert (template_level(28), template_level(25)) == ("T12", "L5")
    mesh = template_mesh("L3", 4)
    assert mesh.vertices[mesh.body, 1].min() > mesh.vertices[:, 1].min() + 30  # the spinous process is arch
    assert 0.2 < mesh.body.mean() < 0.6
    assert abs(mesh.vertices[mesh.body].mean(0)[0]) < 0.5
