"""Scans with known vertebrae that networks are trained on: phantoms, and a user's own labelled scans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aasce.ct.base import Grid, TrainingScan
from aasce.ct.shared.randomize import AIR_HU, Greys, RandomizeSettings, draw_greys, textured
from aasce.ct.shared.scanner import scanned
from aasce.phantom.person import POPULATIONS, draw_person
from aasce.phantom.scan_map import FINE_MM, StructureMap, structure_map
from aasce.phantom.scan_structures import VERSE_OF
from aasce.readers.vertebrae import HEAD_TO_FOOT
from aasce.types import AasceError, Array
from aasce.volume import Volume

Bounds = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PhantomTrainingScan:
    """A phantom whose grey values are drawn anew for every sample; a `TrainingScan`.

    Attributes:
        structures: of the person.
        settings: of what is drawn.
        field_of_view: (2, 3) mm, the box outside of which the scan shows nothing; None for the whole body.
        suffix: of the scan's name, to tell several fields of view of one person apart.
    """

    structures: StructureMap
    settings: RandomizeSettings = field(default_factory=RandomizeSettings)
    field_of_view: Bounds | None = None
    suffix: str = ""

    @property
    def scan_id(self) -> str:
        return self.structures.scan_id + self.suffix

    @property
    def bounds(self) -> Bounds:
        whole = self.structures.coarse.bounds
        if self.field_of_view is None:
            return whole
        return np.stack(
            [np.maximum(whole[0], self.field_of_view[0]), np.minimum(whole[1], self.field_of_view[1])]
        )

    @property
    def centroids(self) -> Mapping[int, NDArray[np.float64]]:
        return within(self.structures.centroids, self.bounds)

    def cut(self, rng: np.random.Generator, suffix: str = "") -> PhantomTrainingScan:
        """The same person in a field of view drawn at random: some levels along the spine, and a box about them."""
        return replace(self, field_of_view=draw_field_of_view(rng, self.structures), suffix=suffix)

    def sample(self, grid: Grid, rng: np.random.Generator, shift: Array | None = None) -> tuple[Array, Array]:
        """See `TrainingScan.sample`."""
        spacing = np.linalg.norm(grid.affine[:3, :3], axis=0)
        world_low, world_high = _reach(grid, shift)
        bounds = self.bounds
        box = np.stack([np.maximum(world_low, bounds[0]), np.minimum(world_high, bounds[1])])
        if (box[1] <= box[0]).any():
            return np.full(grid.shape, AIR_HU, np.float32), np.zeros(grid.shape, np.uint8)
        box += np.array([[-1.0], [1.0]]) * spacing.max()
        block = self.structures.block(box, float(spacing.min()))
        index, step = _indices(grid, block.affine, shift)
        numbers = _looked_up(block.data, index, np.zeros(3))
        greys = draw_greys(rng, self.structures.age, self.settings)
        value = _averaged(block.data, index, step, greys, float(rng.uniform(0.2, 0.4)))
        value = textured(numbers, value, greys, spacing, np.abs(grid.affine[2, :3]), rng)
        axis = _across(grid, rng)
        value = scanned(value, spacing, axis, rng, self.settings)
        labels = VERSE_OF[numbers]
        outside = _outside(index, block, bounds)
        value[outside], labels[outside] = AIR_HU, 0
        return value, labels


@dataclass(frozen=True, slots=True, eq=False)
class LabelledScan:
    """A patient's scan and its label map; a `TrainingScan`.

    Attributes:
        scan_id: of the scan.
        ct: HU, any grid.
        labels: labels of VerSe, any grid.
        centroids: by label (3,) world mm.
    """

    scan_id: str
    ct: Volume
    labels: Volume
    centroids: Mapping[int, NDArray[np.float64]]

    @classmethod
    def of(
        cls, scan_id: str, ct: Volume, labels: Volume, centroids: Mapping[int, Array] | None = None
    ) -> LabelledScan:
        """A scan with its labels; without centroids, each is the middle of the mask's voxels.

        Raises:
            AasceError: the label map holds no vertebra, or labels that are none of VerSe's.
        """
        found = [int(label) for label in np.unique(labels.data) if label]
        unknown = sorted(set(found) - set(HEAD_TO_FOOT))
        if unknown or not found:
            what = f"labels {unknown} are no vertebrae of VerSe" if unknown else "holds no vertebra"
            raise AasceError(f"{scan_id}: the label map {what}; give VerSe's numbers (1 to 26, 28)")
        if centroids is None:
            middles = ndimage.center_of_mass(labels.data > 0, labels.data, found)
            centroids = dict(zip(found, labels.to_world(np.array(middles)), strict=True))
        places = {int(label): np.asarray(place, np.float64) for label, place in centroids.items()}
        return cls(scan_id, ct, labels, within(places, _corners(ct)))

    @classmethod
    def read(cls, ct: Path, labels: Path, centroids: Mapping[int, Array] | None = None) -> LabelledScan:
        """Reads a scan and its label map from files."""
        from aasce.readers.scans import read_scan

        return cls.of(ct.name.split(".")[0], read_scan(ct, "ct"), read_scan(labels, "label"), centroids)

    @property
    def bounds(self) -> Bounds:
        return _corners(self.ct)

    def sample(self, grid: Grid, rng: np.random.Generator, shift: Array | None = None) -> tuple[Array, Array]:
        """See `TrainingScan.sample`; nothing is drawn."""
        index, _ = _indices(grid, self.ct.affine, shift)
        value = _interpolated(self.ct, index, float(np.linalg.norm(grid.affine[:3, :3], axis=0).min()))
        index, _ = _indices(grid, self.labels.affine, shift)
        return value, _looked_up(self.labels.data.astype(np.uint8), index, np.zeros(3))


def within(places: Mapping[int, Array], bounds: Bounds) -> dict[int, NDArray[np.float64]]:
    """The places (3,) mm that lie within (2, 3) mm."""
    return {
        label: np.asarray(place)
        for label, place in places.items()
        if (place >= bounds[0]).all() and (place <= bounds[1]).all()
    }


def draw_field_of_view(rng: np.random.Generator, structures: StructureMap) -> Bounds:
    """(2, 3) mm of a scan's box: from a random level to another, and as wide as scans are reconstructed."""
    spine = np.array(list(structures.centroids.values()))
    whole = structures.coarse.bounds
    length = float(np.exp(rng.uniform(np.log(60), np.log(1.2 * np.ptp(spine[:, 2])))))
    middle = float(rng.uniform(spine[:, 2].min(), spine[:, 2].max()))
    inside = np.abs(spine[:, 2] - middle) < length / 2
    about = spine[inside].mean(0) if inside.any() else spine[np.argmin(np.abs(spine[:, 2] - middle))]
    box = whole.copy()
    if rng.random() < 0.85:
        box[:, 2] = middle - length / 2, middle + length / 2
    if rng.random() < 0.6:
        side = float(rng.uniform(90, 260)) / 2
        centre = about + np.array([rng.normal(0, 12), rng.uniform(0, 0.6) * side, 0])
        box[0, :2], box[1, :2] = centre[:2] - side, centre[:2] + side
    return np.stack([np.maximum(box[0], whole[0]), np.minimum(box[1], whole[1])])


def _corners(volume: Volume) -> Bounds:
    """(2, 3) mm that a scan's voxels cover."""
    shape = volume.shape
    ends = np.array(list(product(*((-0.5, n - 0.5) for n in shape))))
    world = volume.to_world(ends)
    return np.stack([world.min(0), world.max(0)])


def _reach(grid: Grid, shift: Array | None) -> tuple[Array, Array]:
    """World mm, lower and upper corner of what a grid reads."""
    ends = np.array(list(product(*((0, n - 1) for n in grid.shape))))
    world = ends @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    low, high = world.min(0), world.max(0)
    if shift is not None:
        flat = shift.reshape(-1, 3)
        low, high = low + flat.min(0), high + flat.max(0)
    return low, high


def _indices(grid: Grid, affine: Array, shift: Array | None) -> tuple[list[Array], Array]:
    """Where a grid's voxels lie in another: three arrays that broadcast to (X, Y, Z), and (3, 3) a voxel's step."""
    inverse = np.linalg.inv(affine)
    both = inverse @ grid.affine
    x, y, z = np.ogrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    index = []
    for row in range(3):
        a, b, c, t = both[row]
        # Axes that do not matter stay flat, so that grids parallel to the map are read quickly.
        terms = [np.float32(f) * v.astype(np.float32) for f, v in ((a, x), (b, y), (c, z)) if abs(f) > 1e-9]
        total = np.float32(t) + sum(terms[1:], terms[0])
        if shift is not None:
            total = total + np.asarray(shift, np.float32) @ inverse[row, :3].astype(np.float32)
        index.append(np.asarray(total, np.float32))
    return index, both[:3, :3]


def _looked_up(data: Array, index: list[Array], offset: Array) -> Array:
    """(X, Y, Z) nearest voxels of `data`, 0 beyond it."""
    flat: Array | int = 0
    good: Array | bool = True
    for axis, place in enumerate(index):
        nearest = np.floor(place + np.float32(0.5 + offset[axis])).astype(np.int32)
        good = good & (nearest >= 0) & (nearest < data.shape[axis])
        np.clip(nearest, 0, data.shape[axis] - 1, out=nearest)
        flat = flat * np.int32(data.shape[axis]) + nearest
    return np.where(good, np.take(data.reshape(-1), flat), 0).astype(data.dtype)


def _interpolated(scan: Volume, index: list[Array], spacing: float) -> Array:
    """(X, Y, Z) HU at places of a scan, smoothed first where voxels of `spacing` mm are coarser than its own."""
    sigma = np.maximum(spacing / scan.spacing - 1, 0) / 2
    margin = np.ceil(4 * sigma) + 2
    low = [max(int(place.min() - m), 0) for place, m in zip(index, margin, strict=True)]
    high = [int(place.max() + m) + 1 for place, m in zip(index, margin, strict=True)]
    part = scan.data[tuple(slice(a, max(b, 0)) for a, b in zip(low, high, strict=True))]
    shape = np.broadcast_shapes(*(place.shape for place in index))
    if 0 in part.shape:
        return np.full(shape, AIR_HU, np.float32)
    data = np.asarray(part, np.float32)
    if (sigma > 0.1).any():
        data = ndimage.gaussian_filter(data, sigma, mode="nearest")
    places = np.stack([np.broadcast_to(place - a, shape) for place, a in zip(index, low, strict=True)])
    return np.asarray(ndimage.map_coordinates(data, places, order=1, cval=AIR_HU), np.float32)


def _averaged(data: Array, index: list[Array], step: Array, greys: Greys, width: float) -> Array:
    """(X, Y, Z) HU, mean of eight points of each voxel, `width` voxels from its middle."""
    total: Array = np.zeros((1, 1, 1), np.float32)
    for corner in product((-width, width), repeat=3):
        total = total + greys.value[_looked_up(data, index, step @ np.array(corner))]
    return np.asarray(total / np.float32(8), np.float32)


def _across(grid: Grid, rng: np.random.Generator) -> int:
    """The grid's axis across the slices: mostly the one along the body."""
    along_body = int(np.argmax(np.abs(grid.affine[2, :3])))
    return along_body if rng.random() < 0.85 else int(rng.integers(3))


def _outside(index: list[Array], block: Volume, bounds: Bounds) -> Array:
    """(X, Y, Z) bool, where the scan shows nothing."""
    low, high = block.to_index(bounds[0]), block.to_index(bounds[1])
    inside: Array | bool = True
    for axis, place in enumerate(index):
        inside = inside & (place >= low[axis]) & (place <= high[axis])
    return ~np.asarray(inside)


def pack_phantoms(
    folder: Path,
    count: int,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    fine_mm: float = FINE_MM,
) -> list[Path]:
    """Draws persons of all populations and writes one structure map of each; what is there already is kept.

    Args:
        folder: where the files go.
        count: number of persons.
        seed: of the first; person i is drawn with seed + i.
        progress: called with the number of persons written.
        fine_mm: mm per voxel about the spine.

    Raises:
        AasceError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AasceError(f"{folder}: cannot be made ({error}); choose another folder") from error
    paths = []
    for number in range(count):
        path = folder / f"phantom_{seed + number:05d}.npz"
        if not path.is_file():
            draw_structures(seed + number, fine_mm).save(path)
        paths.append(path)
        if progress is not None:
            progress(number + 1)
    return paths


def draw_structures(seed: int, fine_mm: float = FINE_MM) -> StructureMap:
    """The structure map of one person, of any population; seven of ten have their arms raised out of the scan."""
    rng = np.random.default_rng((seed, 20))
    population = str(rng.choice(POPULATIONS, p=[0.3, 0.4, 0.3]))
    person = draw_person(seed, population)
    return structure_map(person, f"phantom_{seed:05d}", bool(rng.random() < 0.3), fine_mm)


def read_scan_set(
    folder: Path, views: int = 4, seed: int = 0, settings: RandomizeSettings | None = None
) -> list[TrainingScan]:
    """The packed phantoms of a folder: each whole, and in further fields of view cut at random.

    Args:
        folder: as `pack_phantoms` wrote it.
        views: of each person, the whole body included.
        seed: of the fields of view.
        settings: of what is drawn for every sample.

    Raises:
        AasceError: the folder holds no packed phantom, or one that cannot be read.
    """
    paths = sorted(folder.glob("phantom_*.npz"))
    if not paths:
        raise AasceError(f"{folder}: holds no packed phantoms (phantom_*.npz); pack some first")
    scans: list[TrainingScan] = []
    for path in paths:
        scan = PhantomTrainingScan(StructureMap.load(path), settings or RandomizeSettings())
        scans.append(scan)
        for view in range(1, views):
            rng = np.random.default_rng((seed, view, len(scans)))
            scans.append(scan.cut(rng, f"_view{view}"))
    return scans
