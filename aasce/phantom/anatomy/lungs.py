"""Lungs: their surfaces follow the chest wall, the heart, vessels and spine, and the domes of the diaphragm.

The lower borders cross the ribs as in quiet breathing: the sixth rib at the sternum and below the nipple, the eighth at
the side, the tenth to eleventh at the spine, two ribs above the borders of the pleura (Gray's Anatomy, 41st edition,
chapter 54). The domes are at about the tenth rib behind, the right one half an intercostal space above the left one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aasce.config import Settings
from aasce.phantom.anatomy.cage import JOINED, SIDES, SIGN, RibCage
from aasce.phantom.anatomy.heart import Mediastinum
from aasce.phantom.solids.loft import (
    at_shares,
    bezier,
    close,
    frames,
    loft_faces,
    smoothstep,
    to_mesh,
    tube,
    unit,
)
from aasce.phantom.spine.anthropometry import means
from aasce.phantom.spine.pose import LEVELS
from aasce.types import Array
from aasce.xray.mesh import Mesh

_ALONG = np.array([0.075, 0.12, 0.17, 0.23, 0.3, 0.38, 0.46, 0.54, 0.62, 0.7, 0.79, 0.89, 1.0])
_BEYOND = np.array([0.35, 0.7, 0.95])
"""Columns of the costal surface: positions as shares of a rib, then of its cartilage."""
_LOWEST = np.array([10.7, 10.8, 10.8, 10.7, 10.4, 10.0, 9.5, 9.0, 8.4, 7.8, 7.2, 6.8, 6.5, 6.3, 6.1, 6.0])
"""The rib down to which each column extends in quiet breathing."""
_MEDIAL = 11
_WALL_ROWS, _APEX_ROWS, _BASE_ROWS = 19, 3, 5


class LungRecord(Settings):
    """Numbers of the lungs.

    Attributes:
        domes: height of the right and left dome of the diaphragm above its rim, mm.
        deep: ribs by which the lower border is lower than in quiet breathing.
        apex: height of the lungs' tops above the first ribs, mm.
        vessels: factor on the calibre of the vessels in the lungs; 0 for no vessels.
        seed: of the vessels' branching.
    """

    domes: tuple[float, float] = (34.0, 26.0)
    deep: float = 0.0
    apex: float = 17.0
    vessels: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Lungs:
    """Surfaces of both lungs, mm.

    Attributes:
        wall: (2, rows, columns, 3) right, then left; rows from the first rib down, columns from the spine along the
            chest wall to the sternum and back along the mediastinum.
        rings: (2, R, columns, 3), all rings from the apex along the wall to the dome.
        domes: (2, 3), tops of the diaphragm.
    """

    wall: Array
    rings: Array
    domes: Array


def shape_lungs(record: LungRecord, cage: RibCage, mediastinum: Mediastinum) -> Lungs:
    """Fits the lungs between rib cage and mediastinum.

    Args:
        record: see `LungRecord`.
        cage: the ribs; the lungs keep 3 mm from the bone.
        mediastinum: the organs between the lungs.
    """
    costal = _costal_surface(record, cage)
    height = costal[:, -1, :, 2].mean(1) + np.array(record.domes) * cage.scale
    wall = np.concatenate([costal, _medial_surface(costal, height - 9 * cage.scale, cage, mediastinum)], 2)
    apex = _apex(wall[:, 0], cage, record.apex)
    base, domes = _base(wall[:, -1], height, cage)
    return Lungs(wall, np.concatenate([apex, wall, base], 1), domes)


def _costal_surface(record: LungRecord, cage: RibCage) -> Array:
    """(2, rows, 16, 3) mm: the inside of the chest wall, rows from the first rib to the lower border."""
    within = 7.8 * cage.scale
    bony = at_shares(cage.ribs, _ALONG) - within * at_shares(cage.outward, _ALONG)
    last = cage.cartilages[:, [*range(JOINED), JOINED - 1, JOINED - 1]]
    facing = cage.outward[:, :, -1:]
    gristle = at_shares(last, _BEYOND) - (within + 1.0 * cage.scale) * facing
    surface = np.concatenate([bony, gristle], 2)
    reach = np.minimum(_LOWEST + record.deep, 11.6)
    rib = np.linspace(0, 1, _WALL_ROWS)[:, None] * (reach - 1)
    low = np.minimum(rib.astype(int), surface.shape[1] - 2)
    share = (rib - low)[..., None]
    column = np.arange(surface.shape[2])
    return np.asarray(surface[:, low, column] * (1 - share) + surface[:, low + 1, column] * share)


def _medial_surface(costal: Array, tendon_height: Array, cage: RibCage, mediastinum: Mediastinum) -> Array:
    """(2, rows, 11, 3) mm: from the sternum along heart and vessels to the spine."""
    # Columns are denser in front, where the surface curves around the heart.
    share = np.linspace(0, 1, _MEDIAL + 2)[1:-1, None] ** 1.25
    front, back = costal[:, :, -1:], costal[:, :, :1]
    line = front * (1 - share) + back * share
    y, z = line[..., 1], line[..., 2]
    # Between sternum and spine the lung ends higher, at the central tendon beside the heart.
    tendon = smoothstep(0, 0.25, share[:, 0]) * (1 - smoothstep(0.72, 1.0, share[:, 0]))
    lift = np.maximum(tendon_height[:, None] - z[:, -1], 0) * tendon
    z = z + lift[:, None] * np.linspace(0, 1, _WALL_ROWS)[:, None]
    scale = cage.scale
    heights = cage.spine[::-1, 2]
    spine_x, spine_y = (np.interp(z, heights, cage.spine[::-1, axis]) for axis in (0, 1))
    body = np.array([means()[level].upper_width / 2 for level in LEVELS[7:19]])[::-1] * scale
    ahead = (y - spine_y) / scale
    # Wider behind, where the heads of the ribs lie beside the bodies.
    beside = np.interp(z, heights, body) + scale * (5 + 8 * (1 - smoothstep(-4, 16, ahead)))
    sternum = np.interp(z, cage.sternum[::-1, 2], cage.sternum[::-1, 0])
    depth = np.clip(ahead / 110, 0, 1)
    middle = spine_x * (1 - depth) + sternum * depth
    # Above the aortic arch, vessels and windpipe separate the lungs; below it they are close together in front.
    level = (z - cage.spine[3, 2]) / (cage.spine[1, 2] - cage.spine[3, 2])
    between = scale * (9 + 15 * smoothstep(0.2, 1.0, level) * (1 - 0.4 * depth))
    near_spine = 1 - smoothstep(12, 32, ahead)
    keep = beside * near_spine + between * (1 - near_spine)
    sign = SIGN[:, None, None]
    near = (mediastinum.reach(y + shift * scale, z) for shift in (-6, 0, 6))
    organs = np.max(list(near), axis=0) + 3 * scale
    x = _smooth(sign * np.maximum(sign * (middle + sign * keep), organs))
    x = sign * np.maximum(sign * x, organs)
    # Not through the chest wall: at most 85 % of the distance to the side.
    side = (sign * costal[..., 0]).max(2)[..., None]
    x = sign * np.minimum(sign * x, 0.15 * sign * middle + 0.85 * side)
    return np.stack([x, y, z], -1)


def _smooth(values: Array) -> Array:
    """Averages rows and columns with their neighbours once, except at the border."""
    for axis in (1, 2):
        moved = np.moveaxis(values, axis, 0).copy()
        moved[1:-1] = 0.25 * moved[:-2] + 0.5 * moved[1:-1] + 0.25 * moved[2:]
        values = np.moveaxis(moved, 0, axis)
    return values


def _apex(ring: Array, cage: RibCage, height: float) -> Array:
    """(2, 3, columns, 3) mm: rings of a rounded apex, from the top down to the first rib."""
    middle = ring.mean(1, keepdims=True)
    up = unit(cage.spine[0] - cage.spine[2] + np.array([0, 12.0, 0]))
    turn = np.radians([78.0, 52.0, 26.0])[:, None, None]
    return np.asarray(
        middle[:, None] + np.cos(turn) * (ring - middle)[:, None] + np.sin(turn) * height * cage.scale * up
    )


def _base(ring: Array, height: Array, cage: RibCage) -> tuple[Array, Array]:
    """Rings (2, 5, columns, 3) mm from the rim of the diaphragm to its domes, and the tops of the domes (2, 3)."""
    middle = ring.mean(1)
    middle[:, 1] += 6 * cage.scale
    middle[:, 2] = height
    share = np.array([0.12, 0.3, 0.52, 0.74, 0.92])[:, None]
    xy = ring[:, None, :, :2] * (1 - share[..., None]) + middle[:, None, None, :2] * share[..., None]
    rise = 1 - (1 - share) ** 2.4
    z = ring[:, None, :, 2] * (1 - rise) + middle[:, 2, None, None] * rise
    return np.concatenate([xy, z[..., None]], -1), middle


def build_lungs(
    record: LungRecord, lungs: Lungs, mediastinum: Mediastinum, dtype: torch.dtype = torch.float64
) -> list[Mesh]:
    """Both lungs (1,404 faces each) and the vessels within (560 each)."""
    _, rings, columns, _ = lungs.rings.shape
    tops = 2 * lungs.rings[:, 0].mean(1) - lungs.rings[:, 1].mean(1)
    tops = lungs.rings[:, 0].mean(1) + 0.25 * (tops - lungs.rings[:, 0].mean(1))
    vertices = close(lungs.rings, tops, lungs.domes)
    meshes = [
        to_mesh(f"lung {name}", "lung", "soft", vertices[side], loft_faces(rings, columns), dtype)
        for side, name in enumerate(SIDES)
    ]
    if record.vessels > 0:
        meshes += _vessel_meshes(record, lungs, mediastinum, dtype)
    return meshes


def _vessel_meshes(
    record: LungRecord, lungs: Lungs, mediastinum: Mediastinum, dtype: torch.dtype
) -> list[Mesh]:
    """Arteries and veins from the hila towards the chest wall, 14 on each side."""
    rng = np.random.default_rng(record.seed)
    rows = np.array([2, 4, 5, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 17])
    # On the left they pass behind the heart.
    columns = np.array(
        [[5, 7, 9, 4, 10, 6, 7, 3, 10, 6, 5, 8, 4, 6], [5, 7, 9, 4, 8, 6, 7, 3, 6, 5, 5, 6, 4, 5]]
    )
    reach = rng.uniform(0.6, 0.82, (2, len(rows), 1))
    start_at, bend = rng.normal(0, 5, (2, 2, len(rows), 3)) * mediastinum.scale
    row = np.clip(rows + rng.integers(-1, 2, (2, len(rows))), 0, _WALL_ROWS - 1)
    column = np.clip(columns + rng.integers(-1, 2, (2, len(rows))), 1, 13)
    meshes = []
    sizes = record.vessels * mediastinum.scale * np.array([3.0, 2.7, 2.1, 1.5, 0.9])
    for side, name in enumerate(SIDES):
        goal = lungs.wall[side, row[side], column[side]]
        hilum = lungs.wall[side, 7:10, -6:-3].mean((0, 1))
        start = hilum + 0.13 * (goal - hilum) + start_at[side] * np.array([0.3, 1.8, 2.6])
        goal = start + reach[side] * (goal - start)
        lines = bezier(
            [start, 0.65 * start + 0.35 * goal + bend[side], 0.3 * start + 0.7 * goal + bend[side], goal], 5
        )
        radii = np.broadcast_to(sizes[:, None], (*lines.shape[:-1], 2))
        parts = tube(lines, *frames(lines, np.array([0.3, 0.9, 0.2])), radii, 4)
        meshes.append(
            _gathered(f"lung {name}/vessels", "blood", "lung", list(parts), loft_faces(5, 4), dtype)
        )
    return meshes


def _gathered(
    name: str, material: str, inside: str, parts: Sequence[Array], faces: Array, dtype: torch.dtype
) -> Mesh:
    """One mesh of several closed surfaces with the same faces."""
    offset = np.arange(len(parts))[:, None, None] * len(parts[0])
    return to_mesh(name, material, inside, np.concatenate(parts), (faces + offset).reshape(-1, 3), dtype)
