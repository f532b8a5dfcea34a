"""From shape to angle: the only place where landmarks become Cobb angles.

There are two definitions. "challenge" is that of the organisers of AASCE 2019, exact to the rounding of their label
file; "clinical" finds end vertebrae from the apex, as a reader does on the film.

Frame: px of the film as read, x right, y down. A tilt is positive when the right side is lower.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aasce.types import Array, CobbAngles, Definition, as_float

Floats = NDArray[np.float64]

STEEPEST = 80.0
"""Degrees: larger tilts on an upright film come from swapped or crossed corners, and distort a fit or a loss."""


def cobb_angles(landmarks: Array, height: int, definition: Definition = "challenge") -> CobbAngles:
    """Measures the three Cobb angles of a spine.

    Args:
        landmarks: (V, 4, 2) px, corners TL, TR, BL, BR, vertebrae from the top. V is 17 for the challenge; any V of at
            least 2 is measured by the same rules.
        height: rows of the film on which the landmarks lie; the challenge's rule depends on it.
        definition: "challenge" or "clinical".

    Raises:
        ValueError: the shape is not (V, 4, 2) with V >= 2, a coordinate is not finite, or the definition is
            unknown.
    """
    points = _checked(landmarks)
    if definition == "challenge":
        return _challenge(points, height)
    if definition == "clinical":
        return _clinical(points)
    raise ValueError(f"definition is 'challenge' or 'clinical', not {definition!r}")


def _checked(landmarks: Array) -> Floats:
    points = as_float(landmarks)
    if points.ndim != 3 or points.shape[1:] != (4, 2) or len(points) < 2:
        shape = f"landmarks have shape (V, 4, 2) with V >= 2, not {points.shape}"
        raise ValueError(f"{shape}; reshape (68, 2) to (17, 4, 2)")
    if not np.isfinite(points).all():
        raise ValueError("landmarks hold a coordinate that is not finite")
    return points


def midlines(landmarks: Array) -> Floats:
    """(V, 2) px vectors from the middle of the left side to the middle of the right side of each vertebra."""
    points = as_float(landmarks)
    left = (points[:, 0] + points[:, 2]) / 2
    right = (points[:, 1] + points[:, 3]) / 2
    return right - left


def tilts(landmarks: Array) -> Floats:
    """(V,) degrees in (-180, 180]: direction of each midline, positive when the right side is lower."""
    u = midlines(landmarks)
    return np.degrees(np.arctan2(u[:, 1], u[:, 0]))


def limit_tilts(degrees: Array, largest: float = STEEPEST) -> Floats:
    """Tilts held within [-largest, largest] degrees; NaN stays NaN.

    Args:
        degrees: tilts of any shape.
        largest: degrees.
    """
    return np.clip(as_float(degrees), -largest, largest)


def tilt_error(degrees: Array, landmarks: Array) -> float:
    """Mean absolute difference, in degrees, between predicted tilts and those of the labels.

    Args:
        degrees: (V,) predicted tilts.
        landmarks: (V, 4, 2) px as labelled; labelled tilts beyond `STEEPEST` count as `STEEPEST`.

    Raises:
        ValueError: there is not one prediction per vertebra, or one is not finite.
    """
    found, wanted = as_float(degrees), limit_tilts(tilts(landmarks))
    if found.shape != wanted.shape or not np.isfinite(found).all():
        raise ValueError(f"tilts: give {len(wanted)} finite numbers, one per vertebra, not {found}")
    return float(np.abs(found - wanted).mean())


def endplate_midpoints(landmarks: Array) -> Floats:
    """(2V, 2) px: the middle of the upper, then of the lower endplate of each vertebra, from the top."""
    points = as_float(landmarks)
    upper = (points[:, 0] + points[:, 1]) / 2
    lower = (points[:, 2] + points[:, 3]) / 2
    return np.stack([upper, lower], axis=1).reshape(-1, 2)


def angle_matrix(vectors: Array) -> Floats:
    """(V, V) degrees in [0, 180] between every two midlines.

    As in the organisers' program, the cosine is rounded to 8 decimals before the arc cosine. It is clipped to [-1, 1]
    and not to [0, 1], because labels beyond 90 degrees exist.
    """
    u = as_float(vectors)
    length = np.linalg.norm(u, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (u @ u.T) / np.outer(length, length)
    # A vertebra whose sides coincide has no direction, and angles of 0 with all others.
    cosine = np.where(np.isfinite(cosine), cosine, 1.0)
    np.fill_diagonal(cosine, 1.0)
    return np.degrees(np.arccos(np.clip(np.round(cosine, 8), -1.0, 1.0)))


def spine_shape(landmarks: Array) -> Literal["C", "S"]:
    """The challenge's shape: "S" when endplate midpoints lie on both sides of the line from first to last.

    If the line has no height or no width (0/0) the result is "S", as in the organisers' program.
    """
    e = endplate_midpoints(landmarks)
    x, y = e[:-2, 0], e[:-2, 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        offset = (y - e[-1, 1]) / (e[0, 1] - e[-1, 1]) - (x - e[-1, 0]) / (e[0, 0] - e[-1, 0])
    if np.isnan(offset).any():
        return "S"
    return "S" if offset.max() > 0 and offset.min() < 0 else "C"


def _challenge(points: Floats, height: int) -> CobbAngles:
    """AASCE 2019, the organisers' program (`angles.csv` of the release follows from it)."""
    a = angle_matrix(midlines(points))
    last = len(a) - 1
    lower = int(np.argmax(a.max(axis=0)))  # first column that holds the maximum ...
    upper = int(np.argmax(a[:, lower]))  # ... and its first row; the matrix is symmetric
    upper, lower = min(upper, lower), max(upper, lower)
    shape = spine_shape(points)
    e = endplate_midpoints(points)
    if shape == "C":
        pairs = ((upper, lower), (0, upper), (lower, last))
        names: tuple[str, str, str] = ("MT", "PT", "TL/L")
    else:
        second = int(np.argmax(a[upper, : upper + 1]))
        # The organisers' comparison with the film's height: it makes the angles depend on the crop.
        if e[2 * upper + 1, 1] + e[2 * lower + 1, 1] < height:
            third = lower + int(np.argmax(a[lower, lower:]))
            pairs = ((upper, lower), (second, upper), (lower, third))
            names = ("MT", "PT", "TL/L")
        else:
            third = int(np.argmax(a[second, : second + 1]))
            pairs = ((upper, lower), (second, upper), (third, second))
            names = ("TL/L", "MT", "PT")
    return _measured(points, a, pairs, "challenge", names, shape)


def _clinical(points: Floats) -> CobbAngles:
    """End vertebrae are the most tilted ones above and below the apex, for the main curve and those next to it.

    The main curve is the pair of vertebrae with the largest angle. "PT" is measured from its upper end vertebra to the
    most tilted one above, "TL/L" from its lower end vertebra to the most tilted one below. Signs count: a second curve
    bends in the opposite direction or measures zero, so that noise within one curve is not measured as another.
    Sources: Cobb 1948; Chen et al., keypoint fusion (AASCE 2019), the clinical rule.
    """
    tilt = np.unwrap(tilts(points), period=360.0)
    difference = tilt[:, None] - tilt[None, :]
    size = np.where(np.triu(np.ones_like(difference), 1) > 0, np.abs(difference), -1.0)
    upper, lower = (int(v) for v in np.unravel_index(int(np.argmax(size)), size.shape))
    sign = np.sign(difference[upper, lower])
    above = -sign * (tilt[: upper + 1] - tilt[upper])
    below = -sign * (tilt[lower] - tilt[lower:])
    first = int(np.argmax(above))
    final = lower + int(np.argmax(below))
    middle = np.array([(upper, lower), (first, upper), (lower, final)])
    degrees = np.array([size[upper, lower], max(above.max(), 0.0), max(below.max(), 0.0)]) + 0.0  # no -0.0
    pairs = tuple((int(i), int(j)) for i, j in middle)
    names = ("MT", "PT", "TL/L")
    apices = tuple(apex(points, i, j) for i, j in pairs)
    return CobbAngles(degrees, "clinical", pairs, apices, names, None)


def _measured(
    points: Floats,
    a: Floats,
    pairs: tuple[tuple[int, int], ...],
    definition: Definition,
    names: tuple[str, ...],
    shape: Literal["C", "S"] | None,
) -> CobbAngles:
    degrees = np.array([a[i, j] for i, j in pairs], dtype=np.float64)
    apices = tuple(apex(points, i, j) for i, j in pairs)
    return CobbAngles(degrees, definition, pairs, apices, names, shape)


def apex(landmarks: Array, upper: int, lower: int) -> int:
    """Index of the vertebra farthest from the line through the centres of two end vertebrae.

    If there is no vertebra between them, the upper end vertebra is returned.
    """
    centres = as_float(landmarks).mean(axis=1)
    if lower - upper < 2:
        return upper
    chord = centres[lower] - centres[upper]
    inner = centres[upper + 1 : lower] - centres[upper]
    distance = np.abs(inner[:, 0] * chord[1] - inner[:, 1] * chord[0])
    return upper + 1 + int(np.argmax(distance))
