"""A closed surface of one material, as renderer, voxeliser and phantom use it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True, slots=True)
class Mesh:
    """A closed triangle mesh and its material.

    A ray's path length through the mesh is added to `material` and subtracted from `inside`, the material that the mesh
    displaces: a skin of fat displaces air, a lung displaces soft tissue, the marrow of a vertebra displaces the
    cortex around it. So nested meshes need no boolean operations.

    Attributes:
        name: unique in a scene, for example "T7", "T7/marrow", "rib 4 left", "skin".
        material: a name of `aasce.xray.materials`.
        inside: the material displaced, a name of the same module.
        vertices: (V, 3) mm in the world (RAS+: x to the patient's right, y forward, z up), float32 or float64.
        faces: (F, 3) int64 indices into `vertices`, counter-clockwise seen from outside.
    """

    name: str
    material: str
    inside: str
    vertices: torch.Tensor
    faces: torch.Tensor

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Mesh:
        """The same mesh on another device or in another precision."""
        return replace(self, vertices=self.vertices.to(device, dtype), faces=self.faces.to(device))
