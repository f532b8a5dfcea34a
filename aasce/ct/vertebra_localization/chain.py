"""The vertebrae as one chain along the middles of their bodies: names, places and count are chosen together.

Maxima of single heatmaps (`sequence`) stand or fall each by itself. On a scan whose greys the network never saw they
come apart: two names share a vertebra, or a maximum lies on a disc. Here all heatmaps are read along one line, and a
chain of consecutive vertebrae is laid on it by dynamic programming. It is held by three things: the heatmaps; how far
apart the vertebrae of a person of any size are; and the endplates, brighter than marrow and than discs, which lie
midway between two middles whether a scan shows the marrow bright or dark.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aasce.ct.shared.grids import Floats, Shares, to_index, to_world
from aasce.ct.shared.heatmaps import maxima
from aasce.ct.vertebra_localization.sequence import Candidate
from aasce.ct.vertebra_localization.settings import ChainSettings
from aasce.phantom.spine.anthropometry import spacing
from aasce.readers.vertebrae import HEAD_TO_FOOT, level_name
from aasce.types import as_float
from aasce.volume import Volume

STEP_MM = 1.0
"""Between points of the line."""
NEAR_CELLS = 4
"""Around the strongest cell of a slice, cells that count for its middle."""
SMOOTH_MM, TURN_MM = 12.0, 8.0
"""Standard deviations of the line's and of its direction's smoothing."""
BODY_MM = 12.0
"""Radius of the discs across the line that are looked at: most of a body."""
PROFILE_PERCENT = 25.0
"""Percentile of a disc's HU that is the profile: an endplate fills its disc, veins within a body do not."""
SHELL_MM = 2.0
"""Standard deviation of the filter that finds endplates in the profile."""
HU_RANGE = (-100.0, 700.0)
"""Profiles are cut to this: neither gas in a disc nor metal is an endplate."""
NEAR_MM = 8.0
"""How far a heatmap's maximum may lie from the line's place of the same vertebra."""
STEPS_MM = (8, 50)
"""Distances between neighbours that are tried."""
MOST_MAXIMA = 4
"""Of a heatmap."""
SIZE_STEP = 0.05
"""Between the sizes of persons that are tried."""
FURTHER = {28: "T12", 25: "L5"}
"""Vertebrae that few persons have, T13 and L6, and whose step to the next one is taken for theirs."""
FAR = -1e9


def chain_of(
    heatmaps: Shares, affine: Floats, step: int, scan: Volume, labels: Sequence[int], settings: ChainSettings
) -> list[Candidate]:
    """The chain with the largest sum of values.

    Args:
        heatmaps: (L, x, y, z) shares of the targets' heights, on cells of the network.
        affine: of the grid of voxels that the network read, in which z runs along an axis.
        step: voxels of that grid a cell.
        scan: the scan itself, whose endplates are finer than the grid.
        labels: of VerSe, of the heatmaps, from the head.
        settings: of the chain.

    Returns:
        From the head, without those of less than `settings.least`; empty where no heatmap rises above the price.
    """
    line = column_line(heatmaps, affine, step)
    index = scan.to_index(line)
    seen = np.all((index >= -0.5) & (index <= np.array(scan.shape) - 0.5), axis=1)
    if not seen.any():
        return []
    cells = ((to_index(affine, line) + 0.5) / step - 0.5).T
    values = np.stack([ndimage.map_coordinates(h, cells, order=1, mode="nearest") for h in heatmaps])
    values = np.where(seen, np.asarray(values, np.float64), -1.0)
    found = best_chain(values, endplates_along(scan, line, seen), pitches(labels), settings)
    chain = []
    for level, place in found:
        value = float(values[level, place])
        if value >= settings.least:
            middle = sharpened(heatmaps[level], affine, step, line[place], settings.sharp)
            chain.append(Candidate(level, middle, value))
    return chain


def sharpened(heatmap: Shares, affine: Floats, step: int, place: Floats, sharp: float) -> Floats:
    """(3,) world mm of the nearest maximum of `sharp` or more within `NEAR_MM` of a place, else the place itself."""
    cells, _ = maxima(heatmap, sharp, MOST_MAXIMA)
    if not len(cells):
        return place
    places = to_world(affine, (cells + 0.5) * step - 0.5)
    off = np.linalg.norm(places - place, axis=1)
    return as_float(places[int(off.argmin())]) if off.min() <= NEAR_MM else place


def column_line(heatmaps: Shares, affine: Floats, step: int) -> Floats:
    """(N, 3) world mm along the middles of the bodies, `STEP_MM` apart, from the head.

    In each slice the middle of the heatmaps' sum is taken, so that the line needs no vertebra to have a name.
    """
    total: Floats = np.asarray(heatmaps.sum(axis=0), np.float64)
    rows, columns = (np.arange(n) for n in total.shape[:2])
    middles, strength = np.zeros((total.shape[2], 2)), total.max(axis=(0, 1))
    for z, plane in enumerate(np.moveaxis(total, 2, 0)):
        x, y = np.unravel_index(int(plane.argmax()), plane.shape)
        near = (rows[:, None] - x) ** 2 + (columns - y) ** 2 <= NEAR_CELLS**2
        weight = np.clip(plane - plane.max() / 2, 0, None) * near + 1e-9 * near
        middles[z] = np.array([(weight.sum(1) * rows).sum(), (weight.sum(0) * columns).sum()]) / weight.sum()
    middles = ndimage.median_filter(middles, (7, 1), mode="nearest")
    cells = SMOOTH_MM / float(np.linalg.norm(affine[:3, 2]) * step)
    weight = strength[:, None] + 1e-3
    middles = ndimage.gaussian_filter1d(middles * weight, cells, axis=0) / ndimage.gaussian_filter1d(
        weight, cells, axis=0
    )
    index = np.column_stack([middles, np.arange(len(middles))])
    points = to_world(affine, (index + 0.5) * step - 0.5)
    points = points[np.argsort(-points[:, 2])]
    along = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    wanted = np.arange(0.0, along[-1] + 1e-9, STEP_MM)
    return np.stack([np.interp(wanted, along, points[:, axis]) for axis in range(3)], axis=1)


def endplates_along(scan: Volume, line: Floats, seen: NDArray[np.bool_]) -> Floats:
    """(N,) how much each point of the line looks like an endplate, 0 outside the scan; 1 is a strong one of this scan.

    Args:
        scan: HU.
        line: (N, 3) world mm, `STEP_MM` apart.
        seen: (N,) points within the scan.
    """
    if seen.sum() < 3:
        return np.zeros(len(line))
    along = ndimage.gaussian_filter1d(np.gradient(line, axis=0), TURN_MM / STEP_MM, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    right = np.cross(along, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    front = np.cross(along, right)
    offsets = np.arange(-BODY_MM, BODY_MM + 1, 3.0)
    a, b = (grid.ravel() for grid in np.meshgrid(offsets, offsets))
    disc = a**2 + b**2 <= BODY_MM**2 + 9
    points = line[:, None] + a[disc][None, :, None] * right[:, None] + b[disc][None, :, None] * front[:, None]
    hu = ndimage.map_coordinates(
        scan.data, scan.to_index(points.reshape(-1, 3)).T, order=1, mode="nearest", output=np.float32
    )
    profile = np.clip(np.percentile(hu.reshape(len(line), -1), PROFILE_PERCENT, axis=1), *HU_RANGE)
    there = np.flatnonzero(seen)
    profile = np.interp(np.arange(len(line)), there, profile[there])
    ridges = np.clip(-ndimage.gaussian_laplace(profile, SHELL_MM / STEP_MM), 0, None) * seen
    strong = float(np.percentile(ridges[there], 90))
    return np.asarray(ridges / strong if strong > 0 else ridges)


def pitches(labels: Sequence[int]) -> Floats:
    """(L - 1,) mm from the middle of each vertebra to the next one's, of a grown person of middle size.

    Vertebrae that few persons have take room only where they are among the labels.
    """
    order = [label for label in HEAD_TO_FOOT if label not in FURTHER or label in labels]
    places = np.r_[0.0, np.cumsum([spacing(FURTHER.get(label) or level_name(label)) for label in order[:-1]])]
    return np.diff(places[[order.index(label) for label in labels]])


def best_chain(
    values: Floats, endplates: Floats, steps: Floats, settings: ChainSettings
) -> list[tuple[int, int]]:
    """Levels and places of the chain with the largest sum.

    The sum is that of the values of its vertebrae less `settings.price` each, and of what speaks for each step from
    one to the next: `settings.endplates` times how far the endplates between them lie amid them, less
    `settings.tightness` times the squared share by which the step is off the person's. Persons of several sizes are
    tried (`settings.sizes`).

    Args:
        values: (L, N) of each level at each place.
        endplates: (N,) of the line.
        steps: (L - 1,) mm from level to level of a person of size 1.
        settings: weights and prices.

    Returns:
        (level, place) from the head; empty if no vertebra is worth its price.
    """
    levels, count = values.shape
    tried = np.arange(STEPS_MM[0], min(STEPS_MM[1], max(count, STEPS_MM[0] + 1)))
    between = np.full((count, len(tried)), FAR)  # of a step that begins at a place
    for j, step in enumerate(tried.tolist()):
        if step < count:
            wave = -np.cos(2 * np.pi * np.arange(step + 1) / step) / (step + 1)
            between[: count - step, j] = settings.endplates * np.correlate(endplates, wave, "valid")
    best: tuple[float, list[tuple[int, int]]] = (0.0, [])
    for size in np.arange(settings.sizes[0], settings.sizes[1] + 1e-9, SIZE_STEP).tolist():
        total, before = values - settings.price, np.full((levels, count), -1)
        for level in range(1, levels):
            wanted = size * float(steps[level - 1])
            gain = np.zeros(count)
            for j, step in enumerate(tried.tolist()):
                off = step / wanted - 1
                if abs(off) > settings.reach or step >= count:
                    continue
                after = total[level - 1, :-step] + between[:-step, j] - settings.tightness * off**2
                better = after > gain[step:]
                gain[step:][better] = after[better]
                before[level, step:][better] = np.flatnonzero(better)
            total[level] += gain
        worth = float(total.max()) - settings.usual * (size - 1) ** 2
        if worth > best[0]:
            level, place = (int(i) for i in np.unravel_index(int(total.argmax()), total.shape))
            chain = []
            while place >= 0:
                chain.append((level, place))
                level, place = level - 1, int(before[level, place])
            best = worth, chain[::-1]
    return best[1]
