"""Automatic crop of films of the whole body, which the papers crop by hand.

The films of the challenge are cropped around T1 to L5. On a film of the whole body the spine is found first; if it
takes too little of the height, the film is cropped to it, with the margins of the training films, and passed through
the network again, with a larger crop if the spine continues beyond it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.preprocess.crop import Box, View
from aasce.types import Array

Floats = NDArray[np.float64]

CROPS = 3
"""Largest number of crops; the film is measured from the last one."""

ABOVE, BELOW = 0.03, 0.07
"""Margins above and below the spine as shares of a crop's height: medians of the training films."""

FILLED = 0.7
"""A film is cropped if its localized spine takes a smaller share of its height: it is 0.72 and more on the challenge's
films, 0.68 at most on 82 films of the whole body. Spines that a method finds by itself may have gaps, hence their own
setting (`crop_below`)."""


class Pass(Protocol):
    """Output of a method's networks for a rectangle of a film."""

    @property
    def box(self) -> Box:
        """The rectangle, film px: x0, y0, x1, y1, the last ones exclusive."""
        ...

    @property
    def spine(self) -> Floats | None:
        """(x0, y0, x1, y1) film px around the spine; None if none is found."""
        ...


P = TypeVar("P", bound=Pass)


def autocrop(
    run: Callable[[Box], P], film: tuple[int, int], crop_below: float, spine: Floats | None = None
) -> P:
    """The pass that a film is measured from.

    Args:
        run: passes a rectangle of the film through the networks.
        film: (H, W) of the film.
        crop_below: the film is cropped if the spine takes a smaller share of its height.
        spine: (x0, y0, x1, y1) film px around T1 to L5 as localized; None if the method finds it by itself.
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
    return _cropped(run, film, found, spine)


def _cropped(run: Callable[[Box], P], film: tuple[int, int], whole: P, spine: Floats) -> P:
    """The pass over a crop that holds all of the spine found on the whole film."""
    found = whole
    for _ in range(CROPS):
        box = crop_box(spine, film)
        if box == found.box:
            break
        again = run(box)
        nearer = again.spine
        if nearer is None:
            break
        found = again
        longer = _longer(nearer, box, film)
        if longer is None:
            break
        spine = longer
    return found


def film_box(film: tuple[int, int], spine: Floats | None) -> Box:
    """The rectangle that a method which finds vertebrae reads: the whole film, or the crop of a film of the whole body.

    Args:
        film: (H, W) of the film.
        spine: (x0, y0, x1, y1) film px around T1 to L5 as localized; None where it is not known.
    """
    whole = (0, 0, film[1], film[0])
    return whole if spine is None or spine[3] - spine[1] >= FILLED * film[0] else crop_box(spine, film)


def between_ends(points: Array, film: tuple[int, int], spine: Floats | None) -> NDArray[np.bool_]:
    """(N,) which middles of vertebrae may be those of T1 to L5: on a film of the whole body, those in its rows.

    A method that finds vertebrae without naming them cannot tell C7 from T1; the localizer can.

    Args:
        points: (N, 2) px of the film.
        film: (H, W) of the film.
        spine: see `film_box`; all may be where it is not known, or where the film shows no more.
    """
    rows = np.asarray(points, np.float64)[:, 1]
    if spine is None or spine[3] - spine[1] >= FILLED * film[0]:
        return np.ones(len(rows), bool)
    return np.asarray((rows >= spine[1]) & (rows <= spine[3]))


def crop_box(spine: Floats, film: tuple[int, int]) -> Box:
    """Rectangle with the training films' margins around a spine, inside the film, half as wide as high.

    Args:
        spine: (x0, y0, x1, y1) film px.
        film: (H, W) of the film.
    """
    rows = (spine[3] - spine[1]) / (1 - ABOVE - BELOW)
    middle, half = (spine[0] + spine[2]) / 2, max(rows / 2, 1.3 * (spine[2] - spine[0])) / 2
    x0, x1 = max(0, int(middle - half)), min(film[1], int(np.ceil(middle + half)) + 1)
    y0, y1 = max(0, int(spine[1] - ABOVE * rows)), min(film[0], int(np.ceil(spine[3] + BELOW * rows)) + 1)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _longer(spine: Floats, box: Box, film: tuple[int, int]) -> Floats | None:
    """The spine extended where it touches the upper or lower edge of a crop, but not of the film; None if nowhere."""
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
    """`largest_part` of a spine that may be found in parts, at most a sixth of the canvas apart."""
    reach = inside.shape[0] // 6 | 1
    return largest_part(joined(inside, (reach, reach // 3 | 1)), view)


def joined(inside: Array, reach: tuple[int, int]) -> NDArray[np.uint8]:
    """A map whose parts are joined across gaps.

    Args:
        inside: (h, w) true on the parts.
        reach: rows and columns; wider gaps stay. Gaps between a part and the edge of the map stay, too.
    """
    rows, columns = reach
    wide = np.pad(np.asarray(inside, np.uint8), ((rows, rows), (columns, columns)))
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones(reach, np.uint8))
    return np.asarray(closed[rows:-rows, columns:-columns], np.uint8)
