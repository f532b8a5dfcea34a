"""Two films of one spine, measured between the same end vertebrae.

Levels are indices into `aasce.types.VERTEBRAE`, as the earlier film counts them. Vertebrae that one film counts a level
off from the other are matched by the tilts all along the spine: these fit hardly at all when they are matched wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.cobb import tilts
from aasce.geometry.description import LEAST
from aasce.types import Array, CobbAngles

Floats = NDArray[np.float64]

COMMON = 8
"""Vertebrae that two films must share for their counts to be compared."""

CLOSER = 0.5
"""Share of the spread of tilt differences that must be left when levels are matched one off.

Of the challenge's 21 exposures that are there twice, the two counted a level off have 0.08, all others 4 or more.
"""


@dataclass(frozen=True, slots=True)
class Spine:
    """One film's spine.

    Attributes:
        landmarks: (V, 4, 2) px of the film set upright.
        first_level: level of the first vertebra as this film counts.
        angles: that chose this film's curves.
    """

    landmarks: Array
    first_level: int
    angles: CobbAngles

    def tilts(self) -> Floats:
        """(V,) degrees, without a jump of a full turn."""
        return np.unwrap(tilts(self.landmarks), period=360.0)

    def curves(self) -> Iterator[tuple[int, int]]:
        """End levels of its curves, upper first; curves of one vertebra are none."""
        for ends in self.angles.end_vertebrae:
            if ends is not None and ends[0] != ends[1]:
                yield min(ends) + self.first_level, max(ends) + self.first_level


@dataclass(frozen=True, slots=True)
class CurveChange:
    """One curve on both films, degrees.

    Attributes:
        upper, lower: levels of the end vertebrae, as the earlier film counts.
        source: the film or films on which these are the ends of a curve.
        earlier, later: Cobb angle between them; below zero where the curve bends the other way. None where a film does
            not show a vertebra.
    """

    upper: int
    lower: int
    source: Literal["earlier", "later", "both"]
    earlier: float | None
    later: float | None

    @property
    def change(self) -> float | None:
        """Later minus earlier."""
        return None if self.earlier is None or self.later is None else self.later - self.earlier


@dataclass(frozen=True, slots=True)
class Match:
    """How the vertebrae of two films belong together.

    Attributes:
        offset: levels by which the later film counts lower than the earlier: -1, 0 or 1.
        mirrored: one film shows the patient from the other side.
    """

    offset: int = 0
    mirrored: bool = False


def matched(earlier: Spine, later: Spine, mirrored: bool | None = None) -> Match:
    """Matches the vertebrae of two films by their tilts.

    Args:
        earlier: film.
        later: film.
        mirrored: whether one film shows the patient from the other side; None where the films do not say, when it is
            found out by the tilts.
    """
    asked = [False, True] if mirrored is None else [mirrored]
    spreads = {
        Match(offset, side): _spread(earlier, later, Match(offset, side))
        for side in asked
        for offset in (0, -1, 1)
    }
    as_said = Match(0, asked[0])
    best = min(spreads, key=lambda match: spreads[match])  # of equals the first: no offset, not mirrored
    return best if spreads[best] < CLOSER * spreads[as_said] else as_said


def _spread(earlier: Spine, later: Spine, match: Match) -> float:
    """Standard deviation of the tilts' differences, degrees; infinite with too few vertebrae in common."""
    first, second = _by_level(earlier), _by_level(later)
    common = [level for level in first if level + match.offset in second]
    if len(common) < COMMON:
        return np.inf
    sign = -1.0 if match.mirrored else 1.0
    return float(np.std([sign * second[level + match.offset] - first[level] for level in common]))


def _by_level(spine: Spine) -> dict[int, float]:
    return {spine.first_level + v: float(tilt) for v, tilt in enumerate(spine.tilts())}


def changes(earlier: Spine, later: Spine, match: Match) -> list[CurveChange]:
    """Every curve of either film, measured on both between the same end vertebrae.

    Those of the earlier film come first, in its order. Curves under 10 degrees on both films are left out, save the
    earlier film's major one. Where the films count levels differently, an end that one of them does not show moves by
    that one level.

    Args:
        earlier: film.
        later: film.
        match: see `matched`.
    """
    offset = match.offset
    first = _by_level(earlier)
    sign = -1.0 if match.mirrored else 1.0
    second = {level - offset: sign * tilt for level, tilt in _by_level(later).items()}
    ours = [_moved(ends, first, second, offset) for ends in earlier.curves()]
    theirs = [_moved((u - offset, w - offset), first, second, offset) for u, w in later.curves()]
    found = []
    for ends in dict.fromkeys([*ours, *theirs]):
        source: Literal["earlier", "later", "both"] = (
            "both" if ends in ours and ends in theirs else "earlier" if ends in ours else "later"
        )
        pair = _bend(first, ends), _bend(second, ends)
        chosen = pair[1] if source == "later" else pair[0]
        way = -1.0 if chosen is not None and chosen < 0 else 1.0
        before, after = (None if bend is None else way * bend for bend in pair)
        largest = max((value for value in (before, after) if value is not None), default=0.0)
        if ends == ours[0] or largest >= LEAST:
            found.append(CurveChange(*ends, source, before, after))
    return found


def _moved(
    ends: tuple[int, int], first: dict[int, float], second: dict[int, float], offset: int
) -> tuple[int, int]:
    """Ends moved inwards, by the offset at most, to levels that both films show."""

    def shown(level: int, step: int) -> int:
        return level + step if offset and not (level in first and level in second) else level

    return shown(ends[0], 1), shown(ends[1], -1)


def _bend(levels: dict[int, float], ends: tuple[int, int]) -> float | None:
    """Tilt of the upper end vertebra minus that of the lower one, degrees."""
    upper, lower = ends
    return levels[upper] - levels[lower] if upper in levels and lower in levels else None
