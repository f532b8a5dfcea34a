"""The spine as templates that are deformed: M of A_i and U_i (Kim and Park 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor, nn

from aasce.ct.template.distance import Topology
from aasce.ct.template.meshes import TemplateMesh, template_level, template_mesh
from aasce.ct.template.placement import Placement
from aasce.ct.template.spectral import update_scale

SIZE_MM = 25.0
"""About the distance of a vertebra's parts from its middle, by which rows of A_i are in mm."""


class SpineModel(nn.Module):
    """Templates at their places, with an affine map A_i and spectral coefficients U_i for each.

    A vertex x of a template moves to A_i (x + modes U_i) in the template's frame; the placement takes it to the world.

    Attributes:
        affine: (N, 4, 3) mm, change of A_i: by which the ends of the three axes, SIZE_MM long, move, and translation.
        spectral: (N, K, 3) mm, U_i.
        meshes: the templates.
        topology: of all vertices, in one list.
        owner: (F,) vertebra of each face.
        edges: (E, 2) of all vertices in one list.
        slices: where the vertices of each vertebra are in that list.
    """

    base: Tensor
    modes: Tensor
    present: Tensor
    rotation: Tensor
    centre: Tensor
    owner: Tensor
    edges: Tensor

    def __init__(self, labels: Sequence[int], placement: Placement, modes: int) -> None:
        super().__init__()
        self.meshes: list[TemplateMesh] = [template_mesh(template_level(label), modes) for label in labels]
        counts = [len(mesh.vertices) for mesh in self.meshes]
        starts = np.concatenate([[0], np.cumsum(counts)]).tolist()
        self.slices = [slice(a, b) for a, b in pairwise(starts)]
        self.scale = placement.scale
        self._register(placement, max(counts))
        moved = list(zip(self.meshes, starts, strict=False))
        faces = np.concatenate([mesh.faces + start for mesh, start in moved])
        owner = np.repeat(np.arange(len(counts)), [len(mesh.faces) for mesh in self.meshes])
        self.topology = Topology.of(faces, starts[-1])
        self.register_buffer("owner", torch.as_tensor(owner))
        self.register_buffer(
            "edges", torch.as_tensor(np.concatenate([mesh.edges + start for mesh, start in moved]))
        )
        self.affine = nn.Parameter(torch.zeros(len(counts), 4, 3))
        self.spectral = nn.Parameter(torch.zeros(len(counts), self.modes.shape[-1], 3))

    def _register(self, placement: Placement, most: int) -> None:
        """Templates as one tensor, padded to the largest one."""
        base = [_padded(mesh.vertices, most) for mesh in self.meshes]
        modes = [_padded(mesh.basis.modes, most) for mesh in self.meshes]
        present = [np.arange(most) < len(mesh.vertices) for mesh in self.meshes]
        self.register_buffer("base", torch.as_tensor(np.stack(base), dtype=torch.float32))
        self.register_buffer("modes", torch.as_tensor(np.stack(modes), dtype=torch.float32))
        self.register_buffer("present", torch.as_tensor(np.stack(present)))
        self.register_buffer("rotation", torch.as_tensor(placement.rotation, dtype=torch.float32))
        self.register_buffer("centre", torch.as_tensor(placement.centre, dtype=torch.float32))

    def vertices(self, spectral: bool = True) -> Tensor:
        """(V, 3) world mm of all vertebrae in one list.

        Args:
            spectral: False leaves U_i out.
        """
        moved = self._affine(self.base + self.modes @ self.spectral if spectral else self.base)
        moved = moved + self.affine[:, 3:]
        world = self.scale * moved @ self.rotation.transpose(1, 2) + self.centre[:, None]
        return world[self.present]

    def shape_change(self) -> Tensor:
        """(V, 3) mm by which vertices are moved in the templates' frames, translation left out."""
        return (self._affine(self.base + self.modes @ self.spectral) - self.base)[self.present]

    def _affine(self, points: Tensor) -> Tensor:
        return points + points / SIZE_MM @ self.affine[:, :3]

    def update_scale(self, alpha: float) -> Tensor:
        """(N, K, 1) factors on the update of U_i."""
        scale = np.stack([update_scale(mesh.basis.values, alpha) for mesh in self.meshes])
        return torch.as_tensor(scale[..., None], dtype=self.spectral.dtype, device=self.spectral.device)

    def to_device(self, device: str) -> SpineModel:
        """Moves everything, the topology included."""
        faces, across = (t.to(device) for t in (self.topology.faces, self.topology.across))
        self.topology = Topology(faces, across, self.topology.count)
        return self.to(device)


def _padded(rows: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    return np.pad(rows, [(0, most - len(rows)), (0, 0)])


def correspondence(meshes: Sequence[TemplateMesh]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Vertices of each template but the last, and those of the next template that lie at the same place.

    Templates of two levels have other vertices; the nearest ones correspond once both have one size.

    Returns:
        (M,) and (M,) indices into the list of all vertices.
    """
    first, second, start = [], [], 0
    for mesh, below in pairwise(meshes):
        size = [np.sqrt((m.vertices**2).sum(1).mean()) for m in (mesh, below)]
        _, found = cKDTree(below.vertices / size[1]).query(mesh.vertices / size[0])
        first.append(start + np.arange(len(mesh.vertices)))
        start += len(mesh.vertices)
        second.append(start + found)
    if not first:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(first), np.concatenate(second)
