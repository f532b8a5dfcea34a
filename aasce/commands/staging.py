"""An output folder that gets all of its files or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aasce.types import AasceError


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Yields an empty folder inside `folder`; its files move into `folder` when the block ends well.

    When the block fails (full disk, interruption, a mistake found late) they are removed, and so is `folder`
    where it was made for them; what stood in it before stays as it was.

    Raises:
        AasceError: the folder cannot be made or written to; nothing has been done by then but the making.
    """
    made = _missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".aasce-", dir=folder))
    except OSError as error:
        _remove_empty(made)
        raise AasceError(_fault(folder, error)) from error
    try:
        yield staging
        for path in sorted(p for p in staging.rglob("*") if p.is_file()):
            target = folder / path.relative_to(staging)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
    except OSError as error:
        raise AasceError(_fault(folder, error)) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        _remove_empty(made)


def _missing(folder: Path) -> list[Path]:
    """The folders that making `folder` will make, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _fault(folder: Path, error: OSError) -> str:
    reason = (
        "a file stands there" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
    )
    return f"{folder}: cannot be written ({reason}); free the disk or choose another place with --out"
