"""Measured films made by hand, for the tests of what is written of them and read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aasce.ensemble.combine import Measurement, with_angles
from aasce.geometry.spine import turn_points, turned_size
from aasce.types import FilmFacts, Orientation, SpinePrediction
from tests.synthetic import SIZE, bent_spine

Row = tuple[FilmFacts, Measurement]
RAW = 1 / 3
"""px by which corners lie off whole pixels: no decimal fraction, so that rounding would show."""


def boxes(*tilts: float, size: tuple[int, int] = (400, 200)) -> NDArray[np.float64]:
    """(V, 4, 2) px: bodies of 40 x 20 px one below the other, 40 px apart, each tilted by so many degrees."""
    corners = np.array([(-20.0, -10.0), (20.0, -10.0), (-20.0, 10.0), (20.0, 10.0)])
    found = []
    for v, tilt in enumerate(np.radians(tilts)):
        turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
        found.append(corners @ turn + [size[1] / 2, 60 + 40 * v])
    return np.array(found)


def row(
    name: str,
    landmarks: NDArray[np.float64] | None = None,
    turns: int = 0,
    first: int = 0,
    spacing: tuple[float, float] | None = None,
    failure: str | None = None,
) -> Row:
    """A film that shows a spine from level `first` on, and lies so that `turns` quarter turns set it upright."""
    if landmarks is None:
        landmarks = bent_spine(40)[first:] + RAW
    lying = turn_points(landmarks, SIZE, -turns % 4)
    prediction = SpinePrediction(
        name,
        turned_size(SIZE, turns),
        landmarks=None if failure else lying,
        landmark_confidence=None if failure else np.full(landmarks.shape[:2], 2 / 3),
        centerline=None if failure else lying.mean(axis=1),
        orientation=Orientation(turns),
        confidence=0.0 if failure else 5 / 7,
        flags=("levels_unsure",),
        solver="made",
        failure=failure,
        first_level=first,
    )
    source = None if spacing is None else "ImagerPixelSpacing"
    facts = FilmFacts(name, Path(f"{name}.png"), None, prediction.size, spacing, source, None, None)
    return facts, with_angles(prediction)


def films() -> list[Row]:
    """A film with spacing, one without that lies on its side, one that shows 15 vertebrae from T3, one that failed."""
    return [
        row("plain", spacing=(0.14, 0.14)),
        row("turned", turns=1),
        row("over", turns=2, spacing=(0.2, 0.2)),
        row("from-t3", first=2),
        row("failed", failure="no spine was found"),
    ]


def with_path(film: Row, path: Path) -> Row:
    return replace(film[0], path=path), film[1]
