"""Templates of the vertebrae: mean shapes of C1 to the sacrum as closed surfaces with named points.

tools/phantom/build_vertebrae.py makes the file. It holds right halves, which are mirrored here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from aasce.phantom.spine.pose import LEVELS
from aasce.types import AasceError, Array

DATA = Path(__file__).parents[1] / "data" / "vertebrae.npz"


@dataclass(frozen=True, slots=True)
class Template:
    """One level at the mean sizes, in its own frame (mm; x to the patient's right, y forward, z up).

    Attributes:
        outer: (V, 3) float64, surface of the bone.
        inner: (V, 3), surface of the marrow; each vertex lies below the outer one of the same index.
        room: (V,) largest factor on the thickness of the cortex, at least 1.
        faces: (F, 3) int64 of both, counter-clockwise from outside.
        mirror: (V,) index of every vertex's mirror image.
        points: named points, (3,) each, both sides.
    """

    outer: Array
    inner: Array
    room: Array
    faces: Array
    mirror: Array
    points: dict[str, Array]


@lru_cache(maxsize=len(LEVELS))
def template(level: str) -> Template:
    """The stored template of a level, read once.

    Raises:
        AasceError: there is no such level.
    """
    if level not in LEVELS:
        raise AasceError(f"no vertebra is called {level!r}; name one of C1 to C7, T1 to T12, L1 to L5, S1")
    with np.load(DATA) as stored:
        outer, inset = (stored[f"{level}/{name}"].astype(np.float64) / 100 for name in ("outer", "inset"))
        room = stored[f"{level}/room"].astype(np.float64) / 50
        half_faces = stored[f"{level}/faces"].astype(np.int64)
        names, places = stored[f"{level}/names"], stored[f"{level}/points"].astype(np.float64)
    vertices, faces, mirror = mirrored(outer, half_faces)
    room = np.concatenate([room, room[outer[:, 0] != 0]])
    inner, _, _ = mirrored(outer + inset, half_faces, outer[:, 0] == 0)
    points = dict(zip(map(str, names), places, strict=True))
    for name in [name for name in points if "right" in name]:
        points[name.replace("right", "left")] = points[name] * [-1.0, 1.0, 1.0]
    return Template(vertices, inner, room, faces, mirror, points)


def mirrored(vertices: Array, faces: Array, shared: Array | None = None) -> tuple[Array, Array, Array]:
    """Adds the left half to a right half.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        shared: (V,) bool, vertices of the middle plane, which both halves share; those with x = 0 when None.

    Returns:
        All vertices, all faces, and the index of every vertex's mirror image.
    """
    shared = vertices[:, 0] == 0 if shared is None else shared
    count = len(vertices)
    twin = np.arange(count)
    twin[~shared] = count + np.arange(int((~shared).sum()))
    both = np.concatenate([vertices, vertices[~shared] * [-1.0, 1.0, 1.0]])
    all_faces = np.concatenate([faces, twin[faces][:, ::-1]])
    return both, all_faces, np.concatenate([twin, np.flatnonzero(~shared)])
