"""Grey values of a map of structures, drawn anew for every sample.

A network that is trained on one renderer's greys fails on patients. So every sample draws the value of every
structure, its texture, the blur, thickness and noise of the scan anew, as in "SynthSeg: Segmentation of brain MRI scans
of any contrast and resolution without retraining" (Billot et al. 2023, Med Image Anal 86:102789). Most samples stay
within what CT can show (in HU); the rest keeps little more than that bone is bright.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aasce.config import Range, Settings, Share, Weight
from aasce.phantom.scan_structures import STRUCTURES
from aasce.types import Array

Floats = NDArray[np.float32]

LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0
AIR_HU = -1000.0


class RandomizeSettings(Settings):
    """What varies from sample to sample.

    Attributes:
        wide: share of samples whose grey values leave the physical range.
        thickness_mm: least and largest slice thickness.
        noise_hu: largest standard deviation of the noise; it is drawn between 3 and this.
        contrast: share of samples with contrast agent in heart and vessels.
        metal: share of the samples of a person with implants that have their streaks.
    """

    wide: Share = 0.2
    thickness_mm: Range = (0.5, 5.0)
    noise_hu: Weight = 60.0
    contrast: Share = 0.4
    metal: Share = 0.8


_SOFT: dict[str, tuple[float, float]] = {
    "muscle": (25, 75),
    "psoas": (25, 75),
    "gland": (0, 60),
    "liver": (20, 130),
    "spleen": (30, 140),
    "kidney": (20, 220),
    "bowel wall": (10, 100),
    "bowel content": (-60, 60),
    "heart": (25, 60),
    "aorta": (25, 60),
    "canal": (0, 45),
    "brain": (20, 45),
    "disc": (50, 130),
    "costal cartilage": (60, 160),
    "lung vessels": (-300, 60),
}
"""HU of structures without air, fat or bone, least and largest."""

_FAT = ("subcutaneous fat", "deep fat", "visceral fat")
_AIR = ("air", "airway", "bowel gas")
_BONE = ("cortex", "marrow", "rib cortex", "rib marrow", "bone cortex", "bone marrow")

_TEXTURE: dict[str, tuple[float, float, float]] = {
    "marrow": (0.0, 45.0, 35.0),
    "cortex": (0.0, 60.0, 40.0),
    "rib marrow": (0.0, 40.0, 30.0),
    "rib cortex": (0.0, 60.0, 40.0),
    "bone marrow": (0.0, 45.0, 40.0),
    "bone cortex": (0.0, 60.0, 40.0),
    "muscle": (0.0, 12.0, 14.0),
    "psoas": (0.0, 8.0, 8.0),
    "gland": (0.0, 20.0, 20.0),
    "liver": (0.0, 10.0, 8.0),
    "spleen": (0.0, 6.0, 6.0),
    "kidney": (0.0, 15.0, 25.0),
    "bowel wall": (0.0, 10.0, 20.0),
    "bowel content": (0.0, 30.0, 60.0),
    "lung": (0.0, 45.0, 40.0),
    "disc": (0.0, 12.0, 14.0),
    "subcutaneous fat": (0.0, 10.0, 8.0),
    "deep fat": (0.0, 15.0, 15.0),
    "visceral fat": (0.0, 25.0, 25.0),
    "heart": (0.0, 6.0, 8.0),
    "canal": (0.0, 10.0, 12.0),
    "brain": (0.0, 5.0, 6.0),
    "costal cartilage": (0.0, 20.0, 40.0),
}
"""By kind the standard deviation of the texture, HU: unused, fine (1 to 4 mm) and coarse (8 to 30 mm)."""


@dataclass(frozen=True, slots=True, eq=False)
class Greys:
    """Grey values of all structures of one sample.

    Attributes:
        value: (S,) HU.
        fine, coarse: (S,) HU, standard deviation of fine and coarse texture.
        lung: (S,) 1 where the texture is that of lungs: sparse bright vessels.
    """

    value: Floats
    fine: Floats
    coarse: Floats
    lung: Floats


def draw_greys(rng: np.random.Generator, age: float, settings: RandomizeSettings) -> Greys:
    """Draws the grey value and texture of every structure.

    Args:
        rng: source of every draw.
        age: years; bone is less dense in the old.
        settings: see `RandomizeSettings`.
    """
    kinds = _physical(rng, age, rng.random() < settings.contrast)
    if rng.random() < settings.wide:
        kinds = _wide(rng, kinds)
    own = rng.standard_normal(len(STRUCTURES))
    value = np.array([_of_structure(s.kind, s.part, kinds, z) for s, z in zip(STRUCTURES, own, strict=True)])
    strength = np.exp(rng.normal(0.0, 0.45, 2))
    spread = {kind: rng.uniform(0.3, 1.5) for kind in sorted(_TEXTURE)}
    amounts = [(_TEXTURE.get(s.kind, (0, 0, 0)), spread.get(s.kind, 1.0)) for s in STRUCTURES]
    fine = np.array([a[1] * k for a, k in amounts]) * strength[0]
    coarse = np.array([a[2] * k for a, k in amounts]) * strength[1]
    lung = np.array([s.kind == "lung" for s in STRUCTURES])
    return Greys(*(np.asarray(v, np.float32) for v in (value, fine, coarse, lung)))


def _physical(rng: np.random.Generator, age: float, contrast: bool) -> dict[str, float]:
    """HU by kind; "arch" is what the arch's marrow has more than the body's."""
    kinds = {kind: float(rng.uniform(*limits)) for kind, limits in _SOFT.items()}
    muscle = kinds["muscle"]
    kinds["psoas"] = muscle + float(rng.normal(0, 5))
    fat = float(rng.uniform(-120, -70))
    kinds |= {kind: fat + float(rng.normal(0, 6)) for kind in _FAT}
    kinds |= dict.fromkeys(_AIR, AIR_HU) | {"lung": float(rng.uniform(-920, -600))}
    density = float(np.interp(age, [10, 25, 50, 80], [230, 230, 170, 100])) * float(
        np.exp(rng.normal(0, 0.3))
    )
    marrow = float(np.clip(density, 30, 420))
    # A cortex of half a millimetre, drawn one voxel wide, has a share of dense bone's 1200 to 1800 HU.
    cortex = marrow + float(rng.uniform(80, 750))
    kinds |= {"marrow": marrow, "cortex": cortex, "arch": float(rng.uniform(20, 350))}
    kinds |= {
        "rib marrow": marrow * float(rng.uniform(0.4, 1.2)),
        "rib cortex": marrow + float(rng.uniform(150, 800)),
        "bone marrow": marrow * float(rng.uniform(0.4, 1.4)),
        "bone cortex": marrow + float(rng.uniform(200, 1000)),
        "metal": float(rng.uniform(2200, 3500)),
        "plastic": float(rng.uniform(50, 200)),
    }
    if contrast:
        blood = float(rng.uniform(100, 400))
        kinds |= {"aorta": blood, "heart": blood * float(rng.uniform(0.4, 1.1))}
        kinds |= {"kidney": float(rng.uniform(100, 300)), "lung vessels": blood * 0.6}
    if rng.random() < 0.25:
        kinds["bowel content"] = float(rng.uniform(100, 600))
    return kinds


def _wide(rng: np.random.Generator, kinds: dict[str, float]) -> dict[str, float]:
    """Values far outside the physical range, of which only the order air, fat, soft tissue, bone mostly remains."""
    low, high = rng.uniform(-150, 0), rng.uniform(60, 250)
    wide = {kind: float(rng.uniform(low, high)) for kind in kinds}
    wide |= {kind: float(rng.uniform(-300, low + 50)) for kind in _FAT}
    wide |= dict.fromkeys(_AIR, AIR_HU) | {"lung": float(rng.uniform(-950, -300))}
    marrow = high + float(rng.uniform(-60, 350))
    wide |= {kind: marrow + float(rng.uniform(-80, 150)) for kind in _BONE if kind.endswith("marrow")}
    wide |= {kind: marrow + float(rng.uniform(-50, 900)) for kind in _BONE if kind.endswith("cortex")}
    return wide | {"metal": kinds["metal"], "arch": float(rng.uniform(-50, 400))}


def _of_structure(kind: str, part: str, kinds: dict[str, float], own: float) -> float:
    """HU of one structure; levels differ a little from each other."""
    value = kinds[kind]
    if kind in ("marrow", "cortex"):
        value = value * (1 + 0.08 * own) + (kinds["arch"] if part == "arch" else 0.0)
    if kind == "disc":
        value += 10 * own
    return value


def textured(labels: Array, value: Floats, greys: Greys, spacing: Array, rng: np.random.Generator) -> Floats:
    """Adds each structure's texture.

    Args:
        labels: (X, Y, Z) numbers of structures.
        value: (X, Y, Z) HU.
        greys: of the sample.
        spacing: (3,) mm per voxel.
        rng: source of the noise fields.
    """
    fine = smooth_noise(labels.shape, float(rng.uniform(0.6, 1.8)) / spacing, rng)
    coarse = smooth_noise(labels.shape, float(rng.uniform(4, 12)) / spacing, rng)
    lung = greys.lung[labels]
    # Trabeculae and lung vessels are sparse and bright: a skewed field.
    skewed = fine + np.float32(0.35) * (fine * fine - 1)
    vessels = np.maximum(fine - np.float32(1.3), 0) * np.float32(5)
    out = value + greys.fine[labels] * (skewed + lung * vessels)
    return np.asarray(out + greys.coarse[labels] * coarse, np.float32)


def smooth_noise(shape: tuple[int, ...], sigma: Array, rng: np.random.Generator) -> Floats:
    """Gaussian noise of unit variance, smoothed by `sigma` (3,) voxels; wide ones are drawn on a coarser grid."""
    step = np.maximum(np.floor(sigma / 1.5), 1).astype(int)
    small = tuple(int(np.ceil(n / s)) + 2 for n, s in zip(shape, step, strict=True))
    noise = rng.standard_normal(small, dtype=np.float32)
    for axis in range(3):
        width = float(sigma[axis] / step[axis])
        if width > 0.2:
            noise = ndimage.gaussian_filter1d(noise, width, axis, mode="wrap", truncate=3.0)
    noise /= max(float(noise.std()), 1e-6)
    for axis in range(3):
        if step[axis] > 1:
            noise = along(noise, _stretch(shape[axis], small[axis], int(step[axis])), axis)
        else:
            noise = np.take(noise, np.arange(shape[axis]), axis)
    return noise


def _stretch(count: int, small: int, step: int) -> Floats:
    """(count, small) linear interpolation."""
    place = (np.arange(count) + 0.5) / step
    first = np.minimum(np.floor(place).astype(int), small - 2)
    matrix = np.zeros((count, small), np.float32)
    matrix[np.arange(count), first] = 1 - (place - first)
    matrix[np.arange(count), first + 1] = place - first
    return matrix


def along(values: Floats, matrix: Floats, axis: int) -> Floats:
    """Multiplies one axis of (X, Y, Z) values by a (new, old) matrix."""
    moved = np.moveaxis(values, axis, -1)
    return np.moveaxis(np.ascontiguousarray(moved @ matrix.T), -1, axis)
