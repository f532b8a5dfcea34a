"""Measures of labelled vertebrae in scans: centroids, masks and surfaces, by label and by region. numpy and scipy.

Sekuboyina et al.: VerSe: A Vertebrae Labelling and Segmentation Benchmark for Multi-detector CT Images, Med Image Anal
73:102166, 2021, section 3.3. A predicted centroid is identified when the nearest true one bears the same label and lies
within 20 mm; a missed vertebra counts as not identified and as a Dice of 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from aasce.scoring.localization import RADIUS_MM, Floats, distances, identified
from aasce.types import Array

PERCENTILE = 95.0
"""Of the surface distances: Hausdorff 95, which one stray voxel does not decide."""


@dataclass(frozen=True, slots=True)
class LabelScore:
    """Measures of one vertebra of one scan. A measure that cannot be taken is NaN.

    Attributes:
        label: its number.
        predicted, labelled: whether the prediction has it, and whether the truth has it.
        identified: see the module.
        distance_mm: between the two centroids.
        dice: overlap of the masks, 0 to 1; 0 for a mask that only one of the two has.
        surface_mm: average symmetric surface distance.
        hausdorff95_mm: the larger one of the 95th percentiles of the distances from either surface to the other.
    """

    label: int
    predicted: bool
    labelled: bool
    identified: bool = False
    distance_mm: float = float("nan")
    dice: float = float("nan")
    surface_mm: float = float("nan")
    hausdorff95_mm: float = float("nan")

    @property
    def missed(self) -> bool:
        """Whether it is labelled and was not found."""
        return self.labelled and not self.predicted

    @property
    def false(self) -> bool:
        """Whether it was found and is not labelled."""
        return self.predicted and not self.labelled


@dataclass(frozen=True, slots=True)
class RegionScore:
    """Means over the vertebrae of a region. A measure of nothing is NaN.

    Attributes:
        region: its name, "all" for all.
        vertebrae: labelled ones.
        missed, false: how many were not found, and how many were found that are not labelled.
        identified: identification rate, percent of the labelled ones.
        distance_mm: mean localisation distance over those that both have.
        dice: mean over the labelled ones; a missed one counts 0.
        surface_mm, hausdorff95_mm: means over those that both have.
    """

    region: str
    vertebrae: int
    missed: int
    false: int
    identified: float
    distance_mm: float
    dice: float
    surface_mm: float
    hausdorff95_mm: float


def mask_middles(labels: Array, affine: Array) -> dict[int, Floats]:
    """By label the middle (3,) in world mm of its voxels; 0 is left out.

    Args:
        labels: (X, Y, Z) integers.
        affine: (4, 4) voxel to world mm.
    """
    boxes = ndimage.find_objects(labels)
    found = [(number, box) for number, box in enumerate(boxes, 1) if box is not None]
    middles = {}
    for number, box in found:
        index = np.argwhere(labels[box] == number).mean(axis=0) + [part.start for part in box]
        middles[number] = index @ affine[:3, :3].T + affine[:3, 3]
    return middles


def score_centroids(
    predicted: Mapping[int, Array], truth: Mapping[int, Array], radius_mm: float = RADIUS_MM
) -> dict[int, LabelScore]:
    """Identification and localisation distance by label.

    Args:
        predicted, truth: by label (3,) world mm.
        radius_mm: see the module.
    """
    labels = sorted({*predicted, *truth})
    unknown = np.full(3, np.nan)
    found = np.array([predicted.get(label, unknown) for label in labels], np.float64).reshape(-1, 3)
    wanted = np.array([truth.get(label, unknown) for label in labels], np.float64).reshape(-1, 3)
    right = identified(found, wanted, radius_mm) if labels else np.zeros(0, bool)
    apart = distances(found, wanted)
    return {
        label: LabelScore(label, label in predicted, label in truth, bool(right[k]), float(apart[k]))
        for k, label in enumerate(labels)
    }


def dice(predicted: Array, truth: Array) -> float:
    """Overlap of two masks: twice the common part over the sum; NaN when both are empty."""
    total = int(np.count_nonzero(predicted)) + int(np.count_nonzero(truth))
    return 2 * int(np.count_nonzero(predicted & truth)) / total if total else float("nan")


def surface_distances(predicted: Array, truth: Array, affine: Array) -> tuple[Floats, Floats]:
    """(N,) mm from each surface voxel of the prediction to the truth's surface, and (M,) mm the other way.

    A surface voxel has a neighbour through a face, or the edge of the grid, outside the mask. Distances are taken in
    the world, so that anisotropic and sheared grids are measured as they are.

    Args:
        predicted, truth: (X, Y, Z) masks, neither empty.
        affine: (4, 4) voxel to world mm.
    """
    first, second = (_surface(mask) @ affine[:3, :3].T for mask in (predicted, truth))
    return np.asarray(cKDTree(second).query(first)[0]), np.asarray(cKDTree(first).query(second)[0])


def score_masks(predicted: Array, truth: Array, affine: Array) -> dict[int, tuple[float, float, float]]:
    """By label Dice, average symmetric surface distance and Hausdorff 95 in mm.

    Args:
        predicted, truth: (X, Y, Z) integers on one grid, 0 for none.
        affine: (4, 4) voxel to world mm.

    Raises:
        ValueError: the shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"label maps lie on one grid, not on {predicted.shape} and {truth.shape} voxels")
    boxes = (ndimage.find_objects(predicted), ndimage.find_objects(truth))
    measured = {}
    for number in range(1, max(map(len, boxes)) + 1):
        both = [of_one[number - 1] if number <= len(of_one) else None for of_one in boxes]
        present = [box for box in both if box is not None]
        if present:
            box = _hull(present)
            measured[number] = _score_mask(predicted[box] == number, truth[box] == number, affine)
    return measured


def score_labels(
    centroids: tuple[Mapping[int, Array], Mapping[int, Array]],
    masks: tuple[Array, Array] | None = None,
    affine: Array | None = None,
) -> list[LabelScore]:
    """All measures of one scan, by label in increasing order.

    Args:
        centroids: predicted and true ones, by label (3,) world mm; they say which vertebrae there are.
        masks: predicted and true labels (X, Y, Z) on one grid; None where only centroids are known.
        affine: (4, 4) voxel to world mm of the masks.
    """
    scores = score_centroids(*centroids)
    if masks is not None and affine is not None:
        measured = score_masks(*masks, affine)
        nothing = (float("nan"),) * 3
        for label, s in scores.items():
            overlap, surface, hausdorff = measured.get(label, nothing)
            scores[label] = LabelScore(
                label, s.predicted, s.labelled, s.identified, s.distance_mm, overlap, surface, hausdorff
            )
    return [scores[label] for label in sorted(scores)]


def by_region(scores: Iterable[LabelScore], region_of: Callable[[int], str]) -> list[RegionScore]:
    """Means by region, then over all; the vertebrae of any number of scans may be pooled.

    Args:
        scores: of vertebrae.
        region_of: name of a label's region (or its own name); regions come in the order of their first vertebra.
    """
    every = list(scores)
    regions = dict.fromkeys(region_of(score.label) for score in every)
    parts = [(name, [s for s in every if region_of(s.label) == name]) for name in regions]
    return [_region(name, part) for name, part in (*parts, ("all", every))]


def _region(name: str, scores: Sequence[LabelScore]) -> RegionScore:
    labelled = [s for s in scores if s.labelled]
    both = [s for s in labelled if s.predicted]
    return RegionScore(
        region=name,
        vertebrae=len(labelled),
        missed=sum(s.missed for s in scores),
        false=sum(s.false for s in scores),
        identified=100 * _mean([float(s.identified) for s in labelled]),
        distance_mm=_mean([s.distance_mm for s in both]),
        dice=_mean([s.dice for s in labelled]),
        surface_mm=_mean([s.surface_mm for s in both]),
        hausdorff95_mm=_mean([s.hausdorff95_mm for s in both]),
    )


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _score_mask(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], affine: Array
) -> tuple[float, float, float]:
    overlap = dice(predicted, truth)
    if not (predicted.any() and truth.any()):
        return overlap, float("nan"), float("nan")
    there, back = surface_distances(predicted, truth, affine)
    hausdorff = max(float(np.percentile(there, PERCENTILE)), float(np.percentile(back, PERCENTILE)))
    return overlap, float(np.concatenate([there, back]).mean()), hausdorff


def _surface(mask: Array) -> Floats:
    """(N, 3) indices of the surface voxels of a mask."""
    solid = np.asarray(mask, bool)
    return np.argwhere(solid & ~ndimage.binary_erosion(solid)).astype(np.float64)


def _hull(boxes: Sequence[tuple[slice, ...]]) -> tuple[slice, ...]:
    """The smallest box around boxes."""
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*boxes, strict=True)
    )
