"""`--report`: pieces of each film while the batch is measured, report.html and report.pdf at its end."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aasce.ensemble.combine import Measurement
from aasce.files import atomic_write, write_text
from aasce.preprocess.orientation import upright_film
from aasce.readers.identity import identity_of
from aasce.types import FilmFacts, Orientation, Radiograph
from aasce.writers.overlay import draw_measured
from aasce.writers.page import windowed
from aasce.writers.report.entries import Entry, entry_of
from aasce.writers.report.html import write_html
from aasce.writers.report.pdf import write_pdf

PIECES = ".report"
"""Folder of the pictures until `close` has put them into the report; an interrupted batch keeps it."""

PICTURE_ROWS, THUMBNAIL_ROWS = 800, 96
QUALITY = 65
"""Of the JPEGs: a report of 500 films has some 30 MB."""


class Report:
    """The pages of a batch.

    Args:
        identify: show what the header says of the patient.
    """

    def __init__(self, identify: bool = False) -> None:
        self.identify = identify

    def add(self, folder: Path, film: Radiograph, measurement: Measurement) -> None:
        """Draws the film's overlay, so that its pixels need not be kept; see `aasce.commands.exports.Export`."""
        key = folder / PIECES / _key(film.film_id)
        overlay = draw_measured(film, measurement)
        _save(key.with_suffix(".jpg"), _shrunk(overlay, PICTURE_ROWS))
        upright = upright_film(film, Orientation(measurement.prediction.orientation.turns))
        columns = max(1, round(upright.width * THUMBNAIL_ROWS / upright.height))
        _save(key.with_suffix(".small.jpg"), windowed(upright.pixels, THUMBNAIL_ROWS, columns))
        if self.identify:
            write_text(key.with_suffix(".json"), json.dumps(identity_of(film.path)))

    def close(self, folder: Path, measured: Sequence[tuple[FilmFacts, Measurement]]) -> None:
        """Writes report.html and report.pdf, films that failed or have flags first."""
        pieces = folder / PIECES
        entries = sorted((self._entry(pieces, *film) for film in measured), key=lambda entry: entry.rank)
        write_html(folder / "report.html", entries)
        write_pdf(folder / "report.pdf", entries)
        shutil.rmtree(pieces, ignore_errors=True)

    def _entry(self, pieces: Path, facts: FilmFacts, measurement: Measurement) -> Entry:
        key = pieces / _key(facts.film_id)
        picture, thumbnail = (_there(key.with_suffix(suffix)) for suffix in (".jpg", ".small.jpg"))
        header = _there(key.with_suffix(".json")) if self.identify else None
        identity = () if header is None else tuple((k, v) for k, v in json.loads(header.read_text("utf-8")))
        return entry_of(facts, measurement, identity, picture, thumbnail)


def _key(film_id: str) -> str:
    """A file name for any name of a film."""
    return hashlib.sha256(film_id.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _there(path: Path) -> Path | None:
    return path if path.is_file() else None


def _shrunk(overlay: NDArray[np.uint8], rows: int) -> NDArray[np.uint8]:
    height, width = overlay.shape[:2]
    if height <= rows:
        return overlay
    columns = max(1, round(width * rows / height))
    return np.asarray(cv2.resize(overlay, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def _save(path: Path, picture: NDArray[np.uint8]) -> None:
    with atomic_write(path) as temporary:
        Image.fromarray(picture).save(temporary, format="JPEG", quality=QUALITY, optimize=True)
