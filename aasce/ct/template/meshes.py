"""Template meshes: the mean vertebra of each level with its spectral basis.

The templates are the phantom's mean shapes (closed, 600 to 1,200 vertices), where the paper averages the lumbar
vertebrae of xVertSeg for all levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aasce.ct.template.spectral import Basis, eigenbasis
from aasce.phantom.spine.vertebra import build_vertebra
from aasce.readers.vertebrae import level_name

SUBSTITUTES = {"T13": "T12", "L6": "L5"}
"""Levels that only some persons have, and the level whose template stands in."""


@dataclass(frozen=True, slots=True, eq=False)
class TemplateMesh:
    """The mean vertebra of a level, in its own frame (mm; origin mid-body, x right, y forward, z up the body).

    Attributes:
        vertices: (V, 3).
        faces: (F, 3), counter-clockwise from outside.
        edges: (E, 2), each once.
        body: (V,) bool, True in front of the plane through the back of both endplates, False on the arch.
        basis: of its Laplacian, without the constant mode (A_i's translation moves the whole).
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    edges: NDArray[np.int64]
    body: NDArray[np.bool_]
    basis: Basis


def template_level(label: int) -> str:
    """The level whose template stands for a label of VerSe."""
    name = level_name(label)
    return SUBSTITUTES.get(name, name)


@lru_cache(maxsize=64)
def template_mesh(level: str, modes: int) -> TemplateMesh:
    """The template of a level; its basis is computed once.

    Args:
        level: "C1" to "L5" or "S1".
        modes: of the Laplacian, the constant one not counted.
    """
    model = build_vertebra(level)
    vertices, faces = model.outer.double().numpy(), model.faces.numpy()
    basis = eigenbasis(vertices, faces, modes + 1)
    return TemplateMesh(
        vertices,
        faces,
        edges_of(faces),
        _before(
            vertices, *(model.points[name].double().numpy() for name in ("superior_back", "inferior_back"))
        ),
        Basis(basis.values[1:], basis.modes[:, 1:], basis.mass),
    )


def edges_of(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """(E, 2) the edges of (F, 3) faces, each once."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _before(
    points: NDArray[np.float64], upper: NDArray[np.float64], lower: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """(N,) bool: in front of the line from `lower` to `upper`, seen from the side."""
    up = upper - lower
    return np.asarray((points[:, 1] - lower[1]) * up[2] - (points[:, 2] - lower[2]) * up[1] > 0)
