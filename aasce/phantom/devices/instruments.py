"""All devices of one person: spinal implants, braces, clips, clothes, jewellery, markers.

Most films have none. Their frequencies are estimates from films of spine clinics: of 82 films of one clinic, one shows
a brace, none an implant, and about one in ten a small metal object.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aasce.config import Settings
from aasce.phantom.anatomy.trunk import Trunk
from aasce.phantom.devices.belongings import Belonging, build_belonging
from aasce.phantom.devices.brace import Brace, build_brace
from aasce.phantom.devices.implants import (
    Cage,
    Construct,
    Points,
    build_cages,
    build_construct,
    draw_cages,
    draw_construct,
)
from aasce.phantom.spine.pose import SpinePose
from aasce.xray.mesh import Mesh

FACES = 6000
"""Largest number of faces of all devices together."""


class InstrumentsRecord(Settings):
    """All devices of one person; an empty record for none.

    Attributes:
        fixation: implant with rods.
        cages: interbody cages.
        brace: a brace.
        things: small objects.
    """

    fixation: Construct | None = None
    cages: tuple[Cage, ...] = ()
    brace: Brace | None = None
    things: tuple[Belonging, ...] = ()


def draw_instruments(
    rng: np.random.Generator, age: float = 15.0, female: bool = True, cobb: float | None = None
) -> InstrumentsRecord:
    """Draws the devices of a patient; mostly none.

    Args:
        rng: source of every draw.
        age: years.
        female: sex.
        cobb: nominal major Cobb angle, degrees; 20 when None.
    """
    angle = 20.0 if cobb is None else cobb
    construct = draw_construct(rng, age) if rng.random() < 0.035 else None
    cages = draw_cages(rng, age) if rng.random() < (0.02 if age > 40 else 0.002) else ()
    braced = age < 18 and 15 < angle < 55 and construct is None and rng.random() < 0.05
    brace = _draw_brace(rng) if braced else None
    things = []
    for kind, chance in _chances(age, female).items():
        if rng.random() < chance:
            things.append(_draw_belonging(rng, kind))
    return InstrumentsRecord(fixation=construct, cages=cages, brace=brace, things=tuple(things))


def _chances(age: float, female: bool) -> dict[str, float]:
    """Probability of each kind of small object."""
    grown_woman = female and age > 12
    return {
        "clips": 0.06 if age > 50 else 0.004,
        "sternal wires": 0.03 if age > 60 else 0.004,
        "buttons": 0.025,
        "zip": 0.02,
        "bra": 0.06 if grown_woman else 0.0,
        "necklace": 0.02 if female else 0.008,
        "electrode": 0.008,
        "navel ring": 0.012 if grown_woman else 0.001,
        "ball chain": 0.015,
        "skin marker": 0.015,
        "gonad shield": 0.03 if age < 40 else 0.0,
    }


_USUAL: dict[str, tuple[str, float, float, float, float, tuple[int, int]]] = {
    # level, mean and sd of aside, mean and sd of rise, range of the count
    "clips": ("L1", 48, 10, 0, 15, (2, 7)),
    "sternal wires": ("T4", 0, 3, 0, 6, (5, 8)),
    "buttons": ("T4", 3, 6, 0, 30, (1, 7)),
    "zip": ("L5", 0, 5, 0, 20, (1, 2)),
    "bra": ("T7", 0, 6, 0, 12, (1, 3)),
    "necklace": ("C7", 0, 3, -20, 8, (1, 3)),
    "electrode": ("T5", 0, 5, 0, 15, (3, 6)),
    "navel ring": ("L4", 0, 4, 0, 10, (1, 2)),
    "ball chain": ("L3", 0, 9, 0, 0, (1, 2)),
    "skin marker": ("T2", 0, 15, 0, 25, (1, 6)),
    "gonad shield": ("S1", 0, 10, -75, 12, (1, 2)),
}


def _draw_belonging(rng: np.random.Generator, kind: str) -> Belonging:
    level, aside, aside_spread, rise, rise_spread, (least, most) = _USUAL[kind]
    return Belonging.model_validate(
        {
            "kind": kind,
            "level": level,
            "aside": round(float(rng.normal(aside, aside_spread)), 2),
            "rise": round(float(rng.normal(rise, rise_spread)), 2),
            "size": round(float(np.clip(rng.normal(1, 0.14), 0.65, 1.4)), 3),
            "turn": round(float(rng.normal(0, 7)), 2),
            "count": int(rng.integers(least, most)),
            "metal": bool(kind != "buttons" or rng.random() < 0.5),
            "seed": int(rng.integers(1 << 31)),
        }
    )


def _draw_brace(rng: np.random.Generator) -> Brace:
    cheneau = rng.random() < 0.6
    return Brace.model_validate(
        {
            "style": "cheneau" if cheneau else "boston",
            "top": str(rng.choice(["T4", "T5", "T6"] if cheneau else ["T6", "T7", "T8"])),
            "bottom": round(float(rng.uniform(70, 115)), 1),
            "thickness": round(float(rng.uniform(3, 5)), 2),
            "gap": round(float(rng.uniform(2, 8)), 2),
            "push": round(float(rng.uniform(8, 22)), 2),
            "side": int(rng.choice([-1, 1], p=[0.2, 0.8])),
            "buckles": int(rng.integers(2, 5)),
            "front": bool(rng.random() < (0.8 if cheneau else 0.2)),
        }
    )


def build_instruments(
    record: InstrumentsRecord, pose: SpinePose, points: Points, skin: Sequence[Mesh] = ()
) -> list[Mesh]:
    """Meshes of a record; implants follow the vertebrae. Meshes beyond `FACES` faces are left out, in their order.

    Args:
        record: see `InstrumentsRecord`.
        pose: of the spine.
        points: by level, the named points of the vertebrae in the person's frame; screws pass through "left_pedicle"
            and "right_pedicle".
        skin: meshes, of which the one named "skin" carries the objects; without it the outline of a slim average
            patient is used.
    """
    meshes: list[Mesh] = []
    if record.fixation is not None:
        meshes += build_construct(record.fixation, pose, points)
    meshes += build_cages(record.cages, pose)
    outer = [mesh.vertices.detach().cpu().double().numpy() for mesh in skin if mesh.name == "skin"]
    trunk = Trunk(pose, pose.centre.detach().cpu().double().numpy(), outer[0] if outer else None)
    if record.brace is not None:
        meshes += build_brace(record.brace, trunk)
    for index, thing in enumerate(record.things):
        meshes += build_belonging(thing, trunk, index)
    kept, left = [], FACES
    for mesh in meshes:
        if len(mesh.faces) <= left:
            kept.append(mesh)
            left -= len(mesh.faces)
    return kept
