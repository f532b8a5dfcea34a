"""An output folder that gets all of its files or none, and the hidden folder in it that they wait in."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from aasce.types import AasceError

PREFIX = ".aasce-"
LOCK, HOLDER, FILES = "lock", "process", "files"

OLD = 86_400.0
"""Seconds after which a hidden folder that nobody locks is one that a run of before left."""


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Yields an empty folder inside `folder`; its files move into `folder` when the block ends well.

    When the block fails (full disk, interruption, a mistake found late) they are removed, and so is `folder`
    where it was made for them; what stood in it before stays as it was. What a killed run left is removed.

    Raises:
        AasceError: the folder cannot be made or written to; nothing has been done by then but the making.
    """
    made = missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
    except OSError as error:
        remove_empty(made)
        raise AasceError(fault(folder, error)) from error
    try:
        with held(place, folder):
            sweep(folder)
            (place / FILES).mkdir()
            yield place / FILES
            move(place / FILES, folder)
    except OSError as error:
        raise AasceError(fault(folder, error)) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
        remove_empty(made)


@contextmanager
def held(place: Path, folder: Path) -> Iterator[None]:
    """Locks a hidden folder for this process; the system frees it when the process ends, however it does.

    Raises:
        AasceError: another process holds it.
    """
    lock = FileLock(place / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = ""
        with suppress(OSError):
            holder = f" (process {(place / HOLDER).read_text().strip()})"
        raise AasceError(
            f"{folder}: another run{holder} is writing there; wait for it, or choose another place with --out"
        ) from None
    try:
        (place / HOLDER).write_text(f"{os.getpid()}\n")
        yield
    finally:
        lock.release()


def sweep(folder: Path) -> None:
    """Removes the hidden folders of runs that ended without doing so; one that can go on (`journal`) stays."""
    for place in folder.glob(f"{PREFIX}*/"):
        if place.name != JOURNAL and _is_dead(place):
            shutil.rmtree(place, ignore_errors=True)


JOURNAL = f"{PREFIX}predict"
"""The hidden folder of `aasce predict`: always the same name, so that a later call can go on with it."""


def _is_dead(place: Path) -> bool:
    if not (place / LOCK).exists():
        with suppress(OSError):
            return time.time() - place.stat().st_mtime > OLD
        return False
    lock = FileLock(place / LOCK)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return False
    lock.release()
    return True


def move(place: Path, folder: Path) -> None:
    """Moves every file below `place` to the same place below `folder`."""
    for path in sorted(p for p in place.rglob("*") if p.is_file()):
        target = folder / path.relative_to(place)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)


def missing(folder: Path) -> list[Path]:
    """The folders that making `folder` will make, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def remove_empty(folders: list[Path]) -> None:
    """Removes those of the folders that hold nothing, in this order."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def fault(folder: Path, error: OSError, remedy: str = "free the disk") -> str:
    """Why a folder cannot be written to, and what to do, in one line."""
    reason = (
        "a file stands there" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
    )
    return f"{folder}: cannot be written ({reason}); {remedy} or choose another place with --out"
