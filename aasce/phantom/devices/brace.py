"""Braces: a Boston or Cheneau shell of 4 mm polyethylene or polypropylene, from below the armpits over the hips.

They are open in front or behind, with two to four straps whose metal loops and rivets are visible (Rigo and Jelacic
2017, Scoliosis Spinal Disord 12:10).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from aasce.config import Settings
from aasce.phantom.anatomy.trunk import Trunk
from aasce.phantom.solids.loft import unit
from aasce.phantom.solids.primitives import Solid, disc, merged, ring
from aasce.phantom.spine.pose import LEVELS
from aasce.types import Array
from aasce.xray.mesh import Mesh


class Brace(Settings):
    """A plastic shell around the trunk.

    Attributes:
        style: "boston" (symmetric, low) or "cheneau" (with pads and reliefs, higher under one arm).
        top: level of the upper edge.
        bottom: mm of the lower edge below the sacrum's endplate.
        thickness: of the shell, mm.
        gap: between skin and shell, mm.
        push: depth of the pads, mm.
        side: side of the thoracic pad, +1 right, -1 left.
        buckles: number of straps.
        front: True if the straps close in front.
    """

    style: Literal["boston", "cheneau"]
    top: str
    bottom: float
    thickness: float
    gap: float
    push: float
    side: int
    buckles: int
    front: bool


_ROWS, _COLUMNS = 15, 32


def build_brace(brace: Brace, trunk: Trunk) -> list[Mesh]:
    """The shell ("plastic" in "air", 1,920 faces) and the metal of its straps."""
    scale = trunk.pose.scale
    top = float(trunk.spine[LEVELS.index(brace.top), 2])
    bottom = -brace.bottom * scale
    angles = 2 * np.pi * np.arange(_COLUMNS) / _COLUMNS
    heights = np.linspace(bottom, top + 40 * scale, 26)
    sections = np.array([trunk.section(height, angles) for height in heights])
    inner: list[Array] = []
    outer: list[Array] = []
    for share in np.linspace(0, 1, _ROWS):
        # The edge is cut out in front for the thighs and the breast, and is higher under one arm.
        low = bottom + 45 * scale * np.clip(np.sin(angles), 0, 1)
        high = top - 42 * scale * np.clip(np.sin(angles), 0, 1)
        if brace.style == "cheneau":
            high = high + 38 * scale * brace.side * np.cos(angles)
        z = low + share * (high - low)
        radius = np.array([np.interp(z[k], heights, sections[:, k]) for k in range(_COLUMNS)]) + brace.gap
        if brace.style == "cheneau":
            for side, at in ((brace.side, 0.72), (-brace.side, 0.33)):
                facing = np.clip(side * np.cos(angles), 0, 1) ** 3
                radius = radius - brace.push * facing * np.exp(-(((share - at) / 0.13) ** 2))
                relief = np.roll(facing, _COLUMNS // 2) * np.exp(-(((share - at) / 0.15) ** 2))
                radius = radius + 1.1 * brace.push * relief
        middle = np.array([trunk.middle(height) for height in z])
        for shell, extra in ((inner, 0.0), (outer, brace.thickness)):
            away = np.stack([np.cos(angles), np.sin(angles)], -1) * (radius + extra)[:, None]
            shell.append(np.column_stack([middle + away, z]))
    vertices, faces = _shell(np.array(inner), np.array(outer))
    shell_mesh = merged("brace", "plastic", "air", [(vertices, faces)], trunk.pose.centre.dtype)
    return [shell_mesh, _straps(brace, trunk, np.array(outer))]


def _shell(inner: Array, outer: Array) -> Solid:
    """A closed band of two walls (R, S, 3) that are joined at both edges."""
    rows, columns = inner.shape[:2]
    wall = np.concatenate([inner, outer[::-1]])
    count = 2 * rows
    here = np.arange(count)[:, None] * columns + np.arange(columns)
    beside = np.arange(count)[:, None] * columns + (np.arange(columns) + 1) % columns
    there, beyond = np.roll(here, -1, 0), np.roll(beside, -1, 0)
    faces = np.concatenate([np.stack([here, beside, beyond], -1), np.stack([here, beyond, there], -1)])
    return wall.reshape(-1, 3), faces.reshape(-1, 3)


def _straps(brace: Brace, trunk: Trunk, outer: Array) -> Mesh:
    """A loop and rivets for each strap, next to the opening."""
    solids: list[Solid] = []
    opening = 0.25 if brace.front else 0.75
    for k in range(brace.buckles):
        row = round((k + 0.7) / (brace.buckles + 0.4) * (_ROWS - 1))
        for shift, loop_here in ((-0.085, True), (0.07, False)):
            column = round((opening + shift) * _COLUMNS) % _COLUMNS
            place = outer[row, column]
            side = unit(outer[row, (column + 1) % _COLUMNS] - place)
            up = unit(outer[min(row + 1, _ROWS - 1), column] - outer[max(row - 1, 0), column])
            out = unit(np.cross(side, up))
            out = out if out[1] * (1 if brace.front else -1) > 0 else -out
            place = place + 4 * out
            if loop_here:
                corners = np.array([place + x * side + z * up for x, z in _FRAME])
                solids.append(ring(corners, 2.0, 5))
            solids.append(disc(place - 14 * side * np.sign(shift) * -1, out, 5.2, 3.0, 10))
            solids.append(disc(place - 14 * side * np.sign(shift) * -1 + 2 * out, out, 2.6, 4.0, 8))
    return merged("brace/straps", "steel", "air", solids, trunk.pose.centre.dtype)


_FRAME = [
    (-7, -20),
    (-8, -18),
    (-8, 0),
    (-8, 18),
    (-7, 20),
    (0, 20),
    (7, 20),
    (8, 18),
    (8, 0),
    (8, -18),
    (7, -20),
    (0, -20),
]
