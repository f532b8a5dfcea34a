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
"""24 steps from one body's middle to the next: C1 to C2 first, L5 to the sacrum last."""

LUMBOSACRAL_MM = 37.5
"""Mean distance from L5 to the middle of S1, from anatomy (half of both bodies and a disc of 10 mm): the keypoints do
not include the sacrum."""


@dataclass(frozen=True, slots=True)
class SpineStatistics:
    """Summary by segment (24, from C1-C2; the last one, L5-S1, is not measured) and by level (24, C1 to L5).

    Attributes:
        count: scans behind each segment.
        spacing_mean, spacing_sd: mm between the middles of neighbouring bodies.
        sagittal_mean, sagittal_sd: degrees by which a segment leans forward (positive) or backward.
        axial_sd: degrees, spread of a level's axial rotation about its scan's own mean rotation.
        shared: share of the spacing's variance that a whole spine has in common.
        reach: levels over which sagittal deviations stay correlated, falling linearly to zero.
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
    """The measured summary, with the step from L5 to the sacrum added from anatomy."""
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
