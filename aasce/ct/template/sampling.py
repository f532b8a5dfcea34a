"""Points around the surface, dense near it."""

from __future__ import annotations

import torch
from torch import Tensor

from aasce.ct.template.distance import face_normals
from aasce.ct.template.model import SpineModel
from aasce.ct.template.settings import Sampling


def sample_points(model: SpineModel, vertices: Tensor, settings: Sampling, rng: torch.Generator) -> Tensor:
    """(N * points, 3) world mm, as many around each vertebra, evenly over its surface.

    Args:
        model: of N vertebrae.
        vertices: (V, 3) world mm.
        settings: see `Sampling`.
        rng: source of every draw, on the CPU.
    """
    faces = model.topology.faces
    normals = face_normals(vertices, faces)
    chosen = torch.cat([
        torch.multinomial(part.cpu(), settings.points, replacement=True, generator=rng) + start
        for part, start in _parts(normals.norm(dim=-1), model.owner)
    ]).to(vertices.device)  # fmt: skip
    count = len(chosen)
    weights = torch.rand(count, 2, generator=rng).to(vertices.device)
    folded = torch.where(weights.sum(-1, keepdim=True) > 1, 1 - weights, weights)
    a, b, c = vertices[faces[chosen]].unbind(1)
    on = a + folded[:, :1] * (b - a) + folded[:, 1:] * (c - a)
    near = torch.randn(count, generator=rng) * settings.sd
    far = (2 * torch.rand(count, generator=rng) - 1) * settings.far
    offset = torch.where(torch.rand(count, generator=rng) < settings.near, near, far)
    offset = offset.clamp(-settings.far, settings.far).to(vertices.device)
    return on + offset[:, None] * torch.nn.functional.normalize(normals[chosen], dim=-1)


def _parts(areas: Tensor, owner: Tensor) -> list[tuple[Tensor, int]]:
    """Areas of the faces of each vertebra, and the index of the first."""
    counts = torch.bincount(owner).tolist()
    starts = [sum(counts[:i]) for i in range(len(counts))]
    return list(zip(torch.split(areas, counts), starts, strict=True))
