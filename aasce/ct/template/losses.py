"""The losses of Kim and Park 2024; the poster names them, the formulas are ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aasce.ct.template.distance import Topology, signed_distance, vertex_normals
from aasce.ct.template.model import SpineModel

FLAT = 0.02
"""1/mm: gradient of the intensity (20 HU/mm in a window of 1000 HU) at which an edge counts half."""


def image_loss(rendered: Tensor, intensity: Tensor, within: Tensor) -> Tensor:
    """L_I: mean absolute difference of (P,) rendered and true intensity over the points within the scan."""
    loss: Tensor = ((rendered - intensity).abs() * within).sum() / within.sum().clamp(min=1)
    return loss


def edge_loss(vertices: Tensor, reference: Tensor, edges: Tensor) -> Tensor:
    """L_E: mean square of the relative change of the edges' lengths.

    Args:
        vertices: (V, 3) mm.
        reference: (V, 3) mm, the template under A_i alone: growth is free, crumpling is not.
        edges: (E, 2).
    """
    now, before = ((v[edges[:, 0]] - v[edges[:, 1]]).norm(dim=-1) for v in (vertices, reference))
    loss: Tensor = (now / before.clamp(min=1e-6) - 1).square().mean()
    return loss


def normal_loss(vertices: Tensor, faces: Tensor, gradient: Tensor, within: Tensor) -> Tensor:
    """L_N: 1 where the image has no edge, 0 where its gradient points into the bone, 2 where it points out of it.

    Args:
        vertices: (V, 3) mm.
        faces: (F, 3).
        gradient: (V, 3) of the intensity at the vertices, 1/mm.
        within: (V,) bool, vertices within the scan.
    """
    normal = vertex_normals(vertices, faces)
    aligned = -(normal * gradient).sum(-1) / (gradient.norm(dim=-1) + FLAT)
    loss: Tensor = ((1 - aligned) * within).sum() / within.sum().clamp(min=1)
    return loss


@dataclass(frozen=True, slots=True, eq=False)
class EverySecond:
    """Vertebrae 0, 2, 4, ... or 1, 3, 5, ... as one mesh: they do not touch each other.

    Attributes:
        members: their numbers.
        vertices: (M,) where their vertices are among all.
        topology: of them alone.
    """

    members: list[int]
    vertices: Tensor
    topology: Topology

    @classmethod
    def of(cls, model: SpineModel, first: int) -> EverySecond:
        """The vertebrae from `first` on."""
        members = list(range(first, len(model.meshes), 2))
        chosen = [np.arange(model.slices[i].start, model.slices[i].stop) for i in members]
        place = np.zeros(model.topology.count, np.int64)
        place[np.concatenate(chosen)] = np.arange(sum(map(len, chosen)))
        faces = [place[model.meshes[i].faces + model.slices[i].start] for i in members]
        device = model.owner.device
        topology = Topology.of(np.concatenate(faces), sum(map(len, chosen)), device)
        return cls(members, torch.as_tensor(np.concatenate(chosen), device=device), topology)


def overlap_loss(
    vertices: Tensor, slices: Sequence[slice], halves: Sequence[EverySecond], candidates: int
) -> Tensor:
    """L_O: mean depth in mm of vertices within the next or the previous vertebra.

    Args:
        vertices: (V, 3) mm.
        slices: where each vertebra's vertices are.
        halves: every second vertebra, and the others.
        candidates: see `nearest`.
    """
    total = vertices.sum() * 0
    with torch.no_grad():
        boxes = [(vertices[part].amin(0), vertices[part].amax(0)) for part in slices]
    for half in halves:
        close = _near(vertices, slices, boxes, half.members)
        if len(close):
            mesh = vertices[half.vertices]
            distance, _ = signed_distance(vertices[close], mesh, half.topology, candidates)
            total = total + torch.relu(-distance).sum()
    return total / len(vertices)


def _near(
    vertices: Tensor, slices: Sequence[slice], boxes: Sequence[tuple[Tensor, Tensor]], members: Sequence[int]
) -> Tensor:
    """Indices of the vertices within the box of a neighbour that is one of the members."""
    within = torch.zeros(len(vertices), dtype=torch.bool, device=vertices.device)
    for member in members:
        low, high = boxes[member]
        for neighbour in (member - 1, member + 1):
            if 0 <= neighbour < len(slices):
                part = vertices[slices[neighbour]]
                within[slices[neighbour]] |= ((part > low) & (part < high)).all(-1)
    return torch.nonzero(within)[:, 0]


def variance_loss(change: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """L_V: mean square difference in mm2 between the deformations of neighbouring vertebrae.

    Args:
        change: (V, 3) mm by which vertices are moved in their templates' frames.
        first, second: (M,) corresponding vertices, see `correspondence`.
    """
    if not len(first):
        return change.sum() * 0
    return (change[first] - change[second]).square().sum(-1).mean()
