"""What a clinician reads of a spine: curves named by their apices, sides, severity, wedging, balance.

Frame: px of the film set upright, x right, y down. Shifts, wedging and tilts are signed: a shift is positive to the
right of the film, a tilt where the right side is lower, wedging where a vertebra is taller on its right. The patient's
sides are named only where it is known on which side of the film the patient's left lies.

Curves are named by the apex, the vertebra or disc farthest from the line through the centres of the end vertebrae.
Terms of the Scoliosis Research Society, as in Lenke et al. 2001 (J Bone Joint Surg Am 83:1169): thoracic from T2 to the
disc T11-12, thoracolumbar from T12 to L1, lumbar from the disc L1-2 to L4; of the thoracic ones those of T3 to T5 are
proximal, those from T6 main. What lies between and beyond is counted with the neighbour: apices above T3 and the disc
T5-6 with the proximal thoracic ones, apices below L4 with the lumbar ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.cobb import endplate_midpoints
from aasce.types import VERTEBRAE, Array, CobbAngles, Side, as_float

Floats = NDArray[np.float64]
Region: TypeAlias = Literal["proximal thoracic", "main thoracic", "thoracolumbar", "lumbar", ""]
Severity: TypeAlias = Literal["under 10 degrees", "mild", "moderate", "severe"]

LEAST = 10.0
"""Degrees from which a curve is called a scoliosis (Scoliosis Research Society), and gets a name here."""

MODERATE, SEVERE = 25.0, 40.0
"""Degrees: 25 to 40 is where braces are studied (Richards et al. 2005, Spine 30:2068, the Scoliosis Research Society's
criteria), and is called moderate; more is severe, less mild."""

UNDER: Literal["under 10 degrees"] = "under 10 degrees"
NO_CURVE = "no curve of 10 degrees or more"
COUNTS = {1: "single", 2: "double", 3: "triple"}
_LAST_PROXIMAL, _LAST_MAIN, _LAST_THORACOLUMBAR = (
    4.5,
    10.5,
    12.0,
)  # T5-6, T11-12, L1; T1 is 0, a disc half way


@dataclass(frozen=True, slots=True)
class Curve:
    """One of the three measured curves.

    Attributes:
        number: 1 to 3, as in an1 to an3.
        degrees: Cobb angle.
        upper, lower: names of the end vertebrae, "" where unknown.
        apex: name of the apical vertebra or disc ("T8", "T11-12"), "" where unknown.
        region: by the apex; "" where this is unknown or the curve is under 10 degrees.
        convex_image: side of the film set upright to which the curve is convex, None where unknown.
        convex: side of the patient, None where it is unknown how the patient's sides lie.
        severity: by the angle, see `MODERATE`.
        apex_place: index of the apical vertebra in the landmarks, half way between two for a disc.
    """

    number: int
    degrees: float
    upper: str
    lower: str
    apex: str
    region: Region
    convex_image: Side | None
    convex: Side | None
    severity: Severity
    apex_place: float | None = None

    @property
    def side(self) -> str:
        """The convex side in words: "right" of the patient, "image right" where only that is known, or ""."""
        return self.convex or (f"image {self.convex_image}" if self.convex_image else "")


@dataclass(frozen=True, slots=True, eq=False)
class SpineDescription:
    """One spine in a clinician's words and numbers; None where the film does not show what a number needs.

    Attributes:
        curves: one an angle, in the order an1 to an3.
        pattern: the curves of 10 degrees or more in words, from the head; no type of a classification.
        wedging_deg: (V,) degrees between the endplates of each vertebra; empty without landmarks.
        t1_tilt_deg: degrees of the upper endplate of T1.
        t1_shift_mm, t1_shift_px: from the plumb line through the centre of L5 to the centre of T1, horizontally.
        apex_shift_mm, apex_shift_px: one a curve, from the line through the centres of T1 and L5 to the apex's centre,
            at right angles.
        trunk_height_mm, trunk_height_px: vertically from the upper endplate of T1 to the lower one of L5.
    """

    curves: tuple[Curve, ...]
    pattern: str
    wedging_deg: Floats
    t1_tilt_deg: float | None
    t1_shift_mm: float | None
    t1_shift_px: float | None
    apex_shift_mm: tuple[float | None, ...]
    apex_shift_px: tuple[float | None, ...]
    trunk_height_mm: float | None
    trunk_height_px: float | None


def describe(
    angles: CobbAngles,
    landmarks: Array | None,
    first_level: int = 0,
    patient_left: Side | None = None,
    spacing: tuple[float, float] | None = None,
) -> SpineDescription:
    """Describes a measured spine.

    Args:
        angles: as measured; their end vertebrae are indices into the landmarks.
        landmarks: (V, 4, 2) px, corners TL, TR, BL, BR, of the film set upright; None, or with a coordinate that is
            not finite, leaves only what the angles tell.
        first_level: index into `VERTEBRAE` of the uppermost vertebra.
        patient_left: side of the film set upright on which the patient's left lies, None where unknown.
        spacing: (row, column) mm of a pixel of the film set upright, None where unknown.
    """
    points = _usable(landmarks)
    places = [_apex_place(points, angles, j) for j in range(3)]
    curves = tuple(_curve(points, angles, j, places[j], first_level, patient_left) for j in range(3))
    px = _Distances.of(points, first_level, places)
    mm = _Distances() if spacing is None else _Distances.of(points * spacing[::-1], first_level, places)
    return SpineDescription(
        curves=curves,
        pattern=pattern_of(curves),
        wedging_deg=wedging(points),
        t1_tilt_deg=_t1_tilt(points, first_level),
        t1_shift_mm=mm.t1_shift,
        t1_shift_px=px.t1_shift,
        apex_shift_mm=mm.apex_shift,
        apex_shift_px=px.apex_shift,
        trunk_height_mm=mm.trunk_height,
        trunk_height_px=px.trunk_height,
    )


def level_name(first_level: int, vertebra: int) -> str:
    """Name of a vertebra by its index in the landmarks; "#18" where the 17 levels of the challenge end."""
    level = first_level + vertebra
    return VERTEBRAE[level] if 0 <= level < len(VERTEBRAE) else f"#{level + 1}"


def place_name(first_level: int, place: float) -> str:
    """Name of a vertebra or, half way between two, of the disc: "T8", "T11-12", "T12-L1"."""
    upper = level_name(first_level, int(np.floor(place)))
    if place == np.floor(place):
        return upper
    lower = level_name(first_level, int(np.floor(place)) + 1)
    return f"{upper}-{lower[1:] if lower[0] == upper[0] != '#' else lower}"


def region_of(level: float) -> Region:
    """Region of a curve by its apex: 0 for T1 to 16 for L5, a disc half way between its two vertebrae."""
    if level <= _LAST_PROXIMAL:
        return "proximal thoracic"
    if level <= _LAST_MAIN:
        return "main thoracic"
    return "thoracolumbar" if level <= _LAST_THORACOLUMBAR else "lumbar"


def severity_of(degrees: float) -> Severity:
    """Severity of a curve by its Cobb angle as written, to 0.1 degrees."""
    degrees = round(degrees, 1)
    if degrees < LEAST:
        return UNDER
    if degrees < MODERATE:
        return "mild"
    return "moderate" if degrees <= SEVERE else "severe"


def pattern_of(curves: tuple[Curve, ...]) -> str:
    """The curves of 10 degrees or more in words, from the head.

    A curve's side is the patient's ("convex right") or, where that is unknown, the film's ("convex image right").
    """
    named = [curve for curve in curves if curve.severity != UNDER]
    if not named:
        return NO_CURVE
    count = COUNTS[len(named)]
    if not all(curve.region for curve in named):
        return f"{count} curve"
    order = {level: k for k, level in enumerate(VERTEBRAE)}
    named.sort(key=lambda curve: order.get(curve.upper, len(order)))
    words = [f"{c.region}{' curve' if len(named) == 1 else ''}{_convex(c)}" for c in named]
    return f"single {words[0]}" if len(words) == 1 else f"{count}: {'; '.join(words)}"


def wedging(landmarks: Array) -> Floats:
    """(V,) degrees between the upper and the lower endplate of each vertebra, positive where it is taller on the right.

    Args:
        landmarks: (V, 4, 2) px or mm.
    """
    points = as_float(landmarks)
    upper, lower = points[:, 1] - points[:, 0], points[:, 3] - points[:, 2]
    turn = np.arctan2(lower[:, 1], lower[:, 0]) - np.arctan2(upper[:, 1], upper[:, 0])
    return np.asarray(np.degrees((turn + np.pi) % (2 * np.pi) - np.pi))


def _usable(landmarks: Array | None) -> Floats:
    """(V, 4, 2); (0, 4, 2) for what cannot be described."""
    if landmarks is not None:
        points = as_float(landmarks)
        if points.ndim == 3 and points.shape[1:] == (4, 2) and np.isfinite(points).all():
            return points
    return np.empty((0, 4, 2))


def _ends(points: Floats, angles: CobbAngles, j: int) -> tuple[int, int] | None:
    """Two different end vertebrae that the landmarks hold, the upper one first."""
    ends = angles.end_vertebrae[j]
    if ends is None or ends[0] == ends[1] or not all(0 <= v < len(points) for v in ends):
        return None
    return min(ends), max(ends)


def _middles(points: Floats) -> Floats:
    """(2V - 1, 2): centres of vertebrae and, between them, of discs; entry k is place k / 2."""
    plates = endplate_midpoints(points)
    middles = np.empty((2 * len(points) - 1, 2))
    middles[::2] = points.mean(axis=1)
    middles[1::2] = (plates[1:-1:2] + plates[2::2]) / 2
    return middles


def _apex_place(points: Floats, angles: CobbAngles, j: int) -> float | None:
    """Index of the apical vertebra, or half way between two for a disc; of equals a vertebra, the upper one."""
    ends = _ends(points, angles, j)
    if ends is None:
        return None
    upper, lower = ends
    middles = _middles(points)
    away = np.abs(_from_line(middles, middles[2 * upper], middles[2 * lower]))
    inner = range(2 * upper + 1, 2 * lower)
    best = max(inner, key=lambda k: (round(float(away[k]), 6), k % 2 == 0, -k))
    return best / 2


def _from_line(points: Floats, start: Floats, end: Floats) -> Floats:
    """(N,) distance of points from a line that runs down the film, positive to its right."""
    way = end - start
    length = float(np.hypot(*way))
    if length < 1e-9:
        return np.zeros(len(points))
    offset = points - start
    return np.asarray((offset[:, 0] * way[1] - offset[:, 1] * way[0]) / length)


def _curve(
    points: Floats,
    angles: CobbAngles,
    j: int,
    place: float | None,
    first_level: int,
    patient_left: Side | None,
) -> Curve:
    degrees = float(angles.degrees[j])
    ends, apex = angles.end_vertebrae[j], angles.apices[j]
    names = ("", "") if ends is None else tuple(level_name(first_level, v) for v in ends)
    if place is None and apex is not None and ends is not None and ends[0] != ends[1]:
        place = float(apex)
    severity = severity_of(degrees)
    image = _convex_side(points, angles, j)
    return Curve(
        number=j + 1,
        degrees=degrees,
        upper=names[0],
        lower=names[1],
        apex="" if place is None else place_name(first_level, place),
        region="" if place is None or severity == UNDER else region_of(first_level + place),
        convex_image=image,
        convex=None
        if image is None or patient_left is None
        else "left"
        if image == patient_left
        else "right",
        severity=severity,
        apex_place=place,
    )


def _convex_side(points: Floats, angles: CobbAngles, j: int) -> Side | None:
    """The side where the midlines of the end vertebrae part; None for parallel ones or unknown ends."""
    ends = _ends(points, angles, j)
    if ends is None:
        return None
    (ux, uy), (wx, wy) = (points[v, [1, 3]].sum(axis=0) - points[v, [0, 2]].sum(axis=0) for v in ends)
    turn = float(ux * wy - uy * wx)
    return None if turn == 0 else "right" if turn > 0 else "left"


def _convex(curve: Curve) -> str:
    return f", convex {curve.side}" if curve.side else ""


def _t1_tilt(points: Floats, first_level: int) -> float | None:
    t1 = -first_level
    if not 0 <= t1 < len(points):
        return None
    across = points[t1, 1] - points[t1, 0]
    return float(np.degrees(np.arctan2(across[1], across[0])))


@dataclass(frozen=True, slots=True)
class _Distances:
    """Shifts and height in the unit of the landmarks; None without T1, L5 or the apex."""

    t1_shift: float | None = None
    apex_shift: tuple[float | None, ...] = (None, None, None)
    trunk_height: float | None = None

    @classmethod
    def of(cls, points: Floats, first_level: int, places: list[float | None]) -> _Distances:
        t1, l5 = -first_level, len(VERTEBRAE) - 1 - first_level
        if t1 < 0 or l5 >= len(points):
            return cls()
        middles, plates = _middles(points), endplate_midpoints(points)
        away = _from_line(middles, middles[2 * t1], middles[2 * l5])
        return cls(
            float(middles[2 * t1, 0] - middles[2 * l5, 0]),
            tuple(None if place is None else float(away[round(2 * place)]) for place in places),
            float(plates[2 * l5 + 1, 1] - plates[2 * t1, 1]),
        )
