"""The exposed field of a film: what padding and shutter leave of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from aasce.types import Array

_LEAST = 0.1  # share of a film that a shutter leaves open; one that leaves less is a mistake in the header


def hidden(stored: Array, dataset: Any) -> Array:
    """(H, W) bool: pixels that are no part of the film, to be shown dark.

    Args:
        stored: (H, W) as stored, before any look-up table.
        dataset: pydicom's.
    """
    masked = _padding(stored, dataset) | _shutter(stored.shape, dataset)
    return masked if not masked.all() else np.zeros_like(masked)


def _padding(stored: Array, dataset: Any) -> Array:
    """Padding (PS3.3 C.7.5.1.1.2) that reaches the border: inside the film the same number is tissue."""
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if not isinstance(value, int):
        return np.zeros(stored.shape, dtype=bool)
    ends = [value, limit if isinstance(limit, int) else value]
    if stored.dtype.kind == "i":  # some writers state it as an unsigned number
        ends = [end - 65536 if end > 32767 else end for end in ends]
    padded = ((stored >= min(ends)) & (stored <= max(ends))).astype(np.uint8)
    # Tissue of that value is speckled, padding is solid: only what survives an erosion counts as a seed.
    _, parts = cv2.connectedComponents(padded, connectivity=4)
    seeds = cv2.erode(padded, np.ones((3, 3), np.uint8)) > 0
    border = np.concatenate([line[seed] for line, seed in zip(_sides(parts), _sides(seeds), strict=True)])
    return np.isin(parts, border[border > 0])


def _sides(array: Array) -> tuple[Array, Array, Array, Array]:
    return array[0], array[-1], array[:, 0], array[:, -1]


def _shutter(shape: tuple[int, ...], dataset: Any) -> Array:
    """What the shutter covers (PS3.3 C.7.6.11): outside any of its shapes."""
    named = dataset.get("ShutterShape") or ()
    shapes = [named] if isinstance(named, str) else [str(one) for one in named]
    covered = np.zeros(shape, dtype=bool)
    for one, outside in (("RECTANGULAR", _rectangle), ("CIRCULAR", _circle), ("POLYGONAL", _polygon)):
        if one in shapes:
            covered |= outside(shape, dataset)
    return covered if covered.mean() <= 1 - _LEAST else np.zeros(shape, dtype=bool)


def _rectangle(shape: tuple[int, ...], dataset: Any) -> Array:
    covered = np.ones(shape, dtype=bool)
    left, right, upper, lower = (
        dataset.get(f"Shutter{name}")
        for name in ("LeftVerticalEdge", "RightVerticalEdge", "UpperHorizontalEdge", "LowerHorizontalEdge")
    )
    if None in (left, right, upper, lower):
        return ~covered
    # Edges are rows and columns counted from 1; the film lies between them.
    covered[max(int(upper) - 1, 0) : max(int(lower), 0), max(int(left) - 1, 0) : max(int(right), 0)] = False
    return covered


def _circle(shape: tuple[int, ...], dataset: Any) -> Array:
    centre, radius = dataset.get("CenterOfCircularShutter"), dataset.get("RadiusOfCircularShutter")
    if not isinstance(centre, Sequence) or len(centre) != 2 or not radius:
        return np.zeros(shape, dtype=bool)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    far = (rows - (float(centre[0]) - 1)) ** 2 + (columns - (float(centre[1]) - 1)) ** 2
    return np.asarray(far > float(radius) ** 2)


def _polygon(shape: tuple[int, ...], dataset: Any) -> Array:
    corners = dataset.get("VerticesOfThePolygonalShutter")
    if not isinstance(corners, Sequence) or len(corners) < 6 or len(corners) % 2:
        return np.zeros(shape, dtype=bool)
    points = np.array([[int(corners[i + 1]) - 1, int(corners[i]) - 1] for i in range(0, len(corners), 2)])
    inside = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(inside, [points.astype(np.int32)], 1)
    return np.asarray(inside == 0)
