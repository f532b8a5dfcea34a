"""Localizations kept in memory, so that several solvers localize a film once."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from aasce.solvers.base import Localization
from aasce.types import Array, Radiograph


class LocalizationCache:
    """Keeps the localization of each film while the film is in memory; it keeps no film in memory itself."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[weakref.ref[Array], Localization]] = {}

    def get(self, film: Radiograph, localize: Callable[[Radiograph], Localization]) -> Localization:
        """The localization of this very film.

        Args:
            film: as read.
            localize: is called if the film was not localized before.
        """
        key = id(film.pixels)
        if key not in self._found:
            found = localize(film)
            self._found[key] = weakref.ref(film.pixels, lambda _: self._found.pop(key, None)), found
        return self._found[key][1]
