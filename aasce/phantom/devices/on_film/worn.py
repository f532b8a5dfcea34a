"""Metal on the skin and in the clothes, over a film whose spine is known: braces, leads, belongings.

Sizes as in `aasce.phantom.devices`; what lies on the skin is in front of the spine or behind it, at any place of the
trunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from aasce.phantom.devices.on_film.implants import (
    Column,
    Parts,
    anterior,
    cages,
    clips,
    curve,
    posterior,
    single_rods,
)
from aasce.xray.chords import Box, Pin, Solid, rod

Floats = NDArray[np.float64]
HardwareKind: TypeAlias = Literal[
    "posterior", "single_rods", "anterior", "cages", "clips", "brace", "leads", "belongings"
]
KINDS: tuple[HardwareKind, ...] = get_args(HardwareKind)
"""Implants first, then what is worn."""


def _beside(column: Column, share: float, aside: float) -> Floats:
    """(3,) mm of a point `aside` mm to the right of the column, at a share of its length from the top."""
    line = column.centre
    at = share * (len(column) - 1)
    index = np.clip(int(at), 0, len(column) - 2)
    return np.asarray(line[index] + (at - index) * (line[index + 1] - line[index]) + [aside, 0, 0])


def _off(point: Floats, x: float, y: float, z: float) -> Floats:
    """A point moved by mm."""
    return point + np.array([x, y, z], np.float64)


def _plane(degrees: float) -> tuple[Floats, Floats]:
    """Two perpendicular unit vectors of the film's plane."""
    turn = np.radians(degrees)
    return np.array([np.cos(turn), np.sin(turn), 0.0]), np.array([-np.sin(turn), np.cos(turn), 0.0])


def _loop(centre: Floats, across: Floats, down: Floats, radius: float, count: int = 14) -> Solid:
    """A ring of wire around an ellipse with these half axes."""
    angle = np.linspace(0, 2 * np.pi, count + 1)[:, None]
    return rod(centre + np.cos(angle) * across + np.sin(angle) * down, radius)


def _frame(centre: Floats, across: Floats, down: Floats, radius: float) -> Solid:
    """A frame of wire with rounded corners and these half axes."""
    ways = [
        (-1, -0.9),
        (-0.8, -1),
        (0.8, -1),
        (1, -0.9),
        (1, 0.9),
        (0.8, 1),
        (-0.8, 1),
        (-1, 0.9),
        (-1, -0.9),
    ]
    return rod([centre + a * across + b * down for a, b in ways], radius)


def brace(column: Column, rng: np.random.Generator) -> Parts:
    """Buckles and rivets of two to four straps, metal bars now and then, the edges of the shell."""
    metal: list[Solid] = []
    plastic: list[Solid] = []
    count, side = int(rng.integers(2, 5)), rng.choice([-1, 1])
    place, far = rng.uniform(5, 60), rng.uniform(45, 100)
    for share in np.linspace(rng.uniform(0.3, 0.6), rng.uniform(0.85, 1.15), count):
        across, down = _plane(rng.normal(0, 6))
        buckle = _beside(column, share, side * place + rng.normal(0, 5))
        metal.append(
            _frame(buckle, rng.uniform(5, 7) * across, rng.uniform(11, 15) * down, rng.uniform(1.2, 2.0))
        )
        for where in (side * (place + 22), -side * far):
            rivet = _beside(column, share, where + rng.normal(0, 3))
            metal.append(Pin(rivet, _off(rivet, 0.5, 0.3, 1.0), rng.uniform(4.5, 6)))
            metal.append(Pin(rivet, _off(rivet, 0.8, 0.2, 6.0), rng.uniform(1.8, 2.6)))
        edge = [
            buckle - 9 * down,
            _off(buckle, 60.0 * side, -8, 0),
            _off(buckle, 75.0 * side, 8, 0),
            buckle + 9 * down,
        ]
        plastic.append(rod(edge, 1.5))
    if rng.random() < 0.3:
        for aside in (-1, 1) if rng.random() < 0.5 else (1,):
            ends = [_beside(column, s, aside * rng.uniform(10, 60)) for s in (0.35, 1.05)]
            across, down = _plane(
                float(np.degrees(np.arctan2(ends[0][0] - ends[1][0], ends[1][1] - ends[0][1])))
            )
            half = float(np.linalg.norm(ends[1] - ends[0])) / 2
            metal.append(Box((ends[0] + ends[1]) / 2, np.stack([8 * across, half * down, [0, 0, 1.2]])))
    return {"steel" if rng.random() < 0.7 else "aluminium": metal, "plastic": plastic}


def leads(column: Column, rng: np.random.Generator) -> Parts:
    """Electrodes with their cables, a shunt or a tube, a stimulator with its lead."""
    metal: list[Solid] = []
    out = _beside(column, rng.uniform(0.6, 1.2), rng.choice([-1, 1]) * rng.uniform(40, 130))
    for _ in range(int(rng.integers(2, 6))):
        spot = _beside(column, rng.uniform(0, 0.7), rng.uniform(-110, 110))
        metal.append(Pin(spot, _off(spot, 0.3, 0.2, 3.0), rng.uniform(4, 5.5)))
        bend = (spot + out) / 2 + rng.normal(0, 30, 3) * [1, 1, 0]
        metal.append(rod(curve(np.stack([spot, bend, out]), 2, 14), rng.uniform(0.45, 0.9)))
    if rng.random() < 0.3:
        spots = np.array([_beside(column, s, rng.uniform(-30, 30)) for s in np.linspace(-0.1, 1.1, 6)])
        metal.append(rod(curve(spots, 4, 30), rng.uniform(0.5, 1.2)))
    if rng.random() < 0.25:
        centre = _beside(column, rng.uniform(0.05, 1.0), rng.choice([-1, 1]) * rng.uniform(20, 80))
        across, down = _plane(rng.uniform(-40, 40))
        metal.append(
            Box(centre, np.stack([rng.uniform(15, 24) * across, rng.uniform(14, 22) * down, [0, 0, 1.5]]))
        )
        metal.append(
            rod(curve(np.stack([centre, (centre + spots_end(column)) / 2, spots_end(column)]), 2, 14), 0.9)
        )
    return {"steel": metal}


def spots_end(column: Column) -> Floats:
    """(3,) mm: where the lead of a stimulator ends, on the upper half of the column."""
    return np.asarray(column.centre[len(column) // 3])


def _zip(column: Column, rng: np.random.Generator) -> list[Solid]:
    top, turn = _beside(column, rng.uniform(0.1, 0.9), rng.normal(0, 15)), _plane(rng.normal(0, 7))
    teeth = [
        Box(top + 4.0 * k * turn[1] + 1.1 * (-1) ** k * turn[0], np.diag([2.0, 0.8, 0.9])) for k in range(34)
    ]
    slider = [Box(top, np.diag([4.0, 6.5, 1.6])), _loop(top + 14 * turn[1], 3.2 * turn[0], 9 * turn[1], 0.9)]
    return [*teeth, *slider]


def _buttons(column: Column, rng: np.random.Generator) -> list[Solid]:
    solids: list[Solid] = []
    aside = rng.normal(0, 12)
    for share in np.arange(rng.uniform(0, 0.3), 1.0, rng.uniform(0.12, 0.3)):
        spot, radius = _beside(column, share, aside + rng.normal(0, 3)), rng.uniform(4, 8.5)
        solids += [
            Pin(spot, _off(spot, 0.2, 0.3, 1.6), radius),
            _loop(spot, 0.9 * radius * _plane(0)[0], 0.9 * radius * _plane(0)[1], 0.9),
        ]
    return solids


def _bra(column: Column, rng: np.random.Generator) -> list[Solid]:
    share, solids = rng.uniform(0.3, 0.5), []
    for row in range(3):
        spot = _beside(column, share + 0.025 * row, rng.normal(0, 2))
        solids.append(_loop(spot, np.array([4.0, 0, 0]), np.array([0, 2.6, 0]), 0.7))
        solids.append(
            rod(
                [_off(spot, 10, 1, 0), _off(spot, 3, 1.5, 0), _off(spot, 3, -1.5, 0), _off(spot, 10, -1, 0)],
                0.7,
            )
        )
    for side in (-1, 1):
        slider = _beside(column, share - 0.25, side * rng.uniform(45, 70))
        solids += [_loop(slider, np.array([6.0, 0, 0]), np.array([0, 5.0, 0]), 0.9)]
        angle = np.linspace(0, np.pi, 15)[:, None]
        cup = (
            _beside(column, share + 0.02, side * 62) + np.cos(angle) * [50, 0, 0] + np.sin(angle) * [0, 45, 0]
        )
        solids.append(rod(cup, 0.9))
    return solids


def _necklace(column: Column, rng: np.random.Generator) -> list[Solid]:
    share, low = np.linspace(-1, 1, 31), rng.uniform(40, 130)
    top = _beside(column, 0.0, 0.0)
    line = top + np.stack([65 * share, -45 + low * (1 - np.abs(share) ** 1.7), 0 * share], axis=1)
    pendant = line[15] + [0.0, 8.0, 0.0]
    return [
        rod(line, np.tile([1.1, 0.5], 16)[:31]),
        Pin(pendant, _off(pendant, 0, 0, 1.8), rng.uniform(4, 9)),
    ]


def _markers(column: Column, rng: np.random.Generator) -> list[Solid]:
    """A plumb line of beads, and balls on the skin."""
    start = _beside(column, -0.1, rng.normal(0, 10))
    beads: list[Solid] = [rod([_off(start, 0, d, 0)] * 2, 1.7) for d in np.arange(0, column.size[0], 5.2)]
    spots = [_beside(column, rng.uniform(0, 1), rng.normal(0, 30)) for _ in range(int(rng.integers(1, 6)))]
    return beads * (rng.random() < 0.6) + [rod([spot] * 2, rng.uniform(2, 4)) for spot in spots]


def belongings(column: Column, rng: np.random.Generator) -> Parts:
    """One or two of: a zip, buttons, a bra, a necklace, markers."""
    makers = (_zip, _buttons, _bra, _necklace, _markers)
    chosen = rng.choice(len(makers), int(rng.integers(1, 3)), replace=False)
    return {"steel": [solid for k in chosen for solid in makers[k](column, rng)]}


MAKERS: dict[HardwareKind, Callable[[Column, np.random.Generator], Parts]] = {
    "posterior": posterior, "single_rods": single_rods, "anterior": anterior, "cages": cages, "clips": clips,
    "brace": brace, "leads": leads, "belongings": belongings,
}  # fmt: skip
