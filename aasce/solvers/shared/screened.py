"""What any solver's prediction is worth on a picture that is no radiograph."""

from __future__ import annotations

from dataclasses import replace

from aasce.preprocess.screen import film_flags
from aasce.solvers.base import UNCLEAR_CONFIDENCE, UNCLEAR_FLAG
from aasce.types import Radiograph, SpinePrediction


def screened(film: Radiograph, prediction: SpinePrediction) -> SpinePrediction:
    """The prediction, flagged and with little confidence where the film is a screenshot, a menu or a page of text.

    Args:
        film: as read.
        prediction: of that film, by any solver.
    """
    flags = film_flags(film.pixels)
    if not flags:
        return prediction
    return replace(
        prediction,
        flags=tuple(dict.fromkeys((*prediction.flags, *flags, UNCLEAR_FLAG))),
        confidence=min(prediction.confidence, UNCLEAR_CONFIDENCE),
    )
