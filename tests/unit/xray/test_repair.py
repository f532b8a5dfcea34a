"""Checks that meshes are closed, and repair of pixels of open ones."""

from __future__ import annotations

import pytest
import torch

from aasce.types import AasceError
from aasce.xray.mesh import Mesh
from aasce.xray.repair import check_mesh, repair

# A tetrahedron, counter-clockwise seen from outside.
POINTS = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
FACES = torch.tensor([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])


def solid(vertices: torch.Tensor = POINTS, faces: torch.Tensor = FACES) -> Mesh:
    return Mesh("L1", "cortex", "soft", vertices, faces)


def test_value_of_the_nearest_sound_pixel() -> None:
    maps = torch.arange(12.0).view(1, 3, 4).requires_grad_()
    signs = torch.zeros(1, 3, 4, dtype=torch.int32)
    signs[0, 1, 3] = 1
    signs[0, 0, 3] = -1
    mended, count = repair(maps, signs)
    assert count == 2
    assert mended[0, 0].tolist() == [0, 1, 2, 2]
    assert float(mended.detach()[0, 1, 3]) in (6.0, 11.0)
    mended.sum().backward()
    assert maps.grad is not None
    assert maps.grad[0].tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]


def test_sound_maps_stay_themselves_and_hopeless_ones_vanish() -> None:
    maps = torch.ones(2, 2, 2)
    assert repair(maps, torch.zeros(2, 2, 2, dtype=torch.int32)) == (maps, 0)
    signs = torch.tensor([[[1, 1], [1, 1]], [[0, 0], [0, 0]]], dtype=torch.int32)
    mended, count = repair(maps, signs)
    assert count == 4
    assert mended.sum((1, 2)).tolist() == [0, 4]


def test_closed_meshes_pass_also_with_a_cavity_or_in_two_parts() -> None:
    check_mesh(solid())
    inner = POINTS * 0.2 + 0.1
    check_mesh(solid(torch.cat([POINTS, inner]), torch.cat([FACES, FACES.flip(1) + 4])))
    check_mesh(solid(torch.cat([POINTS, POINTS + 5]), torch.cat([FACES, FACES + 4])))


@pytest.mark.parametrize(
    ("vertices", "faces", "words"),
    [
        (POINTS, FACES[:3], "holes .3 open edges"),
        (POINTS, torch.cat([FACES[:3], FACES[3:].flip(1)]), "flipped faces .at 3 edges"),
        (POINTS, FACES.flip(1), "inside out"),
        (torch.cat([POINTS, POINTS + 5]), torch.cat([FACES, FACES.flip(1) + 4]), "inside out"),
        (POINTS * torch.tensor([1.0, 1.0, 0.0]), FACES, "no volume"),
        (POINTS * float("nan"), FACES, "not finite"),
        (POINTS, FACES + 1, "names vertex 4 of 4"),
        (POINTS, FACES[:0], "not empty"),
    ],
)
def test_faults_are_told_in_one_line(vertices: torch.Tensor, faces: torch.Tensor, words: str) -> None:
    with pytest.raises(AasceError, match=words) as error:
        check_mesh(solid(vertices, faces))
    assert "L1" in str(error.value)
    assert "\n" not in str(error.value)
