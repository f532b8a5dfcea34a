"""Cobb angles from spinal radiographs.

The few names of this surface are loaded when they are first used, so that `import aasce` brings no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aasce.api import load, measure
    from aasce.geometry.cobb import cobb_angles
    from aasce.readers import read_film, read_scan
    from aasce.scoring import score

__version__ = "0.1.0"
__all__ = ["cobb_angles", "load", "measure", "read_film", "read_scan", "score"]

_HOMES = {
    "cobb_angles": "aasce.geometry.cobb",
    "load": "aasce.api",
    "measure": "aasce.api",
    "read_film": "aasce.readers",
    "read_scan": "aasce.readers",
    "score": "aasce.scoring",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'aasce' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # found once, found at once the next time
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
