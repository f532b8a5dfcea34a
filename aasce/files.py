"""Writing files so that nothing half-written stays.

One home for it: tables, manifests, figures and overlays are all written through `atomic_write`.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aasce.types import AasceError

LONGEST = 255
"""Bytes of a file's name that common file systems take."""


def file_name(film_id: str, suffix: str) -> str:
    """File name of an output of a film; a name too long for a file system is cut and gets a digest of its own.

    Args:
        film_id: of the film; it may hold no "/".
        suffix: with its dot.
    """
    whole = film_id.encode("utf-8", "surrogateescape")
    room = LONGEST - len(suffix.encode())
    if len(whole) <= room:
        return f"{film_id}{suffix}"
    digest = hashlib.sha256(whole).hexdigest()[:8]
    return f"{whole[: room - 9].decode('utf-8', 'ignore')}~{digest}{suffix}"


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yields a temporary file beside `path`, which takes its place only when the block ends well.

    When the block or the move fails (full disk, folder that may not be written) the temporary file is removed
    and the file that stood at `path` stays as it was. Missing parent folders are made. A link is followed; a
    device or pipe such as /dev/stdout cannot be replaced and is handed out to be written to directly.

    Raises:
        AasceError: for every OSError, with the path, the reason and the remedy in one line.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        if target.exists() and not target.is_file():
            yield target
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        # Short, so that a name as long as the file system allows still works; same suffix, for writers that
        # go by it; same folder, because a move between file systems is not atomic.
        temporary = target.parent / f".aasce-{secrets.token_hex(4)}{target.suffix}"
        try:
            yield temporary
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise AasceError(
            f"{path}: cannot be written ({reason}); free the disk or choose another place"
        ) from error


def write_text(path: Path | str, text: str) -> None:
    """Writes UTF-8 text with `\\n` line ends, whole or not at all.

    Raises:
        AasceError: the file cannot be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def short_lists(text: str) -> str:
    """Indented JSON with each list of numbers in one line."""
    # A line end inside a JSON text is escaped, so that this meets no text, only the lists that `indent` broke.
    return re.sub(r"\[\n[^\[\]{}\"]*\]", lambda m: re.sub(r"\n\s*", " ", m[0][1:-1]).strip().join("[]"), text)
