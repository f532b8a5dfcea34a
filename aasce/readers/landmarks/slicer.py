"""3D Slicer's markups of one film to marked points; `aasce.writers.landmarks.slicer` says how they are written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from aasce.readers.landmarks.fields import Json, count, entries, number, numbers, optional_text, pair, text
from aasce.readers.landmarks.labelme import split_label
from aasce.readers.landmarks.marks import Mark, MarkedFilm

Floats = NDArray[np.float64]

SUFFIX = ".mrk.json"
PLAIN: Json = {"origin": [0.0, 0.0, 0.0], "column": [1.0, 0.0, 0.0], "row": [0.0, 1.0, 0.0]}
"""Where Slicer shows a film whose file tells no size of a pixel: 1 mm a pixel, the first one at the origin."""


def films_of(content: Json, name: str) -> list[MarkedFilm]:
    """The film of the file.

    Control points are labelled with level and corner ("T1 TL"). What the kit wrote of the film and of its place in
    space is read from the description of a point, which Slicer keeps; without it the place is `PLAIN`.

    Args:
        content: of the file.
        name: of the file.

    Raises:
        ValueError: what the format demands is missing, in one line.
    """
    markups = entries(content, "markups")
    points = [(markup, point) for markup in markups for point in entries(markup, "controlPoints")]
    about = _about(
        [optional_text(point, "description") for _, point in points] + [optional_text(content, "film")]
    )
    size = pair(about, "size")
    film = MarkedFilm(
        film_id=optional_text(about, "film") or name.removesuffix(SUFFIX).removesuffix(".json"),
        marks=tuple(_marks(points, about)),
        size=None if size is None else (count(size[0], "size"), count(size[1], "size")),
        file=optional_text(about, "file"),
        frame=None if about.get("frame") is None else count(about["frame"], "frame"),
        spacing=pair(about, "spacing_mm"),
        spacing_source=optional_text(about, "spacing_source"),
    )
    return [film]


def _about(descriptions: Iterable[str | None]) -> Json:
    """What the first description that is the kit's tells of the film; a person may have written others."""
    for description in descriptions:
        found = _object(description)
        if "origin" in found:
            return found
    return PLAIN


def _object(description: str | None) -> Json:
    if not description or not description.startswith("{"):
        return {}
    try:
        found = json.loads(description)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _marks(points: Iterable[tuple[Json, Json]], about: Json) -> Iterator[Mark]:
    axes = np.array([numbers(about, key, 3) for key in ("column", "row")]).T  # (3, 2) mm a px
    origin, to_px = np.array(numbers(about, "origin", 3)), np.linalg.pinv(axes)
    for markup, point in points:
        level, corner = split_label(text(point, "label"))
        confidence = _object(optional_text(point, "description")).get("confidence")
        x = y = math.nan
        if point.get("positionStatus", "defined") == "defined":
            position = np.array(numbers(point, "position", 3))
            if markup.get("coordinateSystem", "LPS") == "RAS":
                position *= [-1.0, -1.0, 1.0]
            x, y = (float(v) for v in to_px @ (position - origin))
        yield Mark(level, corner, x, y, None if confidence is None else number(confidence, "confidence"))
