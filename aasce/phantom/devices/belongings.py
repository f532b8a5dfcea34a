"""Small objects on or in a patient: metal of clothes, jewellery, electrodes, markers, shields and surgical clips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from aasce.config import Settings
from aasce.phantom.anatomy.trunk import Trunk
from aasce.phantom.solids.loft import unit
from aasce.phantom.solids.primitives import Solid, ball, bead, box, disc, loop, merged, ring, rod, spline
from aasce.phantom.spine.pose import LEVELS
from aasce.types import Array
from aasce.xray.mesh import Mesh

Kind = Literal[
    "clips", "sternal wires", "buttons", "zip", "bra", "necklace", "electrode", "navel ring", "ball chain",
    "skin marker", "gonad shield",
]  # fmt: skip


class Belonging(Settings):
    """One object, or a group of equal objects, on or in the body.

    Attributes:
        kind: what it is.
        level: vertebra from whose middle its height is measured.
        aside: mm at scale 1 from the middle of the body to the patient's right.
        rise: mm at scale 1 above the level's middle.
        size: factor on the usual size.
        turn: rotation in the plane of the film, degrees.
        count: number of clips, wires, buttons and so on.
        metal: True for steel, False for plastic (buttons).
        seed: of small irregularities.
    """

    kind: Kind
    level: str
    aside: float = 0.0
    rise: float = 0.0
    size: float = 1.0
    turn: float = 0.0
    count: int = 1
    metal: bool = True
    seed: int = 0


def build_belonging(thing: Belonging, trunk: Trunk, index: int) -> list[Mesh]:
    """The meshes of one object.

    Args:
        thing: its record.
        trunk: the body's outline.
        index: number that makes the mesh's name unique.
    """
    material, inside, maker = _MAKERS[thing.kind]
    if not thing.metal:
        material = "plastic"
    solids = maker(thing, trunk, np.random.default_rng(thing.seed))
    return [merged(f"{thing.kind} {index}", material, inside, solids, trunk.pose.centre.dtype)]


def _place(thing: Belonging, trunk: Trunk) -> tuple[float, float]:
    """x and z of an object, mm."""
    z = float(trunk.spine[LEVELS.index(thing.level), 2] + thing.rise * trunk.pose.scale)
    return float(trunk.middle(z)[0] + thing.aside * trunk.pose.scale), z


def _xyz(x: float, y: float, z: float) -> Array:
    return np.array([x, y, z], float)


def _turned(degrees: float) -> tuple[Array, Array]:
    """Two perpendicular unit vectors of the frontal plane, the first `degrees` above the patient's right."""
    turn = np.radians(degrees)
    return np.array([np.cos(turn), 0, np.sin(turn)]), np.array([-np.sin(turn), 0, np.cos(turn)])


def _clips(thing: Belonging, trunk: Trunk, rng: np.random.Generator) -> list[Solid]:
    """Closed surgical clips of bent wire, deep in the abdomen."""
    x, z = _place(thing, trunk)
    y = float(trunk.middle(z)[1]) + 25
    solids = []
    for _ in range(thing.count):
        centre = np.array([x, y, z]) + rng.normal(0, [9, 8, 11])
        along = unit(rng.normal(size=3)) * 3.4 * thing.size
        aside = unit(np.cross(along, rng.normal(size=3))) * 0.65
        solids += [rod(np.stack([centre - along + s * aside, centre + along]), 0.5, 5) for s in (-1, 1)]
    return solids


def _sternal_wires(thing: Belonging, trunk: Trunk, rng: np.random.Generator) -> list[Solid]:
    """Steel loops around the sternum, twisted in front."""
    x, z = _place(thing, trunk)
    solids = []
    for k in range(thing.count):
        height = z - k * 22 * trunk.pose.scale
        front = trunk.surface(x, height) - _xyz(0, 17, 0)
        tilt = _turned(float(rng.normal(thing.turn, 14)))[0]
        size = float(rng.uniform(8, 11)) * thing.size
        solids.append(ring(loop(front, size * tilt, np.array([0, 7.0, 1.5]), 14), 0.5, 4))
        solids.append(
            rod(np.stack([front + _xyz(0, 7, 1.5), front + _xyz(2, 8, -4), front + _xyz(1, 8, -8)]), 0.8, 4)
        )
    return solids


def _buttons(thing: Belonging, trunk: Trunk, rng: np.random.Generator) -> list[Solid]:
    x, z = _place(thing, trunk)
    solids = []
    for k in range(thing.count):
        height = z - 78 * k * trunk.pose.scale
        place = trunk.surface(x + float(rng.normal(0, 2)), height) + _xyz(0, 3, 0)
        normal = unit(np.array([rng.normal(0, 0.15), 1, rng.normal(0, 0.2)]))
        solids.append(disc(place, normal, 6.2 * thing.size, 2.4, 12))
        rim = np.cross(normal, [0, 0, 1])
        solids.append(
            ring(
                loop(place + normal, 5.4 * thing.size * rim, 5.4 * thing.size * np.cross(rim, normal), 12),
                1.0,
                4,
            )
        )
    return solids


def _zip(thing: Belonging, trunk: Trunk, rng: np.random.Generator) -> list[Solid]:
    """A row of teeth with slider and pull tab."""
    x, z = _place(thing, trunk)
    along = _turned(thing.turn)[1]
    length = 150 * thing.size * trunk.pose.scale
    count = 34
    solids = []
    for k in range(count):
        at = trunk.surface(x, z) + _xyz(0, 4, 0) - along * length * k / count
        at[0] += 1.1 * (-1) ** k + 3 * np.sin(k / 9 + thing.seed % 7)
        solids.append(box(at, np.diag([2.0, 0.9, 0.8])))
    top = trunk.surface(x, z) + _xyz(0, 6, 0)
    solids.append(box(top, np.diag([4.0, 1.6, 6.5])))
    solids.append(
        ring(loop(top - _xyz(0, 0, 14), np.array([3.2, 0, 0]), np.array([0, 1.0, 9.0]), 10), 0.9, 4)
    )
    return solids


def _bra(thing: Belonging, trunk: Trunk, rng: np.random.Generator) -> list[Solid]:
    """Hooks and eyes at the back, sliders on the straps, and wires under the breasts if `count` is 2."""
    x, z = _place(thing, trunk)
    scale = trunk.pose.scale
    solids: list[Solid] = []
    for row in range(2):
        back = trunk.surface(x, z + 14.0 * row, front=False) - _xyz(0, 2, 0)
        solids.append(ring(loop(back, np.array([4.0, 0, 0]), np.array([0, 0.5, 2.6]), 10), 0.6, 4))
        solids.append(
            rod(
                np.stack(
                    [
                        back + _xyz(9, 0, 1.5),
                        back + _xyz(3, -1, 1.5),
                        back + _xyz(3, -1, -1),
                        back + _xyz(9, 0, -1),
                    ]
                ),
                0.6,
                4,
            )
        )
    for side in (-1, 1):
        slider = trunk.surface(x + side * 70 * scale, z + 95 * scale, front=bool(thing.seed % 2)) + _xyz(
            0, 1, 0
        )
        for lift in (0.0, 26.0):
            solids.append(
                ring(
                    loop(slider + _xyz(0, 0, lift), np.array([6.0, 0, 0]), np.array([0, 0.5, 5.0]), 12),
                    0.9,
                    4,
                )
            )
        if thing.count == 2:
            angle = np.pi * (1 + np.arange(15) / 14)
            arc = [
                trunk.surface(
                    x + side * 72 * scale + 56 * scale * np.cos(a), z - 10 + 52 * scale * (1 + np.sin(a))
                )
                for a in angle
            ]
            solids.append(rod(np.array(arc) + _xyz(0, 2, 0), 0.8, 5))
    return solids


def _necklace(thing: Belonging, trunk: Trunk, rng: np.random.Generator) -> list[Solid]:
    """A fine chain around the neck, with a pendant if `count` is 2."""
    x, z = _place(thing, trunk)
    scale = trunk.pose.scale
    u = np.linspace(-1, 1, 41)
    drop = 60 * thing.size * scale
    line = []
    for share in u:
        at = trunk.surface(x + 62 * scale * share, z - drop * (1 - abs(share) ** 1.7))
        line.append(at + _xyz(0, 2, 0))
    chain = rod(np.array(line), 0.9 * (1 + 0.35 * (-1.0) ** np.arange(41)), 5)
    low = line[20] - np.array([0, -1, 9.0])
    pendant = [disc(low, np.array([0.0, 1.0, 0.1]), 7 * thing.size, 1.6, 10)] if thing.count == 2 else []
    return [chain, *pendant]


def _electrode(thing: Belonging, trunk: Trunk, rng: np.random.Generator) -> list[Solid]:
    """Snap buttons of ECG electrodes, with cables that meet at one point."""
    x, z = _place(thing, trunk)
    scale = trunk.pose.scale
    spots = [(95, 30), (-95, 30), (-105, -120), (100, -125), (25, -60)][: thing.count]
    out = trunk.surface(x - 40, z - 330 * scale) + _xyz(0, 12, 0)
    solids: list[Solid] = []
    for aside, rise in spots:
        place = trunk.surface(x + aside * scale, z + rise * scale) + _xyz(0, 3, 0)
        solids.append(disc(place, np.array([0.0, 1.0, 0.0]), 5.0, 3.0, 10))
        middle = (place + out) / 2 + rng.normal(0, 28, 3) * _xyz(1, 0.2, 1)
        middle[1] = trunk.surface(middle[0], middle[2])[1] + 4
        solids.append(rod(spline(np.stack([place, middle, out]), 8), 0.7, 5))
    return solids


def _navel_ring(thing: Belonging, trunk: Trunk, rng: np.random.Generator) -> list[Solid]:
    x, z = _place(thing, trunk)
    centre = trunk.surface(x, z)
    across, up = _turned(thing.turn)
    bow = np.array(
        [
            centre + 5 * np.cos(a) * up + 5 * np.sin(a) * np.array([0, 1.0, 0])
            for a in np.linspace(-1.4, 1.4, 9)
        ]
    )
    return [rod(bow, 0.8, 5), ball(bow[0], 2.6, 1), ball(bow[-1] - across * 0.5, 2.0, 1)]


def _ball_chain(thing: Belonging, trunk: Trunk, rng: np.random.Generator) -> list[Solid]:
    """A string of beads near the middle of the film: the plumb line."""
    x, _ = _place(thing, trunk)
    top, bottom = trunk.spine[2, 2], trunk.spine[-1, 2] - 150 * trunk.pose.scale
    back = (trunk.spine[:, 1]).min() - 105 * trunk.pose.scale
    return [bead(np.array([x, back, z]), 1.6 * thing.size) for z in np.arange(bottom, top, 5.2)]


def _skin_marker(thing: Belonging, trunk: Trunk, rng: np.random.Generator) -> list[Solid]:
    """Steel balls on the skin of the back."""
    x, z = _place(thing, trunk)
    places = [(x + rng.normal(0, 45), z - k * 95 * trunk.pose.scale) for k in range(thing.count)]
    return [ball(trunk.surface(a, b, front=False) - _xyz(0, 3, 0), 2.5 * thing.size, 1) for a, b in places]


def _gonad_shield(thing: Belonging, trunk: Trunk, rng: np.random.Generator) -> list[Solid]:
    """A heart-shaped shield of lead rubber in front of the pelvis, modelled as steel."""
    x, z = _place(thing, trunk)
    angle = 2 * np.pi * np.arange(24) / 24
    across, up = _turned(thing.turn)
    wide = 58 * thing.size * np.sin(angle) ** 3
    high = 52 * thing.size * (0.8 * np.cos(angle) - 0.3 * np.cos(2 * angle) - 0.12 * np.cos(3 * angle))
    centre = trunk.surface(x, z) + _xyz(0, 6, 0)
    outline = centre + wide[:, None] * across + high[:, None] * up
    plate = np.stack([outline + _xyz(0, s, 0) for s in (-2.0, 2.0)])
    count = len(angle)
    vertices = np.concatenate([plate.reshape(-1, 3), centre + np.outer([-2.0, 2.0], [0.0, 1.0, 0.0])])
    here, beside = np.arange(count), (np.arange(count) + 1) % count
    faces = np.concatenate(
        [
            np.stack([here, beside, beside + count], -1),
            np.stack([here, beside + count, here + count], -1),
            np.stack([beside, here, np.full(count, 2 * count)], -1),
            np.stack([here + count, beside + count, np.full(count, 2 * count + 1)], -1),
        ]
    )
    return [(vertices, faces)]


Maker = Callable[[Belonging, Trunk, np.random.Generator], list[Solid]]
_MAKERS: dict[str, tuple[str, str, Maker]] = {
    "clips": ("titanium", "soft", _clips),
    "sternal wires": ("steel", "soft", _sternal_wires),
    "buttons": ("steel", "air", _buttons),
    "zip": ("steel", "air", _zip),
    "bra": ("steel", "air", _bra),
    "necklace": ("steel", "air", _necklace),
    "electrode": ("steel", "air", _electrode),
    "navel ring": ("steel", "air", _navel_ring),
    "ball chain": ("steel", "air", _ball_chain),
    "skin marker": ("steel", "air", _skin_marker),
    "gonad shield": ("steel", "air", _gonad_shield),
}
