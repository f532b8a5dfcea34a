"""The fitted correction of a curve's tangents as part of a solver's learned state."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field

from aasce.config import Settings
from aasce.geometry.correction import Correction


class CorrectionState(Settings):
    """A `geometry.correction.Correction` as state.json keeps it.

    Attributes:
        matrix: 17 rows, from the tangents of a curve (degrees) to the tilts of vertebrae.
        places: positions of the 17 vertebrae, as shares of the curve's length.
    """

    matrix: tuple[tuple[float, ...], ...]
    places: tuple[float, ...]

    @classmethod
    def of(cls, correction: Correction) -> Self:
        """The state of a correction."""
        rows = tuple(tuple(float(value) for value in row) for row in correction.matrix)
        return cls(matrix=rows, places=tuple(float(value) for value in correction.places))

    @property
    def correction(self) -> Correction:
        """The correction."""
        return Correction(np.array(self.matrix, np.float64), np.array(self.places, np.float64))


def correction_of(state: CorrectionState | None, levels: int) -> Correction:
    """The fitted correction; before it is fitted, plain interpolation of `levels` tangents."""
    return Correction.plain(levels) if state is None else state.correction


class CorrectionSettings(Settings):
    """A linear map from the tilts along a curve to those of 17 vertebrae, fitted to training films.

    Attributes:
        ridge: how strongly the map is held to plain interpolation, in square degrees per film.
    """

    ridge: float = Field(default=50.0, ge=0, le=1e9)
