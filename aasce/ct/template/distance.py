"""Differentiable signed distance d_M from points to a closed mesh (Kim and Park 2024).

Forward: the nearest point of the mesh among the triangles whose middles are nearest, by a k-d tree; the sign by the
angle-weighted pseudonormal of the face, edge or vertex that it lies on (Baerentzen and Aanaes 2005). Backward: a
distance grows along its direction with the point, and falls by as much with the nearest point of the mesh, which the
barycentric weights share out among the triangle's vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from aasce.types import AasceError

_ON_SURFACE = 1e-6  # mm, below which the direction to the nearest point is that of the pseudonormal
_BESIDE = 1e-5  # weight below which a point counts as on the edge or vertex beside it
_LEAST = 1e-30


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """Triangles of one or more closed meshes and their neighbours.

    Attributes:
        faces: (F, 3) indices of vertices.
        across: (F, 3) the face on the other side of the edges 0-1, 1-2 and 2-0.
        count: number of vertices.
    """

    faces: Tensor
    across: Tensor
    count: int

    @classmethod
    def of(cls, faces: NDArray[np.int64], count: int, device: torch.device | str = "cpu") -> Topology:
        """Finds the neighbours.

        Raises:
            AasceError: the mesh is open or its faces do not all turn the same way.
        """
        start = faces.reshape(-1)
        stop = faces[:, [1, 2, 0]].reshape(-1)
        forward, backward = start * count + stop, stop * count + start
        order = np.argsort(forward)
        found = np.searchsorted(forward[order], backward).clip(max=len(order) - 1)
        twin = order[found]
        if (forward[twin] != backward).any() or len(np.unique(forward)) < len(forward):
            raise AasceError("mesh: is open or has flipped faces; a signed distance needs a closed one")
        return cls(
            torch.as_tensor(faces, device=device),
            torch.as_tensor(twin // 3, device=device).reshape(-1, 3),
            count,
        )


def face_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """(F, 3) normals, outwards, of twice the area's length."""
    a, b, c = vertices[faces].unbind(1)
    normals: Tensor = torch.linalg.cross(b - a, c - a)
    return normals


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """(V, 3) unit normals: means of those of the faces around, weighted by the angles."""
    normals = torch.nn.functional.normalize(face_normals(vertices, faces), dim=-1, eps=_LEAST)
    corners = vertices[faces]
    ahead = torch.nn.functional.normalize(corners[:, [1, 2, 0]] - corners, dim=-1, eps=_LEAST)
    behind = torch.nn.functional.normalize(corners[:, [2, 0, 1]] - corners, dim=-1, eps=_LEAST)
    # Below 1 by a little, as the arc cosine has no slope at 1.
    angle = torch.arccos((ahead * behind).sum(-1).clamp(-1 + 1e-6, 1 - 1e-6))
    weighted = (angle[..., None] * normals[:, None]).reshape(-1, 3)
    total = torch.zeros_like(vertices).index_add(0, faces.reshape(-1), weighted)
    return torch.nn.functional.normalize(total, dim=-1, eps=_LEAST)


def closest_weights(points: Tensor, corners: Tensor) -> Tensor:
    """Barycentric weights (..., 3) of the nearest points of triangles.

    After Ericson 2005, Real-Time Collision Detection, section 5.1.5. A weight is exactly 0 where the nearest point lies
    on an edge or a vertex.

    Args:
        points: (..., 3).
        corners: (..., 3, 3), vertices of one triangle for each point.
    """
    a, b, c = corners.unbind(-2)
    ab, ac, ap = b - a, c - a, points - a
    abab, abac, acac = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d1, d2 = (ab * ap).sum(-1), (ac * ap).sum(-1)
    d3, d4, d5, d6 = d1 - abab, d2 - abac, d1 - abac, d2 - acac
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    zero, one = torch.zeros_like(d1), torch.ones_like(d1)
    total = va + vb + vc
    total = torch.where(total.abs() < _LEAST, one, total)
    weights = torch.stack([va, vb, vc], -1) / total[..., None]
    cases = (
        ((va <= 0) & (d4 >= d3) & (d5 >= d6), *_along(zero, d4 - d3, d5 - d6, (0, 1, 2))),
        ((vb <= 0) & (d2 >= 0) & (d6 <= 0), *_along(zero, d2, -d6, (1, 0, 2))),
        ((d6 >= 0) & (d5 <= d6), zero, zero, one),
        ((vc <= 0) & (d1 >= 0) & (d3 <= 0), *_along(zero, d1, -d3, (2, 0, 1))),
        ((d3 >= 0) & (d4 <= d3), zero, one, zero),
        ((d1 <= 0) & (d2 <= 0), one, zero, zero),
    )
    for case, *values in cases:
        weights = torch.where(case[..., None], torch.stack(values, -1), weights)
    return weights


def _along(zero: Tensor, ahead: Tensor, left: Tensor, places: tuple[int, int, int]) -> list[Tensor]:
    """Weights on an edge: none for the vertex at places[0], the others by the way from places[1] to places[2]."""
    share = ahead / (ahead + left).clamp(min=_LEAST)
    values = [zero, zero, zero]
    values[places[1]], values[places[2]] = 1 - share, share
    return values


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """Nearest points of a mesh.

    Attributes:
        face: (P,) the triangle.
        weights: (P, 3) barycentric.
        distance: (P,) mm, negative inside.
        direction: (P, 3) unit vectors along which the signed distance grows.
    """

    face: Tensor
    weights: Tensor
    distance: Tensor
    direction: Tensor


def nearest(points: Tensor, vertices: Tensor, topology: Topology, candidates: int = 12) -> Nearest:
    """The nearest points of a mesh, without gradients.

    Args:
        points: (P, 3) mm.
        vertices: (V, 3) mm.
        topology: of the mesh.
        candidates: triangles that are tried for each point, those whose middles are nearest; all of them makes the
            search exhaustive.
    """
    corners = vertices[topology.faces]
    count = min(candidates, len(corners))
    tree = cKDTree(corners.mean(1).cpu().numpy(), balanced_tree=False, compact_nodes=False)
    _, found = tree.query(points.cpu().numpy(), k=count)
    tried = torch.as_tensor(np.reshape(found, (len(points), count)), device=points.device)
    chosen = corners[tried]
    weights = closest_weights(points[:, None], chosen)
    offset = points[:, None] - (weights[..., None] * chosen).sum(-2)
    best = offset.square().sum(-1).argmin(1, keepdim=True)
    face = tried.gather(1, best)[:, 0]
    weights = weights.take_along_dim(best[..., None], 1)[:, 0]
    offset = offset.take_along_dim(best[..., None], 1)[:, 0]
    normal = _pseudonormals(vertices, topology, face, weights)
    length = offset.norm(dim=-1)
    sign = torch.where((offset * normal).sum(-1) < 0, -1.0, 1.0).to(points.dtype)
    direction = sign[:, None] * offset / length.clamp(min=_LEAST)[:, None]
    direction = torch.where((length < _ON_SURFACE)[:, None], normal, direction)
    return Nearest(face, weights, sign * length, direction)


def _pseudonormals(vertices: Tensor, topology: Topology, face: Tensor, weights: Tensor) -> Tensor:
    """(P, 3) unit normals of the face, edge or vertex on which points with the given weights lie."""
    faces = torch.nn.functional.normalize(face_normals(vertices, topology.faces), dim=-1, eps=_LEAST)
    at_vertex = vertex_normals(vertices, topology.faces)[topology.faces[face, weights.argmax(-1)]]
    # The edge lies opposite to the vertex without weight: 1-2, 2-0 and 0-1 for the vertices 0, 1 and 2.
    edge = (weights.argmin(-1) + 1) % 3
    at_edge = faces[face] + faces[topology.across[face, edge]]
    # Rounding leaves a little weight off an edge; just beside an edge its pseudonormal has the right sign, too.
    zeros = (weights < _BESIDE).sum(-1)[:, None]
    normal = torch.where(zeros == 2, at_vertex, torch.where(zeros == 1, at_edge, faces[face]))
    return torch.nn.functional.normalize(normal, dim=-1, eps=_LEAST)


class _SignedDistance(torch.autograd.Function):
    """Distances that are already known, and how they change with points and vertices."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, vertices: Tensor, faces: Tensor, found: Nearest) -> Tensor:
        ctx.save_for_backward(found.direction, found.weights, faces[found.face])
        ctx.shape = vertices.shape
        return found.distance.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        direction, weights, corners = ctx.saved_tensors
        at_points = grads[0][:, None] * direction
        at_vertices = None
        if ctx.needs_input_grad[1]:
            shared = -(weights[..., None] * at_points[:, None]).reshape(-1, 3)
            at_vertices = shared.new_zeros(ctx.shape).index_add_(0, corners.reshape(-1), shared)
        return (at_points if ctx.needs_input_grad[0] else None), at_vertices, None, None


def signed_distance(
    points: Tensor, vertices: Tensor, topology: Topology, candidates: int = 12
) -> tuple[Tensor, Tensor]:
    """d_M: signed distances with gradients to points and vertices, and the nearest triangles.

    Args:
        points: (P, 3) mm.
        vertices: (V, 3) mm, of the same type.
        topology: of the mesh.
        candidates: see `nearest`.

    Returns:
        (P,) mm, negative inside, and (P,) indices of faces.
    """
    with torch.no_grad():
        found = nearest(points, vertices, topology, candidates)
    distance: Tensor = _SignedDistance.apply(points, vertices, topology.faces, found)
    return distance, found.face
