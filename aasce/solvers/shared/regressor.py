"""Base class of the solvers that give angles without landmarks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aasce.datasets import FilmSet
from aasce.preprocess.intensity import Bytes, is_blank
from aasce.preprocess.orientation import map_as_read, points_as_read
from aasce.scoring.metrics import film_smape
from aasce.solvers.base import BLANK_FILM, Localization, failed, merged_flags
from aasce.solvers.shared.confidence import CLOSE, confidence, fit_confidence
from aasce.solvers.shared.localized import LocalizedSolver
from aasce.solvers.shared.orientation import upright_once
from aasce.solvers.shared.samples import Floats
from aasce.types import Array, CobbAngles, Radiograph, SpinePrediction

CALIBRATION = (1.2, 0.35)
"""Offset and slope per degree of the confidence's logistic rule before validation films set them."""


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


class RegressingSolver(LocalizedSolver):
    """Predicts angles without landmarks; a subclass adds its networks, their training, and `read`."""

    @abstractmethod
    def read(self, film: Radiograph, spine: Floats | None = None) -> FilmReading | str:
        """Angles of a film, or the reason why there are none.

        Args:
            film: upright, bone bright, not blank.
            spine: (x0, y0, x1, y1) px around T1 to L5 as the localizer found them; None where it did not.
        """

    def calibrate(self, films: FilmSet | None) -> dict[str, float]:
        """Fits the confidence's rule to films that were not trained on.

        Returns:
            The scores reached on them; {} without a film that was measured.
        """
        readings = [] if films is None else [self._labelled_reading(films, k) for k in range(len(films))]
        known = [(reading, truth) for reading, truth in readings if isinstance(reading, FilmReading)]
        if not known:
            return {}
        found, true = np.stack([reading.degrees for reading, _ in known]), np.stack([t for _, t in known])
        right = np.abs(found[:, 0] - true[:, 0]) <= CLOSE
        uncertainty = np.array([reading.disagreement for reading, _ in known])
        rule = fit_confidence(uncertainty, right, CALIBRATION)
        self.learned = self.learned.model_copy(update={"calibration": rule})
        return {
            "validation_smape": float(film_smape(found, true).mean()),
            "validation_failed": len(readings) - len(known),
        }

    def _labelled_reading(self, films: FilmSet, index: int) -> tuple[FilmReading | str, Array]:
        truth = films[index].angles
        if truth is None:
            return "the film has no angles", np.zeros(3)
        return self._localized_reading(films.radiograph(index))[0], truth

    def _localized_reading(self, film: Radiograph) -> tuple[FilmReading | str, Localization]:
        if is_blank(film.pixels):
            return BLANK_FILM, Localization()
        found = self.localized(film)
        return self.read(upright_once(film, found.orientation), found.spine), found

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """Each film by itself, so that batching changes nothing."""
        return [self._predict_one(film) for film in films]

    def _predict_one(self, film: Radiograph) -> SpinePrediction:
        reading, found = self._localized_reading(film)
        if isinstance(reading, str):
            return failed(film, self.name, reading, found)
        orientation, line, mask = found.orientation, reading.centerline, reading.mask
        chance = confidence(reading.disagreement, self.learned.calibration or CALIBRATION)
        return SpinePrediction(
            film.film_id,
            film.size,
            mask=None if mask is None else map_as_read(mask, orientation),
            centerline=None if line is None else points_as_read(line, film.size, orientation),
            angles=CobbAngles(reading.degrees, "challenge"),
            orientation=orientation,
            confidence=found.limited(chance),
            flags=merged_flags(film.flags, found.flags, reading.flags),
            solver=self.name,
        )
