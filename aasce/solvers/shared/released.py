"""Where the folders of released weights are; known without torch, and below the weights themselves."""

from __future__ import annotations

import os
from pathlib import Path

from aasce.solvers.base import STATE_FILE

PACKAGE = Path(__file__).parents[2] / "weights"
"""The weights that come with the package."""


def released() -> dict[str, Path]:
    """Name -> folder of the weights inside the package and of those in the folder AASCE_WEIGHTS."""
    homes = [PACKAGE]
    if os.environ.get("AASCE_WEIGHTS"):
        homes.append(Path(os.environ["AASCE_WEIGHTS"]))
    found: dict[str, Path] = {}
    for home in homes:
        for folder in sorted(home.iterdir()) if home.is_dir() else []:
            if (folder / STATE_FILE).is_file():
                found.setdefault(folder.name, folder)
    return found
