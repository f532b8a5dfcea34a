"""How a film stands: upright or turned, bone bright or dark, and where on it a spine is seen, if one is.

The networks of the challenge's systems have seen films that are upright, show bone bright and are cropped to the
spine; any other they answer with as much confidence. A solver that can tell how a film stands and where the spine is
(`Finder`) therefore looks first, and leads them there: the same crop for all.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.spine import turn_points, turned_size
from aasce.preprocess.intensity import to_uint8
from aasce.types import Array, Radiograph

NEGATIVE = "film_negative"
TURNED = {1: "film_on_its_side", 2: "film_upside_down", 3: "film_on_its_side"}
"""Clockwise quarter turns that set a film upright to the flag that says so."""

UNCLEAR = "spine_unclear"
UNCLEAR_CHANCE = 0.3
"""Most confidence in a film on which hardly a spine is seen: about what `vertebra_field` grants at its limit."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a film stands.

    Attributes:
        turns: clockwise quarter turns that set it upright, 0 to 3.
        negative: whether it shows bone dark.
        unclear: whether hardly a frontal spine is seen on it.
        spine: (x0, y0, x1, y1) px of the film set upright, around T1 to L5; None where they are not clearly seen.
    """

    turns: int = 0
    negative: bool = False
    unclear: bool = False
    spine: NDArray[np.float64] | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know."""
        told = ((TURNED.get(self.turns, ""), self.turns), (NEGATIVE, self.negative), (UNCLEAR, self.unclear))
        return tuple(flag for flag, true in told if true)

    def upright(self, film: Radiograph) -> Radiograph:
        """The film turned upright, bone bright; itself where it stands so."""
        pixels = film.pixels
        if self.negative:
            pixels = ~to_uint8(pixels)
        if self.turns:
            pixels = np.ascontiguousarray(np.rot90(pixels, -self.turns))
        if pixels is film.pixels:
            return film
        spacing = film.spacing if self.turns % 2 == 0 or film.spacing is None else film.spacing[::-1]
        return replace(film, pixels=pixels, spacing=spacing)

    def points_as_given(self, points: Array, film: tuple[int, int]) -> NDArray[np.float64]:
        """(..., 2) px of the film set upright to px of the film as given, (H, W) of the latter."""
        return turn_points(points, turned_size(film, self.turns), -self.turns)

    def believed(self, chance: float) -> float:
        """A solver's confidence, and no more than a film without a clear spine allows."""
        return min(chance, UNCLEAR_CHANCE) if self.unclear else chance

    def pixels_as_given(self, pixels: Array) -> Array:
        """(H, W) map on the film set upright, turned back."""
        return np.ascontiguousarray(np.rot90(pixels, self.turns)) if self.turns else pixels


def standing_of(film: Radiograph, finder: Finder | None) -> Standing:
    """What the finder says of a film; without one it stands upright, bone bright."""
    return Standing() if finder is None else finder.standing(film)


@runtime_checkable
class Finder(Protocol):
    """A solver that can tell how a film stands and where its spine is."""

    def standing(self, film: Radiograph) -> Standing:
        """By one quick look."""
        ...


class Remembering:
    """A finder that looks at a film once, however many solvers ask about it one after another."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._seen: dict[int, tuple[weakref.ref[Array], Standing]] = {}

    def standing(self, film: Radiograph) -> Standing:
        """What was said of this very film, else a look at it. Nothing keeps a film's pixels alive."""
        key = id(film.pixels)
        if key not in self._seen:
            said = self._finder.standing(film)
            self._seen[key] = weakref.ref(film.pixels, lambda _: self._seen.pop(key, None)), said
        return self._seen[key][1]


@runtime_checkable
class Led(Protocol):
    """A solver that takes films to be upright, bone bright, cropped to the spine, unless a finder leads it."""

    finder: Finder | None
