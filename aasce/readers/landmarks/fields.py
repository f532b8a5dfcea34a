"""What stands in a JSON object, asked for by key, with one line for what is missing or of another kind.

Every function raises ValueError with that line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Json = Mapping[str, Any]


def get(record: Any, key: str) -> Any:
    """The value at a key."""
    if not isinstance(record, Mapping):
        raise ValueError(f"an object with {key!r} is expected where {shown(record)} stands")
    if key not in record:
        raise ValueError(f"{key!r} is missing")
    return record[key]


def text(record: Any, key: str) -> str:
    value = get(record, key)
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is a text, not {shown(value)}")
    return value


def optional_text(record: Any, key: str) -> str | None:
    return text(record, key) if isinstance(record, Mapping) and record.get(key) is not None else None


def entries(record: Any, key: str, length: int | None = None) -> Sequence[Any]:
    """A list, of this length where one is given."""
    value = get(record, key)
    if not isinstance(value, list) or (length is not None and len(value) != length):
        raise ValueError(f"{key!r} is a list{'' if length is None else f' of {length}'}, not {shown(value)}")
    return value


def numbers(record: Any, key: str, length: int | None = None) -> list[float]:
    return [number(value, key) for value in entries(record, key, length)]


def number(value: Any, key: str) -> float:
    """A number; null, which stands for what was not finite, is NaN."""
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{key!r} holds {shown(value)}, which is no number")
    return float(value)


def count(value: Any, key: str) -> int:
    """A whole number of 1 or more; 512.0 counts as 512."""
    found = number(value, key)
    if not found.is_integer() or found < 1:
        raise ValueError(f"{key!r} is a whole number of 1 or more, not {shown(value)}")
    return int(found)


def shown(value: Any) -> str:
    """A value in a message, shortened."""
    words = repr(value)
    return words if len(words) <= 40 else f"{words[:37]}..."


def pair(record: Any, key: str) -> tuple[float, float] | None:
    """Two finite numbers over 0, None where the key is missing or null."""
    if not isinstance(record, Mapping) or record.get(key) is None:
        return None
    first, second = numbers(record, key, 2)
    if not (0 < first < math.inf and 0 < second < math.inf):
        raise ValueError(f"{key!r} is two numbers over 0, not {shown(record[key])}")
    return first, second


def share(value: Any, key: str) -> float:
    """A number from 0 to 1."""
    found = number(value, key)
    if not 0 <= found <= 1:
        raise ValueError(f"{key!r} is a number from 0 to 1, not {shown(value)}")
    return found
