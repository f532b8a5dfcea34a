"""What every voxel of a phantom belongs to: the table of structures, and how meshes map to it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import torch

from aasce.phantom.person import Phantom
from aasce.phantom.solids.loft import close, loft_faces
from aasce.phantom.spine.pose import LEVELS
from aasce.readers.vertebrae import VERSE
from aasce.xray.mesh import Mesh

Part: TypeAlias = Literal["body", "arch", "disc", "other"]

BODY_KINDS: tuple[str, ...] = (
    "air",
    "subcutaneous fat",
    "muscle",
    "gland",
    "psoas",
    "deep fat",
    "visceral fat",
    "liver",
    "spleen",
    "kidney",
    "bowel wall",
    "bowel content",
    "bowel gas",
    "lung",
    "lung vessels",
    "airway",
    "heart",
    "aorta",
    "vena cava",
    "canal",
    "brain",
    "costal cartilage",
    "rib cortex",
    "rib marrow",
    "bone cortex",
    "bone marrow",
    "metal",
    "plastic",
    "table",
)
"""Kinds of structure that belong to no vertebra."""


@dataclass(frozen=True, slots=True)
class Structure:
    """One structure of the body.

    Attributes:
        name: unique.
        kind: by which grey values are drawn, one of BODY_KINDS, or "cortex", "margin" (bone of a body just
            beneath the cortex), "marrow", "disc", "metal".
        label: VerSe's label of the vertebra that it is part of, 0 for none.
        part: "body" or "arch" of a vertebra, "disc", or "other".
    """

    name: str
    kind: str
    label: int = 0
    part: Part = "other"


def _table() -> tuple[Structure, ...]:
    table = [Structure(kind, kind) for kind in BODY_KINDS]
    for level in LEVELS:
        label = VERSE[level]
        for part in ("body", "arch"):
            for kind in ("cortex", "marrow"):
                table.append(Structure(f"{level} {part} {kind}", kind, label, part))
        table.append(Structure(f"{level} body margin", "margin", label, "body"))
        table.append(Structure(f"{level} metal", "metal", label))
        table.append(Structure(f"{level} disc", "disc", 0, "disc"))
    return tuple(table)


STRUCTURES: tuple[Structure, ...] = _table()
"""All structures; a voxel's number in a structure map is the index in this table. 0 is air. "L3 disc" is the disc
below L3; C1 and the sacrum have none. Left and right share a number."""

NUMBER: dict[str, int] = {structure.name: number for number, structure in enumerate(STRUCTURES)}
"""Index of a structure by its name."""

VERSE_OF: np.ndarray[tuple[int], np.dtype[np.uint8]] = np.array([s.label for s in STRUCTURES], np.uint8)
"""(S,) VerSe's label of each structure, 0 for none."""

IS_METAL: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.array([s.kind == "metal" for s in STRUCTURES])
"""(S,) which structures are of metal."""

_METALS = ("titanium", "steel", "aluminium")
_BY_MATERIAL = {
    "soft": "muscle",
    "fat": "subcutaneous fat",
    "lung": "lung",
    "blood": "lung vessels",
    "air": "airway",
    "cartilage": "costal cartilage",
    "cortex": "bone cortex",
    "marrow": "bone marrow",
    "plastic": "plastic",
}


def structure_of(mesh: Mesh) -> str:
    """Name of the structure that a phantom's mesh is part of; of a vertebra the part of the body."""
    owner, _, detail = mesh.name.partition("/")
    if owner in VERSE:
        return f"{owner} body {'marrow' if detail else 'cortex'}"
    if mesh.material in _METALS:
        return "metal"
    if owner.endswith(" disc"):
        return owner
    first = owner.split(" ")[0]
    if first == "rib":
        return f"rib {mesh.material}"
    if first in ("heart", "aorta", "psoas", "gas"):
        return {"gas": "bowel gas"}.get(first, "deep fat" if detail == "fat" else first)
    return "gland" if detail == "gland" else _BY_MATERIAL[mesh.material]


def disc_meshes(phantom: Phantom, sides: int = 24) -> list[Mesh]:
    """Intervertebral discs: a rounded loft from the lower rim of one body to the upper rim of the next.

    Each reaches a little into both bodies, so that bone that is painted over it leaves no gap at the endplates.

    Args:
        phantom: the person.
        sides: points around a disc.
    """
    meshes = []
    for upper, lower in pairwise(LEVELS[1:]):
        top, bottom = _rim(phantom, upper, "inferior", sides), _rim(phantom, lower, "superior", sides)
        down = phantom.pose.centre[LEVELS.index(lower)] - phantom.pose.centre[LEVELS.index(upper)]
        down = (down / down.norm()).detach().double().numpy()
        gap = float((bottom.mean(0) - top.mean(0)) @ down)
        # Bodies of a worn disc may overlap: the disc stays at least a millimetre thick.
        inset = max(0.15 * gap + 2.0, 0.5 - gap / 2) * down
        shares, bulge = np.array([0.0, 0.25, 0.5, 0.75, 1.0]), np.array([0.97, 1.02, 1.04, 1.02, 0.97])
        start, stop = bottom + inset, top - inset
        rings = start + shares[:, None, None] * (stop - start)
        middle = rings.mean(1, keepdims=True)
        rings = middle + (rings - middle) * bulge[:, None, None]
        vertices = torch.as_tensor(close(rings), dtype=torch.float32)
        faces = torch.as_tensor(np.array(loft_faces(len(shares), sides)))
        meshes.append(Mesh(f"{upper} disc", "cartilage", "soft", vertices, faces))
    return meshes


def _rim(
    phantom: Phantom, level: str, end: str, sides: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(sides, 3) mm of an endplate's rim, counter-clockwise from above, by its four marked points."""
    right, left, front, back = (
        phantom.points[level][f"{end}_{side}"].detach().double().numpy()
        for side in ("right", "left", "front", "back")
    )
    centre = (right + left + front + back) / 4
    angle = 2 * np.pi * np.arange(sides) / sides
    # A superellipse, as endplates are flatter at the sides and the back than an ellipse.
    across, along = (np.sign(v) * np.abs(v) ** 0.8 for v in (np.cos(angle), np.sin(angle)))
    ring = centre + across[:, None] * (right - left) / 2
    return np.asarray(ring + along[:, None] * (front - back) / 2)
