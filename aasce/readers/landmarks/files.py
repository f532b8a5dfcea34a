"""A file of landmarks in any of the kit's formats, recognised by its content."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aasce.readers.landmarks import coco, corners, labelme, records, slicer
from aasce.readers.landmarks.fields import Json
from aasce.readers.landmarks.marks import MarkedFilm, film_of
from aasce.types import AasceError, FilmFacts, SpinePrediction

FORMATS = "predictions.json, COCO keypoints, LabelMe, Slicer markups or a CSV of corners"


def read_landmarks(path: Path | str, height: int | None = None) -> list[tuple[FilmFacts, SpinePrediction]]:
    """Reads the landmarks of one or more films, as marked by the kit, a person or another program.

    Args:
        path: predictions.json, COCO keypoints, LabelMe, Slicer markups or a CSV of corners; the content tells which.
        height: rows of the films, where the file does not say.

    Returns:
        One entry a film in the order of the file. Landmarks are px of the film as read. A film whose points cannot be
        landmarks (a level or a corner missing, an unknown label, points of another film) has `failure`.

    Raises:
        AasceError: the file cannot be read, or is of none of these formats.
    """
    path = Path(path)
    text = _text(path)
    try:
        if text.lstrip()[:1] in ("{", "["):
            return _films_of_json(path, _parsed(text), height)
        if corners.is_table(text):
            return _landmarks(corners.films_of(text), height)
    except (ValueError, TypeError, AttributeError, OverflowError, csv.Error) as error:
        raise AasceError(f"{path}: {' '.join(str(error).split())}") from error
    raise AasceError(f"{path}: no landmarks in it that can be read; give {FORMATS}")


def _films_of_json(path: Path, content: Any, height: int | None) -> list[tuple[FilmFacts, SpinePrediction]]:
    keys = set(content) if isinstance(content, dict) else set()
    if {"films", "version"} <= keys:
        return records.films_of(content)
    if {"images", "annotations"} <= keys:
        return _landmarks(coco.films_of(content), height)
    if {"shapes", "imagePath"} <= keys:
        return _landmarks(labelme.films_of(content), height)
    if "markups" in keys:
        return _landmarks(slicer.films_of(content, path.name), height)
    raise ValueError(f"JSON without landmarks that can be read; give {FORMATS}")


def _landmarks(marked: Sequence[MarkedFilm], height: int | None) -> list[tuple[FilmFacts, SpinePrediction]]:
    return [film_of(film, height) for film in marked]


def _parsed(text: str) -> Json:
    try:
        content: Json = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"damaged JSON ({error.msg} in line {error.lineno}); save it again from the program that made it"
        ) from None
    except RecursionError:
        raise ValueError(f"JSON nested too deep to be landmarks; give {FORMATS}") from None
    return content


def _text(path: Path) -> str:
    if path.is_dir():
        raise AasceError(f"{path}: a folder, not a file of landmarks; name the files in it")
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise AasceError(f"{path}: no such file; check its name") from None
    except UnicodeDecodeError:
        raise AasceError(f"{path}: no text in UTF-8; give {FORMATS}") from None
    except OSError as error:
        raise AasceError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
