"""Base class of the solvers that give angles without landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from aasce.preprocess.intensity import Bytes
from aasce.preprocess.orientation import map_as_read, points_as_read
from aasce.solvers.base import Localization, merged_flags
from aasce.solvers.shared.confidence import Rule
from aasce.solvers.shared.localized import LocalizedSolver
from aasce.solvers.shared.samples import Floats
from aasce.types import CobbAngles, Radiograph, SpinePrediction


@dataclass(frozen=True, slots=True)
class FilmReading:
    """What a method finds on an upright film.

    Attributes:
        angles: (2, 3) degrees, from the film and from its mirror image; their difference measures the uncertainty.
        mask: (H, W) uint8 of the film, 1 on vertebrae; None from a method without a mask.
        centerline: (N, 2) film px from the top; None from a method without one.
        flags: beside those of the film.
        combined: (3,) degrees from both passes together; None takes the mean of the two.
    """

    angles: Floats
    mask: Bytes | None = None
    centerline: Floats | None = None
    flags: tuple[str, ...] = ()
    combined: Floats | None = None

    @property
    def degrees(self) -> Floats:
        """(3,) the angles of the film."""
        return np.asarray(self.angles.mean(axis=0) if self.combined is None else self.combined, np.float64)

    @property
    def disagreement(self) -> float:
        """Degrees between the major angles of the film and of its mirror image."""
        return abs(float(self.angles[0, 0] - self.angles[1, 0]))


class RegressingSolver(LocalizedSolver[FilmReading]):
    """Predicts angles without landmarks; a subclass adds its networks, their training, and `read`."""

    prior: ClassVar[Rule] = (1.2, 0.35)

    def scored(self, reading: FilmReading, height: int) -> tuple[Floats, float]:
        return reading.degrees, reading.disagreement

    def prediction(self, film: Radiograph, reading: FilmReading, found: Localization) -> SpinePrediction:
        orientation, line, mask = found.orientation, reading.centerline, reading.mask
        return SpinePrediction(
            film.film_id,
            film.size,
            mask=None if mask is None else map_as_read(mask, orientation),
            centerline=None if line is None else points_as_read(line, film.size, orientation),
            angles=CobbAngles(reading.degrees, "challenge"),
            orientation=orientation,
            confidence=self.chance(reading.disagreement, found),
            flags=merged_flags(film.flags, found.flags, reading.flags),
            solver=self.name,
        )
