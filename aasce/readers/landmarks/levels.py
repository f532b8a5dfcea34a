"""Names of vertebrae to their place in the column."""

from __future__ import annotations

import re

from aasce.types import VERTEBRAE


def level_index(name: str) -> int:
    """Index into `VERTEBRAE` of a level; "#18" is the first below L5, as `aasce.writers.level_name` has it.

    Raises:
        ValueError: the name is none of these.
    """
    if name in VERTEBRAE:
        return VERTEBRAE.index(name)
    beyond = re.fullmatch(r"#(-?\d{1,3})", name)
    if beyond is None:
        raise ValueError(f"{name!r} is no level; levels are T1 to T12 and L1 to L5")
    return int(beyond.group(1)) - 1
