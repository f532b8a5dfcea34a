"""Whether a picture can be a radiograph: screenshots, menus and pages of text cannot.

A radiograph has continuous tones: grey values change from pixel to pixel by a little nearly everywhere. A drawn picture
is made of areas of one grey with hard edges between them, also after it was compressed as JPEG or resized.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aasce.preprocess.intensity import Bytes, is_blank, to_uint8
from aasce.types import Array

NOT_A_RADIOGRAPH = "not_a_radiograph"

SIDE = 16  # px of a block
MOST = 40  # blocks looked at along each side of the film

# A film has a share of 0.32 or more of blocks with continuous tones (481 training films; 0.21 or more on 3,482 others),
# one noisy, blurred, pale, enlarged or negative 0.12; menus, windows and pages of text have 0.05, compressed ones 0.10.
TONES = 0.08
TONES_OF_UNEVEN = (
    0.5  # a small film on an empty page: few blocks have tones, but most of those that are not empty
)
GREYS = (
    4.0  # effective number of grey values (inverse Simpson index); films have 5 or more, posterised ones too
)
EMPTY = 0.7  # share of blocks of one grey from which many grey values do not count: a screen with a shaded background

EDGE = 40  # grey values between neighbours: a hard edge
SAME = 0.7  # share of equal neighbours from which a block with edges is drawn
NOISE = 7  # times the median difference: what noise reaches at most, and the edge of a letter exceeds
FLAT = 2  # grey values: range of a block of one grey
MARGIN = 10  # grey values: range of a row or column that belongs to the empty margin


def film_flags(pixels: Array) -> tuple[str, ...]:
    """ "not_a_radiograph" for a picture of flat areas and hard edges, as screens and pages of text are; else none.

    A screen that shows a radiograph in a good part of it has no flag. An empty margin does not count.

    Args:
        pixels: (H, W) uint8 or uint16, a film as read.
    """
    if is_blank(pixels):
        return ()
    blocks = _blocks(_trimmed(to_uint8(pixels)))
    toned, flat = _toned(blocks), np.ptp(blocks, axis=(1, 2)) <= FLAT
    share = np.bincount(blocks.ravel(), minlength=256) / blocks.size
    few = 1 / float((share**2).sum()) < GREYS or flat.mean() > EMPTY
    drawn = toned.mean() < TONES and toned.sum() < TONES_OF_UNEVEN * (~flat).sum()
    return (NOT_A_RADIOGRAPH,) if few and drawn else ()


def _trimmed(film: Bytes) -> Bytes:
    """The film without rows and columns of one grey around it."""
    rows = np.flatnonzero(np.ptp(film, axis=1) > MARGIN)
    columns = np.flatnonzero(np.ptp(film, axis=0) > MARGIN)
    if not len(rows) or not len(columns):
        return film
    return film[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _blocks(film: Bytes) -> NDArray[np.int16]:
    """(N, SIDE, SIDE) blocks spread evenly over the film, at most MOST a row and a column; smaller on a tiny film."""
    sides = [min(SIDE, length) for length in film.shape]
    starts = [
        np.linspace(0, length - side, min(MOST, max(1, length // side))).astype(np.intp)
        for length, side in zip(film.shape, sides, strict=True)
    ]
    windows = np.lib.stride_tricks.sliding_window_view(film, (sides[0], sides[1]))
    return windows[np.ix_(*starts)].reshape(-1, *sides).astype(np.int16)


def _toned(blocks: NDArray[np.int16]) -> NDArray[np.bool_]:
    """(N,) whether grey values change by a little, or by noise, and not from one grey to another at edges."""
    steps = [np.abs(np.diff(blocks, axis=axis)).reshape(len(blocks), -1) for axis in (1, 2)]
    step = np.concatenate(steps, axis=1)
    if not step.size:
        return np.zeros(len(blocks), bool)
    largest = step.max(axis=1)
    soft = (largest <= EDGE) & ((step == 0).mean(axis=1) < SAME)
    noisy = largest <= NOISE * np.median(step, axis=1)
    uneven = np.ptp(blocks, axis=(1, 2)) > FLAT
    return np.asarray(uneven & (soft | noisy))
