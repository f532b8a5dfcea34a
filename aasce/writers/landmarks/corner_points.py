"""What every format writes of a film: its vertebrae with their corners, as far as they were found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aasce.ensemble.combine import Measurement
from aasce.geometry.description import level_name
from aasce.types import CORNERS, FilmFacts

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Vertebra:
    """One vertebra of a film.

    Attributes:
        level: its name.
        corners: name of the corner to (x, y) px of the film as read; those that are not finite are left out.
        confidence: name of the corner to [0, 1], empty where the solver gives none.
    """

    level: str
    corners: dict[str, tuple[float, float]]
    confidence: dict[str, float]


def vertebrae_of(measurement: Measurement) -> list[Vertebra]:
    """The vertebrae of a film from the uppermost; none for a film without landmarks."""
    p = measurement.prediction
    if p.landmarks is None:
        return []
    found = []
    for v, corners in enumerate(np.asarray(p.landmarks, dtype=np.float64)):
        points = {
            name: (float(x), float(y))
            for name, (x, y) in zip(CORNERS, corners, strict=True)
            if np.isfinite((x, y)).all()
        }
        scores = [] if p.landmark_confidence is None else [float(c) for c in p.landmark_confidence[v]]
        confidence = {name: score for name, score in zip(CORNERS, scores, strict=False) if name in points}
        found.append(Vertebra(level_name(p.first_level, v), points, confidence))
    return found


def source_name(facts: FilmFacts) -> str:
    """Name of the film's file without its folders; the film's own name for one made in memory."""
    return facts.film_id if facts.path is None else facts.path.name


def film_keys(facts: FilmFacts) -> dict[str, object]:
    """What the formats with room for more keys keep of a film, so that it comes back as it went."""
    return {
        "film": facts.film_id,
        "frame": facts.frame,
        "spacing_mm": None if facts.spacing is None else [float(mm) for mm in facts.spacing],
        "spacing_source": facts.spacing_source,
    }
