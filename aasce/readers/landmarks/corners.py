"""The table of corners to marked films; `aasce.writers.landmarks.corners` says how it is written."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping

from aasce.readers.landmarks.fields import count, shown
from aasce.readers.landmarks.marks import Mark, MarkedFilm
from aasce.scoring.tables import FORMULA
from aasce.types import CORNERS

NEEDED: tuple[str, ...] = ("film", "vertebra", "corner", "x", "y")
COLUMNS: tuple[str, ...] = (*NEEDED, "confidence", "height", "width")
"""Of the table; the last three may be left out."""


def is_table(text: str) -> bool:
    """Whether the first line names the columns needed."""
    return set(NEEDED) <= {cell.strip().lower() for cell in next(csv.reader([text.split("\n", 1)[0]]), [])}


def films_of(text: str) -> list[MarkedFilm]:
    """The films of the table, in the order in which they come first.

    Raises:
        ValueError: a cell cannot be read, in one line that names the line of the table.
    """
    rows = csv.DictReader(io.StringIO(text, newline=""))
    rows.fieldnames = [name.strip().lower() for name in rows.fieldnames or ()]
    marks: dict[str, list[Mark]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for row in rows:
        try:
            film = _plain(row["film"] or "")
            marks.setdefault(film, []).append(_mark(row))
            if row.get("height") and row.get("width"):
                sides = [count(_number(row, side), side) for side in ("height", "width")]
                sizes.setdefault(film, (sides[0], sides[1]))
        except ValueError as error:
            raise ValueError(f"line {rows.line_num}: {error}") from None
    return [MarkedFilm(film, tuple(found), sizes.get(film)) for film, found in marks.items()]


def _plain(name: str) -> str:
    """The film's name without the apostrophe that keeps a spreadsheet from computing it."""
    return name[1:] if name[:1] == "'" and name[1:].startswith(FORMULA) else name


def _mark(row: Mapping[str, str | None]) -> Mark:
    corner = (row["corner"] or "").strip().upper()
    if corner not in CORNERS:
        raise ValueError(f"corner {shown(row['corner'])} is none of {', '.join(CORNERS)}")
    confidence = _number(row, "confidence") if row.get("confidence") else None
    return Mark((row["vertebra"] or "").strip(), corner, _number(row, "x"), _number(row, "y"), confidence)


def _number(row: Mapping[str, str | None], key: str) -> float:
    try:
        value = float(row[key] or "")
    except ValueError:
        raise ValueError(f"{key} {shown(row[key])} is no number") from None
    if not math.isfinite(value):
        raise ValueError(f"{key} {shown(row[key])} is not finite")
    return value
