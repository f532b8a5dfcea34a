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
        metal: share of the samples with metal in them that have its streaks.
        osteoporotic: share of samples whose marrow is drawn as dark as soft tissue, whatever the age.
    """

    wide: Share = 0.2
    thickness_mm: Range = (0.5, 5.0)
    noise_hu: Weight = 90.0
    contrast: Share = 0.4
    metal: Share = 0.8
    osteoporotic: Share = 0.45


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
    "vena cava": (25, 60),
    "canal": (0, 45),
    "brain": (20, 45),
    "disc": (50, 150),
    "costal cartilage": (60, 160),
    "lung vessels": (-300, 60),
}
"""HU of structures without air, fat or bone, least and largest."""

_FAT = ("subcutaneous fat", "deep fat", "visceral fat")
_AIR = ("air", "airway", "bowel gas")
_BONE = ("cortex", "margin", "marrow", "rib cortex", "rib marrow", "bone cortex", "bone marrow")

_TEXTURE: dict[str, tuple[float, float]] = {
    "marrow": (50, 30),
    "margin": (60, 35),
    "cortex": (80, 50),
    "rib marrow": (40, 25),
    "rib cortex": (60, 40),
    "bone marrow": (45, 40),
    "bone cortex": (60, 40),
    "muscle": (5, 6),
    "psoas": (4, 5),
    "gland": (15, 15),
    "liver": (4, 5),
    "spleen": (3, 4),
    "kidney": (10, 20),
    "bowel wall": (10, 15),
    "bowel content": (25, 50),
    "lung": (40, 35),
    "disc": (10, 12),
    "subcutaneous fat": (6, 5),
    "deep fat": (10, 10),
    "visceral fat": (15, 15),
    "heart": (4, 6),
    "canal": (6, 8),
    "brain": (4, 5),
    "costal cartilage": (20, 40),
    "table": (100, 100),
}
"""By kind the standard deviation of fine (1 to 4 mm) and coarse (8 to 30 mm) texture, HU."""


@dataclass(frozen=True, slots=True, eq=False)
class Greys:
    """Grey values of all structures of one sample.

    Attributes:
        value: (S,) HU.
        fine, coarse: (S,) HU, standard deviation of fine and coarse texture.
        skew: (S,) how sparse and bright the fine texture is: trabeculae 0.35, vessels of lungs more.
        streaks: (S,) HU of the streaks of fat between the fibres of muscles, relative to the muscle.
    """

    value: Floats
    fine: Floats
    coarse: Floats
    skew: Floats
    streaks: Floats


def draw_greys(rng: np.random.Generator, age: float, settings: RandomizeSettings) -> Greys:
    """Draws the grey value and texture of every structure.

    Args:
        rng: source of every draw.
        age: years; bone is less dense in the old.
        settings: see `RandomizeSettings`.
    """
    kinds = _physical(rng, age, settings)
    if rng.random() < settings.wide:
        kinds = _wide(rng, kinds)
    own = rng.standard_normal(len(STRUCTURES))
    value = np.array([_of_structure(s.kind, s.part, kinds, z) for s, z in zip(STRUCTURES, own, strict=True)])
    strength = np.exp(rng.normal(0.0, 0.4, 2))
    spread = {kind: rng.uniform(0.3, 1.5) for kind in sorted(_TEXTURE)}
    amounts = [np.multiply(_TEXTURE.get(s.kind, (0, 0)), spread.get(s.kind, 1.0)) for s in STRUCTURES]
    fine, coarse = (np.array(amounts) * strength).T
    skew = np.array([0.35 * (s.kind in _BONE) + 2.0 * (s.kind == "lung") for s in STRUCTURES])
    lean = float(rng.uniform(0.2, 1.0)) * (kinds["deep fat"] - kinds["muscle"])
    streaks = np.array([lean * (s.kind in ("muscle", "psoas")) for s in STRUCTURES])
    return Greys(*(np.asarray(v, np.float32) for v in (value, fine, coarse, skew, streaks)))


def _physical(rng: np.random.Generator, age: float, settings: RandomizeSettings) -> dict[str, float]:
    """HU by kind; "arch" is what the arch's marrow has more than the body's, "uneven" how far levels differ."""
    contrast = rng.random() < settings.contrast
    kinds = {kind: float(rng.uniform(*limits)) for kind, limits in _SOFT.items()}
    muscle = kinds["muscle"]
    kinds["psoas"] = muscle + float(rng.normal(0, 5))
    fat = float(rng.uniform(-120, -70))
    kinds |= {kind: fat + float(rng.normal(0, 6)) for kind in _FAT}
    if rng.random() < 0.25:  # in the young and thin, organs fill the abdomen
        kinds["visceral fat"] = float(rng.uniform(fat, 40))
    kinds |= dict.fromkeys(_AIR, AIR_HU) | {"lung": float(rng.uniform(-920, -600))}
    density = float(np.interp(age, [10, 25, 50, 80], [230, 230, 170, 100])) * float(
        np.exp(rng.normal(0, 0.3))
    )
    marrow = float(np.clip(density, 30, 420))
    old = rng.random() < settings.osteoporotic
    if old:  # the marrow is as dark as the muscles, and discs with their endplates are brighter than bodies
        marrow = float(rng.uniform(-40, 140))
        kinds["disc"] = float(rng.uniform(50, 220))  # they are worn, and lie between sclerotic endplates
    # A cortex of half a millimetre, drawn one voxel wide, has a share of dense bone's 1200 to 1800 HU.
    cortex = marrow + float(rng.uniform(60, 700 if old else 600))
    margin = marrow + float(rng.uniform(0.0, 0.5)) * (cortex - marrow)
    kinds |= {"marrow": marrow, "margin": margin, "cortex": cortex, "arch": float(rng.uniform(20, 350))}
    # A worn or fractured vertebra is denser than its neighbours.
    kinds["uneven"] = float(rng.uniform(0, 60)) if old else 0.08 * marrow
    kinds |= {
        "rib marrow": marrow * float(rng.uniform(0.4, 1.2)),
        "rib cortex": marrow + float(rng.uniform(150, 800)),
        "bone marrow": marrow * float(rng.uniform(0.4, 1.4)),
        "bone cortex": marrow + float(rng.uniform(200, 1000)),
        "metal": float(rng.uniform(2200, 3500)),
        "plastic": float(rng.uniform(50, 200)),
        "table": float(rng.uniform(-900, 100)),
    }
    if contrast:
        blood = float(rng.uniform(100, 400))
        kinds |= {kind: blood * float(rng.uniform(0.3, 1.1)) for kind in ("heart", "vena cava")}
        kinds["aorta"] = blood
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
    wide |= {
        kind: marrow + float(rng.uniform(-80, 150)) for kind in _BONE if kind.endswith(("marrow", "margin"))
    }
    wide |= {kind: marrow + float(rng.uniform(-50, 900)) for kind in _BONE if kind.endswith("cortex")}
    kept = {name: kinds[name] for name in ("metal", "table", "uneven")}
    return wide | kept | {"arch": float(rng.uniform(-50, 400))}


def _of_structure(kind: str, part: str, kinds: dict[str, float], own: float) -> float:
    """HU of one structure; levels differ a little from each other."""
    value = kinds[kind]
    if kind in ("marrow", "margin", "cortex"):
        spread = 0.08 * value if kind == "cortex" else kinds["uneven"]
        value += spread * own + (kinds["arch"] if part == "arch" else 0.0)
    if kind == "disc":
        value += max(10.0, 0.5 * kinds["uneven"]) * own
    return value


def textured(
    labels: Array, value: Floats, greys: Greys, spacing: Array, along_body: Array, rng: np.random.Generator
) -> Floats:
    """Adds each structure's texture.

    Args:
        labels: (X, Y, Z) numbers of structures.
        value: (X, Y, Z) HU.
        greys: of the sample.
        spacing: (3,) mm per voxel.
        along_body: (3,) share of each axis of the grid that points up or down the body.
        rng: source of the noise fields.
    """
    # Trabeculae of bodies and fibres of muscles run along the body: noise that is longer along one axis.
    long = np.ones(3)
    long[int(np.argmax(along_body))] = float(rng.uniform(1.0, 4.0))
    fine = smooth_noise(labels.shape, float(rng.uniform(0.6, 1.6)) * long / spacing, rng)
    coarse = smooth_noise(labels.shape, float(rng.uniform(4, 10)) / spacing, rng)
    out = value + greys.fine[labels] * (
        fine + greys.skew[labels] * np.maximum(fine * fine - 1, -0.5) * (fine > 0)
    )
    out += greys.coarse[labels] * coarse
    between = np.clip(0.7 * coarse + 0.7 * fine - np.float32(rng.uniform(0.5, 2.5)), 0, 1)
    out += greys.streaks[labels] * between
    return np.asarray(out, np.float32)


def smooth_noise(shape: tuple[int, ...], sigma: Array, rng: np.random.Generator) -> Floats:
    """Gaussian noise of unit mean square, smoothed by `sigma` (3,) voxels; wide ones are drawn on a coarser grid."""
    step = np.maximum(np.floor(sigma / 1.5), 1).astype(int)
    small = tuple(int(np.ceil(n / s)) + 2 for n, s in zip(shape, step, strict=True))
    noise = rng.standard_normal(small, dtype=np.float32)
    for axis in range(3):
        width = float(sigma[axis] / step[axis])
        if width > 0.2:
            noise = ndimage.gaussian_filter1d(noise, width, axis, mode="wrap", truncate=3.0)
    noise /= max(
        float(np.sqrt(np.mean(noise * noise))), 1e-6
    )  # not by the deviation: few nodes are nearly equal
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
