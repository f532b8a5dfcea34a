"""Scans with known vertebrae that networks are trained on: phantoms, and a user's own labelled scans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aasce.ct.base import Grid, TrainingScan
from aasce.ct.shared.grids import block_means
from aasce.ct.shared.labelled import LabelledScan
from aasce.ct.shared.lookup import Bounds, indices, looked_up, reach
from aasce.ct.shared.randomize import AIR_HU, Greys, RandomizeSettings, draw_greys, textured
from aasce.ct.shared.scanner import scanned
from aasce.ct.shared.view import FieldOfView, draw_field_of_view
from aasce.phantom.devices.implants import draw_construct
from aasce.phantom.devices.instruments import InstrumentsRecord
from aasce.phantom.person import POPULATIONS, draw_person
from aasce.phantom.scan_map import FINE_MM, StructureMap, structure_map
from aasce.phantom.scan_structures import IS_METAL, VERSE_OF
from aasce.types import AasceError, Array

COARSE_MM = 2.0
"""mm per voxel from which a grid is too coarse for a sample of single points."""

__all__ = ["LabelledScan", "PhantomTrainingScan", "draw_structures", "pack_phantoms", "read_scan_set"]


@dataclass(frozen=True, slots=True, eq=False)
class PhantomTrainingScan:
    """A phantom whose grey values are drawn anew for every sample; a `TrainingScan`.

    Attributes:
        structures: of the person.
        settings: of what is drawn.
        field_of_view: outside of which the scan shows nothing; None for the whole body.
        suffix: of the scan's name, to tell several fields of view of one person apart.
    """

    structures: StructureMap
    settings: RandomizeSettings = field(default_factory=RandomizeSettings)
    field_of_view: FieldOfView | None = None
    suffix: str = ""

    @property
    def scan_id(self) -> str:
        return self.structures.scan_id + self.suffix

    @property
    def bounds(self) -> Bounds:
        whole, view = self.structures.coarse.bounds, self._view().bounds
        return np.stack([np.maximum(whole[0], view[0]), np.minimum(whole[1], view[1])])

    @property
    def centroids(self) -> Mapping[int, NDArray[np.float64]]:
        return self._view().within(self.structures.centroids)

    def _view(self) -> FieldOfView:
        return self.field_of_view or FieldOfView.of(self.structures.coarse.bounds)

    def cut(self, rng: np.random.Generator, suffix: str = "") -> PhantomTrainingScan:
        """The same person in a field of view drawn at random: some levels along the spine, and a box about them."""
        spine = np.array(list(self.structures.centroids.values()))
        view = draw_field_of_view(rng, spine, self.structures.coarse.bounds)
        return replace(self, field_of_view=view, suffix=suffix)

    def sample(self, grid: Grid, rng: np.random.Generator, shift: Array | None = None) -> tuple[Array, Array]:
        """See `TrainingScan.sample`.

        Of a grid of `COARSE_MM` or more, voxels of half the size are drawn and averaged, as a scan's are when a method
        reads it on such a grid: single points would show thin cortex and noise as speckles that no scan has.
        """
        if np.linalg.norm(grid.affine[:3, :3], axis=0).min() < COARSE_MM:
            return self._drawn(grid, rng, shift)
        finer = shift
        if shift is not None:
            finer = shift.repeat(2, 0).repeat(2, 1).repeat(2, 2)
        value, labels = self._drawn(_halved(grid), rng, finer)
        return block_means(value, (2, 2, 2)), np.ascontiguousarray(labels[1::2, 1::2, 1::2])

    def _drawn(self, grid: Grid, rng: np.random.Generator, shift: Array | None) -> tuple[Array, Array]:
        spacing = np.linalg.norm(grid.affine[:3, :3], axis=0)
        bounds, wanted = self.bounds, reach(grid, shift)
        box = np.stack([np.maximum(wanted[0], bounds[0]), np.minimum(wanted[1], bounds[1])])
        if (box[1] <= box[0]).any():
            return np.full(grid.shape, AIR_HU, np.float32), np.zeros(grid.shape, np.uint8)
        box += np.array([[-1.0], [1.0]]) * spacing.max()
        block = self.structures.block(box, float(spacing.min()))
        index, step = indices(grid, block.affine, shift)
        numbers = looked_up(block.data, index, np.zeros(3))
        greys = draw_greys(rng, self.structures.age, self.settings)
        value = _averaged(block.data, index, step, greys, float(rng.uniform(0.2, 0.4)))
        value = textured(numbers, value, greys, spacing, np.abs(grid.affine[2, :3]), rng)
        value = scanned(value, IS_METAL[numbers], spacing, _across(grid, rng), rng, self.settings)
        labels = VERSE_OF[numbers]
        outside = ~np.broadcast_to(self._view().contains(index, block.affine), grid.shape)
        value[outside], labels[outside] = AIR_HU, 0
        return value, labels


def _averaged(data: Array, index: list[Array], step: Array, greys: Greys, width: float) -> Array:
    """(X, Y, Z) HU, mean of eight points of each voxel, `width` voxels from its middle."""
    total: Array = np.zeros((1, 1, 1), np.float32)
    for corner in product((-width, width), repeat=3):
        total = total + greys.value[looked_up(data, index, step @ np.array(corner))]
    return np.asarray(total / np.float32(8), np.float32)


def _halved(grid: Grid) -> Grid:
    """The same box in voxels of half the size along each axis."""
    affine = grid.affine.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] -= affine[:3, :3].sum(axis=1) / 2
    x, y, z = grid.shape
    return Grid((2 * x, 2 * y, 2 * z), affine)


def _across(grid: Grid, rng: np.random.Generator) -> int:
    """The grid's axis across the slices: mostly the one along the body."""
    along_body = int(np.argmax(np.abs(grid.affine[2, :3])))
    return along_body if rng.random() < 0.85 else int(rng.integers(3))


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
    if rng.random() < 0.85:  # nobody is scanned in a brace; other objects are rarer than on films
        person = person.model_copy(update={"instruments": InstrumentsRecord(cages=person.instruments.cages)})
    if rng.random() < 0.1:
        rods = person.instruments.model_copy(
            update={"fixation": draw_construct(rng, person.age), "brace": None}
        )
        person = person.model_copy(update={"instruments": rods})
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
