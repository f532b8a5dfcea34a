"""The peeling crop: a film is cropped to the spine found on it, again and again, until the crop hardly narrows.

Zhong et al. 2020, section 2, "Peeling Crop". Frame: px of the canvas unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aasce.preprocess.crop import Box
from aasce.solvers.coarse_to_fine.inference import MaskPass
from aasce.solvers.coarse_to_fine.settings import PeelingSettings
from aasce.solvers.shared.samples import Floats
from aasce.targets.heatmap import decode_peak, from_map
from aasce.targets.mask import Shares

Ints = NDArray[np.intp]

REACH = 3
"""px of the map around the brightest one over which the place of a channel is averaged: half a vertebra."""

GAP = 4
"""Largest difference of two levels that follow one another in the column: three may be unseen between them."""


def channel_places(target: Shares, boxes: Shares, stride: int) -> tuple[Floats, Floats]:
    """Where each channel of the box masks, multiplied by the target mask, is brightest.

    Args:
        target: (h, w) B's mask.
        boxes: (V, h, w) C's masks.
        stride: canvas px per px of the maps.

    Returns:
        (V, 2) px of the canvas, and (V,) the values there.
    """
    points, values = decode_peak(boxes * target, REACH)
    return from_map(points, stride), values


def continuous_levels(places: Floats, values: Floats, settings: PeelingSettings) -> Ints:
    """Levels of the longest chain of places that continue one another downwards; all others are outliers.

    Args:
        places: (V, 2) px. values: (V,) see `channel_places`.
        settings: least value, and how long a step may be.

    Returns:
        Indices from the top; fewer than two where there is no spine.
    """
    seen = np.flatnonzero(values > settings.level)
    if len(seen) < 2:
        return seen
    usual = float(np.median(np.linalg.norm(np.diff(places[seen], axis=0), axis=1) / np.diff(seen)))
    length, before = np.ones(len(seen), int), np.full(len(seen), -1)
    for lower in range(1, len(seen)):
        for upper in range(lower):
            levels = seen[lower] - seen[upper]
            step = places[seen[lower]] - places[seen[upper]]
            share = float(np.hypot(*step)) / (levels * max(usual, 1e-6))
            follows = levels <= GAP and settings.step[0] <= share <= settings.step[1] and step[1] > 0
            if follows and length[upper] + 1 > length[lower]:
                length[lower], before[lower] = length[upper] + 1, upper
    chain = [int(length.argmax())]
    while before[chain[-1]] >= 0:
        chain.append(int(before[chain[-1]]))
    return np.asarray(seen[chain[::-1]], np.intp)


def region_box(places: Floats, levels: Ints, settings: PeelingSettings) -> Floats:
    """(4,) px x0, y0, x1, y1: from the upper endplate of the first to the lower one of the last vertebra, extended.

    Levels that were not seen at either end are reckoned with the mean step of the others.

    Args:
        places: (V, 2) px.
        levels: at least two of them that were seen, from the top.
        settings: aspect and margin of the box.
    """
    rows = places[levels, 1]
    step = float((rows[-1] - rows[0]) / (levels[-1] - levels[0]))
    top = rows[0] - (levels[0] + 0.5) * step
    bottom = rows[-1] + (len(places) - 1 - levels[-1] + 0.5) * step
    left, right = places[levels, 0].min(), places[levels, 0].max()
    margin = settings.margin * (bottom - top)
    # A strongly curved spine is wider than the box of fixed aspect: two steps, a vertebra and its half, beside it.
    half = max((bottom - top) / settings.aspect, right - left + 4 * step) / 2
    middle = (left + right) / 2
    return np.array([middle - half - margin, top - margin, middle + half + margin, bottom + margin])


def inside_film(box: Floats, film: tuple[int, int]) -> Box:
    """A box in whole px of the film (H, W), cut at its edges, at least one px wide and high."""
    x0, y0 = (int(max(0, np.floor(v))) for v in box[:2])
    x1, y1 = int(min(film[1], np.ceil(box[2]) + 1)), int(min(film[0], np.ceil(box[3]) + 1))
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def peel(
    run: Callable[[Box], MaskPass], film: tuple[int, int], start: Box, settings: PeelingSettings
) -> MaskPass:
    """The pass over the last crop.

    Args:
        run: passes a rectangle of the film through A, B and C.
        film: (H, W) of the film.
        start: the rectangle to begin with.
        settings: see there.
    """
    found = run(start)
    for _ in range(settings.iterations):
        places, values = channel_places(found.target, found.boxes, found.stride)
        levels = continuous_levels(places, values, settings)
        if len(levels) < 2:
            break
        corners = found.view.undo(region_box(places, levels, settings).reshape(2, 2))
        box = inside_film(corners.reshape(4), film)
        if box == found.box:
            break
        narrowed = 1 - (box[3] - box[1]) / (found.box[3] - found.box[1])
        found = run(box)
        if narrowed < settings.narrowing:
            break
    return found
