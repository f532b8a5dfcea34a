"""Which detections of the Mask R-CNN are T1 to L5: those that match the box masks of U-net C, one a level.

Zhong et al. 2020, section 2: labels are indices from the top; the boxes that match C's masks are the target vertebrae.
Frame: px of the canvas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.column import usual_spacing
from aasce.solvers.coarse_to_fine.inference import Detections
from aasce.solvers.coarse_to_fine.network import LEVELS
from aasce.solvers.shared.samples import Floats
from aasce.targets.heatmap import to_map
from aasce.targets.mask import Shares

Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

NEAR = 0.5
"""Shares of a box's height within which the middle of another box is of the same vertebra."""

LABEL_WEIGHT = 0.5
"""Weight of the Mask R-CNN's own labels beside C's masks, which see the whole spine."""

UNEVEN = 0.3
"""What a step e times as long, or as short, as usual costs, in units of a full match."""

AGREES = 0.6
"""Shares of the usual step within which a place of C agrees with its neighbours in the column."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Detections of which no two are of one vertebra, from the top.

    Attributes:
        boxes: (N, 4) px x0, y0, x1, y1.
        votes: (N, 17) scores of the labels, summed over the detections of a vertebra; at most 1 each.
    """

    boxes: Floats
    votes: Floats

    @property
    def middles(self) -> Floats:
        """(N, 2) px."""
        return np.asarray((self.boxes[:, :2] + self.boxes[:, 2:]) / 2)


@dataclass(frozen=True, slots=True)
class Column:
    """The vertebrae T1 to L5.

    Attributes:
        places: (17, 2) px, their middles.
        matched: (17,) which have a detection that matches C's mask.
        shown: (17,) which of the others have their place from C's mask; what is left is interpolated.
    """

    places: Floats
    matched: Bools
    shown: Bools


def merged(found: Detections) -> Candidates:
    """Detections of one vertebra, under several labels and from both passes, as one: the mean box by score."""
    left = list(np.argsort(-found.scores, kind="stable"))
    middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    heights = found.boxes[:, 3] - found.boxes[:, 1]
    boxes, votes = [], []
    while left:
        best = left[0]
        near = [i for i in left if np.hypot(*(middles[i] - middles[best])) < NEAR * heights[best]]
        left = [i for i in left if i not in near]
        boxes.append(np.average(found.boxes[near], axis=0, weights=found.scores[near] + 1e-9))
        vote = np.zeros(LEVELS)
        np.add.at(vote, found.levels[near], found.scores[near] / 2)
        votes.append(vote.clip(max=1.0))
    if not boxes:
        return Candidates(np.zeros((0, 4)), np.zeros((0, LEVELS)))
    order = np.argsort([box[1] + box[3] for box in boxes], kind="stable")
    return Candidates(np.stack(boxes)[order], np.stack(votes)[order])


def overlap_with_masks(boxes: Floats, masks: Shares, stride: int) -> Floats:
    """(N, V) how far the middle half of each box is filled by each of C's masks, in [0, 1].

    Args:
        boxes: (N, 4) px of the canvas.
        masks: (V, h, w).
        stride: canvas px per px of the masks.
    """
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 4
    limit = np.array([masks.shape[2], masks.shape[1]])
    low = np.clip(np.round(to_map(middle - half, stride)).astype(int), 0, limit - 1)
    high = np.clip(np.round(to_map(middle + half, stride)).astype(int), low, limit - 1)
    shares = [
        masks[:, y0 : y1 + 1, x0 : x1 + 1].mean(axis=(1, 2))
        for (x0, y0), (x1, y1) in zip(low, high, strict=True)
    ]
    return np.asarray(shares, np.float64).reshape(len(boxes), len(masks))


def matched_levels(overlap: Floats, votes: Floats, middles: Floats, least: float) -> Ints:
    """(N,) the level of each candidate, rising from the top; -1 where it matches none.

    The best sum of matches, by dynamic programming: a match is worth its overlap with C's mask and the votes of the
    Mask R-CNN's labels, less what an uneven step from the match before costs.

    Args:
        overlap: (N, V) with C's masks. votes: (N, V) see `Candidates`.
        middles: (N, 2) px, from the top.
        least: overlap below which nothing matches.
    """
    count, levels = overlap.shape
    if count == 0:
        return np.zeros(0, np.intp)
    worth = np.where(overlap >= least, overlap + LABEL_WEIGHT * votes, -np.inf)
    usual = max(usual_spacing(middles), 1.0)
    best, before = worth.copy(), np.full((count, levels, 2), -1)
    difference = np.arange(levels)[:, None] - np.arange(levels)[None, :]  # (this level, the one before)
    for this in range(1, count):
        for that in range(this):
            step = max(float(np.hypot(*(middles[this] - middles[that]))), 1e-6)
            with np.errstate(divide="ignore", invalid="ignore"):
                uneven = np.abs(np.log(step / (difference * usual)))
            gain = np.where(difference > 0, best[that][None, :] - UNEVEN * uneven, -np.inf)
            source = gain.argmax(axis=1)
            total = worth[this] + gain.max(axis=1)
            better = total > best[this]
            best[this] = np.where(better, total, best[this])
            before[this, better] = np.stack([np.full(levels, that), source], axis=1)[better]
    found = np.full(count, -1, np.intp)
    if not np.isfinite(best).any():
        return found
    at: tuple[int, int] = tuple(int(v) for v in np.unravel_index(best.argmax(), best.shape))  # type: ignore[assignment]
    while at[0] >= 0:
        found[at[0]] = at[1]
        at = int(before[at][0]), int(before[at][1])
    return found


def find_column(
    found: Detections, masks: Shares, stride: int, places: Floats, chain: Ints, match: float
) -> Column | None:
    """The column of 17; None where fewer than two vertebrae are found.

    Args:
        found: by the Mask R-CNN.
        masks: (17, h, w) of C. stride: canvas px per px of them.
        places: (17, 2) px of C's masks. chain: the levels of these that continue one another.
        match: least overlap of a box with C's mask.
    """
    candidates = merged(found)
    overlap = overlap_with_masks(candidates.boxes, masks, stride)
    levels = matched_levels(overlap, candidates.votes, candidates.middles, match)
    known = np.full((LEVELS, 2), np.nan)
    known[levels[levels >= 0]] = candidates.middles[levels >= 0]
    matched = np.isfinite(known[:, 0])
    shown = np.zeros(LEVELS, bool)
    if matched.sum() < 2:
        # Nothing to compare C's places with but themselves.
        shown[chain] = ~matched[chain]
    else:
        line = interpolated(known)
        near = np.linalg.norm(places - line, axis=1) < AGREES * usual_spacing(line)
        shown[chain] = (near & ~matched)[chain]
    known[shown] = places[shown]
    if (matched | shown).sum() < 2:
        return None
    return Column(interpolated(known), matched, shown)


def interpolated(known: Floats) -> Floats:
    """(V, 2) places with those that are NaN filled in: in a straight line between their neighbours or beyond the ends.

    Args:
        known: (V, 2) px, at least two rows without NaN.
    """
    at = np.flatnonzero(np.isfinite(known[:, 0]))
    every = np.arange(len(known))
    filled = np.stack([np.interp(every, at, known[at, k]) for k in (0, 1)], axis=1)
    few = min(3, len(at) - 1)
    first = (known[at[few]] - known[at[0]]) / (at[few] - at[0])
    last = (known[at[-1]] - known[at[-1 - few]]) / (at[-1] - at[-1 - few])
    filled[: at[0]] = known[at[0]] + (every[: at[0]] - at[0])[:, None] * first
    filled[at[-1] + 1 :] = known[at[-1]] + (every[at[-1] + 1 :] - at[-1])[:, None] * last
    return filled
