"""Which part of a film is read: isolation of the spine's rows, the cord and its midline, the refined region.

The steps of the paper's figure 2: head and pelvis are cut off by the horizontal projection of the film's intensity;
the cord is segmented; the film is rotated so that the cord's midline stands upright (co-registration); the region is
cut around it with a locked aspect.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from aasce.preprocess.crop import Box, View, similarity
from aasce.preprocess.intensity import Bytes
from aasce.solvers.rotated_proposals.settings import RegionSettings
from aasce.solvers.shared.autocrop import joined
from aasce.solvers.shared.samples import Floats
from aasce.targets.heatmap import from_map
from aasce.types import Array, as_float

Thresholds = tuple[float, float]

STRIDE = 4
"""Canvas px per px of the cord's map."""

TAIL = 0.005
"""Share of the training films' rows that lie below the lower, and above the upper threshold of the projection."""

SMOOTH = 0.02
"""Rows, as a share of the film's, over which the projection is averaged, and the shortest run that ends the trunk."""

KEPT = 0.5
"""The middle share of the film's rows that the projection never cuts off: on every film it is trunk."""

CORD_LEAST = 0.05
"""Smallest length of a cord, as a share of the canvas's height."""


def projection(pixels: Bytes) -> Floats:
    """(H,) mean intensity of each row over that of the film's middle rows, averaged over `SMOOTH` of the height."""
    rows = np.asarray(pixels, np.float64).mean(axis=1)
    reach = max(1, round(SMOOTH * len(rows)))
    smooth = cv2.blur(rows[:, None], (1, reach), borderType=cv2.BORDER_REPLICATE)[:, 0]
    first, last = _middle_rows(len(rows))
    return np.asarray(smooth / max(float(np.median(smooth[first:last])), 1.0), np.float64)


def projection_thresholds(films: Iterable[Bytes]) -> Thresholds:
    """Least and largest projection of the trunk, from films that show nothing else.

    Args:
        films: (H, W) each, evened out as those that are to be isolated; at least one.
    """
    low, high = np.quantile(np.concatenate([projection(film) for film in films]), [TAIL, 1 - TAIL])
    return float(low), float(high)


def isolated_box(pixels: Bytes, thresholds: Thresholds) -> Box:
    """The rows around the film's middle up to head and pelvis, where the projection leaves the trunk's range.

    Args:
        pixels: (H, W) evened out.
        thresholds: see `projection_thresholds`.
    """
    height, width = pixels.shape
    profile = projection(pixels)
    outside = (profile < thresholds[0]) | (profile > thresholds[1])
    run = max(1, round(SMOOTH * height))
    first, last = _middle_rows(height)
    top = _first_run(outside[:first][::-1], run)
    bottom = _first_run(outside[last:], run)
    return 0, first - top, width, last + bottom


def _middle_rows(height: int) -> tuple[int, int]:
    first = int(height * (1 - KEPT) / 2)
    return first, max(height - first, first + 1)


def _first_run(outside: Array, length: int) -> int:
    """Index of the first run of so many true values; the number of values if there is none."""
    runs = np.convolve(outside, np.ones(length), mode="full")[length - 1 :] if len(outside) else outside
    full = np.flatnonzero(runs[: len(outside) - length + 1] >= length - 0.5)
    return int(full[0]) if len(full) else len(outside)


def cord_mask(probability: Array) -> Bytes:
    """(h, w) uint8, 1 on the cord: the longest connected part above one half, across gaps of a disc."""
    inside = np.asarray(probability) > 0.5
    reach = max(3, inside.shape[0] // 16) | 1
    count, parts, stats, _ = cv2.connectedComponentsWithStats(joined(inside, (reach, 3)))
    if count < 2:
        return np.zeros(inside.shape, np.uint8)
    longest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_HEIGHT]))
    if stats[longest, cv2.CC_STAT_HEIGHT] < CORD_LEAST * inside.shape[0]:
        return np.zeros(inside.shape, np.uint8)
    return np.asarray(parts == longest, np.uint8)


def midline(mask: Bytes) -> Floats:
    """(N, 2) px of the canvas, from the top: the middle of the cord in each row of its map."""
    rows = np.flatnonzero(mask.any(axis=1))
    weights = mask[rows].astype(np.float64)
    x = weights @ np.arange(mask.shape[1]) / weights.sum(axis=1)
    return from_map(np.stack([x, rows], axis=1), STRIDE)


def cord_outline(mask: Bytes) -> Floats:
    """(N, 2) px of the canvas: outer edges of the cord in each row of its map."""
    rows = np.flatnonzero(mask.any(axis=1))
    left = mask[rows].argmax(axis=1) - 0.5
    right = mask.shape[1] - mask[rows, ::-1].argmax(axis=1) - 0.5
    sides = [np.stack([x, rows + shift], axis=1) for x in (left, right) for shift in (-0.5, 0.5)]
    return from_map(np.concatenate(sides), STRIDE)


def refined_view(line: Array, outline: Array, settings: RegionSettings) -> View:
    """View of the region around a cord, its midline's ends one above the other, in the locked aspect.

    Args:
        line: (N, 2) px, the midline from the top, N at least 1.
        outline: (M, 2) px, the points that the region has to hold, with a margin.
        settings: aspect, margin and canvas.
    """
    points = as_float(line)
    end = max(1, len(points) // 20)
    chord = points[-end:].mean(axis=0) - points[:end].mean(axis=0)
    lean = float(np.degrees(np.arctan2(chord[0], chord[1]))) if np.hypot(*chord) > 0 else 0.0
    upright = similarity(np.zeros(2), 1.0, lean, settings.canvas)
    around = upright.apply(outline)
    low, high = around.min(axis=0), around.max(axis=0)
    width, height = (high - low + 2 * settings.margin * (high[1] - low[1])).clip(min=1.0)
    rows = max(float(height), settings.aspect * float(width))
    scale = min(settings.canvas[0] / rows, settings.canvas[1] * settings.aspect / rows)
    return similarity(upright.undo((low + high) / 2), scale, lean, settings.canvas)


def on_cord(points: Array, mask: Bytes, reach: float) -> Array:
    """(N,) whether points (N, 2) px of the canvas are on the cord or at most `reach` px off it; all without a cord."""
    if not mask.any() or not len(points):
        return np.ones(len(points), bool)
    room = int(np.ceil(max(mask.shape) / 2))
    distance = STRIDE * cv2.distanceTransform(np.pad(1 - mask, room, constant_values=1), cv2.DIST_L2, 5)
    at = np.round((as_float(points) + 0.5) / STRIDE - 0.5).astype(int) + room
    limit = np.array([distance.shape[1], distance.shape[0]]) - 1
    at = np.clip(at, 0, limit)
    # Distances are to the centre of the nearest px of the mask, which reaches half a px further.
    return np.asarray(distance[at[:, 1], at[:, 0]] <= reach + STRIDE / 2)
