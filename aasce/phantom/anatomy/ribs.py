"""Surfaces of the ribs and of their cartilages.

Cross-sections: 12 x 7 mm near the middle of a rib, cortex 0.7 to 1.4 mm, thickest on the side of the pleura (Holcombe
et al. 2019, J Anat 235:883; 2023, Front Bioeng Biotechnol 11:1158242). The first rib lies flat, as the chest wall does
there.
"""

from __future__ import annotations

import numpy as np
import torch

from aasce.phantom.anatomy.cage import JOINED, RIBS, SIDES, RibCage, RibRecord
from aasce.phantom.solids.loft import at_shares, frames, loft_faces, smoothstep, tangents, to_mesh, tube, unit
from aasce.types import Array
from aasce.xray.mesh import Mesh

_KNOTS = np.array([0, 0.05, 0.10, 0.22, 0.6, 0.93, 1.0])
_HEIGHT = np.array([5.2, 4.7, 6.0, 6.4, 6.4, 6.6, 6.4])
_THICKNESS = np.array([4.6, 3.7, 4.7, 4.3, 3.6, 3.3, 3.4])
"""Half axes in mm of the cross-sections, from head by neck, tubercle and angle to the sternal end."""
_STOUT = np.array([1.12, 0.9, 0.95, 1, 1, 1, 1, 1, 0.98, 0.95, 0.85, 0.72])
_FLAT = np.array([0.72, 0.85, 0.95, 1, 1, 1, 1, 1, 1, 1, 0.95, 0.9])

_OUTER_SIDES, _INNER_SIDES, _RINGS = 8, 6, 15


def build_ribs(record: RibRecord, cage: RibCage, dtype: torch.dtype = torch.float64) -> list[Mesh]:
    """Ribs with their marrow, and cartilages: 240 + 156 faces per rib, 96 (calcified 168) per cartilage."""
    meshes = []
    outer, inner = _rib_surfaces(record, cage)
    for side, name in enumerate(SIDES):
        for rib in range(RIBS):
            label = f"rib {rib + 1} {name}"
            faces = loft_faces(_RINGS, _OUTER_SIDES)
            meshes.append(to_mesh(label, "cortex", "soft", outer[side, rib], faces, dtype))
            faces = loft_faces(_RINGS - 2, _INNER_SIDES)
            meshes.append(to_mesh(f"{label}/marrow", "marrow", "cortex", inner[side, rib], faces, dtype))
    return meshes + _cartilage_meshes(record, cage, dtype)


def _rib_surfaces(record: RibRecord, cage: RibCage) -> tuple[Array, Array]:
    shares = np.array(
        [0, 0.018, 0.06, 0.11, 0.17, 0.24, 0.31, 0.39, 0.48, 0.57, 0.66, 0.75, 0.87, 0.994, 1.0]
    )
    lines, up, out = (at_shares(v, shares) for v in (cage.ribs, cage.wall, cage.outward))
    out = out - (out * up).sum(-1, keepdims=True) * up
    grown = cage.scale * record.stout
    height = grown * np.interp(shares, _KNOTS, _HEIGHT) * _STOUT[:, None]
    thick = grown * np.interp(shares, _KNOTS, _THICKNESS) * _FLAT[:, None]
    # The last two ribs taper to points.
    taper = np.where(np.arange(RIBS)[:, None] >= JOINED, 1 - 0.6 * smoothstep(0.5, 1.0, shares), 1.0)
    radii = np.broadcast_to(np.stack([thick * taper, height * taper], -1), (2, RIBS, _RINGS, 2))
    out, up = unit(out), unit(up)
    turn = np.cross(tangents(lines), out)
    outer = tube(lines, out, turn, radii, _OUTER_SIDES)
    wall = record.cortex * np.interp(shares, [0, 0.1, 0.3, 0.6, 0.9, 1], [0.6, 0.9, 1.1, 1.0, 0.6, 0.35])
    wall = wall[:, None] * np.ones(2) * [1.2, 1.0]
    wall[[1, -2]] += 0.5 * record.cortex
    hollow = np.maximum(radii - wall, 0.3 * radii)[:, :, 1:-1]
    # The pleural wall is the thicker one: the marrow lies towards the skin.
    shift = 0.2 * record.cortex * out
    inner = tube(
        (lines + shift)[:, :, 1:-1], out[:, :, 1:-1], turn[:, :, 1:-1], hollow * 0.97, _INNER_SIDES, 0.1
    )
    return outer, inner


def _cartilage_meshes(record: RibRecord, cage: RibCage, dtype: torch.dtype) -> list[Mesh]:
    shares = np.linspace(0.03, 0.97, 7)
    lines = at_shares(cage.cartilages, shares)
    across, along = frames(lines, cage.outward[:, :JOINED, -1:])
    size = cage.scale * record.stout * np.interp(shares, [0, 0.3, 1], [1.0, 0.9, 0.75])[:, None] * [3.6, 6.2]
    radii = np.broadcast_to(size, (2, JOINED, len(shares), 2)) * _STOUT[:JOINED, None, None]
    surfaces = tube(lines, across, along, radii, 6)
    parts = [("", "cartilage", "soft", surfaces)]
    if record.calcified > 0.05:
        parts.append(
            ("/calcified", "marrow", "cartilage", tube(lines, across, along, radii * _lime(record), 6, 0.1))
        )
    return [
        to_mesh(f"cartilage {rib + 1} {name}{suffix}", material, inside, vertices[side, rib], faces, dtype)
        for suffix, material, inside, vertices in parts
        for side, name in enumerate(SIDES)
        for rib in range(JOINED)
        for faces in [loft_faces(len(shares), 6)]
    ]


def _lime(record: RibRecord) -> float:
    return 0.25 + 0.6 * min(record.calcified, 1.0)
