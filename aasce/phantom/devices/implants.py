"""Spinal implants: screws, hooks and wires with their rods, Harrington and growing rods, cages.

Sizes: pedicle screws about 80 % of the pedicle's width (Solitro et al. 2019, Int J Spine Surg 13:132), 25 to 50 mm
long, turned in by 5 to 20 degrees (Takeshita et al. 2009, Spine 34:798); rods of 4.75 to 6.35 mm of titanium or
cobalt-chrome (Ohrt-Nissen et al. 2018, Neurospine 15:123); Harrington's rod of 6.35 mm steel with a notched upper
end (Harrington 1962, J Bone Joint Surg Am 44:591); magnetic growing rods with an actuator 9 to 10.5 mm thick and 70 to
90 mm long (Akbarnia et al. 2013, Spine 38:665).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch

from aasce.config import Settings
from aasce.phantom.solids.loft import unit
from aasce.phantom.solids.primitives import Solid, bead, box, loop, merged, ring, rod, spline
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.types import Array
from aasce.xray.mesh import Mesh

Points = Mapping[str, Mapping[str, torch.Tensor]]
Side = Literal["left", "right"]
Metal = Literal["titanium", "steel"]

_THORACIC, _LUMBAR = LEVELS.index("T1"), LEVELS.index("L5")


class Anchor(Settings):
    """The connection of a rod to a vertebra.

    Attributes:
        level, side: of the vertebra; side of the patient.
        kind: "screw" in the pedicle, "hook" under the lamina, "wire" around it.
        length, diameter: of the screw, mm.
        inward: degrees by which the screw points to the middle plane.
        upward: degrees by which it points towards the head.
    """

    level: str
    side: Side
    kind: Literal["screw", "hook", "wire"]
    length: float = 40.0
    diameter: float = 5.5
    inward: float = 8.0
    upward: float = 0.0


class Construct(Settings):
    """Rods and their anchors.

    Attributes:
        kind: "screws" (hooks and wires included), "harrington" or "growing".
        metal: "titanium" or "steel".
        anchors: from the top, each side's in order.
        rod: diameter of the rods, mm.
        overhang: mm by which a rod extends beyond its last anchors.
        crosslinks: levels at which the two rods are joined.
        actuator: length of the actuator of growing rods, mm.
    """

    kind: Literal["screws", "harrington", "growing"]
    metal: Metal
    anchors: tuple[Anchor, ...]
    rod: float
    overhang: float
    crosslinks: tuple[str, ...] = ()
    actuator: float = 0.0


class Cage(Settings):
    """An interbody cage in the disc below a level: plastic (PEEK) with steel beads as markers, or a titanium frame.

    Attributes:
        level: the vertebra above the disc.
        metal: True for titanium.
        width, depth, height: mm.
        aside: mm to the patient's right.
    """

    level: str
    metal: bool
    width: float
    depth: float
    height: float
    aside: float


def draw_construct(rng: np.random.Generator, age: float) -> Construct:
    """Draws a construct by age in years: growing rods in children, Harrington rods in some adults."""
    if age < 10.5 and rng.random() < 0.6:
        return _growing(rng)
    if age > 40 and rng.random() < 0.3:
        return _harrington(rng)
    top = _THORACIC + int(rng.integers(1, 7))
    bottom = int(np.clip(rng.normal(_LUMBAR - 1.5, 1.6), top + 5, _LUMBAR + (age > 40)))
    hooks = rng.random() < 0.15
    density = float(rng.choice([1.0, 0.85, 0.65], p=[0.45, 0.3, 0.25]))
    anchors = []
    for side in ("right", "left"):
        for index in range(top, bottom + 1):
            if index in (top, bottom) or rng.random() < density:
                anchors.append(_anchor(rng, index, side, hooks and index < LEVELS.index("T11")))
    links = rng.integers(top + 2, bottom - 1, int(rng.choice([0, 1, 2], p=[0.6, 0.2, 0.2])))
    return Construct(
        kind="screws",
        metal="titanium" if rng.random() < 0.8 else "steel",
        anchors=tuple(anchors),
        rod=float(rng.choice([4.75, 5.5, 6.0, 6.35], p=[0.1, 0.55, 0.25, 0.1])),
        overhang=round(float(rng.uniform(5, 14)), 2),
        crosslinks=tuple(sorted({LEVELS[int(k)] for k in links})),
    )


def _anchor(rng: np.random.Generator, index: int, side: str, hook: bool) -> Anchor:
    thoracic = index <= LEVELS.index("T12")
    size = float(np.interp(index, [7, 10, 13, 18, 23, 24], [5.0, 4.5, 4.5, 5.5, 6.5, 7.0]))
    return Anchor.model_validate(
        {
            "level": LEVELS[index],
            "side": side,
            "kind": ("hook" if rng.random() < 0.8 else "wire") if hook else "screw",
            "length": round(float((32 if thoracic else 42) + rng.normal(0, 3)), 1),
            "diameter": round(2 * (size + rng.normal(0, 0.3))) / 2,
            "inward": round(float(np.interp(index, [7, 12, 18, 23], [18, 6, 6, 16]) + rng.normal(0, 4)), 1),
            "upward": round(float(rng.normal(0, 4)), 1),
        }
    )


def _growing(rng: np.random.Generator) -> Construct:
    top, bottom = _THORACIC + int(rng.integers(1, 4)), _LUMBAR - int(rng.integers(1, 3))
    sides = ("right", "left") if rng.random() < 0.75 else ("right",)
    hook = rng.random() < 0.4
    ends = (top, top + 1, bottom - 1, bottom)
    anchors = [_anchor(rng, index, side, hook and index < bottom - 1) for side in sides for index in ends]
    return Construct(
        kind="growing",
        metal="titanium",
        anchors=tuple(anchors),
        rod=float(rng.choice([4.5, 5.5])),
        overhang=round(float(rng.uniform(8, 25)), 2),
        actuator=round(float(rng.uniform(60, 90)), 1),
    )


def _harrington(rng: np.random.Generator) -> Construct:
    side: Side = "left" if rng.random() < 0.75 else "right"
    top, bottom = _THORACIC + int(rng.integers(2, 5)), _LUMBAR - int(rng.integers(0, 4))
    anchors = tuple(Anchor(level=LEVELS[index], side=side, kind="hook") for index in (top, bottom))
    return Construct(kind="harrington", metal="steel", anchors=anchors, rod=6.35, overhang=18.0)


def draw_cages(rng: np.random.Generator, age: float) -> tuple[Cage, ...]:
    """Draws one or two cages in neighbouring lumbar discs, by age in years."""
    first = LEVELS.index("L5") - int(rng.integers(0, 3))
    metal = bool(rng.random() < 0.4)
    count = int(rng.integers(1, 3)) if age > 40 else 1
    return tuple(
        Cage(
            level=LEVELS[index],
            metal=metal,
            width=round(float(rng.uniform(22, 34)), 1),
            depth=round(float(rng.uniform(9, 12)), 1),
            height=round(float(rng.uniform(8, 12)), 1),
            aside=round(float(rng.normal(0, 3)), 1),
        )
        for index in range(first - count + 1, first + 1)
    )


def build_construct(record: Construct, pose: SpinePose, points: Points) -> list[Mesh]:
    """Meshes of rods and anchors; rods run through the anchors' heads, so they follow the curve of the spine.

    Args:
        record: see `Construct`.
        pose: of the spine.
        points: by level, the named points of the vertebrae in the person's frame.
    """
    scale = pose.scale
    shanks: list[Solid] = []
    metal: list[Solid] = []
    rods: dict[str, Array] = {}
    for side in ("right", "left"):
        anchors = [anchor for anchor in record.anchors if anchor.side == side]
        anchors.sort(key=lambda anchor: LEVELS.index(anchor.level))
        heads = []
        for anchor in anchors:
            head, anchored, shank = _build_anchor(anchor, pose, points, record.rod)
            heads.append(head)
            metal += anchored
            shanks += shank
        if len(heads) < 2:
            continue
        line = _rod_line(np.array(heads), record.overhang * scale)
        rods[side] = line
        metal += _rod(record, line)
    metal += [_crosslink(record, pose, rods, level) for level in record.crosslinks if len(rods) == 2]
    dtype = pose.centre.dtype
    meshes = [merged("rods", record.metal, "soft", metal, dtype)]
    if shanks:
        meshes.append(merged("screws", record.metal, "marrow", shanks, dtype))
    return meshes


def _frame(pose: SpinePose, level: str) -> Array:
    """(3, 3), columns: right, forward and up of a vertebra in the person's frame."""
    return pose.rotation[LEVELS.index(level)].detach().cpu().double().numpy()


def pedicle(pose: SpinePose, points: Points, level: str, side: str) -> Array:
    """Middle of a pedicle (3,) mm: the named point, or that of an average vertebra if there is none."""
    known = points.get(level, {}).get(f"{side}_pedicle")
    if known is not None:
        return np.asarray(known.detach().cpu().double().numpy())
    index = LEVELS.index(level)
    across = float(np.interp(index, [7, 10, 18, 23, 24], [15, 11, 13, 20, 20]))
    behind = float(np.interp(index, [7, 18, 23], [-12, -20, -24]))
    local = torch.tensor([[across if side == "right" else -across, behind, 4.0]], dtype=torch.float64)
    return np.asarray(pose.place(level, local)[0].detach().cpu().double().numpy())


def _build_anchor(
    anchor: Anchor, pose: SpinePose, points: Points, diameter: float
) -> tuple[Array, list[Solid], list[Solid]]:
    """The point (3,) mm through which the rod passes, the solids outside the bone, and those inside it."""
    right, front, up = _frame(pose, anchor.level).T
    outward = right if anchor.side == "right" else -right
    middle = pedicle(pose, points, anchor.level, anchor.side)
    scale = pose.scale
    if anchor.kind == "screw":
        turn, lift = np.radians(anchor.inward), np.radians(anchor.upward)
        way = unit(np.cos(turn) * front - np.sin(turn) * outward + np.tan(lift) * up)
        entry = middle - 15 * scale * way
        radius = anchor.diameter / 2
        tip = entry + anchor.length * way
        shank = rod(
            np.stack([entry, tip - 5 * way, tip]), np.array([radius, 0.85 * radius, 0.35 * radius]), 6
        )
        head = entry - 8 * way
        tulip = rod(
            np.stack([entry + 1 * way, entry - 2 * way, head - 7 * way]), np.array([4.2, 6.3, 6.3]), 8, 0.0
        )
        return head, [tulip], [shank]
    lamina = middle - scale * (19 * front + 3 * outward) - 8 * scale * up
    head = lamina - 9 * front
    if anchor.kind == "hook":
        bow = np.stack(
            [
                head + 8 * up,
                head,
                lamina - 3 * front - 6 * up,
                lamina + 4 * front - 5 * up,
                lamina + 5 * front + 4 * up,
            ]
        )
        return (
            head,
            [rod(spline(bow, 2), np.array([4.5, 5, 5, 4.5, 3.4, 3, 2.6, 2.4, 1.8]), 6), _tulip(head, up)],
            [],
        )
    wire = loop(lamina - 2 * front, 9 * front, 11 * up, 14)
    twist = rod(np.stack([lamina - 11 * front, lamina - 14 * front + 9 * outward]), 1.5, 5)
    return head, [ring(wire, 0.8, 5), twist], []


def _tulip(head: Array, up: Array) -> Solid:
    return rod(np.stack([head - 7 * up, head + 7 * up]), 5.5, 8, 0.0)


def _rod_line(heads: Array, overhang: float) -> Array:
    """A smooth curve (N, 3) mm through the heads, extended by `overhang` mm at both ends."""
    first = heads[0] + overhang * unit(heads[0] - heads[1])
    last = heads[-1] + overhang * unit(heads[-1] - heads[-2])
    return spline(np.concatenate([[first], heads, [last]]), 3)


def _rod(record: Construct, line: Array) -> list[Solid]:
    """The rod itself: with notches for Harrington, with an actuator for growing rods."""
    radius = record.rod / 2
    if record.kind == "harrington":
        # A straight rod whose upper 65 mm are notched like a ratchet.
        top, bottom = line[0], line[-1]
        length = float(np.linalg.norm(bottom - top))
        steps = np.concatenate([np.repeat(np.arange(12) * 5.5, 2) + np.tile([0.0, 2.6], 12), [length]])
        widths = np.append(np.tile([1.0, 0.68], 12), 1.0) * radius
        return [rod(top + np.outer(steps / length, bottom - top), widths, 8)]
    solids = [rod(line, radius, 8)]
    if record.kind == "growing":
        away = np.linalg.norm(line - line.mean(0), axis=1)
        middle, along = line[away.argmin()], unit(line[-1] - line[0])
        half = along * record.actuator / 2
        solids.append(rod(np.stack([middle - half, middle + half]), 4.9, 10, 0.0))
    return solids


def _crosslink(record: Construct, pose: SpinePose, rods: Mapping[str, Array], level: str) -> Solid:
    """A bar from rod to rod, curved backward over the spinous processes."""
    centre = pose.centre[LEVELS.index(level)].detach().cpu().double().numpy()
    ends = [line[np.abs(line[:, 2] - centre[2]).argmin()] for line in (rods["right"], rods["left"])]
    back = -_frame(pose, level)[:, 1]
    middle = (ends[0] + ends[1]) / 2 + 5 * back
    return rod(np.stack([ends[0], middle, ends[1]]), np.array([4.2, 2.6, 4.2]), 6)


def build_cages(cages: tuple[Cage, ...], pose: SpinePose) -> list[Mesh]:
    """Meshes of interbody cages."""
    meshes = []
    for cage in cages:
        index = LEVELS.index(cage.level)
        ends = pose.centre[index : index + 2].detach().cpu().double().numpy()
        right, front, up = (_frame(pose, LEVELS[index]) + _frame(pose, LEVELS[min(index + 1, 24)])).T / 2
        centre = ends.mean(0) + cage.aside * pose.scale * right
        half = np.stack([right * cage.width / 2, front * cage.depth / 2, up * cage.height / 2]) * pose.scale
        dtype = pose.centre.dtype
        if cage.metal:
            frame = [
                box(centre + s * (half[0] - 1.4 * right), np.stack([1.4 * right, half[1], half[2]]))
                for s in (-1, 1)
            ]
            frame += [box(centre + s * half[2], np.stack([half[0], half[1], 0.9 * up])) for s in (-1, 1)]
            meshes.append(merged(f"cage {cage.level}", "titanium", "soft", frame, dtype))
        else:
            meshes.append(merged(f"cage {cage.level}", "plastic", "soft", [box(centre, half * 0.98)], dtype))
            marks = [
                bead(centre + s * 0.85 * half[0] + t * 0.8 * half[1], 0.9) for s in (-1, 1) for t in (-1, 1)
            ]
            meshes.append(merged(f"cage {cage.level}/marks", "steel", "plastic", marks, dtype))
    return meshes
