"""A person as a map of structures: fine about the spine, coarse over the whole body, small enough to keep many.

Grey values are no part of it: whoever samples the map draws them.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aasce.phantom.person import Person, Phantom, build_person
from aasce.phantom.scan_bone import cover, pad_with_fat, put_metal, roughen, split_arches
from aasce.phantom.scan_filling import among, draw_filling, fill, hollows_of
from aasce.phantom.scan_structures import NUMBER, STRUCTURES, disc_meshes, structure_of
from aasce.phantom.spine.pose import LEVELS
from aasce.readers.vertebrae import VERSE
from aasce.types import AasceError, Array
from aasce.volume import Volume
from aasce.xray.mesh import Mesh
from aasce.xray.voxels import voxelise

Bounds = NDArray[np.float64]

FINE_MM, COARSE_TIMES = 1.0, 3
"""mm per voxel about the spine, and how many of these a voxel of the coarse grid measures."""

_SLAB = 16
_SIDE_MM, _BEHIND_MM, _FRONT_MM, _ABOVE_MM, _BELOW_MM = 90.0, 85.0, 75.0, 45.0, 120.0
_NESTING = ("air", "fat", "soft", "lung", "blood", "cartilage", "cortex", "marrow")
_TABLE_MM = 20.0
_ARMS = ("arm ", "humerus ", "forearm ", "hand ")


@dataclass(frozen=True, slots=True, eq=False)
class LabelGrid:
    """Numbers of structures on a grid parallel to the world's axes, compressed in slabs along z.

    Attributes:
        shape: (X, Y, Z) voxels.
        origin: (3,) mm of the first voxel's centre.
        spacing: mm per voxel.
        slabs: compressed uint8, each (X, Y, up to 16).
    """

    shape: tuple[int, int, int]
    origin: NDArray[np.float64]
    spacing: float
    slabs: tuple[bytes, ...]

    @classmethod
    def pack(cls, data: Array, origin: Array, spacing: float) -> LabelGrid:
        """Compresses (X, Y, Z) uint8."""
        parts = (data[:, :, z : z + _SLAB] for z in range(0, data.shape[2], _SLAB))
        slabs = tuple(zlib.compress(np.ascontiguousarray(part).tobytes(), 6) for part in parts)
        x, y, z = data.shape
        return cls((x, y, z), np.asarray(origin, np.float64), float(spacing), slabs)

    @property
    def bounds(self) -> Bounds:
        """(2, 3) mm, lower and upper corner of the outermost voxels' faces."""
        low = self.origin - self.spacing / 2
        return np.stack([low, low + np.array(self.shape) * self.spacing])

    def block(self, low: Array, high: Array) -> Array:
        """(X, Y, Z) uint8 of the voxels from `low` to before `high`; 0, air, beyond the grid."""
        size = np.asarray(high) - np.asarray(low)
        found = np.zeros(size, np.uint8)
        start, stop = np.maximum(low, 0), np.minimum(high, self.shape)
        if (stop <= start).any():
            return found
        for number in range(start[2] // _SLAB, (stop[2] - 1) // _SLAB + 1):
            first, last = number * _SLAB, min((number + 1) * _SLAB, self.shape[2])
            slab = np.frombuffer(zlib.decompress(self.slabs[number]), np.uint8)
            slab = slab.reshape(self.shape[0], self.shape[1], last - first)
            a, b = max(start[2], first), min(stop[2], last)
            found[
                start[0] - low[0] : stop[0] - low[0],
                start[1] - low[1] : stop[1] - low[1],
                a - low[2] : b - low[2],
            ] = slab[start[0] : stop[0], start[1] : stop[1], a - first : b - first]
        return found

    def full(self) -> Array:
        """(X, Y, Z) uint8, all voxels."""
        return self.block(np.zeros(3, int), np.array(self.shape))


@dataclass(frozen=True, slots=True, eq=False)
class StructureMap:
    """The structures of one person.

    Attributes:
        scan_id: of the person.
        fine: about the spine.
        coarse: the whole body; its voxels are whole blocks of fine ones.
        centroids: by label of VerSe (3,) mm, the middles of C1 to L5's bodies and of S1's.
        age: years, on which the density of bone depends.
    """

    scan_id: str
    fine: LabelGrid
    coarse: LabelGrid
    centroids: Mapping[int, NDArray[np.float64]]
    age: float

    def block(self, bounds: Bounds, wanted_mm: float) -> Volume:
        """Numbers of structures over a box, from the fine map where it reaches and the coarse one elsewhere.

        Args:
            bounds: (2, 3) mm that the block covers at least.
            wanted_mm: mm per voxel of who asks; from 4 mm on the coarse map alone answers.
        """
        coarse, fine = self.coarse, self.fine
        corner = coarse.bounds[0]
        low = np.floor((bounds[0] - corner) / coarse.spacing).astype(int)
        high = np.ceil((bounds[1] - corner) / coarse.spacing).astype(int) + 1
        data, spacing = coarse.block(low, high), coarse.spacing
        if wanted_mm < 4.0:
            for axis in range(3):
                data = np.repeat(data, COARSE_TIMES, axis)
            spacing = fine.spacing
            offset = np.rint((fine.bounds[0] - corner) / spacing).astype(int)
            start = low * COARSE_TIMES
            a = np.maximum(start, offset)
            b = np.minimum(high * COARSE_TIMES, offset + np.array(fine.shape))
            if (b > a).all():
                where = tuple(slice(x, y) for x, y in zip(a - start, b - start, strict=True))
                data[where] = fine.block(a - offset, b - offset)
        affine = np.diag([spacing, spacing, spacing, 1.0])
        affine[:3, 3] = corner + low * coarse.spacing + spacing / 2
        return Volume(data, affine, "label")

    def save(self, path: Path) -> None:
        """Writes one .npz file."""
        arrays: dict[str, Array] = {}
        for name, grid in (("fine", self.fine), ("coarse", self.coarse)):
            arrays |= {
                f"{name}_shape": np.array(grid.shape),
                f"{name}_origin": grid.origin,
                f"{name}_spacing": np.array(grid.spacing),
                f"{name}_sizes": np.array([len(slab) for slab in grid.slabs]),
                f"{name}_slabs": np.frombuffer(b"".join(grid.slabs), np.uint8),
            }
        arrays |= {
            "labels": np.array(list(self.centroids), np.int64),
            "centroids": np.array(list(self.centroids.values())),
            "names": np.array([structure.name for structure in STRUCTURES]),
            "scan_id": np.array(self.scan_id),
            "age": np.array(self.age),
        }
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> StructureMap:
        """Reads what `save` wrote.

        Raises:
            AasceError: the file is none, is damaged, or was written with another table of structures.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            if arrays["names"].tolist() != [structure.name for structure in STRUCTURES]:
                raise AasceError(f"{path}: was packed by another version; pack the phantoms again")
            grids = {name: _read_grid(arrays, name) for name in ("fine", "coarse")}
            centroids = dict(zip(arrays["labels"].tolist(), arrays["centroids"], strict=True))
            return cls(str(arrays["scan_id"]), **grids, centroids=centroids, age=float(arrays["age"]))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise AasceError(f"{path}: is no packed phantom ({error}); pack the phantoms again") from error


def _read_grid(arrays: Mapping[str, Array], name: str) -> LabelGrid:
    ends = np.cumsum(arrays[f"{name}_sizes"])
    slabs = np.split(arrays[f"{name}_slabs"], ends[:-1])
    x, y, z = (int(n) for n in arrays[f"{name}_shape"])
    spacing = float(arrays[f"{name}_spacing"])
    return LabelGrid((x, y, z), arrays[f"{name}_origin"], spacing, tuple(slab.tobytes() for slab in slabs))


def nesting(mesh: Mesh) -> tuple[int, int]:
    """Sort key by which outer meshes come before the meshes inside them."""
    if mesh.inside == "fat" and mesh.material == "soft" and mesh.name.startswith("psoas"):
        return 2, 2  # inside fat which itself lies in soft tissue
    rank = [_NESTING.index(m) if m in _NESTING else len(_NESTING) for m in (mesh.inside, mesh.material)]
    return (rank[1], rank[1]) if rank[1] == len(_NESTING) else (rank[0], rank[1])


def structure_map(person: Person, scan_id: str, arms: bool = True, fine_mm: float = FINE_MM) -> StructureMap:
    """Builds the structures of a person.

    Args:
        person: see `Person`.
        scan_id: of the map.
        arms: False for a person whose arms are raised out of the scan.
        fine_mm: mm per voxel about the spine; a coarse voxel measures three times as much.
    """
    rng = np.random.default_rng((person.seed, 21))
    phantom = build_person(person)
    meshes = [m for m in phantom.meshes if arms or not m.name.startswith(_ARMS)]
    meshes = sorted([*meshes, *disc_meshes(phantom)], key=nesting)
    step = fine_mm * COARSE_TIMES
    whole = _whole_box(meshes, step)
    box = _spine_box(phantom, whole, step)
    filling = draw_filling(phantom, rng)
    coarse, fine = (paint(phantom, meshes, s, b) for s, b in ((step, whole), (fine_mm, box)))
    hollows = hollows_of(coarse, phantom, filling)
    for volume in (coarse, fine):
        fill(volume, phantom, filling, hollows)
    pad_with_fat(fine, rng)
    roughen(fine, rng, among("muscle", "deep fat", "visceral fat", "canal"))
    cover(fine)
    for volume, corners in ((coarse, whole), (fine, box)):
        paint_metal(volume, meshes, corners)
    middles = phantom.pose.centre.double().numpy()
    return StructureMap(
        scan_id,
        LabelGrid.pack(fine.data, fine.affine[:3, 3], fine_mm),
        LabelGrid.pack(coarse.data, coarse.affine[:3, 3], step),
        {VERSE[level]: middle for level, middle in zip(LEVELS, middles, strict=True)},
        person.age,
    )


def _whole_box(meshes: list[Mesh], step: float) -> Bounds:
    low = np.min([m.vertices.numpy().min(0) for m in meshes], 0).astype(np.float64) - step
    low[1] -= _TABLE_MM
    high = np.max([m.vertices.numpy().max(0) for m in meshes], 0).astype(np.float64) + step
    return np.stack([low, low + np.ceil((high - low) / step) * step])


def _spine_box(phantom: Phantom, whole: Bounds, step: float) -> Bounds:
    """(2, 3) mm about the spine, whose faces are faces of coarse voxels."""
    spine, scale = phantom.pose.centre.double().numpy(), phantom.pose.scale
    low = spine.min(0) - np.array([_SIDE_MM, _BEHIND_MM, _BELOW_MM]) * scale
    high = spine.max(0) + np.array([_SIDE_MM, _FRONT_MM, _ABOVE_MM]) * scale
    low = whole[0] + np.ceil((np.maximum(low, whole[0]) - whole[0]) / step) * step
    return np.stack([low, low + np.floor((np.minimum(high, whole[1]) - low) / step) * step])


def paint(phantom: Phantom, meshes: list[Mesh], spacing: float, box: Bounds) -> Volume:
    """Numbers of structures on a grid.

    Args:
        phantom: whose vertebrae are split into body and arch.
        meshes: of the phantom, the outermost first; metal is left out.
        spacing: mm per voxel.
        box: (2, 3) mm, lower and upper corner.
    """
    numbers = {mesh.name: NUMBER[structure_of(mesh)] for mesh in meshes}
    tissue = [mesh for mesh in meshes if numbers[mesh.name] != NUMBER["metal"]]
    volume = voxelise(tissue, spacing, box, lambda mesh: numbers[mesh.name], kind="label")
    split_arches(volume, phantom)
    return volume


def paint_metal(volume: Volume, meshes: list[Mesh], box: Bounds) -> None:
    """Paints the metal among some meshes over a map of structures."""
    metal = [mesh for mesh in meshes if structure_of(mesh) == "metal"]
    if metal:
        put_metal(
            volume, voxelise(metal, volume.spacing.tolist(), box, lambda mesh: 1, kind="label").data > 0
        )
