"""COCO keypoints to marked films; `aasce.writers.landmarks.coco` says how they are written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from aasce.readers import film_name
from aasce.readers.landmarks.fields import (
    Json,
    count,
    entries,
    get,
    number,
    numbers,
    optional_text,
    pair,
    shown,
    text,
)
from aasce.readers.landmarks.marks import Mark, MarkedFilm
from aasce.types import CORNERS


def films_of(content: Json) -> list[MarkedFilm]:
    """One film an image, in the order of the file.

    The level is the category's name, or where that is no level ("vertebra") the annotation's attribute `level`.
    Keypoints are px of the film, as they are in COCO: the centre of the first pixel is at (0, 0).

    Raises:
        ValueError: what the format demands is missing, in one line.
    """
    categories = {get(category, "id"): category for category in entries(content, "categories")}
    marks: dict[Any, list[Mark]] = {get(image, "id"): [] for image in entries(content, "images")}
    for annotation in entries(content, "annotations"):
        image, category = get(annotation, "image_id"), get(annotation, "category_id")
        if image not in marks or category not in categories:
            raise ValueError(
                f"annotation of image {shown(image)} and category {shown(category)}: one of them is missing"
            )
        marks[image].extend(_vertebra(annotation, categories[category]))
    return [_film(image, marks[get(image, "id")]) for image in entries(content, "images")]


def _film(image: Json, marks: list[Mark]) -> MarkedFilm:
    file = text(image, "file_name").replace("\\", "/").split("/")[-1]
    frame = image.get("frame")
    return MarkedFilm(
        film_id=optional_text(image, "film") or film_name(file),
        marks=tuple(marks),
        size=(count(get(image, "height"), "height"), count(get(image, "width"), "width")),
        file=file,
        frame=None if frame is None else count(frame, "frame"),
        spacing=pair(image, "spacing_mm"),
        spacing_source=optional_text(image, "spacing_source"),
    )


def _vertebra(annotation: Json, category: Json) -> Iterator[Mark]:
    attributes = annotation.get("attributes")
    level = optional_text(attributes, "level") or text(category, "name")
    values = numbers(annotation, "keypoints")
    names = category.get("keypoints") or [None] * (len(values) // 3)
    if len(values) != 3 * len(names):
        raise ValueError(
            f"{level}: 'keypoints' holds {len(values)} numbers for {len(names)} points, 3 are a point"
        )
    scores = annotation.get("keypoint_scores") or [None] * len(names)
    named = sorted(map(str, names)) == sorted(CORNERS)
    for k, (name, score) in enumerate(zip(names, scores, strict=False)):
        x, y, visible = values[3 * k : 3 * k + 3]
        if not visible:  # COCO's mark for a point that was left out; its place is written as 0, 0
            x = y = math.nan
        confidence = None if score is None else number(score, "keypoint_scores")
        yield Mark(level, str(name) if named else None, x, y, confidence)
