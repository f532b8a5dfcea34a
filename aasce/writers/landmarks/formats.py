"""The formats of `aasce predict --format`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from aasce.ensemble.combine import Measurement
from aasce.types import AasceError, FilmFacts
from aasce.writers.landmarks import coco, corners, labelme, slicer

Write: TypeAlias = Callable[[Path, Sequence[tuple[FilmFacts, Measurement]]], None]

FORMATS: Mapping[str, Write] = {
    "coco": coco.write,
    "labelme": labelme.write,
    "slicer": slicer.write,
    "corners": corners.write,
}
"""Name of a format to what writes the films of one call into a folder."""


def check_formats(names: Sequence[str]) -> None:
    """Raises AasceError for a name that is no format."""
    for name in names:
        if name not in FORMATS:
            raise AasceError(f"--format {name!r} is not known; give {', '.join(FORMATS)}")


def write_landmarks(
    folder: Path, rows: Sequence[tuple[FilmFacts, Measurement]], formats: Sequence[str]
) -> None:
    """Writes the landmarks of the films in each format.

    Args:
        folder: the files get names of their own in it.
        rows: every film, those that failed included; of one that could not even be read, nothing is written.
        formats: names, see `FORMATS`.

    Raises:
        AasceError: a name is unknown, or a file cannot be written.
    """
    check_formats(formats)
    seen = [row for row in rows if all(row[0].size)]
    for name in dict.fromkeys(formats):
        FORMATS[name](folder, seen)
