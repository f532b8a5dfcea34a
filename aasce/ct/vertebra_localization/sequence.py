"""Which of the heatmaps' maxima are the vertebrae: the best sequence that a spine can have.

Payer et al. (2019), section 2.2: first and last visible vertebra by the heatmap with the largest value that is closest
to the top and the bottom; consecutive vertebrae 12.5 to 50 mm apart, a following one never above the previous one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aasce.ct.shared.grids import Floats
from aasce.ct.vertebra_localization.settings import SequenceSettings


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A maximum of a heatmap.

    Attributes:
        level: index of its heatmap, counted from the head.
        place: (3,) world mm.
        value: share of the target's height.
    """

    level: int
    place: Floats
    value: float


def first_and_last(candidates: Sequence[Candidate], reach: float) -> tuple[int, int]:
    """Levels of the first and the last visible vertebra.

    Args:
        candidates: at least one.
        reach: mm below the topmost (above the lowest) candidate within which the largest value decides.
    """
    z = np.array([candidate.place[2] for candidate in candidates])
    values = np.array([candidate.value for candidate in candidates])
    top = int(np.argmax(np.where(z >= z.max() - reach, values, -np.inf)))
    bottom = int(np.argmax(np.where(z <= z.min() + reach, values, -np.inf)))
    first, last = candidates[top].level, candidates[bottom].level
    return min(first, last), max(first, last)


def best_sequence(candidates: Sequence[Candidate], settings: SequenceSettings) -> list[Candidate]:
    """The sequence with the largest sum of values, from the first to the last visible vertebra (`settings.ends`).

    Each level occurs once at most. Where no maximum of a level fits, the level is left out at the price
    `settings.skipped`, and the limits of the distance hold for as many steps as were taken.

    Args:
        candidates: of all heatmaps, in any order.
        settings: limits and price.

    Returns:
        From the head; empty without candidates.
    """
    if not candidates:
        return []
    bound = settings.ends == "outermost"
    levels = [c.level for c in candidates]
    first, last = (
        first_and_last(candidates, settings.distance[0] / 2) if bound else (min(levels), max(levels))
    )
    chosen = sorted((c for c in candidates if first <= c.level <= last), key=lambda c: c.level)
    allowed = _allowed(chosen, settings)
    missing = settings.skipped if bound else 0.0
    best = np.array([c.value - missing * (c.level - first) for c in chosen])
    before = np.full(len(chosen), -1)
    for k, candidate in enumerate(chosen):
        for j in np.flatnonzero(allowed[:, k]).tolist():
            gap = candidate.level - chosen[j].level - 1
            value = best[j] + candidate.value - settings.skipped * gap
            if value > best[k]:
                best[k], before[k] = value, j
    ends = best - missing * np.array([last - c.level for c in chosen])
    k = int(np.argmax(ends))
    found = []
    while k >= 0:
        found.append(chosen[k])
        k = int(before[k])
    return found[::-1]


def _allowed(chosen: Sequence[Candidate], settings: SequenceSettings) -> NDArray[np.bool_]:
    """(N, N) whether the second may follow the first."""
    places = np.array([c.place for c in chosen])
    steps = np.array([c.level for c in chosen])
    steps = steps[None, :] - steps[:, None]
    apart = np.linalg.norm(places[None] - places[:, None], axis=-1)
    below = places[None, :, 2] <= places[:, None, 2]
    low, high = settings.distance
    return np.asarray((steps > 0) & below & (apart >= low * steps) & (apart <= high * steps))
