"""CT scan of a person: Hounsfield units, vertebra labels and centroids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from aasce.config import Positive, Settings, Weight
from aasce.phantom.person import Person
from aasce.phantom.scan_map import StructureMap, nesting, structure_map
from aasce.phantom.scan_streaks import streaks
from aasce.phantom.scan_structures import IS_METAL, STRUCTURES, VERSE_OF
from aasce.phantom.spine.pose import LEVELS
from aasce.readers.centroids import verse_form
from aasce.readers.vertebrae import VERSE
from aasce.types import AasceError
from aasce.volume import Volume
from aasce.xray.voxels import add_ct_noise

__all__ = [
    "VERSE",
    "PhantomScan",
    "ScanSettings",
    "draw_scan_settings",
    "nesting",
    "phantom_scan",
    "take_scan",
]

Floats = NDArray[np.float32]

_ABOVE_MM, _BELOW_MM = 30.0, 30.0
_WHOLE_ABOVE_MM, _WHOLE_BELOW_MM = 45.0, 85.0
"""mm by which a scan extends beyond the middles of its first and last body; of the whole spine beyond C1 and S1."""

_HU: dict[str, float] = {
    "air": -1000, "subcutaneous fat": -105, "deep fat": -100, "visceral fat": -100, "muscle": 55, "gland": 35,
    "psoas": 55, "liver": 60, "spleen": 50, "kidney": 35, "bowel wall": 40, "bowel content": 15, "bowel gas": -1000,
    "lung": -850, "lung vessels": 40, "airway": -1000, "heart": 42, "aorta": 42, "vena cava": 42, "canal": 22,
    "brain": 35, "costal cartilage": 110, "rib cortex": 520, "rib marrow": 120, "bone cortex": 650,
    "bone marrow": 170, "metal": 3000, "plastic": 120, "table": -300, "disc": 85, "cortex": 480, "margin": 260,
    "marrow": 180,
}  # fmt: skip
"""HU by kind of structure of an adult of 40 years, without contrast agent. Cortex: of the outermost voxel of bone."""

_CONTRAST = {
    "aorta": 260.0,
    "vena cava": 130.0,
    "heart": 200.0,
    "kidney": 180.0,
    "liver": 105.0,
    "spleen": 115.0,
}
_BONE = ("cortex", "margin", "marrow", "rib cortex", "rib marrow", "bone cortex", "bone marrow")
_ARCH_HU = 130.0
"""HU by which arches are denser than bodies, as they hold more compact bone."""


@dataclass(frozen=True, slots=True)
class PhantomScan:
    """One CT scan with labels.

    Attributes:
        ct: HU, with noise.
        labels: labels of VerSe, 0 elsewhere.
        centroids: in the JSON form of VerSe: the orientation, then {"label", "X", "Y", "Z"} in voxels for each body
            that is in view.
    """

    ct: Volume
    labels: Volume
    centroids: list[dict[str, Any]]


class ScanSettings(Settings):
    """How a scan is taken.

    Attributes:
        spacing: mm per voxel to the right, to the front and between slices.
        thickness: mm of a slice.
        kernel: softer below 0, the standard deviation of the blur in mm; above 0 sharper, the share of overshoot.
        noise: standard deviation, HU.
        contrast: True for contrast agent in heart, vessels and organs.
        first, last: levels between which the scan extends.
        width: mm of the square field of view about the spine.
        arms: True for arms at the sides, False where they are raised out of the scan.
        orientation: of the stored voxels, such as "LPS".
    """

    spacing: tuple[Positive, Positive, Positive] = (1.5, 1.5, 1.5)
    thickness: Positive = 1.5
    kernel: Annotated[float, Field(ge=-3, le=1)] = -0.5
    noise: Weight = 15.0
    contrast: bool = False
    first: str = "C1"
    last: str = "S1"
    width: Positive = 200.0
    arms: bool = False
    orientation: str = "RAS"


def draw_scan_settings(rng: np.random.Generator, cut: bool = False) -> ScanSettings:
    """Draws how a scan is taken, as differently as clinical scans are.

    Args:
        rng: source of every draw.
        cut: True for a field of view between two levels drawn at random, at least three apart; else the whole spine.
    """
    first, last = 0, len(LEVELS) - 1
    if cut:
        first = int(rng.integers(0, last - 3))
        last = int(rng.integers(first + 3, last + 1))
    pixel = round(float(rng.uniform(0.6, 1.2)), 3)
    between = round(float(rng.choice([0.8, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0])), 3)
    return ScanSettings(
        spacing=(pixel, pixel, between),
        thickness=round(between * float(rng.uniform(1.0, 1.3)), 3),
        kernel=round(float(rng.uniform(-0.9, 0.5)), 3),
        noise=round(float(np.exp(rng.uniform(np.log(6), np.log(60)))), 2),
        contrast=bool(rng.random() < 0.4),
        first=LEVELS[first],
        last=LEVELS[last],
        width=round(float(rng.uniform(110, 260)), 1),
        arms=bool(rng.random() < 0.3),
        orientation=str(rng.choice(["RAS", "LPS", "LAS", "PIR"])),
    )


def phantom_scan(person: Person, seed: int = 0, spacing: float = 1.5, noise: float = 15.0) -> PhantomScan:
    """CT scan of a person from the base of the skull to the sacrum.

    Args:
        person: see `Person`.
        seed: of the noise.
        spacing: mm per voxel.
        noise: standard deviation of the noise, HU.
    """
    return take_scan(
        person, ScanSettings(spacing=(spacing, spacing, spacing), thickness=spacing, noise=noise), seed
    )


def take_scan(person: Person, settings: ScanSettings, seed: int = 0) -> PhantomScan:
    """CT scan of a person.

    Args:
        person: see `Person`.
        settings: see `ScanSettings`.
        seed: of texture, streaks and noise.

    Raises:
        AasceError: a level is unknown, the last one lies above the first, or the orientation is unknown.
    """
    for level in (settings.first, settings.last):
        if level not in LEVELS:
            raise AasceError(f"level {level!r} is unknown; give one of C1 to C7, T1 to T12, L1 to L5, S1")
    if LEVELS.index(settings.last) < LEVELS.index(settings.first):
        raise AasceError(f"a scan from {settings.first} to {settings.last}: name the upper level first")
    fine_mm = float(np.clip(min(settings.spacing), 1.0, 1.5))
    structures = structure_map(person, "scan", settings.arms, fine_mm)
    grid = _grid(structures, settings)
    low, high = grid.to_world([0, 0, 0]), grid.to_world(np.array(grid.shape) - 1)
    margin = np.array(settings.spacing) + 2 * settings.thickness
    block = structures.block(np.stack([low - margin, high + margin]), fine_mm)
    rng = np.random.default_rng((seed, 2))
    body = _body(block, settings, structures.age, rng)
    ct = add_ct_noise(_read(body, grid, 1), rng, settings.noise)
    ct = Volume(np.clip(ct.data, -1024, 3071).astype(np.float32), ct.affine, "ct")
    labels = _read(Volume(VERSE_OF[block.data], block.affine, "label"), grid, 0)
    ct, labels = (volume.reorient(settings.orientation) for volume in (ct, labels))
    return PhantomScan(ct, labels, centroids(structures, labels))


def _grid(structures: StructureMap, settings: ScanSettings) -> Volume:
    """An empty label volume where the scan's voxels lie."""
    spine = np.array([structures.centroids[VERSE[level]] for level in LEVELS])
    first, last = LEVELS.index(settings.first), LEVELS.index(settings.last)
    above = _WHOLE_ABOVE_MM if first == 0 else _ABOVE_MM
    below = _WHOLE_BELOW_MM if last == len(LEVELS) - 1 else _BELOW_MM
    shown = spine[first : last + 1]
    middle = (shown.min(0) + shown.max(0)) / 2
    half = (settings.width + np.ptp(shown, axis=0)[:2]) / 2
    low = np.array([*(middle[:2] - half), shown[-1, 2] - below])
    high = np.array([*(middle[:2] + half), shown[0, 2] + above])
    spacing = np.array(settings.spacing)
    x, y, z = (max(int(n), 1) for n in np.ceil((high - low) / spacing))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low + spacing / 2
    return Volume(np.zeros((x, y, z), np.uint8), affine, "label")


def _body(block: Volume, settings: ScanSettings, age: float, rng: np.random.Generator) -> Volume:
    """HU before they are read out in slices: tissue and texture, blurred by kernel and thickness."""
    kinds = _HU | (_CONTRAST if settings.contrast else {})
    dense = float(np.interp(age, [10, 25, 50, 80], [1.2, 1.2, 0.95, 0.6]))
    values = np.array(
        [
            kinds[s.kind] * (dense if s.kind in _BONE else 1.0) + _ARCH_HU * (s.part == "arch")
            for s in STRUCTURES
        ]
    )
    rough = np.array([45.0 if s.kind in _BONE else 8.0 for s in STRUCTURES]) * (values > -900)
    noise = ndimage.gaussian_filter(rng.standard_normal(block.shape, dtype=np.float32), (0.8, 0.8, 1.6))
    noise /= max(float(noise.std()), 1e-6)
    data = values.astype(np.float32)[block.data] + rough.astype(np.float32)[block.data] * noise
    metal = IS_METAL[block.data]
    if metal.any():
        data += streaks(metal, block.spacing, 2, rng)
    # A box over a slice and a Gaussian of the same variance: thickness / sqrt(12).
    across = settings.thickness / np.sqrt(12)
    blur = -settings.kernel if settings.kernel < 0 else 0.3
    data = ndimage.gaussian_filter(data, np.array([blur, blur, across]) / block.spacing, mode="nearest")
    if settings.kernel > 0:
        wide = ndimage.gaussian_filter(data, np.array([1.2, 1.2, 0.0]) / block.spacing, mode="nearest")
        data += np.float32(settings.kernel) * (data - wide)
    return Volume(data, block.affine, "ct")


def _read(volume: Volume, grid: Volume, order: int) -> Volume:
    """A volume at the voxels of a grid parallel to it."""
    ratio = grid.spacing / volume.spacing
    data = volume.data
    if order > 0 and (ratio[:2] > 1.2).any():
        data = ndimage.gaussian_filter(data, [*(np.maximum(ratio[:2] - 1, 0) / 2), 0.0], mode="nearest")
    data = ndimage.affine_transform(
        data, ratio, volume.to_index(grid.to_world([0, 0, 0])), grid.shape, order=order, mode="nearest"
    )
    return Volume(data, grid.affine, volume.kind)


def centroids(structures: StructureMap, grid: Volume) -> list[dict[str, Any]]:
    """The middles of the bodies in view, C1 to L5, in the JSON form of VerSe.

    Args:
        structures: of the person.
        grid: the scan, whose voxels are counted.
    """
    places = {VERSE[level]: structures.centroids[VERSE[level]] for level in LEVELS[:-1]}
    last = np.array(grid.shape) - 0.5
    seen = {
        label: place
        for label, place in places.items()
        if ((index := grid.to_index(place)) >= -0.5).all() and (index <= last).all()
    }
    return verse_form(seen, grid)
