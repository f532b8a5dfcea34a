"""Base class of the solvers that find the corners of vertebrae on films cropped to the spine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from aasce.geometry.cobb import cobb_angles
from aasce.geometry.spine import leaves_film
from aasce.preprocess.intensity import Bytes
from aasce.preprocess.orientation import map_as_read, points_as_read
from aasce.solvers.base import Localization, merged_flags
from aasce.solvers.shared.confidence import Rule
from aasce.solvers.shared.localized import LocalizedSolver
from aasce.solvers.shared.samples import Floats
from aasce.types import VERTEBRAE, CobbAngles, Radiograph, SpinePrediction


@dataclass(frozen=True, slots=True)
class LandmarkReading:
    """What a method finds on an upright film.

    Attributes:
        landmarks: (V, 4, 2) px of the upright film, TL, TR, BL, BR, from the top.
        confidence: (V, 4) in [0, 1]; 0 at vertebrae that were not seen but filled in.
        uncertainty: degrees, expected error of the major angle, such as the difference of two passes.
        flags: beside those of the film, and beside "vertebra_missing" and "curve_leaves_film".
        centerline: (N, 2) px from the top; None takes the centres of the vertebrae.
        mask: (H, W) uint8 of the upright film, 1 on vertebrae; None from a method without a mask.
        angles: where the method has a rule of its own; None measures the landmarks.
        first_level: index of the uppermost vertebra, see `SpinePrediction`.
    """

    landmarks: Floats
    confidence: Floats
    uncertainty: float = 0.0
    flags: tuple[str, ...] = ()
    centerline: Floats | None = None
    mask: Bytes | None = None
    angles: CobbAngles | None = None
    first_level: int = 0

    def degrees(self, height: int) -> Floats:
        """(3,) degrees of the film.

        Args:
            height: rows of the upright film.
        """
        angles = self.angles or cobb_angles(self.landmarks, height)
        return np.asarray(angles.degrees, np.float64)


class LandmarkSolver(LocalizedSolver[LandmarkReading]):
    """Predicts landmarks; a subclass adds its networks, their training, and `read`."""

    prior: ClassVar[Rule] = (1.5, 0.35)

    def scored(self, reading: LandmarkReading, height: int) -> tuple[Floats, float]:
        return reading.degrees(height), reading.uncertainty

    def prediction(self, film: Radiograph, reading: LandmarkReading, found: Localization) -> SpinePrediction:
        lay, size = found.orientation, film.size
        landmarks = points_as_read(reading.landmarks, size, lay)
        line = reading.landmarks.mean(axis=1) if reading.centerline is None else reading.centerline
        return SpinePrediction(
            film.film_id, size, landmarks=landmarks, landmark_confidence=reading.confidence,
            centerline=points_as_read(line, size, lay),
            mask=None if reading.mask is None else map_as_read(reading.mask, lay),
            angles=reading.angles, orientation=lay, confidence=self.chance(reading.uncertainty, found),
            flags=merged_flags(film.flags, found.flags, reading.flags, _landmark_flags(reading, landmarks, size)),
            solver=self.name, first_level=reading.first_level,
        )  # fmt: skip


def _landmark_flags(reading: LandmarkReading, landmarks: Floats, size: tuple[int, int]) -> list[str]:
    flags = []
    if len(landmarks) < len(VERTEBRAE) or (reading.confidence == 0).all(axis=1).any():
        flags.append("vertebra_missing")
    if leaves_film(landmarks, size):
        flags.append("curve_leaves_film")
    return flags
