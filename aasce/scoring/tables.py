"""Angle tables: the challenge's submission format, the organisers' own label pair, and data frames.

A table with a header starts with the columns `name,an1,an2,an3`; what follows them (confidence, flags, ...)
is allowed and ignored. The organisers' `angles.csv` has no header and no names: it is read when a
`filenames.csv` with as many lines lies beside it. Names are compared without the extension of a film.

Files are read with the csv module: pandas fills up short rows and drops the line numbers, both of which the error
messages name.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aasce.types import AasceError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Row = tuple[object, list[str]]

HEADER: tuple[str, ...] = ("name", "an1", "an2", "an3")
WANTED = ",".join(HEADER)
FILM_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".dcm", ".dicom", ".ima", ".mat")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
LARGEST = 360.0  # degrees: beyond a full turn a number is no angle


@dataclass(frozen=True, slots=True)
class AngleTable:
    """One table as read.

    Attributes:
        source: the file, or how the caller calls a frame.
        names: N film names without extension, in the order of the table.
        degrees: (N, 3) float64, finite and not negative.
        extra: names of the columns after an3, which nothing here reads.
    """

    source: Path | str
    names: tuple[str, ...]
    degrees: Floats
    extra: tuple[str, ...] = ()


def spreadsheet_safe(text: str) -> str:
    """Text that a spreadsheet shows and does not compute: before a first = + - @ or control character stands a "'".

    Source: OWASP, "CSV Injection".
    """
    return f"'{text}" if text.startswith(FORMULA) else text


def film_name(text: str) -> str:
    """The film's name without the extension of a film; other dots belong to the name.

    The apostrophe that `spreadsheet_safe` puts before a name is taken off again.
    """
    name = _plain(text)
    for suffix in FILM_SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def film_names(texts: Sequence[str]) -> list[str]:
    """`film_name` of each; names that differ by their extensions alone keep them, as two films of one call do."""
    names = [film_name(text) for text in texts]
    written: dict[str, set[str]] = {}
    for name, text in zip(names, texts, strict=True):
        written.setdefault(name, set()).add(_plain(text))
    apart = {name for name, forms in written.items() if len(forms) > 1 and name not in forms}
    return [_plain(text) if name in apart else name for name, text in zip(names, texts, strict=True)]


def _plain(text: str) -> str:
    name = text.strip()
    return name[1:] if name[:1] == "'" and name[1:].startswith(FORMULA) else name


def read_angles_csv(path: Path | str) -> tuple[tuple[str, ...], Floats]:
    """Reads a table of angles.

    Args:
        path: a CSV with the header `name,an1,an2,an3`, or the organisers' headerless angles.csv with its
            filenames.csv in the same folder.

    Returns:
        N film names without extension and (N, 3) float64 degrees, in the order of the file.

    Raises:
        AasceError: see `read_table`.
    """
    table = read_table(path)
    return table.names, table.degrees


def read_table(path: Path | str) -> AngleTable:
    """As `read_angles_csv`, with the names of the ignored columns.

    Raises:
        AasceError: the file is missing, empty or no text; the header is missing or its columns are in another
            order; a row is too short or too long, has no name, repeats a film, or holds an angle that is
            missing, no number, not finite, negative or over 360 degrees. The line names file, row and film.
    """
    path = Path(path)
    rows = _rows(path)
    if not rows:
        raise AasceError(f"{path}: is empty; write the header {WANTED!r} and one row for each film")
    header = tuple(cell.strip().lower() for cell in rows[0][1])
    if header[: len(HEADER)] != HEADER:
        if len(header) == 3 and all(_is_number(cell) for cell in header):
            return _organisers_pair(path, rows)
        raise AasceError(f"{path}: {_header_fault(header)}")
    if len(rows) == 1:
        raise AasceError(f"{path}: has a header and no rows; write one row for each film")
    return _named_rows(path, header, rows[1:])


def table_of_frame(frame: pd.DataFrame, source: str) -> AngleTable:
    """A table of angles from a data frame, such as `aasce.measure` returns.

    Args:
        frame: one row a film, with the columns name, an1, an2, an3 in any order; its index serves as `name` if it
            is called so.
        source: what error messages call the frame.

    Raises:
        AasceError: a column is missing or there twice, there is no row, or a row is one that `read_table` refuses.
    """
    if frame.index.name == HEADER[0]:
        frame = frame.reset_index()
    columns = [str(column) for column in frame.columns]
    if len(set(columns)) < len(columns) or not set(HEADER) <= set(columns):
        raise AasceError(
            f"{source}: has the columns {','.join(columns)[:80]!r}; each of {WANTED} is needed once"
        )
    if frame.empty:
        raise AasceError(f"{source}: has no rows; give one row for each film")
    extra = tuple(column for column in columns if column not in HEADER)
    texts = frame.set_axis(columns, axis=1)[[*HEADER, *extra]].astype(object)
    cells = texts.where(texts.notna(), "").astype(str).to_numpy().tolist()
    return _named_rows(source, (*HEADER, *extra), list(zip(frame.index, cells, strict=True)))


def _rows(path: Path) -> list[Row]:
    """Line numbers (from 1, the line a row ends on) and cells of every line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except FileNotFoundError as error:
        raise AasceError(f"{path}: no such file; name a CSV with the columns {WANTED}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise AasceError(f"{path}: cannot be read ({reason}); name a readable CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise AasceError(f"{path}: is no CSV text in UTF-8; save it again as 'CSV UTF-8'") from error


def _header_fault(header: Sequence[str]) -> str:
    shown = ",".join(header)[:80]
    if set(HEADER) <= set(header):
        return f"the columns are in the order {shown!r}; put {WANTED} first, with their values"
    if len(header) > 1 and all(_is_number(cell) for cell in header[1:]):
        return f"has no header; put {WANTED!r} on the first line"
    if len(header) == 1 and ";" in shown:
        return "its columns are parted by ';'; save it again with commas"
    return f"the header is {shown!r}; the first line must be {WANTED!r}"


def _named_rows(source: Path | str, header: tuple[str, ...], rows: Sequence[Row]) -> AngleTable:
    names = film_names([cells[0] for _, cells in rows])
    degrees: list[list[float]] = []
    for name, (line, cells) in zip(names, rows, strict=True):
        where = f"{source}, row {line}" + (f" (film {name!r})" if name else "")
        if len(cells) != len(header):
            raise AasceError(f"{where}: has {len(cells)} cells, the header {len(header)}; complete the row")
        if not name:
            raise AasceError(f"{where}: has no film name; write it in the first column")
        degrees.append(_angles(where, cells[1:4], _failure_text(header, cells)))
    _refuse_repeats(source, names, [line for line, _ in rows])
    return AngleTable(source, tuple(names), np.array(degrees, dtype=np.float64), header[len(HEADER) :])


def _failure_text(header: tuple[str, ...], cells: Sequence[str]) -> str:
    return cells[header.index("failure")].strip() if "failure" in header else ""


def _organisers_pair(path: Path, rows: Sequence[Row]) -> AngleTable:
    """angles.csv and filenames.csv as the challenge released them: no headers, one film a line."""
    partner = path.with_name("filenames.csv")
    if partner == path or not partner.is_file():
        raise AasceError(
            f"{path}: has three columns and no header; put {WANTED!r} on the first line, or the organisers' "
            "filenames.csv beside it"
        )
    listed = _rows(partner)
    if len(listed) != len(rows):
        raise AasceError(
            f"{path}: has {len(rows)} rows, {partner.name} {len(listed)}; take both from one set"
        )
    # A film name may hold a comma; the organisers do not quote it.
    names = film_names([",".join(cells) for _, cells in listed])
    degrees = []
    for name, (line, cells) in zip(names, rows, strict=True):
        where = f"{path}, row {line} (film {name!r})"
        if len(cells) != 3:
            raise AasceError(f"{where}: has {len(cells)} cells, not the three angles; complete the row")
        degrees.append(_angles(where, cells, ""))
    _refuse_repeats(partner, names, [line for line, _ in listed])
    return AngleTable(path, tuple(names), np.array(degrees, dtype=np.float64))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python reads 1_000 as a number, no other program does


def _angles(where: str, cells: Sequence[str], failure: str) -> list[float]:
    """Three checked angles of one row; `failure` is the text of its failure column."""
    if failure and not any(cell.strip() for cell in cells):
        raise AasceError(
            f"{where}: has no angles, it failed ({failure!r}); score the submission, which holds the "
            "training median for it, or take the film out of both tables"
        )
    values = []
    for column, cell in zip(HEADER[1:], cells, strict=True):
        if not cell.strip():
            raise AasceError(f"{where}: {column} is empty; write an angle in degrees")
        if not _is_number(cell):
            raise AasceError(f"{where}: {column} is {cell!r}, no number; write an angle in degrees")
        value = float(cell)
        if not math.isfinite(value):
            raise AasceError(f"{where}: {column} is {cell.strip()}; write a finite angle, every film counts")
        if value < 0:
            raise AasceError(f"{where}: {column} is {cell.strip()}, negative; write its size, 0 or more")
        if value > LARGEST:
            raise AasceError(f"{where}: {column} is {cell.strip()}, over a full turn; write degrees")
        values.append(value)
    return values


def _refuse_repeats(source: Path | str, names: Sequence[str], lines: Sequence[object]) -> None:
    first: dict[str, object] = {}
    for name, line in zip(names, lines, strict=True):
        if name in first:
            raise AasceError(f"{source}, row {line}: film {name!r} is on row {first[name]} too; keep one")
        first[name] = line


def align(predicted: AngleTable, truth: AngleTable, partial: bool = False) -> tuple[Floats, AngleTable]:
    """(N, 3) predicted degrees in the order of `truth`, and the truth of the same films.

    Args:
        predicted: what is scored.
        truth: what it is scored against.
        partial: leave films without a prediction out of both, as for some folds of a cross-validation.

    Raises:
        AasceError: films are missing from the predictions (unless `partial`, when at least one film must be
            common), or surplus; both are named in one line.
    """
    index = {name: i for i, name in enumerate(predicted.names)}
    known = set(truth.names)
    if partial:
        kept = [i for i, name in enumerate(truth.names) if name in index]
        if kept:
            names = tuple(truth.names[i] for i in kept)
            truth = replace(truth, names=names, degrees=truth.degrees[kept])
    missing = [name for name in truth.names if name not in index]
    surplus = [name for name in predicted.names if name not in known]
    faults = []
    if missing:
        faults.append(f"lacks {_listed(missing)}, predict every film")
    if surplus:
        faults.append(f"holds {_listed(surplus)} that {truth.source} does not have, take out the surplus")
    if faults:
        raise AasceError(f"{predicted.source}: {'; '.join(faults)}")
    return predicted.degrees[[index[name] for name in truth.names]], truth


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    count = f"{len(names)} film{'s' if len(names) > 1 else ''}"
    return f"{count} ({shown}{', ...' if len(names) > most else ''})"
