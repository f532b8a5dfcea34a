"""Metal on a spine whose corners are known from a film: spinal implants in three dimensions, placed by the vertebrae.

Position, width and tilt of every vertebra come from its corners, its rotation about the spine's own axis from how far
it lies beside the line through the column's ends, depths from those of an average adult. Sizes are those of
`aasce.phantom.devices.implants`, which names their sources. Objects on the skin are in `worn`, beside this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.spine import centres, widths
from aasce.types import Array
from aasce.xray.chords import Box, Pin, Rod, Solid, rod

Floats = NDArray[np.float64]
Parts = dict[str, list[Solid]]
"""Solids by material, a name of `aasce.xray.materials`."""

STEP = (21.0, 28.0)
"""mm between vertebra centres, mean of T1 to L5: from a slim child to a tall adult."""


@dataclass(frozen=True, slots=True)
class Column:
    """Vertebrae in the frame of `aasce.xray.chords`, mm; z runs from front to back.

    Attributes:
        centre: (V, 3).
        frame: (V, 3, 3), rows: right on the film, up and back of each vertebra.
        width: (V,) of the bodies.
        height: (V,) of body and disc.
        px_mm: px of the film a mm.
        size: (H, W) mm of the film.
    """

    centre: Floats
    frame: Floats
    width: Floats
    height: Floats
    px_mm: float
    size: tuple[float, float] = field(default=(0.0, 0.0))

    def __len__(self) -> int:
        return len(self.centre)

    def at(self, index: int, right: float, up: float, back: float) -> Floats:
        """(3,) mm of a point given in the frame of a vertebra, mm from the centre of its body."""
        return np.asarray(self.centre[index] + np.array([right, up, back]) @ self.frame[index])

    def pedicle(self, index: int) -> float:
        """mm from the middle of a vertebra to the middle of a pedicle: closer together in the lumbar spine."""
        share = index / (len(self) - 1)
        return float(np.interp(share, [0, 0.25, 0.65, 1], [0.38, 0.42, 0.36, 0.32]) * self.width[index])


def column_of(landmarks: Array, size: tuple[int, int], rng: np.random.Generator) -> Column:
    """The vertebrae of a film.

    Args:
        landmarks: (V, 4, 2) px, 3 vertebrae or more from the top.
        size: (H, W) px of the film.
        rng: source of the scale and of the vertebrae's rotation.
    """
    middle = centres(landmarks)
    steps = np.linalg.norm(np.diff(middle, axis=0), axis=1)
    px_mm = float(steps.mean() / rng.uniform(*STEP))
    across = landmarks[:, [1, 3]].mean(axis=1) - landmarks[:, [0, 2]].mean(axis=1)
    right = across / np.linalg.norm(across, axis=1, keepdims=True)
    ends = middle[-1] - middle[0]
    aside = (ends[0] * (middle - middle[0])[:, 1] - ends[1] * (middle - middle[0])[:, 0]) / np.hypot(*ends)
    turn = np.radians(np.clip(-aside / px_mm * rng.uniform(0.2, 0.9), -25, 25) + rng.normal(0, 3))
    flat = np.column_stack([right, np.zeros(len(right))])
    up = np.column_stack([right[:, 1], -right[:, 0], np.zeros(len(right))])
    back = np.array([0.0, 0.0, 1.0])
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    frame = np.stack([cos * flat + sin * back, up, cos * back - sin * flat], axis=1)
    depth = rng.uniform(-18, 18) * np.sin(np.linspace(0, 2 * np.pi, len(middle)))  # kyphosis and lordosis
    return Column(
        np.column_stack([middle / px_mm, depth]), frame, np.maximum(widths(landmarks) / px_mm, 10.0),
        np.append(steps, steps[-1]) / px_mm, px_mm, (size[0] / px_mm, size[1] / px_mm),
    )  # fmt: skip


def levels(column: Column, rng: np.random.Generator, fewest: int = 4) -> tuple[int, int]:
    """First and last vertebra of a construct."""
    last = len(column) - 1
    fewest = min(fewest, last)
    top = int(rng.integers(0, max(1, min(round(0.6 * last), last - fewest) + 1)))
    return top, int(rng.integers(min(top + fewest, last), last + 1))


def curve(points: Floats, degree: int, count: int) -> Floats:
    """A smooth curve (count, 3) through the run of points (N, 3): rods bend evenly, from the first to the last."""
    at = np.linspace(-1, 1, len(points))
    fitted = np.polynomial.polynomial.polyfit(at, points, min(degree, len(points) - 1))
    return np.asarray(np.polynomial.polynomial.polyval(np.linspace(-1, 1, count), fitted).T)


def posterior(column: Column, rng: np.random.Generator) -> Parts:
    """Rods on pedicle screws, on hooks and wires, or on both, with cross links."""
    metal = "titanium" if rng.random() < 0.75 else "steel"
    top, bottom = levels(column, rng, 4 if rng.random() < 0.3 else 8)
    hooked = (
        bottom + 1 if rng.random() < 0.2 else int(rng.integers(top, bottom)) if rng.random() < 0.2 else top
    )
    density, radius = float(rng.choice([1.0, 0.8, 0.55])), float(rng.choice([2.4, 2.75, 3.0, 3.2]))
    parts: list[Solid] = []
    lines = []
    sides = (-1, 1) if rng.random() < 0.92 else (int(rng.choice([-1, 1])),)
    for side in sides:
        span = range(top, bottom + 1)
        behind = rng.uniform(28, 36)
        heads = np.array([column.at(i, side * 1.05 * column.pedicle(i), 1, behind) for i in span])
        line = curve(heads, int(rng.integers(3, 6)), len(span))
        lines.append(line)
        for index, head in zip(span, line, strict=True):
            if index in (top, bottom) or rng.random() < density:
                hook = index < hooked
                parts += (
                    _hook(column, index, side, head, rng) if hook else _screw(column, index, side, head, rng)
                )
        parts.append(rod(_lengthened(line, rng.uniform(4, 16, 2)), radius))
    if len(lines) == 2:
        for _ in range(int(rng.choice([0, 1, 2], p=[0.5, 0.25, 0.25]))):
            parts.append(_crosslink(lines, int(rng.integers(0, len(lines[0])))))
    return {metal: parts}


def _lengthened(line: Floats, beyond: Floats) -> Floats:
    """A line with its ends moved on by mm."""
    first = line[0] + beyond[0] * _unit(line[0] - line[1])
    last = line[-1] + beyond[1] * _unit(line[-1] - line[-2])
    return np.concatenate([[first], line, [last]])


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector))


def _screw(column: Column, index: int, side: int, head: Floats, rng: np.random.Generator) -> list[Solid]:
    """A pedicle screw: the shank through the pedicle, the head around the rod, a set screw."""
    share = index / (len(column) - 1)
    long, thick = 30 + 16 * share + rng.normal(0, 3), np.interp(share, [0, 0.3, 1], [2.3, 2.2, 3.3])
    entry = column.at(index, side * column.pedicle(index), rng.normal(0, 1.5), 17)
    inward = np.tan(np.radians(np.interp(share, [0, 0.3, 0.65, 1], [20, 7, 7, 17]) + rng.normal(0, 5)))
    aim = column.at(index, side * (column.pedicle(index) - 30 * inward), rng.normal(0, 3), -13)
    way = _unit(aim - entry)
    tip = entry + long * way
    shank = Rod(
        np.stack([head, entry, tip - 6 * way, tip]), np.array([thick, thick, thick, 0.3 * thick]), 0.22
    )
    axis = _unit(0.6 * _unit(head - entry) + 0.4 * column.frame[index, 2])
    wide = rng.uniform(5.2, 6.6)
    return [shank, Pin(head - 6 * axis, head + 7 * axis, wide)]


def _hook(column: Column, index: int, side: int, head: Floats, rng: np.random.Generator) -> list[Solid]:
    """A hook under the lamina, or a wire around it."""
    up, back = column.frame[index, 1], column.frame[index, 2]
    aside = side * column.frame[index, 0]
    if rng.random() < 0.3:
        angle = np.linspace(-0.4, 1.4 * np.pi, 9)[:, None]
        wire = head + 3 * back + 9 * np.cos(angle) * up + 6 * np.sin(angle) * aside
        return [rod(wire, 0.65), rod([wire[0], wire[0] + 8 * aside - 5 * up], 1.2)]
    down = float(rng.choice([-1, 1]))
    bow = [head, head - 7 * back + 5 * down * up, head - 14 * back + 9 * down * up - 3 * aside]
    end = head - 17 * back + 3 * down * up - 4 * aside
    return [rod([*bow, end], [4.2, 3.6, 2.8, 2.2]), Pin(head - 7 * up, head + 7 * up, 5.4)]


def _crosslink(lines: Sequence[Floats], index: int) -> Solid:
    ends = [line[index] for line in lines]
    middle = (ends[0] + ends[1]) / 2 + np.array([0.0, 0.0, 6.0])
    return rod([ends[0], middle, ends[1]], [4.2, 2.6, 4.2])


def single_rods(column: Column, rng: np.random.Generator) -> Parts:
    """Growing rods with their actuators, or Harrington's notched rod: anchors at both ends alone."""
    top, bottom = levels(column, rng, 7)
    growing = rng.random() < 0.6
    parts: list[Solid] = []
    for side in (-1, 1) if growing and rng.random() < 0.75 else (int(rng.choice([-1, 1])),):
        span = np.array(sorted({top, top + 1, bottom - 1, bottom} if growing else {top, bottom}))
        heads = np.array([column.at(i, side * 1.1 * column.pedicle(i), 0, 34) for i in span])
        line = curve(heads, 3 if growing else 1, 24)
        for index in span:
            head = line[np.abs(line[:, 1] - column.centre[index, 1]).argmin()]
            hook = not growing or (index < bottom - 1 and rng.random() < 0.4)
            parts += _hook(column, index, side, head, rng) if hook else _screw(column, index, side, head, rng)
        parts.append(rod(_lengthened(line, rng.uniform(8, 24, 2)), 2.5 if growing else 3.2))
        if growing:
            along, half = _unit(line[13] - line[11]), rng.uniform(28, 42)
            parts.append(Pin(line[12] - half * along, line[12] + half * along, 4.9))
        else:
            notched = line[0] + np.linspace(0, 60, 12)[:, None] * _unit(line[-1] - line[0])
            parts += [Pin(p, p + 3 * _unit(line[-1] - line[0]), 4.2) for p in notched]
    return {"titanium" if growing else "steel": parts}


def anterior(column: Column, rng: np.random.Generator) -> Parts:
    """Screws across the bodies from one side, with washers and one or two rods, or a cord that is not seen."""
    top, bottom = levels(column, rng, 3)
    side, span = int(rng.choice([-1, 1])), range(top, bottom + 1)
    rows = (-6.0, 6.0) if rng.random() < 0.3 else (0.0,)
    parts: list[Solid] = []
    for row in rows:
        heads = []
        for index in span:
            half = column.width[index] / 2
            lift = rng.normal(0, 1.5)
            head = column.at(index, side * (half + 6), lift, row)
            tip = column.at(index, -side * half * rng.uniform(0.7, 1.1), lift + rng.normal(0, 2), row)
            parts.append(Rod(np.stack([head, tip]), np.full(2, rng.uniform(2.8, 3.6)), 0.22))
            way = _unit(head - tip)
            parts.append(Pin(head - 6 * way, head + 6 * way, rng.uniform(5, 6.5)))
            parts.append(Pin(head - 8 * way, head - 6 * way, rng.uniform(7, 9)))
            heads.append(head)
        if rng.random() < 0.7:
            parts.append(rod(_lengthened(curve(np.array(heads), 3, 2 * len(heads)), np.full(2, 7.0)), 2.6))
    return {"titanium": parts}


def cages(column: Column, rng: np.random.Generator) -> Parts:
    """Cages in neighbouring discs: titanium frames, or plastic with beads; with screws and rods now and then."""
    count = int(rng.integers(1, 5))
    first = int(rng.integers(len(column) // 3, max(len(column) - count, len(column) // 3 + 1)))
    framed = rng.random() < 0.5
    span = range(first, min(first + count, len(column) - 1))
    metal: list[Solid] = []
    for index in span:
        axes = column.frame[index]
        middle = (column.centre[index] + column.centre[index + 1]) / 2 + rng.normal(0, 2) * axes[0]
        half = np.array(
            [rng.uniform(9, 0.45 * column.width[index] + 9), rng.uniform(3.5, 5.5), rng.uniform(5, 11)]
        )
        metal += _titanium_frame(middle, half, axes) if framed else _beads(middle, half, axes, rng)
    for side in (-1, 1) if rng.random() < 0.5 else ():
        heads = [column.at(i, side * 1.1 * column.pedicle(i), 1, 32) for i in (*span, span[-1] + 1)]
        for index, head in zip((*span, span[-1] + 1), heads, strict=True):
            metal += _screw(column, index, side, head, rng)
        metal.append(rod(_lengthened(np.array(heads), np.full(2, 6.0)), 2.75))
    return {"titanium" if framed or rng.random() < 0.5 else "steel": metal}


def _titanium_frame(middle: Floats, half: Floats, axes: Floats) -> list[Solid]:
    """Four walls around a hollow: half width, height and depth in mm along the rows of `axes`."""
    solids: list[Solid] = []
    for sign in (-1, 1):
        solids.append(Box(middle + sign * half[0] * axes[0], np.diag([1.6, half[1], half[2]]) @ axes))
        solids.append(Box(middle + sign * half[1] * axes[1], np.diag([half[0], 0.9, half[2]]) @ axes))
    return solids


def _beads(middle: Floats, half: Floats, axes: Floats, rng: np.random.Generator) -> list[Solid]:
    """The markers of a plastic cage, which is hardly seen itself."""
    corners = [np.array([s * half[0], t * half[1], 3.0 * s * t]) @ axes for s in (-1, 1) for t in (-1, 1)]
    return [rod([middle + corner] * 2, rng.uniform(0.5, 0.9)) for corner in corners]


def clips(column: Column, rng: np.random.Generator) -> Parts:
    """Surgical clips near the column, and a row of skin staples along it."""
    metal: list[Solid] = []
    for _ in range(int(rng.integers(1, 4))):
        index, side = int(rng.integers(len(column))), rng.choice([-1, 1])
        middle = column.at(index, side * rng.uniform(5, 70), 0, rng.uniform(-60, 20))
        for _ in range(int(rng.integers(2, 9))):
            centre = middle + rng.normal(0, 9, 3)
            along, gap = _unit(rng.normal(size=3)) * rng.uniform(2.5, 6), rng.normal(0, 0.8, 3)
            metal += [rod([centre - along + s * gap, centre + along], rng.uniform(0.4, 0.8)) for s in (-1, 1)]
    if rng.random() < 0.5:
        top, bottom = levels(column, rng)
        line = curve(column.centre[top : bottom + 1], 3, int(rng.integers(3, 6)) * (bottom - top + 1))
        across = column.frame[:, 0].mean(axis=0)
        for point in line + rng.normal(0, 0.8, line.shape) + rng.uniform(-8, 8) * across:
            wide, tilt = 3.2 * across, np.array([0.0, rng.normal(0, 0.8), 0.0])
            ends = [point - wide - tilt, point + wide + tilt]
            bent = [ends[0] + [0.8, 1.5, -2], *ends, ends[1] + [-0.8, 1.5, -2]]
            metal.append(rod(bent, 0.35))
    return {"steel" if rng.random() < 0.5 else "titanium": metal}
