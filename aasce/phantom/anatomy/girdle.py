"""Sternum and shoulder girdle: clavicles and scapulae, depending on the position of the arms.

Sizes (adult means, men and women): manubrium and body 50 and 100 mm (Macaluso and Lucena 2014, Int J Legal Med
128:1219: 145 mm together); clavicle 148 mm (Kaur et al. 2002, J Anat Soc India 51:199); scapula 155 mm long, medial
border 4 mm thick 1 cm from its edge, spine 134 mm with the acromion, acromion 48 x 22 x 9 mm, glenoid 36 x 29 mm,
coracoid 11 mm thick (von Schroeder et al. 2001, Clin Orthop 383:131).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch

from aasce.config import Settings
from aasce.phantom.anatomy.cage import SIDES, SIGN, RibCage
from aasce.phantom.solids.loft import bezier, close, frames, loft_faces, resample, to_mesh, tube, unit
from aasce.types import Array
from aasce.xray.mesh import Mesh

Arms = Literal["hanging", "folded", "forward"]

_ROWS = np.array([0.0, 0.09, 0.17, 0.205, 0.235, 0.265, 0.3, 0.38, 0.5, 0.64, 0.78, 0.9, 1.0])
"""Rows of the blade from its upper to its lower border, as shares; the scapular spine lies on the fifth."""
_CREST = 4
_COLUMNS = 11


class GirdleRecord(Settings):
    """Numbers of sternum and shoulder girdle; factors on the average unless a unit is given.

    Attributes:
        arms: "hanging" at the sides, "folded" (hands at the clavicles) or "forward" (on a rest in front).
        raise_shoulders: degrees added to the clavicles' inclination.
        uneven: degrees by which the right clavicle is inclined more than the left one.
        clavicle: length of the clavicles.
        sternum: size of the sternum's cross-sections.
        scapula: size of the scapulae.
        turn: degrees by which the lower tips of the scapulae are rotated outward.
        cortex: thickness of the cortex, mm.
    """

    arms: Arms = "hanging"
    raise_shoulders: float = 0.0
    uneven: float = 0.0
    clavicle: float = 1.0
    sternum: float = 1.0
    scapula: float = 1.0
    turn: float = 0.0
    cortex: float = 1.4


@dataclass(frozen=True, slots=True)
class Girdle:
    """Position of the shoulder girdle; right then left, mm in the person's frame.

    Attributes:
        clavicles: (2, 25, 3), middle lines from the sternum to the acromion.
        frames: (2, 3, 3), axes of the scapulae as rows: outward along the blade, backward, up.
        glenoid: (2, 3), middles of the glenoids, origins of the scapulae's frames.
        shoulder: (2, 3), middles of the humeral heads.
        arms: position of the arms.
    """

    clavicles: Array
    frames: Array
    glenoid: Array
    shoulder: Array
    arms: Arms


def place_girdle(record: GirdleRecord, cage: RibCage) -> Girdle:
    """Places the clavicles at the manubrium, and the scapulae at the clavicles' ends, behind the ribs."""
    scale = cage.scale
    lift = {"hanging": 8.0, "folded": 14.0, "forward": 16.0}[record.arms]
    back = {"hanging": 29.0, "folded": 20.0, "forward": 14.0}[record.arms]
    climb = np.radians(lift + record.raise_shoulders + 0.5 * record.uneven * SIGN)
    back_angle = np.radians(back)
    side = np.stack(
        [SIGN * np.cos(climb) * np.cos(back_angle), -np.cos(climb) * np.sin(back_angle), np.sin(climb)], -1
    )
    top, angle = cage.sternum[:2]
    start = top + 0.12 * (angle - top) + scale * np.stack([21 * SIGN, [0, 0], [3, 3]], -1)
    end = start + 148 * scale * record.clavicle * side
    clavicles = _clavicle_lines(start, end)
    turn = {"hanging": 2.0, "folded": 14.0, "forward": 22.0}[record.arms] + record.turn
    axes = _blade_axes(cage, end, np.radians(turn), scale * record.scapula)
    # The clavicle meets the inner edge of the acromion.
    glenoid = end - np.einsum("sij,i->sj", axes, scale * record.scapula * np.array([9.0, -3.0, 33.0]))
    shoulder = glenoid + axes[:, 0] * 23 * scale
    return Girdle(clavicles, axes, glenoid, shoulder, record.arms)


def _clavicle_lines(start: Array, end: Array) -> Array:
    """(2, 25, 3) mm, S-shaped: convex forward over the medial two thirds, concave over the lateral third."""
    length = np.linalg.norm(end - start, axis=-1, keepdims=True)
    ahead = np.array([0, 1.0, 0]) * length
    return bezier(
        [start, start + 0.42 * (end - start) + 0.30 * ahead, end + 0.30 * (start - end) - 0.22 * ahead, end],
        25,
    )


def _blade_axes(cage: RibCage, end: Array, turn: float, size: float) -> Array:
    """(2, 3, 3) axes of the scapulae, rotated about the vertical until the medial border lies behind the ribs."""
    axes = np.empty((2, 3, 3))
    for side in (0, 1):
        ribs = cage.ribs[side, 1:8].reshape(-1, 3)
        ribs = ribs[np.abs(ribs[:, 2] - end[side, 2] + 85 * size) < 70 * size]
        aside = SIGN[side] * (end[side, 0] - ribs[:, 0])
        behind = end[side, 1] - ribs[:, 1] - 3 * size + 5 * cage.scale
        under = (aside > 15 * size) & (aside < 108 * size)
        inward = np.clip(np.arctan2(behind[under], aside[under]).max(initial=0.2), 0.2, 0.95)
        outward = np.array([SIGN[side] * np.cos(inward), np.sin(inward), 0.0])
        # Upper ends are inclined forward over the ribs; the lower tips are rotated outward by `turn`.
        up = unit(np.array([0.0, 0.2, 1.0]) - outward * np.sin(turn))
        up = unit(up - (up @ outward) * outward * (1 - abs(np.sin(turn))))
        outward = unit(outward - (outward @ up) * up)
        axes[side] = outward, SIGN[side] * np.cross(outward, up), up
    return axes


def build_girdle(
    record: GirdleRecord, cage: RibCage, girdle: Girdle, dtype: torch.dtype = torch.float64
) -> list[Mesh]:
    """Sternum (480 faces), clavicles (288 each) and scapulae (about 1,150 each), with their marrow."""
    meshes = _sternum_meshes(record, cage, dtype) + _clavicle_meshes(record, cage, girdle, dtype)
    for side, name in enumerate(SIDES):
        axes, size = girdle.frames[side], cage.scale * record.scapula
        for suffix, material, inside, vertices, faces in _scapula_parts(record.cortex / size):
            placed = girdle.glenoid[side] + size * vertices @ axes
            meshes.append(to_mesh(f"scapula {name}{suffix}", material, inside, placed, faces, dtype))
    return meshes


def _sternum_meshes(record: GirdleRecord, cage: RibCage, dtype: torch.dtype) -> list[Mesh]:
    top, angle, end, _ = cage.sternum
    share = np.array([0.0, 0.06, 0.3, 0.7, 0.97])[:, None]
    below = np.array([0.04, 0.25, 0.5, 0.75, 0.96, 1.0])[:, None]
    line = np.concatenate([top + share * (angle - top), angle + below * (end - angle)])
    wide = np.array([24, 28, 26, 19, 14.5, 14.5, 15.5, 18.5, 20, 16, 9]) * record.sternum
    deep = np.array([4.5, 5.6, 5.6, 4.9, 4.6, 4.6, 4.6, 4.6, 4.5, 4.0, 3.0]) * record.sternum
    across, through = frames(line, np.array([1.0, 0, 0]))
    radii = cage.scale * np.stack([wide, deep], -1)
    hollow = radii - np.array([1.2, 0.9]) * record.cortex / 1.4
    outer = tube(line, across, through, radii, 12, 0.1)
    inner = tube(line[1:-1], across[1:-1], through[1:-1], hollow[1:-1], 10, 0.05)
    tip = bezier(
        [end, end + (cage.sternum[3] - end) * 0.3, end + (cage.sternum[3] - end) * 0.7, cage.sternum[3]], 4
    )
    xiphoid = tube(
        tip,
        *frames(tip, np.array([1.0, 0, 0])),
        cage.scale * np.array([[7, 2.5], [7, 2.5], [6, 2], [3, 1.5]]),
        6,
    )
    return [
        to_mesh("sternum", "cortex", "soft", outer, loft_faces(11, 12), dtype),
        to_mesh("sternum/marrow", "marrow", "cortex", inner, loft_faces(9, 10), dtype),
        to_mesh("xiphoid", "cartilage", "soft", xiphoid, loft_faces(4, 6), dtype),
    ]


def _clavicle_meshes(record: GirdleRecord, cage: RibCage, girdle: Girdle, dtype: torch.dtype) -> list[Mesh]:
    shares = np.array([0, 0.03, 0.1, 0.2, 0.32, 0.44, 0.56, 0.68, 0.79, 0.89, 0.97, 1.0])
    deep = np.array([5.5, 9.5, 9, 7.5, 6.4, 6.2, 6.4, 6.6, 7.5, 9.0, 9.5, 8]) * cage.scale
    tall = np.array([6, 10, 9.3, 7.8, 6.4, 5.8, 5.6, 5.4, 5.2, 5.2, 5.2, 4.5]) * cage.scale
    meshes = []
    for side, name in enumerate(SIDES):
        line = resample(girdle.clavicles[side], 97)[np.rint(shares * 96).astype(int)]
        up, ahead = frames(line, np.array([0.0, 0, 1]))
        radii = np.stack([tall, deep], -1)
        wall = (
            cage.scale
            * np.interp(shares, [0, 0.08, 0.2, 0.5, 0.8, 1], [0.5, 0.7, 1.6, 2.3, 1.6, 0.7])[:, None]
            * record.cortex
            / 1.4
        )
        hollow = np.maximum(radii - wall, 0.35 * radii)[1:-1]
        outer = tube(line, up, ahead, radii, 7, 0.2)
        inner = tube(line[1:-1], up[1:-1], ahead[1:-1], hollow * 0.95, 6, 0.1)
        meshes.append(to_mesh(f"clavicle {name}", "cortex", "soft", outer, loft_faces(12, 7), dtype))
        meshes.append(to_mesh(f"clavicle {name}/marrow", "marrow", "cortex", inner, loft_faces(10, 6), dtype))
    return meshes


@lru_cache(maxsize=1)
def _blade() -> tuple[Array, Array]:
    """Middle surface (rows, columns, 3) of the blade and half its thickness, mm; x outward, y backward, z up."""
    upper = np.array([[-86, 36], [-78, 38], [-66, 34], [-44, 28], [-28, 20], [-18, 25], [-2, 19.0]])
    lower = np.array([[-80, -107], [-75, -109], [-70, -108.0]])
    inner = np.array([[-86, 36], [-95, 24], [-102, 6], [-101, -18], [-95, -52], [-87, -86], [-80, -107.0]])
    outer = np.array(
        [[-2, 19], [1, 6], [1, -6], [-4, -19], [-18, -34], [-36, -58], [-54, -85], [-70, -108.0]]
    )
    u = np.linspace(0, 1, _COLUMNS) ** 0.9
    top, bottom = (_along(line, u) for line in (upper, lower))
    left, right = (_along(line, _ROWS) for line in (inner, outer))
    v, u = _ROWS[:, None, None], u[:, None]
    corners = (1 - v) * ((1 - u) * top[0] + u * top[-1]) + v * ((1 - u) * bottom[0] + u * bottom[-1])
    flat = (1 - v) * top + v * bottom + (1 - u) * left[:, None] + u * right[:, None] - corners
    x, z = flat[..., 0], flat[..., 1]
    # Concave towards the ribs.
    y = 9 * np.clip(1 - ((x + 50) / 55) ** 2, 0, 1) * np.clip(1 - ((z + 35) / 80) ** 2, 0, 1)
    head = np.exp(-((x / 13) ** 2) - ((z / 22) ** 2))
    pillar = np.exp(-(((u[:, 0] - 0.93) / 0.09) ** 2)) * (np.abs(v[..., 0]) > 0.2)
    rim = np.exp(-((u[:, 0] / 0.06) ** 2))
    half = 1.1 + 10.5 * head + 3.2 * pillar * (1 - head) + 1.0 * rim + 2.5 * np.exp(-(((z + 104) / 14) ** 2))
    return np.stack([x, y, z], -1), half


def _along(line: Array, shares: Array) -> Array:
    """Points of a polyline (N, 2) at shares of its length."""
    walk = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=-1))])
    return np.stack([np.interp(shares * walk[-1], walk, line[:, axis]) for axis in (0, 1)], -1)


@lru_cache(maxsize=1)
def _sheet_faces(rows: int, columns: int) -> Array:
    """Faces of a closed sheet of front, back and border; vertices are the front's grid, then the back's."""
    grid = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = grid[:-1, :-1].ravel(), grid[:-1, 1:].ravel(), grid[1:, 1:].ravel(), grid[1:, :-1].ravel()
    front = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)])
    rim = np.concatenate([grid[0, :-1], grid[:-1, -1], grid[-1, :0:-1], grid[:0:-1, 0]])
    following, count = np.roll(rim, -1), rows * columns
    border = np.concatenate(
        [
            np.stack([following, rim, rim + count], -1),
            np.stack([following, rim + count, following + count], -1),
        ]
    )
    return np.concatenate([front, front[:, ::-1] + count, border]).astype(np.int64)


@lru_cache(maxsize=8)
def _scapula_parts(cortex: float) -> tuple[tuple[str, str, str, Array, Array], ...]:
    """Suffix of the name, material, material displaced, vertices (mm at scale 1) and faces of each part of a
    scapula."""
    middle, half = _blade()
    u = np.linspace(0, 1, _COLUMNS)
    crest = np.interp(u, [0, 0.12, 0.85, 0.95, 1.0], [0.0, 7.0, 36.0, 14.0, 0.0])
    back = np.array([0.0, 1.0, 0.0])
    dorsal = middle + half[..., None] * back
    dorsal[_CREST] += crest[:, None] * np.array([0.0, 1.0, 0.5])
    ventral = middle - half[..., None] * back
    parts = [
        ("", "cortex", "soft", np.concatenate([dorsal.reshape(-1, 3), ventral.reshape(-1, 3)])),
        ("/marrow", "marrow", "cortex", _blade_marrow(middle, half, cortex)),
    ]
    found = [
        (*part, _sheet_faces(len(_ROWS), _COLUMNS) if not part[0] else _sheet_faces_inner()) for part in parts
    ]
    feet = dorsal[[_CREST - 1, _CREST, _CREST + 1], 2:-1].swapaxes(0, 1)
    centre = feet.mean(1, keepdims=True)
    fin = close(centre + (feet - centre) * max(1 - 0.55 * cortex / 3.4, 0.2))
    found.append(("/spine marrow", "marrow", "cortex", fin, loft_faces(len(feet), 3)))
    return tuple(found + _processes(cortex))


_INNER_ROWS, _INNER_COLUMNS = slice(1, 12), slice(7, 11)


@lru_cache(maxsize=1)
def _sheet_faces_inner() -> Array:
    return _sheet_faces.__wrapped__(11, 4)


def _blade_marrow(middle: Array, half: Array, cortex: float) -> Array:
    """Marrow of the glenoid and the lateral border: the blade's lateral columns, moved inward from its edge."""
    inner = middle[_INNER_ROWS, _INNER_COLUMNS].copy()
    depth = half[_INNER_ROWS, _INNER_COLUMNS]
    inner[:, -1] += (inner[:, -2] - inner[:, -1]) * 0.16
    thick = np.maximum(depth - cortex, 0.12 * depth)
    thick[:, 0] *= 0.5
    shift = thick[..., None] * np.array([0.0, 1.0, 0.0])
    return np.concatenate([(inner + shift).reshape(-1, 3), (inner - shift).reshape(-1, 3)])


def _processes(cortex: float) -> list[tuple[str, str, str, Array, Array]]:
    """Acromion, from the end of the scapular spine forward, and coracoid process, from above the glenoid forward."""
    acromion = np.array(
        [[-16, 34, 19], [-4, 37, 24], [10, 34, 28], [21, 24, 31], [25, 10, 32], [23, -2, 32.5], [20, -9, 32]]
    )
    coracoid = np.array(
        [[-12, 2, 19], [-14, -9, 28], [-12, -20, 34], [-4, -30, 33], [4, -38, 27], [8, -42, 21.0]]
    )
    shapes = (
        (
            " acromion",
            acromion,
            [[5, 8], [5, 11], [5, 12.5], [4.8, 12.5], [4.5, 12], [4.2, 10], [3, 6]],
            [0, 0.1, 1.0],
        ),
        (" coracoid", coracoid, [[8, 10], [7, 9], [6, 7.5], [5.5, 6.5], [5.5, 6], [4, 4.5]], [0.3, 0.3, 1.0]),
    )
    found = []
    for name, line, sizes, along in shapes:
        radii = np.array(sizes, dtype=np.float64)
        first, second = frames(line, np.array(along))
        hollow = np.maximum(radii - 1.1 * cortex, 0.3 * radii)[1:-1]
        outer = tube(line, first, second, radii, 8, 0.3)
        inner = tube(line[1:-1], first[1:-1], second[1:-1], hollow * 0.95, 6, 0.1)
        found.append((name, "cortex", "soft", outer, loft_faces(len(line), 8)))
        found.append((f"{name}/marrow", "marrow", "cortex", inner, loft_faces(len(line) - 2, 6)))
    return found
