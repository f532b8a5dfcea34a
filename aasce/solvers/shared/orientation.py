"""What is found of a film, kept while the film is in memory, so that several solvers localize and turn it once."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from aasce.preprocess.orientation import upright_film
from aasce.types import Array, Orientation, Radiograph

T = TypeVar("T")


class FilmCache(Generic[T]):
    """Keeps something made of each film while the film is in memory; it keeps no film in memory itself."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[weakref.ref[Array], T]] = {}

    def get(self, film: Radiograph, make: Callable[[Radiograph], T]) -> T:
        """What was made of this very film.

        Args:
            film: as read.
            make: is called if nothing was made of the film before.
        """
        key = id(film.pixels)
        if key not in self._made:
            made = make(film)
            self._made[key] = weakref.ref(film.pixels, lambda _: self._made.pop(key, None)), made
        return self._made[key][1]


_TURNED: dict[Orientation, FilmCache[Radiograph]] = {}


def upright_once(film: Radiograph, orientation: Orientation) -> Radiograph:
    """The film rotated upright, bone bright, see `upright_film`; one copy for all solvers."""
    if orientation == Orientation():
        return film
    return _TURNED.setdefault(orientation, FilmCache()).get(film, lambda f: upright_film(f, orientation))
