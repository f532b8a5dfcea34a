"""Whether metal covers a part of the spine: rods, screws, plates, a brace's bars.

Metal is brighter than any bone, and narrower than a vertebra: on a film reduced to about 1 px a mm, what an opening by
a disc removes (the white top-hat) is large on rods, screws and plates, and on bone only along thin edges.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.geometry.spine import centres
from aasce.preprocess.intensity import to_uint8
from aasce.types import Array

HARDWARE = "hardware"

STEP = 24  # px between vertebra centres at which the film is looked at: 1 px a mm
REACH = 0.9  # widths of a vertebra on either side of the middle line that are looked at
DISC = 13  # px: diameter of the disc that the top-hat removes; a screw's head is 12 mm wide
CONTRAST = 35  # grey values by which metal exceeds its surroundings
BRIGHT = 200  # grey value of metal
THICK = 3  # px: rods are 5 mm thick, the bright edges of bone 1 or 2

PIECE = 150
"""mm2 of one piece of metal from which it is told. On the 380 films of folds 1 to 4 without metal bone
reaches 104, see docs/pages/robustness.md."""


def largest_metal(pixels: Array, landmarks: Array, negative: bool = False) -> float:
    """Area, in about mm2, of the largest piece over the column or beside it that is bright and narrow as metal is.

    A mm is a 24th of the mean distance between vertebrae, whose true size is not known.

    Args:
        pixels: (H, W) uint8 or uint16, a film as read.
        landmarks: (V, 4, 2) px, 2 vertebrae or more in their order.
        negative: whether bone is dark on the film.
    """
    film = to_uint8(pixels)
    column = _column(~film if negative else film, landmarks)
    if column is None:
        return 0.0
    image, inside = column
    disc, small = (cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (px, px)) for px in (DISC, THICK))
    above = cv2.morphologyEx(image, cv2.MORPH_TOPHAT, disc)
    metal = ((above > CONTRAST) & (image >= BRIGHT) & inside).astype(np.uint8)
    _, _, pieces, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(metal, cv2.MORPH_OPEN, small))
    return float(pieces[1:, cv2.CC_STAT_AREA].max(initial=0))


def has_hardware(pixels: Array, landmarks: Array, negative: bool = False) -> bool:
    """Whether metal covers so much of the column that angles may be wrong; see `largest_metal`."""
    return largest_metal(pixels, landmarks, negative) >= PIECE


def _column(film: NDArray[np.uint8], landmarks: Array) -> tuple[NDArray[np.uint8], NDArray[np.bool_]] | None:
    """The film around the column at `STEP`, and which of its px belong to it; None if that is off the film."""
    scale = STEP / float(np.linalg.norm(np.diff(centres(landmarks), axis=0), axis=1).mean().clip(min=1.0))
    across = (landmarks[:, [1, 3]] - landmarks[:, [0, 2]]).mean(axis=1)
    points, margin = landmarks.reshape(-1, 2), float(np.linalg.norm(across, axis=1).max())
    limit = np.array([film.shape[1], film.shape[0]])
    low = np.clip(np.floor(points.min(axis=0) - margin), 0, limit).astype(int)
    high = np.clip(np.ceil(points.max(axis=0) + margin) + 1, 0, limit).astype(int)
    if (high - low).min() < 2:
        return None
    part = film[low[1] : high[1], low[0] : high[0]]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = (max(round(part.shape[1] * scale), 1), max(round(part.shape[0] * scale), 1))
    image = np.asarray(cv2.resize(part, size, interpolation=way), np.uint8)
    middle = centres(landmarks)
    outline = np.concatenate([middle - REACH * across, (middle + REACH * across)[::-1]])
    inside = np.zeros(image.shape, np.uint8)
    cv2.fillPoly(inside, [np.rint((outline - low) * scale).astype(np.int32)], 1)
    return (image, inside > 0) if inside.any() else None
