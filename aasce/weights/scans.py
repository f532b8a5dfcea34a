"""Weights of the methods for scans: released ones and run folders. Nothing needs torch until one is loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from aasce.config import nearest
from aasce.ct.base import ScanMethod
from aasce.ct.registry import entry, method_class, method_names
from aasce.solvers.base import CONFIG_FILE, STATE_FILE, WEIGHTS_FILE, read_state
from aasce.solvers.shared.released import PACKAGE
from aasce.types import AasceError

FILES = (CONFIG_FILE, WEIGHTS_FILE, STATE_FILE)
HOME = "ct"
"""Their folder within the package's weights, and within the folder AASCE_WEIGHTS."""


def released_scans() -> dict[str, Path]:
    """Name -> folder of the weights inside the package and of those in the folder AASCE_WEIGHTS."""
    homes = [PACKAGE / HOME]
    if os.environ.get("AASCE_WEIGHTS"):
        homes.append(Path(os.environ["AASCE_WEIGHTS"]) / HOME)
    found: dict[str, Path] = {}
    for home in homes:
        for folder in sorted(home.iterdir()) if home.is_dir() else []:
            if (folder / STATE_FILE).is_file():
                found.setdefault(folder.name, folder)
    return found


def resolve_scan(name: str | Path) -> Path:
    """Finds the folder of a scan method's weights.

    Args:
        name: a released name, or a run folder.

    Raises:
        AasceError: nothing has this name, a file is missing, or they are of no method for scans.
    """
    known = released_scans()
    folder = known.get(str(name), Path(name))
    if not folder.is_dir():
        listed = ", ".join(known) or "none"
        raise AasceError(
            f"{name}: no run folder and no released weights{nearest(str(name), known)}; released: {listed}; "
            "train with 'aasce ct train'"
        )
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise AasceError(
            f"{folder}: is no folder of weights, {', '.join(missing)} missing; name a run folder"
        )
    method = read_state(folder).solver
    if method not in method_names():
        raise AasceError(
            f"{folder}: holds weights of {method!r}, which reads no scans; there are {', '.join(method_names())}"
        )
    return folder


def load_scan_method(name: str | Path, device: str = "cpu") -> ScanMethod:
    """A method with its weights, ready to predict; one without training needs no weights.

    Args:
        name: a released name, a run folder, or the name of a method that is not trained.
        device: "cpu", "cuda", "cuda:1", "mps".

    Raises:
        AasceError: the weights cannot be found or read.
    """
    bare = str(name) in method_names() and str(name) not in released_scans()
    if bare and not entry(str(name)).trains:
        make: Any = method_class(str(name))  # every class takes settings and a device, see `ScanMethod`
        method: ScanMethod = make(make.Config(), device=device)
        return method
    folder = resolve_scan(name)
    return method_class(read_state(folder).solver).load(folder, device)


def method_of(name: str | Path) -> str:
    """The method whose weights a folder holds.

    Raises:
        AasceError: see `resolve_scan`.
    """
    return read_state(resolve_scan(name)).solver
