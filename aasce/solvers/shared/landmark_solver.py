"""Base class of the solvers that find the corners of vertebrae on films cropped to the spine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aasce.datasets import FilmSet
from aasce.geometry.cobb import cobb_angles
from aasce.geometry.spine import leaves_film, turned_size
from aasce.preprocess.intensity import Bytes, is_blank
from aasce.preprocess.orientation import map_as_read, points_as_read
from aasce.scoring.metrics import film_smape
from aasce.solvers.base import BLANK_FILM, Localization, failed, merged_flags
from aasce.solvers.shared.confidence import CLOSE, confidence, fit_confidence
from aasce.solvers.shared.localized import LocalizedSolver
from aasce.solvers.shared.orientation import upright_once
from aasce.solvers.shared.samples import Floats
from aasce.types import VERTEBRAE, CobbAngles, Radiograph, SpinePrediction

CALIBRATION = (1.5, 0.35)
"""Offset and slope per degree of the confidence's logistic rule before validation films set them."""


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


class LandmarkSolver(LocalizedSolver):
    """Predicts landmarks; a subclass adds its networks, their training, and `read`."""

    @abstractmethod
    def read(self, film: Radiograph, spine: Floats | None = None) -> LandmarkReading | str:
        """Landmarks of a film, or the reason why there are none.

        Args:
            film: upright, bone bright, not blank.
            spine: (x0, y0, x1, y1) px around T1 to L5 as the localizer found them; None where it did not.
        """

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """Each film by itself, so that batching changes nothing."""
        return [self._predict_one(film) for film in films]

    def calibrate(self, films: FilmSet | None) -> dict[str, Any]:
        """Fits the confidence's rule to films that were not trained on.

        Returns:
            The scores reached on them; {} without a film that was measured.
        """
        count = 0 if films is None else len(films)
        found, true, uncertainty = [], [], []
        for index in range(count):
            assert films is not None
            truth, film = films[index].angles, films.radiograph(index)
            reading, lies = self._localized_reading(film)
            if truth is None or isinstance(reading, str):
                continue
            found.append(reading.degrees(turned_size(film.size, lies.orientation.turns)[0]))
            true.append(truth)
            uncertainty.append(reading.uncertainty)
        if not found:
            return {}
        angles, labels = np.stack(found), np.stack(true)
        right = np.abs(angles[:, 0] - labels[:, 0]) <= CLOSE
        rule = fit_confidence(np.array(uncertainty), right, CALIBRATION)
        self.learned = self.learned.model_copy(update={"calibration": rule})
        smape = float(film_smape(angles, labels).mean())
        return {"validation_smape": smape, "validation_failed": count - len(found)}

    def _localized_reading(self, film: Radiograph) -> tuple[LandmarkReading | str, Localization]:
        if is_blank(film.pixels):
            return BLANK_FILM, Localization()
        found = self.localized(film)
        return self.read(upright_once(film, found.orientation), found.spine), found

    def _predict_one(self, film: Radiograph) -> SpinePrediction:
        reading, found = self._localized_reading(film)
        if isinstance(reading, str):
            return failed(film, self.name, reading, found)
        lay, size = found.orientation, film.size
        landmarks = points_as_read(reading.landmarks, size, lay)
        line = reading.landmarks.mean(axis=1) if reading.centerline is None else reading.centerline
        chance = confidence(reading.uncertainty, self.learned.calibration or CALIBRATION)
        return SpinePrediction(
            film.film_id, size, landmarks=landmarks, landmark_confidence=reading.confidence,
            centerline=points_as_read(line, size, lay),
            mask=None if reading.mask is None else map_as_read(reading.mask, lay),
            angles=reading.angles, orientation=lay, confidence=found.limited(chance),
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
