"""Scoliosis as a coupled 3D deformation: curve types, Cobb angles, and their effect in the other two planes.

A curve pattern is a list of end vertebrae with the tilt of each, alternating in sign. Between two end vertebrae the
tilt is monotone, and its extremes are at the end vertebrae, so that the Cobb angle between them is the difference of
their tilts. Types and their apices: Lenke et al. 2001 (J Bone Joint Surg Am 83:1169); King et al. 1983 (J Bone Joint
Surg Am 65:1302). Coupling: bodies rotate toward the convexity in proportion to the lateral curvature, and the
thoracic kyphosis flattens with the curve (Stokes 1989, Spine 14:702; Perdriolle and Vidal 1985, Spine 10:785).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from aasce.config import Settings
from aasce.phantom.spine.pose import LEVELS, SpinePose, pose_from_angles
from aasce.phantom.spine.statistics import SEGMENTS, correlated, scan_statistics
from aasce.types import AasceError, Array

MAX_COBB = 100.0
C7, T1, T12, S1 = (LEVELS.index(level) for level in ("C7", "T1", "T12", "S1"))

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A curve type.

    Attributes:
        ends: for each end vertebra, from the top, the range of its level (indices of LEVELS).
        share: for each curve between two ends, the range of its Cobb angle as a share of the major curve's.
        right: probability that the major curve is convex to the patient's right.
        lenke, king: the types of these two classifications that the pattern represents.
    """

    ends: tuple[tuple[int, int], ...]
    share: tuple[Range, ...]
    right: float
    lenke: str = ""
    king: str = ""


PT, MT_LOW, TL_LOW = (11, 12), (17, 18), (21, 22)
HIGH = (6, 8)
PATTERNS: dict[str, Pattern] = {
    "single thoracic": Pattern(
        (HIGH, PT, MT_LOW, TL_LOW), ((0.3, 0.6), (1, 1), (0.3, 0.65)), 0.92, "1", "III"
    ),
    "long thoracic": Pattern(
        (HIGH, PT, (18, 19), (22, 23)), ((0.25, 0.5), (1, 1), (0.2, 0.5)), 0.9, "1", "IV"
    ),
    "double thoracic": Pattern(
        (HIGH, (11, 13), MT_LOW, TL_LOW), ((0.65, 0.95), (1, 1), (0.3, 0.6)), 0.9, "2", "V"
    ),
    "double major": Pattern((HIGH, PT, MT_LOW, TL_LOW), ((0.2, 0.5), (1, 1), (0.75, 0.99)), 0.9, "3", "II"),
    "triple major": Pattern((HIGH, (11, 12), MT_LOW, TL_LOW), ((0.65, 0.9), (1, 1), (0.7, 0.95)), 0.9, "4"),
    "thoracolumbar": Pattern(((8, 10), (14, 16), (21, 22)), ((0.35, 0.65), (1, 1)), 0.45, "5"),
    "lumbar": Pattern(((9, 11), (17, 18), (22, 22)), ((0.4, 0.7), (1, 1)), 0.2, "5"),
    "lumbar major": Pattern((HIGH, PT, MT_LOW, TL_LOW), ((0.2, 0.4), (0.75, 0.98), (1, 1)), 0.2, "6", "I"),
    "C": Pattern(((9, 13), (20, 22)), ((1, 1),), 0.5),
    "S": Pattern(((8, 10), (15, 17), (21, 22)), ((0.8, 1), (0.8, 1)), 0.6),
}
"""Curve types by name. Single: single thoracic, long thoracic, thoracolumbar, lumbar, C; double: double thoracic,
double major, lumbar major, S; triple: triple major."""

FREQUENCY = (0.2, 0.06, 0.1, 0.13, 0.05, 0.13, 0.12, 0.1, 0.05, 0.06)
"""Probability of each pattern in drawn patients, in the order of PATTERNS."""


class SpineRecord(Settings):
    """All numbers of one spine, from which `pose` builds it.

    Attributes:
        curve: a name of PATTERNS, or "straight".
        cobb: nominal major Cobb angle in degrees, without the irregularities of single vertebrae.
        ends: levels (indices of LEVELS) of the end vertebrae, from the top.
        stature: size relative to the average adult.
        spacing, coronal, sagittal, axial: see `aasce.phantom.spine.pose.pose_from_angles`.
    """

    curve: str
    cobb: float
    ends: tuple[int, ...]
    stature: float
    spacing: tuple[float, ...]
    coronal: tuple[float, ...]
    sagittal: tuple[float, ...]
    axial: tuple[float, ...]

    def pose(self) -> SpinePose:
        """The frames of all levels, float64."""
        numbers = (self.spacing, self.coronal, self.sagittal, self.axial)
        spacing, coronal, sagittal, axial = (torch.tensor(n, dtype=torch.float64) for n in numbers)
        return pose_from_angles(spacing, coronal, sagittal, axial, self.stature)


def check_cobb(cobb: float) -> None:
    """Raises AasceError for a Cobb angle outside 0 to MAX_COBB."""
    if not 0 <= cobb <= MAX_COBB:
        raise AasceError(f"a Cobb angle of {cobb:g} degrees is impossible here; choose 0 to {MAX_COBB:g}")


def check_curve(curve: str) -> None:
    """Raises AasceError for an unknown curve type."""
    if curve != "straight" and curve not in PATTERNS:
        raise AasceError(f"curve type {curve!r} is unknown; choose one of {', '.join(PATTERNS)}, straight")


def draw_spine(
    rng: np.random.Generator,
    cobb: float,
    curve: str | None = None,
    growth: float = 1.0,
    irregular: float = 1.0,
) -> SpineRecord:
    """Draws a spine whose spacing, sagittal curves and rotations vary as in real scans.

    Args:
        rng: source of every draw.
        cobb: nominal major Cobb angle, 0 to 100 degrees.
        curve: a name of PATTERNS; when None drawn by FREQUENCY, or "straight" below 3 degrees.
        growth: size relative to an adult's: 1, or less for a child.
        irregular: standard deviation, in degrees, of single vertebrae from the smooth curve.

    Raises:
        AasceError: the Cobb angle is out of range or the curve type is unknown.
    """
    check_cobb(cobb)
    if curve is None:
        curve = "straight" if cobb < 3 else str(rng.choice(list(PATTERNS), p=FREQUENCY))
    check_curve(curve)
    size, spacing = _draw_spacing(rng, growth)
    ends: tuple[int, ...] = ()
    smooth, slope = np.zeros(len(LEVELS)), np.zeros(len(LEVELS))
    if curve != "straight":
        ends, smooth, slope = _bend(rng, PATTERNS[curve], cobb, spacing)
    coronal = smooth + irregular * correlated(rng, len(LEVELS), 2)
    sagittal = _draw_sagittal(rng, cobb, ends)
    # The slope is in degrees of tilt per level; at an apex it is 1.5 * Cobb angle / levels between the ends.
    coupling = rng.uniform(0.15, 0.5) * (1 if rng.random() > 0.05 else -0.3)
    turning = np.clip(slope, -14, 14)
    # The pelvis stays parallel to the film, whatever the curve of the lowest discs.
    turning[-2:] *= (0.4, 0.0)
    axial = -coupling * turning * 4.5 + _draw_axial(rng)
    return SpineRecord(
        curve=curve,
        cobb=float(cobb),
        ends=tuple(int(end) for end in ends),
        stature=float(size),
        spacing=_plain(spacing),
        coronal=_plain(coronal),
        sagittal=_plain(sagittal),
        axial=_plain(axial),
    )


def _plain(values: Array) -> tuple[float, ...]:
    return tuple(round(float(v), 4) for v in values)


def _draw_spacing(rng: np.random.Generator, growth: float) -> tuple[float, Array]:
    """Size of the person, and spacing in mm, whose variance is partly common to the spine and partly by segment."""
    real = scan_statistics()
    whole = float(np.clip(rng.standard_normal(), -2.5, 2.5))
    own = np.clip(rng.standard_normal(SEGMENTS), -2.2, 2.2)
    deviation = np.sqrt(real.shared) * whole + np.sqrt(1 - real.shared) * own
    spacing = np.maximum(real.spacing_mean + real.spacing_sd * deviation, 0.7 * real.spacing_mean)
    return growth * (1 + 0.055 * whole), growth * spacing


def _draw_sagittal(rng: np.random.Generator, cobb: float, ends: tuple[int, ...]) -> Array:
    """(24,) degrees, sagittal tilt of each step; a lateral curve flattens the thoracic kyphosis."""
    real = scan_statistics()
    lean = real.sagittal_mean + real.sagittal_sd * np.clip(correlated(rng, SEGMENTS, real.reach), -2.2, 2.2)
    if not ends or cobb < 10:
        return np.asarray(np.clip(lean, -55, 55))
    flat = 1 - rng.uniform(0.0, 0.6) * min(cobb, 70) / 70
    thoracic = slice(T1 + 3, T12)
    middle = lean[thoracic].mean()
    lean[thoracic] = middle + flat * (lean[thoracic] - middle)
    return np.asarray(np.clip(lean, -55, 55))


def _draw_axial(rng: np.random.Generator) -> Array:
    """(25,) degrees of axial rotation apart from that of the curve: small, and smooth along the spine."""
    spread = np.append(scan_statistics().axial_sd, 2.0)
    return np.asarray(np.clip(spread, 1, 4) * correlated(rng, len(LEVELS), 5) * 0.7)


def _bend(
    rng: np.random.Generator, pattern: Pattern, cobb: float, spacing: Array
) -> tuple[tuple[int, ...], Array, Array]:
    """End levels, tilt (25,) in degrees and its slope (25,) in degrees per level.

    The tilt of the whole is chosen such that C7 lies above the sacrum, up to a random shift as in patients.
    """
    ends = tuple(int(rng.integers(low, high + 1)) for low, high in pattern.ends)
    share = np.array([rng.uniform(*bounds) for bounds in pattern.share])
    side = 1.0 if rng.random() < pattern.right else -1.0
    major = int(np.argmax(share))
    # The upper end of a curve convex to the right tilts to the left, its lower end to the right.
    signs = side * (-1.0) ** (np.arange(len(share)) - major)
    offsets = np.concatenate([[0.0], np.cumsum(signs * share * cobb)])
    obliquity, head = rng.normal(0, 2.0), rng.normal(0, 2.0)
    shift = rng.normal(0, 4.0 + 0.15 * cobb)

    def tilts(first: float) -> PchipInterpolator:
        knots = np.array([0.0, *ends, S1])
        values = np.array([head, *(first + offsets), obliquity])
        keep = np.concatenate([[True], np.diff(knots) > 0])
        return PchipInterpolator(knots[keep], values[keep])

    def drift(first: float) -> float:
        lean = np.radians(np.clip(tilts(first)(np.arange(len(LEVELS))), -75, 75))
        steps = spacing * np.tan((lean[:-1] + lean[1:]) / 2)
        return float(steps[C7:].sum() - shift)

    span = float(np.abs(offsets).max()) + 5
    first = _root(drift, -span, span)
    curve = tilts(first)
    levels = np.arange(len(LEVELS))
    return ends, curve(levels), curve.derivative()(levels)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Zero of an increasing function; the nearer bound if there is none between the bounds."""
    if function(low) > 0:
        return low
    if function(high) < 0:
        return high
    return float(brentq(function, low, high, xtol=1e-3))
