"""The challenge's label files: names, landmarks and angles, as the organisers wrote them.

They are read line by line, not by pandas, which fills up short lines: errors name the first line that is wrong and how
many columns it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aasce.types import AasceError

Floats = NDArray[np.float64]
POINTS = 68


def read_names(path: Path) -> list[str]:
    """File names of a `filenames.csv`: one a line, no header, CRLF or LF, spaces allowed."""
    names = [line.strip() for line in _text(path).splitlines()]
    names = [name.strip('"') for name in names if name]
    if not names:
        raise AasceError(f"{path}: holds no film name; write one file name a line")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise AasceError(f"{path}: lists {twice!r} twice; remove one of its lines")
    return names


def read_table(path: Path, columns: int) -> Floats:
    """(N, columns) float64 of a CSV without header.

    Raises:
        AasceError: naming the first line that is not `columns` finite numbers.
    """
    rows = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        rows.append(_numbers(line, columns, f"{path}: line {number}"))
    if not rows:
        raise AasceError(f"{path}: is empty; it holds {columns} numbers a line, one line a film")
    return np.array(rows, dtype=np.float64)


def _numbers(line: str, columns: int, where: str) -> list[float]:
    cells = line.split(",")
    if len(cells) != columns:
        raise AasceError(f"{where} has {len(cells)} columns, not {columns}; restore the organisers' file")
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        raise AasceError(f"{where} holds text where a number belongs; the file has no header line") from None
    if not np.isfinite(values).all():
        raise AasceError(f"{where} holds a number that is not finite; correct or remove that film")
    return values


def landmarks_from_csv(row: Floats, size: tuple[int, int]) -> Floats:
    """Turns one line of `landmarks.csv` into pixels.

    Args:
        row: (136,) x1..x68 then y1..y68, divided by the film's own width and height.
        size: (H, W) of that film.

    Returns:
        (17, 4, 2) px.
    """
    height, width = size
    points = np.stack([row[:POINTS] * width, row[POINTS:] * height], axis=-1)
    return points.reshape(-1, 4, 2)


def read_mat(path: Path) -> Floats:
    """(17, 4, 2) px of a `<film>.jpg.mat`: key p2, uint16, (68, 2), cast before anyone subtracts."""
    from scipy.io import loadmat  # takes a third of a second, which measuring films does not need

    if not path.is_file():
        raise AasceError(f"{path}: no such label file; restore it, or read the labels from landmarks.csv")
    try:
        content: dict[str, Any] = loadmat(str(path), variable_names=["p2"])
    except Exception as error:  # scipy raises a dozen kinds of exception for a damaged file
        raise AasceError(f"{path}: not a readable .mat file ({type(error).__name__}); restore it") from error
    points = np.asarray(content.get("p2"))
    if points.shape != (POINTS, 2) or points.dtype.kind not in "uif":
        raise AasceError(f"{path}: key 'p2' should hold ({POINTS}, 2) numbers; restore the organisers' file")
    if not np.isfinite(points).all():
        raise AasceError(f"{path}: key 'p2' holds a number that is not finite; restore the organisers' file")
    return points.astype(np.float64).reshape(-1, 4, 2)


def check_rows(path: Path, table: Sequence[object] | Floats, names: Sequence[str]) -> None:
    """Raises an AasceError when a label table has not one line for each film name."""
    if len(table) != len(names):
        raise AasceError(
            f"{path}: has {len(table)} lines for {len(names)} films; restore it and filenames.csv"
        )


def _text(path: Path) -> str:
    if not path.is_file():
        raise AasceError(f"{path}: no such label file; the folder of the challenge's labels holds it")
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AasceError(f"{path}: not readable as text ({type(error).__name__}); restore it") from error
