"""The name a film is known by in every output: from its file, told apart from the others of one call."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from aasce.readers.raster import SUFFIXES as RASTER_SUFFIXES

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
SUFFIXES = RASTER_SUFFIXES + DICOM_SUFFIXES


def film_name(path: Path | str) -> str:
    """Film id of a file: its name without a film's suffix ("1.2.840.55" keeps its dots).

    A byte that is no UTF-8 is written as `\\xe9`: tables and pages are UTF-8.
    """
    path = Path(path)
    return as_text(path.stem if path.suffix.lower() in SUFFIXES else path.name)


def as_text(name: str) -> str:
    """A file's name as text that can be written."""
    raw = name.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace")


def told_apart(films: Sequence[tuple[Path, Path]]) -> list[str]:
    """A name for each film; no two are alike.

    Args:
        films: the file, and the folder that its name begins in.
    """
    names = [_joined(path.relative_to(root), keep=False) for path, root in films]
    for keep in (False, True):
        for alike in _groups(names):
            if keep and any(films[k][0].suffix.lower() not in SUFFIXES for k in alike):
                continue  # "x" beside "x.jpg" would be one film to whoever compares tables
            parents = [os.path.abspath(films[k][0].parent) for k in alike]
            common = os.path.commonpath(parents)
            for k in alike:
                names[k] = _joined(Path(os.path.relpath(os.path.abspath(films[k][0]), common)), keep)
    for alike in _groups(names):
        for number, k in enumerate(alike[1:], 2):
            while f"{names[k]}~{number}" in names:
                number += 1
            names[k] = f"{names[k]}~{number}"
    return names


def _groups(names: Sequence[str]) -> list[list[int]]:
    """Places of names that stand more than once."""
    often = {name for name, count in Counter(names).items() if count > 1}
    groups: dict[str, list[int]] = {name: [] for name in names if name in often}
    for k, name in enumerate(names):
        if name in often:
            groups[name].append(k)
    return list(groups.values())


def _joined(path: Path, keep: bool) -> str:
    """Folders and file parted by "-"; `keep` keeps a film's suffix."""
    last = as_text(path.name) if keep else film_name(path)
    return "-".join([*(as_text(part) for part in path.parent.parts), last])
