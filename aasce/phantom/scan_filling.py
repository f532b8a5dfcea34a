"""What scans show and films do not: canal, fat, organs, vessels and bowel, lungs beside the spine, the table.

The phantom was made for films, whose soft tissue is one grey. For scans its cavities are filled with simple shapes
drawn at random: enough that a network learns not to look at them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aasce.phantom.person import Phantom
from aasce.phantom.scan_bone import box_of, is_bone, offsets_of
from aasce.phantom.scan_structures import NUMBER
from aasce.phantom.spine.pose import LEVELS
from aasce.types import Array
from aasce.volume import Volume

Floats = NDArray[np.float64]


def among(*names: str) -> NDArray[np.bool_]:
    """(256,) bool by number, True for the named structures."""
    table = np.zeros(256, bool)
    table[[NUMBER[name] for name in names]] = True
    return table


INSIDE = ("muscle", "deep fat", "visceral fat")
"""Structures that shapes are painted over."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """An ellipsoid to paint.

    Attributes:
        name: of the structure.
        centre: (3,) mm.
        axes: (3, 3) half axes as rows, mm.
        into: (256,) bool by number, what it is painted over.
        above: only voxels with y above this, mm; for gas, which floats to the front of who lies on the back.
    """

    name: str
    centre: Floats
    axes: Floats
    into: NDArray[np.bool_]
    above: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Filling:
    """What is added to a person.

    Attributes:
        shapes: in the order of painting.
        wall: mm of muscle around the abdomen.
        lung_reach: mm by which lungs grow towards the spine.
        table: (gap, depth, curvature) of the table under the person, mm, mm and 1/mm; None for none.
    """

    shapes: tuple[Shape, ...]
    wall: float
    lung_reach: float
    table: tuple[float, float, float] | None


def draw_filling(phantom: Phantom, rng: np.random.Generator) -> Filling:
    """Draws what is added to a person."""
    shapes = [*_vessels(phantom, rng), *_organs(phantom, rng), *_bowel(phantom, rng), *_canal(phantom, rng)]
    table = (
        (rng.uniform(0, 12), rng.uniform(3, 8), 10 ** rng.uniform(-3.6, -2.9)) if rng.random() < 0.7 else None
    )
    return Filling(tuple(shapes), float(rng.uniform(16, 28)), float(rng.uniform(3, 18)), table)


def fill(volume: Volume, phantom: Phantom, filling: Filling, hollows: tuple[Volume, Volume]) -> None:
    """Paints a filling into a map of structures.

    Args:
        volume: numbers of structures, changed in place.
        phantom: the person.
        filling: what is added.
        hollows: as `hollows_of` finds them in the coarse map.
    """
    for space, name in zip(hollows, ("visceral fat", "lung"), strict=True):
        _pour(volume, space, NUMBER[name])
    for shape in filling.shapes:
        paint(volume, shape)
    if filling.table is not None:
        _lay_table(volume, phantom, filling.table)


def paint(volume: Volume, shape: Shape) -> None:
    """Paints one ellipsoid in place."""
    half = np.sqrt((shape.axes**2).sum(0))
    block, low = box_of(volume, shape.centre - half, shape.centre + half)
    if not block.size:
        return
    offsets = offsets_of(volume, low, block.shape, shape.centre)
    inverse = np.linalg.inv(shape.axes).astype(np.float32)
    reach: Array = np.zeros(block.shape, np.float32)
    for column in range(3):
        reach += sum(o * inverse[row, column] for row, o in enumerate(offsets)) ** 2
    inside = (reach < 1) & shape.into[block]
    if shape.above is not None:
        inside &= offsets[1] + shape.centre[1] > shape.above
    block[inside] = NUMBER[shape.name]


def hollows_of(coarse: Volume, phantom: Phantom, filling: Filling) -> tuple[Volume, Volume]:
    """Where the abdomen and mediastinum are, and where lungs reach the spine: mm from their walls, above 0 inside."""
    data, mm = coarse.data, float(coarse.spacing[0])
    spine, scale = phantom.pose.centre.double().numpy(), phantom.pose.scale
    height = coarse.affine[2, 3] + mm * np.arange(coarse.shape[2])
    order = np.argsort(spine[:, 2])
    x, y = (np.interp(height, spine[order, 2], spine[order, axis]) for axis in (0, 1))
    aside = np.abs(coarse.affine[0, 3] + mm * np.arange(coarse.shape[0])[:, None, None] - x)
    ahead = coarse.affine[1, 3] + mm * np.arange(coarse.shape[1])[None, :, None] - y
    shell = among("air", "subcutaneous fat", "plastic")[data]
    depth = ndimage.distance_transform_edt(~shell) * mm
    bone = ndimage.distance_transform_edt(~is_bone(data)) * mm
    lung = ndimage.distance_transform_edt(data != NUMBER["lung"]) * mm
    tubes = ndimage.distance_transform_edt(~among("heart", "aorta", "airway")[data]) * mm
    ends = height - (spine[-1, 2] - 75 * scale), spine[LEVELS.index("T2"), 2] - height
    behind = ahead + 8 * scale + 0.25 * np.maximum(aside - 30 * scale, 0)
    cavity = _least(depth - filling.wall * scale, bone - 4, behind, *ends)
    gutter = _least(filling.lung_reach - lung, bone - 2.5, tubes - 4, 45 * scale - aside, ahead + 24 * scale)
    gutter = np.minimum(gutter, 25 * scale - ahead)
    return Volume(cavity, coarse.affine, "mr"), Volume(gutter, coarse.affine, "mr")


def _least(*fields: Array) -> Array:
    total = np.asarray(fields[0], np.float32)
    for field in fields[1:]:
        total = np.minimum(total, np.asarray(field, np.float32))
    return total


def _pour(volume: Volume, space: Volume, number: int) -> None:
    """Gives muscle and fat inside a space the number of what fills it."""
    into = among(*INSIDE)
    ratio = volume.spacing / space.spacing
    for first in range(0, volume.shape[2], 64):
        part = volume.data[:, :, first : first + 64]
        offset = space.to_index(volume.to_world([0, 0, first]))
        field = ndimage.affine_transform(space.data, ratio, offset, part.shape, order=1, cval=-1.0)
        part[(field > 0) & into[part]] = number


def _lay_table(volume: Volume, phantom: Phantom, table: tuple[float, float, float]) -> None:
    """A curved plate behind the trunk."""
    gap, depth, curve = table
    skin = next(mesh for mesh in phantom.meshes if mesh.name == "skin").vertices.double().numpy()
    offsets = offsets_of(volume, np.zeros(3), volume.shape, np.array([0.0, skin[:, 1].min() - gap, 0.0]))
    across = offsets[1] - np.float32(curve) * offsets[0] ** 2
    plate = (across < 0) & (across > -depth) & (np.abs(offsets[0]) < 210)
    plate = np.broadcast_to(plate, volume.shape)
    volume.data[plate & (volume.data == NUMBER["air"])] = NUMBER["table"]


def _balls(name: str, path: Floats, radii: Floats, into: NDArray[np.bool_], step: float = 3.0) -> list[Shape]:
    """A tube along a polyline (N, 3) with half axes (3,) mm along x, y and z, as overlapping ellipsoids."""
    far = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.arange(0, far[-1] + step, step)
    places = np.stack([np.interp(at, far, path[:, axis]) for axis in range(3)], -1)
    return [Shape(name, place, np.diag(radii), into) for place in places]


def _beside(phantom: Phantom, levels: tuple[str, ...], offset: Array) -> Floats:
    """(N, 3) mm, points at the levels, moved by `offset` (3,) mm of an average adult in the vertebra's frame."""
    index = [LEVELS.index(level) for level in levels]
    turns = phantom.pose.rotation[index].double().numpy()
    return np.asarray(
        phantom.pose.centre[index].double().numpy() + turns @ np.asarray(offset) * phantom.pose.scale
    )


def _canal(phantom: Phantom, rng: np.random.Generator) -> list[Shape]:
    """The spinal canal with the fat around it, which also fills the foramina."""
    scale = phantom.pose.scale
    path = []
    for level in LEVELS:
        points = phantom.models[level].points
        wall = min(float(points["superior_back"][1]), float(points["inferior_back"][1]))
        back = -12.0 if level == "C1" else wall - 7.5
        path.append(_beside(phantom, (level,), np.array([0.0, back, 0.0]))[0])
    line = np.array(path)
    fat = np.array([rng.uniform(10, 18), rng.uniform(6, 9), 4.0]) * scale
    sac = np.array([rng.uniform(6.5, 9), rng.uniform(5.5, 7.5), 4.0]) * scale
    return [
        *_balls("deep fat", line, fat, among("muscle")),
        *_balls("canal", line, sac, among("deep fat", "muscle")),
    ]


def _vessels(phantom: Phantom, rng: np.random.Generator) -> list[Shape]:
    """Aorta before the lumbar spine, vena cava to its right, oesophagus before the thoracic spine, and small ones."""
    scale, into = phantom.pose.scale, among(*INSIDE)
    lumbar, thoracic = ("T11", "T12", "L1", "L2", "L3", "L4"), tuple(f"T{i}" for i in range(1, 12))
    wide = rng.uniform(7, 13) * scale
    front = rng.uniform(16, 22) + wide / scale
    shapes = _balls("aorta", _beside(phantom, lumbar, np.array([-8.0, front, 0])), np.full(3, wide), into)
    cava = np.array([rng.uniform(7, 12), rng.uniform(5, 11), 8.0]) * scale
    shapes += _balls(
        "vena cava", _beside(phantom, (*lumbar, "L5"), np.array([15.0, front - 1, 0])), cava, into
    )
    gullet = _beside(phantom, thoracic, np.array([-3.0, rng.uniform(20, 26), 0]))
    shapes += _balls("bowel wall", gullet, rng.uniform(4, 8, 3) * scale, into)
    for _ in range(int(rng.integers(0, 25))):
        level = LEVELS[int(rng.integers(7, 24))]
        start = _beside(
            phantom, (level,), np.array([rng.normal(0, 35), rng.uniform(15, 80), rng.normal(0, 15)])
        )
        path = np.concatenate([start, start + rng.normal(0, 18, (1, 3))])
        shapes += _balls("vena cava", path, np.full(3, rng.uniform(2, 6)) * scale, into)
    return shapes


def _organs(phantom: Phantom, rng: np.random.Generator) -> list[Shape]:
    """Liver, spleen, kidneys and pancreas; the size and place of each vary."""
    table = (
        # name, level, offset right, front, up; half axes; mm of an average adult
        ("liver", "T11", (60, 35, -5), (72, 72, 62)),
        ("liver", "T11", (5, 70, -5), (60, 30, 35)),
        ("spleen", "T11", (-82, -2, -5), (28, 38, 48)),
        ("kidney", "L2", (62, -2, 5), (24, 24, 52)),
        ("kidney", "L1", (-62, -2, 5), (24, 24, 52)),
        ("gland", "L1", (-5, 48, 0), (70, 11, 16)),
    )
    into, shapes = among(*INSIDE), []
    for name, level, offset, axes in table:
        if rng.random() < 0.06:
            continue
        place = _beside(phantom, (level,), np.array(offset) + rng.normal(0, 9, 3))[0]
        half = np.array(axes) * phantom.pose.scale * np.exp(rng.normal(0, 0.13, 3))
        turn = np.linalg.qr(np.eye(3) + 0.2 * rng.standard_normal((3, 3)))[0]
        shapes.append(Shape(name, place, half[:, None] * turn, into))
    return shapes


def _bowel(phantom: Phantom, rng: np.random.Generator) -> list[Shape]:
    """Loops of bowel as random walks, with walls, content, and gas in front of it."""
    scale, shapes = phantom.pose.scale, []
    for _ in range(int(rng.integers(8, 36))):
        level = ("T12", "L1", "L2", "L3", "L4", "L5", "S1")[int(rng.integers(7))]
        place = _beside(phantom, (level,), np.array([rng.uniform(-105, 105), rng.uniform(25, 115), 0]))[0]
        walk = np.cumsum(rng.normal(0, 11, (int(rng.integers(3, 8)), 3)), axis=0)
        wide = rng.uniform(8, 24) * scale
        thin, gassy = wide - rng.uniform(1.5, 4), rng.random() < 0.35
        level_y = place[1] + rng.uniform(-0.5, 0.8) * wide
        loop = place + walk
        shapes += _balls("bowel wall", loop, np.full(3, wide), among("visceral fat"), 0.6 * wide)
        content = _balls("bowel content", loop, np.full(3, thin), among("bowel wall"), 0.6 * wide)
        shapes += content
        if gassy:
            over = among("bowel content")
            shapes += [Shape("bowel gas", c.centre, c.axes, over, above=level_y) for c in content]
    return shapes
