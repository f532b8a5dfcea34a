"""What any solver's prediction is worth on a picture that is no radiograph, or where metal covers the spine."""

from __future__ import annotations

from dataclasses import replace

from aasce.preprocess.metal import HARDWARE, has_hardware
from aasce.preprocess.screen import film_flags
from aasce.solvers.base import UNCLEAR_CONFIDENCE, UNCLEAR_FLAG, merged_flags
from aasce.types import Radiograph, SpinePrediction


def screened(film: Radiograph, prediction: SpinePrediction) -> SpinePrediction:
    """The prediction with what its film's pixels say of it.

    A screenshot, a menu or a page of text is flagged and gets little confidence. Metal over the column is flagged,
    where landmarks say where that is.

    Args:
        film: as read.
        prediction: of that film, by any solver.
    """
    flags = film_flags(film.pixels)
    if flags:
        return replace(
            prediction,
            flags=merged_flags(prediction.flags, flags, (UNCLEAR_FLAG,)),
            confidence=min(prediction.confidence, UNCLEAR_CONFIDENCE),
        )
    if not _implanted(film, prediction):
        return prediction
    return replace(prediction, flags=merged_flags(prediction.flags, (HARDWARE,)))


def _implanted(film: Radiograph, prediction: SpinePrediction) -> bool:
    landmarks = prediction.landmarks
    if landmarks is None or len(landmarks) < 2:
        return False
    return has_hardware(film.pixels, landmarks, prediction.orientation.negative)
