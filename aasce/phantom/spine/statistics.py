"""Statistics of real spines: spacing, sagittal tilt and axial rotation by level, from 1,947 CT scans.

The numbers in data/spine_statistics.json summarise the vertebral keypoints of Bürgin, Prevost and Stollenga
(CC BY-SA 4.0; COLONOG, VerSe and Pancreas-CT). tools/phantom/fit_spine_statistics.py writes the file and compares drawn
phantoms with it. The scans were taken with the patients lying down.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from aasce.phantom.spine.pose import LEVELS, LUMBOSACRAL_DEGREES, SpinePose, pose_from_angles
from aasce.types import Array

DATA = Path(__file__).parents[1] / "data" / "spine_statistics.json"
SEGMENTS = len(LEVELS) - 1
"""Number of steps from the middle of one body to that of the next: C1 to C2 first, L5 to S1 last."""

LUMBOSACRAL_MM = 37.5
"""Mean distance from L5 to the middle of S1, from anatomy (half of both bodies and a disc of 10 mm): the keypoints do
not include the sacrum."""


@dataclass(frozen=True, slots=True)
class SpineStatistics:
    """Statistics by segment (24, from C1-C2; the last one, L5-S1, is from anatomy) and by level (24, C1 to L5).

    Attributes:
        count: (24,) number of scans for each segment.
        spacing_mean, spacing_sd: (24,) mm between the middles of neighbouring bodies.
        sagittal_mean, sagittal_sd: (24,) degrees of sagittal tilt of a segment, positive forward.
        axial_sd: (24,) degrees, standard deviation of a level's axial rotation about the mean rotation of its scan.
        shared: share of the spacing's variance that all segments of a spine have in common.
        reach: number of levels over which the correlation of sagittal deviations falls linearly to zero.
    """

    count: Array
    spacing_mean: Array
    spacing_sd: Array
    sagittal_mean: Array
    sagittal_sd: Array
    axial_sd: Array
    shared: float
    reach: int


@lru_cache(maxsize=1)
def scan_statistics() -> SpineStatistics:
    """The statistics of the scans, with the step from L5 to the sacrum added from anatomy."""
    raw = json.loads(DATA.read_text())
    return SpineStatistics(
        count=np.array([*raw["count"], 0]),
        spacing_mean=np.array([*raw["spacing_mean"], LUMBOSACRAL_MM]),
        spacing_sd=np.array([*raw["spacing_sd"], 0.075 * LUMBOSACRAL_MM]),
        sagittal_mean=np.array([*raw["sagittal_mean"], LUMBOSACRAL_DEGREES]),
        sagittal_sd=np.array([*raw["sagittal_sd"], raw["sagittal_sd"][-1]]),
        axial_sd=np.array(raw["axial_sd"]),
        shared=float(raw["shared"]),
        reach=int(raw["reach"]),
    )


def correlated(rng: np.random.Generator, count: int, reach: int) -> Array:
    """(count,) standard normal numbers whose correlation falls linearly to zero over `reach` places."""
    white = rng.standard_normal(count + reach - 1)
    return np.asarray(np.convolve(white, np.ones(reach), mode="valid") / np.sqrt(reach))


def average_pose(scale: float = 1.0) -> SpinePose:
    """The average adult's spine: mean spacing and sagittal curves, no lateral curve, no axial rotation.

    Args:
        scale: size of the person relative to the average adult.
    """
    measured = scan_statistics()
    zero = torch.zeros(len(LEVELS), dtype=torch.float64)
    spacing = torch.as_tensor(measured.spacing_mean) * scale
    return pose_from_angles(spacing, zero, torch.as_tensor(measured.sagittal_mean), zero, scale)
