"""Landmarks to masks of vertebrae and of the gaps between them, and back.

Classes as in Seg4Reg (Lin et al., AASCE 2019): a vertebra is the quadrilateral of its four corners, a gap the
one between the lower endplate of a vertebra and the upper endplate of the next. Masks are soft: a pixel holds
the share of its area that a class covers, so that positions of endplates are kept to a fraction of a pixel.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.types import Array, as_float

Floats = NDArray[np.float64]
Shares = NDArray[np.float32]

CLASSES: tuple[str, ...] = ("background", "vertebra", "gap")
_SHIFT = 4  # fractional bits of cv2's polygon coordinates


def encode_mask(landmarks: Array, size: tuple[int, int], oversample: int = 4) -> Shares:
    """Area shares of the classes.

    Args:
        landmarks: (V, 4, 2) px of the mask's own frame, corners TL, TR, BL, BR, vertebrae from the top.
        size: (H, W) of the mask.
        oversample: sub-pixels per pixel and axis for computing the shares.

    Returns:
        (3, H, W) float32 in the order of `CLASSES`, summing to 1 in every pixel.
    """
    points = (as_float(landmarks) + 0.5) * oversample - 0.5
    drawn = np.zeros((size[0] * oversample, size[1] * oversample), np.uint8)
    for upper, lower in pairwise(points):
        _fill(drawn, np.stack([upper[2], upper[3], lower[0], lower[1]]), 2)
    for quad in points:
        _fill(drawn, quad, 1)
    area = (size[1], size[0])
    covered = [
        cv2.resize((drawn == k).astype(np.uint8) * 255, area, interpolation=cv2.INTER_AREA) for k in (1, 2)
    ]
    vertebra, gap = (np.asarray(c, np.float32) / 255.0 for c in covered)
    return np.stack([np.clip(1 - vertebra - gap, 0, 1), vertebra, gap]).astype(np.float32)


def _fill(drawn: Array, quad: Array, value: int) -> None:
    """Fills the convex hull of four points, so that swapped corners do no harm."""
    hull = cv2.convexHull(np.round(quad * 2**_SHIFT).astype(np.int32))
    cv2.fillConvexPoly(drawn, hull, (value,), lineType=cv2.LINE_8, shift=_SHIFT)


def decode_mask(vertebra: Array, oversample: int = 4, least: float = 6.0) -> Floats:
    """Oriented boxes of the vertebrae in a mask.

    Args:
        vertebra: (H, W) share or probability of the class "vertebra".
        oversample: sub-pixels per pixel and axis for finding the border at one half.
        least: smallest area of a vertebra, square px; smaller parts are left out.

    Returns:
        (V, 4, 2) px corners TL, TR, BL, BR of the smallest rectangle around each connected part, from the
        top.
    """
    height, width = vertebra.shape
    fine = cv2.resize(np.asarray(vertebra, np.float32), (width * oversample, height * oversample))
    count, parts, stats, _ = cv2.connectedComponentsWithStats((fine > 0.5).astype(np.uint8))
    boxes = []
    for part in range(1, count):
        if stats[part, cv2.CC_STAT_AREA] < least * oversample**2:
            continue
        rows, columns = np.nonzero(parts == part)
        rectangle = cv2.minAreaRect(np.stack([columns, rows], axis=1).astype(np.float32))
        boxes.append(_corners(np.asarray(rectangle[0]), np.asarray(rectangle[1]), rectangle[2]))
    if not boxes:
        return np.zeros((0, 4, 2))
    found = (np.stack(boxes) + 0.5) / oversample - 0.5
    return np.asarray(found[np.argsort(found.mean(axis=1)[:, 1], kind="stable")], dtype=np.float64)


def _corners(centre: Array, extent: Array, degrees: float) -> Floats:
    """TL, TR, BL, BR of a cv2 rectangle, whose "width" may lie along either axis."""
    width, height = (
        float(extent[0]),
        float(extent[1]),
    )  # between centres, as encode_mask fills border sub-pixels
    turns = round(degrees / 90)
    turn = np.radians(degrees - 90 * turns)
    if turns % 2:
        width, height = height, width
    right = np.array([np.cos(turn), np.sin(turn)]) * width / 2
    down = np.array([-np.sin(turn), np.cos(turn)]) * height / 2
    corners = np.stack([-right - down, right - down, -right + down, right + down])
    return np.asarray(centre + corners, np.float64)
