"""Bone in a structure map: body and arch, cortex without gaps, the denser margin beneath it, rough surfaces, metal.

A mesh's cortex is thinner than a voxel, so that painted by voxel centres it has gaps. In scans of a millimetre the
outermost layer of bone looks a little brighter than what is beneath it, without gaps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aasce.phantom.person import Phantom
from aasce.phantom.scan_structures import NUMBER, STRUCTURES
from aasce.phantom.spine.pose import LEVELS
from aasce.readers.vertebrae import VERSE
from aasce.types import Array
from aasce.volume import Volume

_LEVEL_OF = {VERSE[level]: level for level in LEVELS}

_BONE = np.array([s.kind.endswith(("cortex", "marrow", "margin")) for s in STRUCTURES] + [False] * 256)[:256]
_SPINE = np.array([bool(s.label) and s.kind != "metal" for s in STRUCTURES] + [False] * 256)[:256]


def _changed(old: str, new: str) -> NDArray[np.uint8]:
    """(256,) numbers by number: structures whose names end in `old` become those that end in `new`."""
    table = np.arange(256, dtype=np.uint8)
    for number, structure in enumerate(STRUCTURES):
        if structure.name.endswith(old):
            table[number] = NUMBER.get(structure.name.removesuffix(old) + new, number)
    return table


_TO_CORTEX, _TO_MARGIN = _changed("marrow", "cortex"), _changed("body marrow", "body margin")


def is_bone(numbers: Array) -> Array:
    """Bool, where there is bone of any kind."""
    return np.asarray(_BONE[numbers])


def split_arches(volume: Volume, phantom: Phantom) -> None:
    """Gives what lies behind the rear rim of a body's endplates the numbers of the arch; all of C1 is arch."""
    for place, level in enumerate(LEVELS[:-1]):
        outer = next(mesh for mesh in phantom.meshes if mesh.name == level).vertices.double().numpy()
        block, low = box_of(volume, outer.min(0), outer.max(0))
        if not block.size:
            continue
        points = phantom.models[level].points
        wall = min(float(points["superior_back"][1]), float(points["inferior_back"][1])) * phantom.pose.scale
        forward = phantom.pose.rotation[place].double().numpy()[:, 1]
        offsets = offsets_of(volume, low, block.shape, phantom.pose.centre[place].double().numpy())
        ahead = sum(offset * part for offset, part in zip(offsets, forward, strict=True))
        behind = np.asarray(ahead < (1e9 if level == "C1" else wall))
        for kind in ("cortex", "marrow"):
            block[behind & (block == NUMBER[f"{level} body {kind}"])] = NUMBER[f"{level} arch {kind}"]


def box_of(volume: Volume, low: Array, high: Array) -> tuple[Array, NDArray[np.int64]]:
    """The part of a volume between two corners in mm, as a view, and the index of its first voxel."""
    ends = volume.to_index(np.stack([low, high]))
    first = np.clip(np.floor(ends[0]), 0, volume.shape).astype(np.int64)
    last = np.clip(np.ceil(ends[1]) + 1, 0, volume.shape).astype(np.int64)
    return volume.data[tuple(slice(a, max(a, b)) for a, b in zip(first, last, strict=True))], first


def offsets_of(volume: Volume, low: Array, shape: tuple[int, ...], centre: Array) -> list[Array]:
    """mm from a point to the voxels of a part of a volume along x, y and z; three arrays that broadcast to it."""
    step, origin = np.diag(volume.affine)[:3], volume.affine[:3, 3]
    offsets = []
    for axis, grid in enumerate(np.ogrid[tuple(slice(0, n) for n in shape)]):
        offsets.append(((grid + low[axis]) * step[axis] + origin[axis] - centre[axis]).astype(np.float32))
    return offsets


def roughen(volume: Volume, rng: np.random.Generator, into: Array) -> None:
    """Lets vertebrae grow by a voxel in patches, the arches more than the bodies, as worn joints and rims do.

    Args:
        volume: numbers of structures, changed in place.
        rng: source of the patches.
        into: (256,) bool by number, what bone may grow into.
    """
    part = _about(volume, _SPINE)
    if not part.size:
        return
    patches = _patches(part.shape, rng)
    share = {"arch": rng.uniform(-2.0, 0.8), "body": rng.uniform(-2.5, 0.0)}
    limits = np.array([-share.get(s.part, 9.0) for s in STRUCTURES] + [9.0] * 256, np.float32)[:256]
    start = part.copy()
    cortex = _TO_CORTEX[_changed("margin", "cortex")]
    for axis in range(3):
        for forward in (True, False):
            here: list[slice] = [slice(None)] * 3
            there: list[slice] = [slice(None)] * 3
            here[axis], there[axis] = (slice(1, None), slice(None, -1))[:: 1 if forward else -1]
            target, source = part[tuple(here)], start[tuple(there)]
            found = np.nonzero(_SPINE[source] & into[target])
            number = source[found]
            grown = _at(patches, found) > limits[number]
            target[tuple(i[grown] for i in found)] = cortex[number[grown]]


def pad_with_fat(volume: Volume, rng: np.random.Generator) -> None:
    """Patches of fat between the vertebrae and the muscles about them, more in some persons than in others.

    In scans a quarter to a half of what lies 2 to 4 mm beside a vertebra is fat.
    """
    part = _about(volume, _SPINE, 7)
    if not part.size:
        return
    patches = _patches(part.shape, rng)
    depth = max(round(float(rng.uniform(2, 6)) / float(volume.spacing[0])), 1)
    near = ndimage.binary_dilation(_SPINE[part], iterations=depth)
    found = np.nonzero(near & (part == NUMBER["muscle"]))
    fat = _at(patches, found) > float(rng.uniform(-0.3, 1.5))
    part[tuple(i[fat] for i in found)] = NUMBER["deep fat"]


def _patches(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise of unit variance with a node every five voxels."""
    noise = rng.standard_normal([int(np.ceil(n / 5)) + 2 for n in shape], dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, 0.7)
    return np.asarray(noise / noise.std())


def _at(patches: Array, found: tuple[Array, ...]) -> Array:
    """Values of `_patches` at voxels, given by their indices along each axis."""
    return np.asarray(ndimage.map_coordinates(patches, [(i + 0.5) / 5 for i in found], order=1))


def cover(volume: Volume) -> None:
    """Makes the outermost voxels of every bone cortex, and those beneath in the bodies the denser margin."""
    part = _about(volume, _BONE)
    if not part.size:
        return
    bone = is_bone(part)
    inner = ndimage.binary_erosion(bone, border_value=1)
    shell = bone & ~inner
    part[shell] = _TO_CORTEX[part[shell]]
    deep = ndimage.binary_erosion(inner, border_value=1, iterations=2)
    rim = inner & ~deep
    part[rim] = _TO_MARGIN[part[rim]]


def put_metal(volume: Volume, metal: Array) -> None:
    """Metal, where `metal` (X, Y, Z) is True; inside a vertebra it keeps the vertebra's label."""
    table = np.full(256, NUMBER["metal"], np.uint8)
    for number, structure in enumerate(STRUCTURES):
        if structure.label:
            table[number] = NUMBER[f"{_LEVEL_OF[structure.label]} metal"]
    volume.data[metal] = table[volume.data[metal]]


def _about(volume: Volume, kinds: Array, around: int = 2) -> Array:
    """The part of a volume that holds the given numbers, with a few voxels around, as a view."""
    found = kinds[volume.data]
    ends = []
    for axis in range(3):
        filled = np.flatnonzero(found.any(tuple(a for a in range(3) if a != axis)))
        if not len(filled):
            return volume.data[:0]
        ends.append((max(int(filled[0]) - around, 0), int(filled[-1]) + around + 1))
    return volume.data[tuple(slice(*pair) for pair in ends)]
