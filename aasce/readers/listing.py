"""Which films a call means, by what name each is known, and what is said of the rest.

A folder stands for the films in it. One that holds none of its own, or a DICOMDIR, is walked: an exported CD or a
picture archive keeps films in folders of folders. The kit's own results are never walked.
"""

from __future__ import annotations

import glob
import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aasce.readers import dicom, raster
from aasce.readers.names import SUFFIXES, film_name, told_apart
from aasce.types import AasceError

DICOMDIR = "DICOMDIR"
OWN_RESULTS = ("manifest.json", "submission.csv")
"""Files that tell a folder of the kit's results."""

LISTED = 5
"""Files skipped in one folder that get a line each; more get one line together."""

NO_IMAGES = {
    "1.2.840.10008.1.3.10": "a DICOM directory",
    "1.2.840.10008.5.1.4.1.1.88.": "a DICOM report",
    "1.2.840.10008.5.1.4.1.1.11.": "a DICOM presentation state",
    "1.2.840.10008.5.1.4.1.1.104.": "a document in DICOM",
}
"""Begins of SOP class UIDs without pixels (PS3.4 annex B.5)."""

_SOP_CLASS = b"\x02\x00\x02\x00UI"  # Media Storage SOP Class UID, which follows DICOM's mark
_HEAD = 1024

SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class FilmFile:
    """A file that is to be read, and the name its film has in every output; unique within one call."""

    path: Path
    film_id: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a call's names stand for.

    Attributes:
        files: the films, in order.
        problems: names that stand for no film, a line each: mistakes of the user's.
        skipped: files and folders that were left out, in lines.
    """

    files: tuple[FilmFile, ...]
    problems: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


@dataclass(slots=True)
class _Found:
    """What one name stands for: films with the folder that their names begin in."""

    films: list[tuple[Path, Path]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    unopened: list[Path] = field(default_factory=list)


def list_films(patterns: Sequence[str | Path]) -> Listing:
    """Films named by files, folders and globs, in this order, those of one folder or glob sorted as text.

    Names: the file's own without a film's suffix, below a folder that is walked with the folders in front
    ("DICOM-ST000001-IM000001"); where two are alike, with as many folders in front, and then the suffix, as tell
    them apart ("x.dcm", "x.jpg").

    Args:
        patterns: at least one.

    Raises:
        AasceError: none of them stands for a film; the lines say why.
    """
    if not patterns:
        raise AasceError("no film named; give files, folders or globs")
    named = [_named_by(pattern) for pattern in patterns]
    problems = [line for found in named for line in found.problems]
    seen: dict[str, tuple[Path, Path]] = {}
    for path, root in (pair for found in named for pair in found.films):
        seen.setdefault(os.path.realpath(path), (path, root))
    if not seen:
        raise AasceError("\n".join(problems))
    skipped = [line for found in named for line in _skip_lines(found)]
    paths = [path for path, _ in seen.values()]
    names = told_apart(list(seen.values()))
    files = tuple(FilmFile(path, name) for path, name in zip(paths, names, strict=True))
    return Listing(files, tuple(problems), tuple(skipped))


def find_films(patterns: Sequence[str | Path]) -> list[Path]:
    """As `list_films`, for films that are known by their own names alone, as those of a data set.

    Raises:
        AasceError: one of the patterns stands for no film, or two films share a name.
    """
    listing = list_films(patterns)
    if listing.problems:
        raise AasceError(listing.problems[0])
    seen: dict[str, Path] = {}
    for file in listing.files:
        other = seen.setdefault(film_name(file.path), file.path)
        if other is not file.path:
            raise AasceError(
                f"{file.path}: has the same name as {other}; rename one, a film is known by its name"
            )
    return [file.path for file in listing.files]


def _named_by(pattern: str | Path) -> _Found:
    path = Path(pattern)
    fault = _fault(path)
    if fault is None and path.is_dir():
        return _in_folder(path)
    if fault is None and path.name.upper() == DICOMDIR:
        return _in_folder(path.parent)
    if fault is None:
        return _Found([(path, path.parent)])
    if os.path.lexists(path):
        return _Found(problems=[f"{path}: {fault}"])
    matches = sorted((Path(p) for p in glob.glob(str(pattern))), key=str)
    if not matches:
        return _Found(problems=[f"{path}: {fault}"])
    found = _Found()
    for match in matches:
        if match.is_dir():
            _join(found, _in_folder(match))
        else:
            _sort_in(found, match, match.parent)
    if not found.films:
        found.problems.append(f"{path}: no such film; give files, folders or globs")
    return found


def _fault(path: Path) -> str | None:
    """Why a name is neither a file nor a folder; None where it is."""
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "no such film; give files, folders or globs"
    except OSError as error:
        return f"cannot be opened ({error.strerror}); check its name and permissions"
    return f"is {SPECIAL[kind]}, no file; save the film to a file first" if kind in SPECIAL else None


def _in_folder(folder: Path) -> _Found:
    found = _Found()
    inner = _look_through(found, folder, folder)
    has_directory = any(path.name.upper() == DICOMDIR for path, _ in found.skipped)
    if has_directory or not found.films:
        if _is_own(folder):
            found.problems.append(f"{folder}: holds results of aasce, no films; name a folder of films")
            return found
        while inner:
            inner = [below for place in inner for below in _walked(found, place, folder)]
    else:
        found.unopened += [place for place in inner if not _is_own(place)]
    if not found.films and not found.problems:
        found.problems.append(f"{folder}: a folder without films; they end in {', '.join(SUFFIXES)}")
    return found


def _walked(found: _Found, folder: Path, root: Path) -> list[Path]:
    if _is_own(folder):
        found.skipped.append((folder, "results of aasce"))
        return []
    return _look_through(found, folder, root)


def _is_own(folder: Path) -> bool:
    return all(os.path.isfile(folder / name) for name in OWN_RESULTS)


def _look_through(found: _Found, folder: Path, root: Path) -> list[Path]:
    """Sorts the files of a folder in; returns the folders in it. Hidden ones, and links to folders, are left out."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.path)
    except OSError as error:
        found.problems.append(f"{folder}: cannot be opened ({error.strerror}); check its permissions")
        return []
    inner = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            inner += [] if entry.is_symlink() else [Path(entry.path)]
        else:
            _sort_in(found, Path(entry.path), root)
    return inner


def _sort_in(found: _Found, path: Path, root: Path) -> None:
    """A file of a folder: a film by its suffix or by its content, or one to skip."""
    fault = _fault(path)
    if fault is not None:
        found.skipped.append((path, fault.split(";")[0]))
        return
    suffix = path.suffix.lower()
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        if suffix not in SUFFIXES:
            found.problems.append(f"{path}: cannot be read ({error.strerror}); check its permissions")
            return
        head = b""  # reading it will say so, in the film's own row
    no_image = _no_image(head)
    if no_image is not None:
        found.skipped.append((path, no_image))
    elif suffix in SUFFIXES or dicom.is_dicom(head) or raster.kind(head) not in (None, "pdf"):
        found.films.append((path, root))
    else:
        found.skipped.append((path, "no film by its name or content"))


def _no_image(head: bytes) -> str | None:
    """What a DICOM file without an image is, from its first bytes."""
    place = head.find(_SOP_CLASS, 132) if dicom.is_dicom(head) else -1
    if place < 0:
        return None
    start = place + len(_SOP_CLASS) + 2
    uid = head[start : start + int.from_bytes(head[start - 2 : start], "little")].decode("ascii", "replace")
    return next((what for begin, what in NO_IMAGES.items() if uid.startswith(begin)), None)


def _join(found: _Found, other: _Found) -> None:
    for name in ("films", "problems", "skipped", "unopened"):
        getattr(found, name).extend(getattr(other, name))


def _skip_lines(found: _Found) -> list[str]:
    """A line for each skipped file, or one that counts many by their suffixes; a DICOMDIR has served."""
    skipped = [(path, why) for path, why in found.skipped if path.name.upper() != DICOMDIR]
    lines = [f"{path}: skipped, {why}" for path, why in skipped[:LISTED]]
    if len(skipped) > LISTED:
        folder = os.path.commonpath([path.parent for path, _ in skipped])
        lines = [
            f"{folder}: {len(skipped)} files skipped that are no films ({_kinds(p for p, _ in skipped)})"
        ]
    if found.unopened:
        names = ", ".join(place.name for place in found.unopened[:LISTED])
        more = ", ..." if len(found.unopened) > LISTED else ""
        where = found.unopened[0].parent
        lines.append(f"{where}: folders in it are not looked into ({names}{more}); name them for their films")
    return lines


def _kinds(paths: Iterable[Path]) -> str:
    counts = Counter(path.suffix.lower() or "no suffix" for path in paths)
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(LISTED))
