"""Films localized once, however many solvers ask about them one after another."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from aasce.solvers.base import Localization
from aasce.types import Array, Radiograph


class LocalizationCache:
    """Remembers what was found on a film for as long as its pixels live; keeps no film alive itself."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[weakref.ref[Array], Localization]] = {}

    def get(self, film: Radiograph, localize: Callable[[Radiograph], Localization]) -> Localization:
        """What was found on this very film before, else what `localize` finds now."""
        key = id(film.pixels)
        if key not in self._found:
            found = localize(film)
            self._found[key] = weakref.ref(film.pixels, lambda _: self._found.pop(key, None)), found
        return self._found[key][1]
