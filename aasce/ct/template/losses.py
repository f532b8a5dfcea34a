"""The losses of Kim and Park 2024; the poster names them, the formulas are ours."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aasce.ct.template.distance import Topology, signed_distance, vertex_normals

FLAT = 0.02
"""1/mm: gradient of the intensity (20 HU/mm in a window of 1000 HU) at which an edge counts half."""


def image_loss(rendered: Tensor, intensity: Tensor, within: Tensor) -> Tensor:
    """L_I: mean absolute difference of (P,) rendered and true intensity over the points within the scan."""
    return ((rendered - intensity).abs() * within).sum() / within.sum().clamp(min=1)


def edge_loss(vertices: Tensor, reference: Tensor, edges: Tensor) -> Tensor:
    """L_E: mean square of the relative change of the edges' lengths.

    Args:
        vertices: (V, 3) mm.
        reference: (V, 3) mm, the template under A_i alone: growth is free, crumpling is not.
        edges: (E, 2).
    """
    now, before = ((v[edges[:, 0]] - v[edges[:, 1]]).norm(dim=-1) for v in (vertices, reference))
    return (now / before.clamp(min=1e-6) - 1).square().mean()


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
    return ((1 - aligned) * within).sum() / within.sum().clamp(min=1)


def overlap_loss(
    vertices: Tensor, slices: Sequence[slice], topologies: Sequence[Topology], candidates: int
) -> Tensor:
    """L_O: mean depth in mm of vertices within the next or the previous vertebra.

    Args:
        vertices: (V, 3) mm.
        slices: where each vertebra's vertices are.
        topologies: of each vertebra by itself.
        candidates: see `nearest`.
    """
    total = vertices.sum() * 0
    for first, second in zip(range(len(slices) - 1), range(1, len(slices)), strict=True):
        for inner, outer in ((first, second), (second, first)):
            total = total + _depth(
                vertices[slices[inner]], vertices[slices[outer]], topologies[outer], candidates
            )
    return total / len(vertices)


def _depth(points: Tensor, vertices: Tensor, topology: Topology, candidates: int) -> Tensor:
    """Sum of the depths of points inside a mesh."""
    with torch.no_grad():
        low, high = vertices.amin(0), vertices.amax(0)
        close = torch.nonzero(((points > low) & (points < high)).all(-1))[:, 0]
    if not len(close):
        return points.sum() * 0
    distance, _ = signed_distance(points[close], vertices, topology, candidates)
    return torch.relu(-distance).sum()


def variance_loss(change: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """L_V: mean square difference in mm2 between the deformations of neighbouring vertebrae.

    Args:
        change: (V, 3) mm by which vertices are moved in their templates' frames.
        first, second: (M,) corresponding vertices, see `correspondence`.
    """
    if not len(first):
        return change.sum() * 0
    return (change[first] - change[second]).square().sum(-1).mean()
