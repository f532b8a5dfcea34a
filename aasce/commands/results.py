"""What an earlier call of `predict` left: it is never replaced in silence, and what a person changed is never lost."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from aasce.types import AasceError

MANIFEST = "manifest.json"
SHOWN = 3
"""File names that a line names."""

PATIENCE = 60.0
"""Seconds after the manifest within which a file counts as written with it: copying a folder takes time, too."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """Results that stand in a folder before a call.

    Attributes:
        folder: that they stand in.
        films: number of films in their tables, None where there are none.
        files: what they hold besides the tables, relative to the folder.
    """

    folder: Path
    films: int | None = None
    files: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path, single: bool) -> Self:
        """Reads what the manifest in the folder says.

        Args:
            folder: of the results.
            single: the call writes one table alone, and leaves the other files as they are.

        Raises:
            AasceError: a file that the call may replace or remove was changed since the kit wrote it.
        """
        path = folder / MANIFEST
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            written = path.stat().st_mtime
            films, listed = int(manifest["films"]), manifest["notes"].get("files")
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls(folder)
        if single:
            return cls(folder)
        files = tuple(name for name in listed or _overlays(folder) if _is_below(folder, name))
        changed = [name for name in files if (folder / name).stat().st_mtime > written + PATIENCE]
        if changed:
            raise AasceError(
                f"{folder}: {_named(changed)} changed since aasce wrote the results there; "
                "move them away, or choose another place with --out"
            )
        return cls(folder, films, files)

    def tell(self, removed: Sequence[str]) -> None:
        """Says on stderr that the earlier results are gone."""
        if self.films is None:
            return
        more = f"; removed what they held of other films or outputs: {_named(removed)}" if removed else ""
        print(
            f"{self.folder}: replaces the results of an earlier call ({self.films} films){more}",
            file=sys.stderr,
        )


def _overlays(folder: Path) -> list[str]:
    """Overlays of a table whose manifest does not list them, as it was before version 0.2."""
    try:
        with (folder / "predictions.csv").open(encoding="utf-8", newline="") as stream:
            names = [row["name"] for row in csv.DictReader(stream)]
    except (OSError, ValueError, KeyError, csv.Error):
        return []
    return [f"overlays/{name}.jpg" for name in names]


def _is_below(folder: Path, name: str) -> bool:
    """Whether a listed file is there, and within the folder."""
    path = folder / name
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())


def _named(files: Sequence[str]) -> str:
    shown = ", ".join(files[:SHOWN])
    return (
        f"{len(files)} file{'s' if len(files) > 1 else ''} ({shown}{', ...' if len(files) > SHOWN else ''})"
    )
