"""Automatic crop of whole films, which the papers make by hand.

The films of the challenge are cropped around T1 to L5. On a whole film the spine is found first; where it fills
too little of the height, the film is cropped to it with the margins of the training films and passed through the
network again, with a larger crop where the spine runs on beyond it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.preprocess.crop import View
from aasce.solvers.shared.samples import Box
from aasce.types import Array

Floats = NDArray[np.float64]

CROPS = 3
"""Crops tried at most before a film is measured from the last one."""

ABOVE, BELOW = 0.03, 0.07
"""Margins over and under the spine as shares of a crop's height: medians of the training films."""

FILLED = 0.7
"""Share of a film's height from which a localized spine fills it: on the challenge's films it fills 0.72 and more, on
82 whole films 0.68 at most. A spine that a method finds by itself may be torn, hence a setting of its own."""


class Pass(Protocol):
    """What the networks of a method find in a rectangle of a film."""

    @property
    def box(self) -> Box:
        """The rectangle, film px: x0, y0, x1, y1, the last ones exclusive."""
        ...

    @property
    def spine(self) -> Floats | None:
        """(x0, y0, x1, y1) film px around the spine, None where none is found."""
        ...


P = TypeVar("P", bound=Pass)


def autocrop(
    run: Callable[[Box], P], film: tuple[int, int], crop_below: float, spine: Floats | None = None
) -> P:
    """The pass that a film is measured from.

    Args:
        run: passes a rectangle of the film through the networks.
        film: (H, W) of the film.
        crop_below: a spine shorter than this share of the film's height is cropped to.
        spine: (x0, y0, x1, y1) film px around T1 to L5 as localized; None lets the method find it by itself.
    """
    height, width = film
    whole = (0, 0, width, height)
    if spine is not None:
        small = spine[3] - spine[1] < max(FILLED, crop_below) * height
        found = run(crop_box(spine, film) if small else whole)
        if found.spine is not None:
            return found
    found = run(whole)
    spine = found.spine
    if spine is None or spine[3] - spine[1] >= crop_below * height:
        return found
    for _ in range(CROPS):
        box = crop_box(spine, film)
        if box == found.box:
            break
        again = run(box)
        nearer = again.spine
        if nearer is None:
            break
        found = again
        grown = _grown(nearer, box, film)
        if grown is None:
            break
        spine = grown
    return found


def crop_box(spine: Floats, film: tuple[int, int]) -> Box:
    """Rectangle with the training films' margins around a spine, inside the film, half as wide as high."""
    rows = (spine[3] - spine[1]) / (1 - ABOVE - BELOW)
    middle, half = (spine[0] + spine[2]) / 2, max(rows / 2, 1.3 * (spine[2] - spine[0])) / 2
    x0, x1 = max(0, int(middle - half)), min(film[1], int(np.ceil(middle + half)) + 1)
    y0, y1 = max(0, int(spine[1] - ABOVE * rows)), min(film[0], int(np.ceil(spine[3] + BELOW * rows)) + 1)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _grown(spine: Floats, box: Box, film: tuple[int, int]) -> Floats | None:
    """The spine drawn longer where it touches the upper or lower edge of a crop that is not the film's."""
    rows = box[3] - box[1]
    up = spine[1] - box[1] < 0.015 * rows and box[1] > 0
    down = box[3] - 1 - spine[3] < 0.03 * rows and box[3] < film[0]
    if not (up or down):
        return None
    return np.asarray(spine + np.array([0.0, -0.15 * rows * up, 0.0, 0.15 * rows * down]), np.float64)


def largest_part(inside: Array, view: View) -> Floats | None:
    """(x0, y0, x1, y1) film px around the largest connected part of a map of half the canvas; None without one.

    Args:
        inside: (H/2, W/2) true on the spine.
        view: film px to canvas px.
    """
    count, _, stats, _ = cv2.connectedComponentsWithStats(np.asarray(inside, np.uint8))
    if count < 2:
        return None
    x, y, width, height, _ = stats[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))]
    corners = np.array([[x, y], [x + width - 1, y + height - 1]], dtype=np.float64)
    return np.asarray(view.undo((corners + 0.5) * 2 - 0.5).reshape(4), np.float64)


def longest_part(inside: Array, view: View) -> Floats | None:
    """`largest_part` of a spine that may be found in pieces, a sixth of the canvas apart at most."""
    reach = inside.shape[0] // 6 | 1
    return largest_part(joined(inside, (reach, reach // 3 | 1)), view)


def joined(inside: Array, reach: tuple[int, int]) -> NDArray[np.uint8]:
    """A map whose parts are joined across gaps narrower than `reach` (rows, columns); its rim gains nothing."""
    rows, columns = reach
    wide = np.pad(np.asarray(inside, np.uint8), ((rows, rows), (columns, columns)))
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones(reach, np.uint8))
    return np.asarray(closed[rows:-rows, columns:-columns], np.uint8)
