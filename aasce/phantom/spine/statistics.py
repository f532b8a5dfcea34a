"""How real spines are stacked: spacing, sagittal direction and axial rotation by level, over 1,947 CT scans.

The numbers in data/spine_statistics.json summarise the vertebral keypoints of Bürgin, Prevost and Stollenga
(CC BY-SA 4.0; COLONOG, VerSe and Pancreas-CT); tools/fit_spine_statistics.py writes them and compares drawn
phantoms with them. The scans were taken lying down.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.types import Array

DATA = Path(__file__).parents[1] / "data" / "spine_statistics.json"
SEGMENTS = len(LEVELS) - 1
"""24 steps from one body's middle to the next: C1 to C2 first, L5 to the sacrum last."""

LUMBOSACRAL_MM = 37.5
"""L5 to the middle of S1; the keypoints have no sacrum. Half of both bodies and a disc of 10 mm."""
LUMBOSACRAL_DEGREES = 26.0
SACRAL_SLOPE_DEGREES = 38.0
"""Inclination of the sacral endplate (Vialle et al. 2005, J Bone Joint Surg Am 87:260: 41 +- 8 standing)."""
BODY_OF_S1_MM = 15.0
"""Half the height of the first sacral body."""


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


def axis_rotation(coronal: torch.Tensor, sagittal: torch.Tensor, axial: torch.Tensor) -> torch.Tensor:
    """Rotations (N, 3, 3) of frames whose up axis leans by the given angles on the two orthogonal views.

    Args:
        coronal: (N,) degrees of the up axis seen from the front, positive to the patient's right.
        sagittal: (N,) degrees seen from the side, positive forward.
        axial: (N,) degrees about the up axis, positive counter-clockwise seen from above.
    """
    coronal, sagittal, axial = (torch.deg2rad(v) for v in (coronal, sagittal, axial))
    up = torch.stack([torch.tan(coronal), torch.tan(sagittal), torch.ones_like(axial)], -1)
    up = up / up.norm(dim=-1, keepdim=True)
    front = torch.stack([-torch.sin(axial), torch.cos(axial), torch.zeros_like(axial)], -1)
    front = front - (front * up).sum(-1, keepdim=True) * up
    front = front / front.norm(dim=-1, keepdim=True)
    return torch.stack([torch.linalg.cross(front, up), front, up], -1)


def stack(
    spacing: torch.Tensor,
    coronal: torch.Tensor,
    sagittal: torch.Tensor,
    axial: torch.Tensor,
    scale: float = 1.0,
) -> SpinePose:
    """The chain of frames; differentiable in all of its numbers.

    Args:
        spacing: (24,) mm between the middles of neighbouring bodies, this person's own.
        coronal: (25,) degrees, lean of each level seen from the front; a step leans as the mean of its two levels.
        sagittal: (24,) degrees, lean of each step seen from the side; a level leans as the mean of its two steps.
        axial: (25,) degrees of axial rotation.
        scale: see `SpinePose`.
    """
    step_coronal = torch.deg2rad((coronal[:-1] + coronal[1:]) / 2)
    step_sagittal = torch.deg2rad(sagittal)
    steps = torch.stack([torch.tan(step_coronal), torch.tan(step_sagittal), torch.ones_like(spacing)], -1)
    steps = steps / steps.norm(dim=-1, keepdim=True) * spacing[:, None]
    slope = sagittal.new_tensor([SACRAL_SLOPE_DEGREES - LUMBOSACRAL_DEGREES]) + sagittal[-1:]
    level_sagittal = torch.cat([sagittal[:1], (sagittal[:-1] + sagittal[1:]) / 2, slope])
    rotation = axis_rotation(coronal, level_sagittal, axial)
    sacrum = -rotation[-1, :, 2] * BODY_OF_S1_MM * scale
    above = torch.flip(torch.cumsum(torch.flip(steps, [0]), 0), [0]) + sacrum
    return SpinePose(rotation, torch.cat([above, sacrum[None]]), scale)


def average_pose(scale: float = 1.0) -> SpinePose:
    """The mean spine: no lateral curve, no rotation."""
    measured = scan_statistics()
    zero = torch.zeros(len(LEVELS), dtype=torch.float64)
    spacing = torch.as_tensor(measured.spacing_mean) * scale
    return stack(spacing, zero, torch.as_tensor(measured.sagittal_mean), zero, scale)
