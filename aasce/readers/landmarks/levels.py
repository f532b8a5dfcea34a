"""Names of vertebrae to their place in the column."""

from __future__ import annotations

import re

from aasce.types import VERTEBRAE


def level_index(name: str) -> int:
    """Index into `VERTEBRAE` of a level; "#18" is the first below L5, as `level_name` writes it.

    Raises:
        ValueError: the name is none of these.
    """
    if name in VERTEBRAE:
        return VERTEBRAE.index(name)
    beyond = re.fullmatch(r"#(-?\d{1,3})", name)
    if beyond is None:
        raise ValueError(f"{name!r} is no level; levels are T1 to T12 and L1 to L5")
    return int(beyond.group(1)) - 1


def marked_level(label: str) -> int:
    """As `level_index`, for a name that a person wrote: "t1", "Th1" and "L6" are understood.

    Raises:
        ValueError: the name is no level.
    """
    name = re.sub(r"^TH(?=\d)", "T", label.strip().upper())
    if name == "L6":
        return len(VERTEBRAE)
    try:
        return level_index(name)
    except ValueError:
        raise ValueError(f"label {label!r} is no level; name T1 to T12 or L1 to L5, or remove it") from None
