"""LabelMe's file of one film to marked points; `aasce.writers.landmarks.labelme` says how it is written."""

from __future__ import annotations

from collections.abc import Iterator

from aasce.readers import film_name
from aasce.readers.landmarks.fields import Json, count, entries, numbers, optional_text, pair, text
from aasce.readers.landmarks.marks import Mark, MarkedFilm
from aasce.types import CORNERS

CENTRE = 0.5
"""LabelMe draws on the plane on which the first pixel covers 0 to 1: its centre is at (0.5, 0.5)."""


def films_of(content: Json) -> list[MarkedFilm]:
    """The film of the file.

    A vertebra is a polygon of four points with its level as label, drawn from any corner in any direction, or four
    points, labelled with the level ("T1") or with level and corner ("T1 TL").

    Raises:
        ValueError: what the format demands is missing, in one line.
    """
    file = text(content, "imagePath").replace("\\", "/").split("/")[-1]
    marks = [mark for shape in entries(content, "shapes") for mark in _shape(shape)]
    sides = [content.get("imageHeight"), content.get("imageWidth")]
    frame = content.get("frame")
    film = MarkedFilm(
        film_id=optional_text(content, "film") or film_name(file),
        marks=tuple(marks),
        size=None if None in sides else (count(sides[0], "imageHeight"), count(sides[1], "imageWidth")),
        file=file,
        frame=None if frame is None else count(frame, "frame"),
        spacing=pair(content, "spacing_mm"),
        spacing_source=optional_text(content, "spacing_source"),
    )
    return [film]


def _shape(shape: Json) -> Iterator[Mark]:
    label = text(shape, "label")
    level, corner = split_label(label)
    points = entries(shape, "points")
    for k in range(len(points)):
        x, y = numbers({label: points[k]}, label, 2)
        yield Mark(level, corner, x - CENTRE, y - CENTRE)


def split_label(label: str) -> tuple[str, str | None]:
    """Level and corner of a point's label: "T1 TL" or "T1"."""
    words = label.replace("-", " ").replace("_", " ").split()
    if len(words) == 2 and words[1].upper() in CORNERS:
        return words[0], words[1].upper()
    return label, None
