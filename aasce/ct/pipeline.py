"""A scan through one method after another, and what a reader must know of the scan.

What is checked here and what is not: a scan without bone, one slice, numbers that are no HU and label maps are refused.
Thick slices, metal at the spine, vertebrae that the border cuts, and labels that run upwards are flagged. A mirrored
affine is a legal affine, and a spine looks the same in the mirror: which side is the patient's left cannot be told from
the image of a spine, and is taken from the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from aasce.ct.base import ScanMethod, VertebraSet, vertebra_set
from aasce.readers.vertebrae import level_name
from aasce.solvers.base import merged_flags
from aasce.types import AasceError, Array
from aasce.volume import Volume

Floats = NDArray[np.float64]

UPSIDE_DOWN, METAL, CUT, THICK = "upside_down", "metal", "vertebra_cut", "thick_slices"
LEVELS_UNSURE = "levels_unsure"
FLAGS: Mapping[str, str] = {
    UPSIDE_DOWN: "the labels run from foot to head: the scan's affine, or the centroids' order, is upside down",
    METAL: "metal beside the spine; masks and heights near it are less sure",
    CUT: "the scan's border cuts a vertebra; it has no heights, and its volume is that of the part in view",
    THICK: "slices over 4 mm apart; tilts and heights are less sure",
    LEVELS_UNSURE: "the vertebrae were found with little confidence; do not rely on their names",
}
"""Flags of a scan and what they say."""

BONE_HU, LEAST_BONE_ML = 200.0, 1.0
METAL_HU, LEAST_METAL_ML, NEAR_SPINE_MM = 2500.0, 0.3, 35.0
THICK_MM = 4.0
LEAST_MM = 15.0
"""Below this extent a scan holds no whole body."""
HALF_BODY_MM = 10.0
"""A centroid nearer than this to the scan's border belongs to a vertebra that is cut."""
MOST_LABELS = 64
UNSURE = 0.55
"""Mean confidence of the centroids below which names are unsure, and the scan is read upside down, too.

With the released weights it is 0.57 to 0.81 of 20 phantom scans, 0.39 and 0.49 of two patients' scans (the latter named
one level off).
"""


def check_scan(scan: Volume, name: str) -> tuple[str, ...]:
    """Flags of a scan as read.

    Args:
        scan: any.
        name: of its file, for the message.

    Raises:
        AasceError: it is no CT scan of bones with more than one slice.
    """
    if scan.kind == "label" or (scan.kind == "mr" and _looks_labelled(scan.data)):
        raise AasceError(
            f"{name}: is a label map, not a scan; give the CT itself ('aasce ct score' compares label maps)"
        )
    if scan.kind == "mr":
        low, high = float(scan.data.min()), float(scan.data.max())
        raise AasceError(
            f"{name}: numbers from {low:.0f} to {high:.0f} are no HU (an MR scan, or a CT without its rescale); "
            "give a CT in HU, or --hu if it is one that was cut to the body"
        )
    thin = [
        axis for axis in range(3) if scan.shape[axis] < 2 or scan.shape[axis] * scan.spacing[axis] < LEAST_MM
    ]
    if thin:
        count = scan.shape[thin[0]]
        raise AasceError(
            f"{name}: {count} slice{'s' if count > 1 else ''} of {scan.spacing[thin[0]]:.1f} mm hold no whole "
            "vertebra; give the whole series"
        )
    voxel_ml = abs(float(np.linalg.det(scan.affine[:3, :3]))) / 1000
    bone = sum(int(np.count_nonzero(part > BONE_HU)) for part in scan.data) * voxel_ml
    if bone < LEAST_BONE_ML:
        raise AasceError(
            f"{name}: holds no bone ({bone:.1f} ml above {BONE_HU:.0f} HU); give a CT of the spine in HU"
        )
    return (THICK,) if scan.spacing.max() > THICK_MM else ()


def read(
    scan: Volume, name: str, methods: Sequence[ScanMethod], start: VertebraSet | None = None
) -> VertebraSet:
    """Passes a scan through methods, each of which starts from what the one before it found.

    Args:
        scan: a CT in HU.
        name: of its file.
        methods: in order, such as spine_localization, vertebra_localization, vertebra_segmentation.
        start: given centroids, from which the first method starts; None begins with the scan alone.

    Returns:
        What the last method found, with every flag. One that finds nothing ends it: `failure` says why.

    Raises:
        AasceError: see `check_scan`; given centroids lie outside the scan; a method lacks what it needs.
    """
    flags = check_scan(scan, name)
    found = VertebraSet(scan_id(name)) if start is None else start
    if start is not None:
        _demand_inside(scan, name, start)
    found = _passed(scan, methods, found)
    if start is None and methods and (found.failure is not None or _unsure(found)):
        turned = _passed(_upside_down(scan), methods[:2], VertebraSet(found.scan_id))
        if turned.failure is None and not _unsure(turned) and _weight(turned) > 1.5 * _weight(found):
            flags = (*flags, UPSIDE_DOWN)
    if found.failure is None and not len(found.labels) and found.centerline is None:
        found = found.with_(failure="no vertebra in view")
    return found.with_(flags=merged_flags(flags, found.flags, spine_flags(scan, found)))


def _looks_labelled(data: Array) -> bool:
    """Whether grey values are labels that were saved as fractions: few whole numbers from 0."""
    if data.min() != 0 or data.max() > 255 or not np.array_equal(data, np.rint(data)):
        return False
    return len(np.unique(data.astype(np.uint8))) <= MOST_LABELS


def scan_id(name: str) -> str:
    """A scan's name without its folder and its suffixes."""
    base = name.rstrip("/").rpartition("/")[2]
    for suffix in (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr", ".dcm"):
        if base.lower().endswith(suffix):
            return base[: -len(suffix)]
    return base


def from_places(name: str, places: Mapping[int, Array]) -> VertebraSet:
    """The set that given centroids make, to start from."""
    return vertebra_set(scan_id(name), places, method="centroids")


def spine_flags(scan: Volume, found: VertebraSet) -> tuple[str, ...]:
    """Flags that need to know where the spine is."""
    flags = []
    if runs_upwards(found):
        flags.append(UPSIDE_DOWN)
    if _metal_ml(scan, found) >= LEAST_METAL_ML:
        flags.append(METAL)
    if cut_vertebrae(scan, found):
        flags.append(CUT)
    if _unsure(found):
        flags.append(LEVELS_UNSURE)
    return tuple(flags)


def runs_upwards(found: VertebraSet) -> bool:
    """Whether labels from the head run towards the head of the scan."""
    return len(found.labels) > 1 and float(np.diff(found.centroids[:, 2]).sum()) > 0


def cut_vertebrae(scan: Volume, found: VertebraSet) -> tuple[int, ...]:
    """Labels of vertebrae that the scan's border cuts.

    A vertebra is cut where its mask reaches the first or last slice from head to foot, or its centroid lies nearer to
    any border than half a body is high. A process that a narrow field of view clips at its side does not count.
    """
    last = np.array(scan.shape) - 1
    index = scan.to_index(found.centroids).reshape(-1, 3)
    room = (np.minimum(index + 0.5, last + 0.5 - index) * scan.spacing).min(axis=1)
    cut = {label for label, mm in zip(found.labels.tolist(), room, strict=True) if mm < HALF_BODY_MM}
    if found.masks is not None:
        axis = int(np.argmax(np.abs(scan.affine[2, :3]) / scan.spacing))
        ends = np.take(found.masks.data, [0, int(last[axis])], axis)
        cut |= {int(label) for label in np.unique(ends)}
    return tuple(label for label in found.labels.tolist() if label in cut)


def vertebra_flags(scan: Volume, found: VertebraSet) -> dict[int, list[str]]:
    """By label the flags of single vertebrae."""
    return {label: [CUT] for label in cut_vertebrae(scan, found)}


def _passed(scan: Volume, methods: Sequence[ScanMethod], found: VertebraSet) -> VertebraSet:
    for method in methods:
        found = method.predict(scan, found)
        if found.failure is not None:
            break
    return found


def _unsure(found: VertebraSet) -> bool:
    return bool(len(found.labels)) and float(found.confidence.mean()) < UNSURE


def _weight(found: VertebraSet) -> float:
    """How much was found: the sum of the confidences."""
    return float(found.confidence.sum())


def _upside_down(scan: Volume) -> Volume:
    """The scan as if its head were where its feet are."""
    flip = np.diag([1.0, 1.0, -1.0, 1.0])
    flip[2, 3] = 2 * scan.to_world((np.array(scan.shape) - 1) / 2)[2]
    return Volume(scan.data, flip @ scan.affine, scan.kind)


def _demand_inside(scan: Volume, name: str, start: VertebraSet) -> None:
    index = scan.to_index(start.centroids)
    outside = ((index < -0.5) | (index > np.array(scan.shape) - 0.5)).any(axis=1)
    if outside.any():
        levels = ", ".join(level_name(label) for label in start.labels[outside].tolist())
        raise AasceError(f"{name}: the centroids of {levels} lie outside the scan; give those of this scan")


def _metal_ml(scan: Volume, found: VertebraSet) -> float:
    """ml of metal within reach of the spine; 0 where no spine is known."""
    spine = found.centroids if len(found.labels) else found.centerline
    if spine is None or not len(spine):
        return 0.0
    reach = np.ceil(NEAR_SPINE_MM / scan.spacing).astype(int)
    index = np.rint(scan.to_index(spine)).astype(int)
    low = np.clip(index.min(axis=0) - reach, 0, scan.shape)
    high = np.clip(index.max(axis=0) + reach + 1, 0, scan.shape)
    part = scan.data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    metal = scan.to_world(np.argwhere(part > METAL_HU) + low)
    if not len(metal):
        return 0.0
    near = cKDTree(spine).query(metal, distance_upper_bound=NEAR_SPINE_MM)[0]
    return float(np.isfinite(near).sum()) * abs(float(np.linalg.det(scan.affine[:3, :3]))) / 1000
