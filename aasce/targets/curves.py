"""Landmarks to curves and to maps of curves, and back: the whole spine, its borders, its centreline.

Maps are soft: a pixel holds the share of its area that is covered, so that positions of borders are kept to a fraction
of a pixel. Frame: px of the map, x right, y down, centres at integers; curves run from the top.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.linalg import solveh_banded

from aasce.geometry.centerline import resample
from aasce.geometry.cobb import endplate_midpoints, limit_tilts, tilts
from aasce.geometry.spine import centres
from aasce.targets.mask import encode_mask
from aasce.types import Array, as_float

Floats = NDArray[np.float64]
Shares = NDArray[np.float32]

LEAST = 0.04
"""Smallest height of a part of a centreline that is kept, as a share of the map's height; see `decode_centerline`."""

_SHIFT = 4  # fractional bits of cv2's polygon coordinates


def boundary_curves(landmarks: Array) -> tuple[Floats, Floats]:
    """Left and right border of the spine: smooth dense curves through the corners of each side.

    Args:
        landmarks: (V, 4, 2) px, corners TL, TR, BL, BR, vertebrae from the top.

    Returns:
        Two (N, 2) px curves with a point about every px.
    """
    points = as_float(landmarks)
    return _dense(points[:, [0, 2]].reshape(-1, 2)), _dense(points[:, [1, 3]].reshape(-1, 2))


def midline(landmarks: Array) -> Floats:
    """(N, 2) px smooth curve through the middles of the endplates, with a point about every px.

    Args:
        landmarks: (V, 4, 2) px, vertebrae from the top.
    """
    return _dense(endplate_midpoints(landmarks))


def row_tilts(landmarks: Array, rows: Array) -> tuple[Floats, NDArray[np.bool_]]:
    """Tilts of the vertebrae, interpolated between their centres.

    Args:
        landmarks: (V, 4, 2) px, from the top.
        rows: (N,) px.

    Returns:
        (N,) degrees, limited as by `limit_tilts`, and (N,) whether the row lies between the first and the last centre.
    """
    y, at = as_float(rows), centres(landmarks)[:, 1]
    order = np.argsort(at, kind="stable")
    tilt = np.interp(y, at[order], limit_tilts(tilts(landmarks))[order])
    return np.asarray(tilt, np.float64), (y >= at.min()) & (y <= at.max())


def tilt_line(landmarks: Array, stray: float, count: int = 400) -> Floats:
    """A line near the midline whose normals have the tilts of the vertebrae.

    The tangents of the midline differ from the tilts by which Cobb angles are measured: even for true landmarks its
    angles are 4 degrees off. This line q follows the direction of the tilts instead and stays near the midline m: it
    minimises the integral of |q' - t|^2 + |q - m|^2 / (stray L)^2, where t is the unit normal of the interpolated tilts
    and L the length. Shapes longer than `stray` L follow the midline, shorter ones the tilts.

    Args:
        landmarks: (V, 4, 2) px, from the top.
        stray: share of the length; 0 gives `midline`.
        count: points of the line.

    Returns:
        (count, 2) px; `midline` if `stray` is 0 or the midline is a single point.
    """
    middle = midline(landmarks)
    if stray <= 0 or len(middle) < 2:
        return middle
    m = resample(middle, count)
    step = float(np.linalg.norm(np.diff(middle, axis=0), axis=1).sum()) / (count - 1)
    turn = np.radians(row_tilts(landmarks, (m[1:, 1] + m[:-1, 1]) / 2)[0])
    walk = step * np.stack([-np.sin(turn), np.cos(turn)], axis=1)
    hold = (1 / (stray * (count - 1))) ** 2
    banded = np.stack([np.full(count, -1.0), np.full(count, 2 + hold)])
    banded[1, [0, -1]] = 1 + hold
    right = hold * m
    right[:-1] -= walk
    right[1:] += walk
    return np.asarray(solveh_banded(banded, right), np.float64)


def _dense(points: Floats) -> Floats:
    """Shape-preserving cubic through points, by chord length: it does not overshoot where labels lie close together."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    kept = np.concatenate([[True], steps > 1e-6])
    along = np.concatenate([[0.0], np.cumsum(steps[steps > 1e-6])])
    if len(along) < 2:
        return points[:1].copy()
    at = np.linspace(0, along[-1], max(2, int(np.ceil(along[-1])) + 1))
    return np.asarray(PchipInterpolator(along, points[kept])(at), np.float64)


def encode_spine(landmarks: Array, size: tuple[int, int], oversample: int = 4) -> Shares:
    """(H, W) float32 area shares of the whole spine: vertebrae and the gaps between them.

    Args:
        landmarks: (V, 4, 2) px of the map.
        size: (H, W) of the map.
        oversample: sub-pixels per pixel and axis for computing the shares.
    """
    return np.asarray(1 - encode_mask(landmarks, size, oversample)[0], np.float32)


def encode_centerline(
    landmarks: Array, size: tuple[int, int], width: float, stray: float = 0.0, oversample: int = 4
) -> Shares:
    """(H, W) float32 area shares of the centreline, `width` px thick, cut perpendicularly at both ends.

    Args:
        landmarks: (V, 4, 2) px of the map.
        size: (H, W) of the map.
        width: thickness of the line, px.
        stray: see `tilt_line`.
        oversample: sub-pixels per pixel and axis for computing the shares.
    """
    return _thick(tilt_line(landmarks, stray), size, width, oversample)


def encode_boundaries(landmarks: Array, size: tuple[int, int], width: float, oversample: int = 4) -> Shares:
    """(2, H, W) float32 area shares of the left and the right border of the spine, `width` px thick.

    For the arguments see `encode_centerline`.
    """
    return np.stack([_thick(curve, size, width, oversample) for curve in boundary_curves(landmarks)])


def _thick(curve: Floats, size: tuple[int, int], width: float, oversample: int) -> Shares:
    """Draws a thick curve as adjacent short quadrilaterals."""
    drawn = np.zeros((size[0] * oversample, size[1] * oversample), np.uint8)
    if len(curve) > 1:
        points = (curve + 0.5) * oversample - 0.5
        slope = np.gradient(points, axis=0)
        slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
        across = np.stack([slope[:, 1], -slope[:, 0]], axis=1) * width * oversample / 2
        left, right = points - across, points + across
        quads = np.stack([left[:-1], right[:-1], right[1:], left[1:]], axis=1)
        for quad in np.round(quads * 2**_SHIFT).astype(np.int32):
            cv2.fillConvexPoly(drawn, quad, (255,), lineType=cv2.LINE_8, shift=_SHIFT)
    small = cv2.resize(drawn, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def mask_borders(mask: Array, threshold: float = 0.5) -> tuple[Floats, Floats]:
    """Left and right border of the largest connected part of a map, row by row, to a fraction of a px.

    Args:
        mask: (H, W) share or probability.
        threshold: the border is where the map, interpolated between pixel centres, crosses it.

    Returns:
        Two (N, 2) px curves with one point per row; (0, 2) if the map is below the threshold everywhere.
    """
    values = np.asarray(mask, np.float64)
    count, parts, stats, _ = cv2.connectedComponentsWithStats((values >= threshold).astype(np.uint8))
    if count < 2:
        return np.zeros((0, 2)), np.zeros((0, 2))
    return _borders(values, parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])), threshold)


def _borders(values: Floats, inside: NDArray[np.bool_], threshold: float) -> tuple[Floats, Floats]:
    rows = np.flatnonzero(inside.any(axis=1))
    first = np.argmax(inside[rows], axis=1)
    last = inside.shape[1] - 1 - np.argmax(inside[rows, ::-1], axis=1)
    left = first - _beyond(values, rows, first, -1, threshold)
    right = last + _beyond(values, rows, last, 1, threshold)
    return np.stack([left, rows], axis=1).astype(np.float64), np.stack([right, rows], axis=1).astype(
        np.float64
    )


def _beyond(
    values: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp], step: int, threshold: float
) -> Floats:
    """(N,) px in [0, 1] from the outermost pixel inside to the point where the map falls to the threshold."""
    here = values[rows, columns]
    outside = columns + step
    there = np.where(
        (outside >= 0) & (outside < values.shape[1]),
        values[rows, np.clip(outside, 0, values.shape[1] - 1)],
        0.0,
    )
    drop = here - there
    return np.asarray(
        np.clip(np.divide(here - threshold, drop, out=np.zeros_like(here), where=drop > 0), 0, 1)
    )


def decode_centerline(share: Array, threshold: float = 0.25, least: float = LEAST) -> Floats | None:
    """Centreline of a map: threshold, removal of small parts, borders, and the middle between the borders.

    Dubost et al., AASCE 2019, section 2.3: a low threshold keeps the line in one piece; parts smaller than
    40 x 140 px are removed. Where parts share rows, the one with the larger area counts.

    Args:
        share: (H, W) share or probability of the centreline.
        threshold: of the map.
        least: smallest height of a part, as a share of H.

    Returns:
        (N, 2) px, from the top, one point for each row of the line; None if no part is left.
    """
    values = np.asarray(share, np.float64)
    count, parts, stats, _ = cv2.connectedComponentsWithStats((values >= threshold).astype(np.uint8))
    large = stats[:, cv2.CC_STAT_HEIGHT] >= max(2.0, least * len(values))
    free = np.ones(len(values), np.bool_)
    pieces = []
    for part in 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable"):
        if part < count and large[part]:
            left, right = _borders(values, parts == part, threshold)
            rows = left[:, 1].astype(np.intp)
            pieces.append(((left + right) / 2)[free[rows]])
            free[rows] = False
    if not pieces:
        return None
    curve = np.concatenate(pieces)
    return np.asarray(curve[np.argsort(curve[:, 1], kind="stable")], np.float64)


def follow_ridge(share: Array, curve: Array, reach: float, threshold: float = 0.25) -> Floats:
    """Moves a curve to the middle of the drawn line, measured across the line's own direction.

    `decode_centerline` works row by row, where an inclined line is too wide and its ends, cut perpendicularly, are
    incomplete. Therefore the ends are removed and continued straight as far as the map exceeds the threshold.

    Args:
        share: (H, W) map from which `curve` was decoded.
        curve: (N, 2) px, evenly spaced and smooth.
        reach: width of the line, px: the distance examined on each side, and the length replaced at the ends.
        threshold: of the map.

    Returns:
        (M, 2) px, spaced as `curve`; `curve` itself if the map is empty around it.
    """
    points = _redrawn(as_float(curve), reach)
    slope = np.gradient(points, axis=0)
    slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
    across = np.stack([slope[:, 1], -slope[:, 0]], axis=1)
    offsets = np.arange(-2 * np.ceil(reach), 2 * np.ceil(reach) + 1) / 2
    at = (points[:, None] + offsets[:, None] * across[:, None]).astype(np.float32)
    values = cv2.remap(np.asarray(share, np.float32), at[..., 0], at[..., 1], cv2.INTER_LINEAR)
    weight = np.where(values >= threshold, values, 0.0)
    total = weight.sum(axis=1)
    found = np.flatnonzero(total > 0)
    if len(found) < 2:
        return as_float(curve)
    shift = np.divide((weight * offsets).sum(axis=1), total, out=np.zeros(len(points)), where=total > 0)
    moved = points + shift[:, None] * across
    return np.asarray(moved[found[0] : found[-1] + 1], np.float64)


def _redrawn(points: Floats, by: float) -> Floats:
    """A curve whose first and last `by` px are replaced by straight lines of twice that length, evenly spaced."""
    step = float(np.linalg.norm(np.diff(points, axis=0), axis=1).mean())
    count = int(np.ceil(by / max(step, 1e-6)))
    kept = points[count:-count] if len(points) > 4 * count > 0 else points
    back = min(len(kept) - 1, 2 * count + 1)
    k = np.arange(1, 2 * count + 1)[:, None]
    up, down = (kept[0] - kept[back]) / back, (kept[-1] - kept[-1 - back]) / back
    return np.concatenate([(kept[0] + k * up)[::-1], kept, kept[-1] + k * down])
