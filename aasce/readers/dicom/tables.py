"""Look-up tables and windows of DICOM (PS3.3 C.11.1 and C.11.2), read as leniently as viewers do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aasce.types import Array


@dataclass(frozen=True, slots=True)
class Table:
    """A look-up table.

    Attributes:
        first: the value that is mapped to the first entry; what lies off the table gets the nearest entry.
        entries: (N,) float64.
        short: whether it holds fewer entries than its descriptor says; the last one stands for the missing ones.
    """

    first: int
    entries: Array
    short: bool

    def __call__(self, values: Array) -> Array:
        index = np.clip(np.rint(np.asarray(values, np.float64) - self.first), 0, len(self.entries) - 1)
        return np.asarray(self.entries[index.astype(np.int64)])


def read_table(item: Any, signed: bool) -> Table:
    """The table of a sequence's item.

    Args:
        item: pydicom's, with LUTDescriptor and LUTData.
        signed: whether the values that are looked up may be negative.

    Raises:
        ValueError: it holds no entries.
    """
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = (count & 0xFFFF) or 65536
    first = first - 65536 if signed and first > 32767 else first
    data = item.LUTData
    if isinstance(data, bytes):
        # Entries of 8 bit are packed two a word by some writers, and one a word by others.
        packed = bits <= 8 and len(data) <= count + 1
        entries = np.frombuffer(data if packed else data[: len(data) // 2 * 2], np.uint8 if packed else "<u2")
    else:
        entries = np.atleast_1d(np.asarray(data, dtype=np.int64)) & 0xFFFF
    if not len(entries):
        raise ValueError("a look-up table without entries")
    return Table(first, entries[:count].astype(np.float64), len(entries) < count)


def modality_values(stored: Array, dataset: Any) -> tuple[Array, bool]:
    """Stored values after the modality look-up table or rescale, and whether the table was short.

    Raises:
        ValueError: the table or a number is damaged.
    """
    items = dataset.get("ModalityLUTSequence")
    if items:
        table = read_table(items[0], stored.dtype.kind == "i")
        return table(stored), table.short
    slope, intercept = (_finite(dataset.get(f"Rescale{name}")) for name in ("Slope", "Intercept"))
    if slope in (None, 0.0, 1.0) and intercept in (None, 0.0):
        return stored, False
    return stored.astype(np.float64) * (slope or 1.0) + (intercept or 0.0), False


@dataclass(frozen=True, slots=True)
class Shown:
    """What the first VOI look-up table, else the first window, makes of a film.

    Attributes:
        values: (H, W) float64 from 0 (dark) to 1, None where there is none that can be read.
        stated: whether the file has one at all.
        short: whether its table holds fewer entries than it says.
        coarse: whether its table gives 8 bit, so that it cannot leave many grey levels.
    """

    values: Array | None = None
    stated: bool = False
    short: bool = False
    coarse: bool = False


def shown(values: Array, dataset: Any) -> Shown:
    """Applies the VOI look-up table or window of a file.

    Args:
        values: (H, W) after the modality look-up table.
        dataset: pydicom's.
    """
    try:
        items = dataset.get("VOILUTSequence")
        if items:
            table = read_table(items[0], bool(values.min() < 0))
            low, high = table.entries.min(), table.entries.max()
            looked_up = (table(values) - low) / (high - low) if high > low else None
            return Shown(looked_up, True, table.short, high < 256)
        centre, width = (_first(dataset.get(f"Window{name}")) for name in ("Center", "Width"))
        if centre is None or width is None:
            return Shown()
        function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
        return Shown(_windowed(values, centre, width, function), True)
    except (ValueError, TypeError, AttributeError, OverflowError):  # numbers that are none
        return Shown(stated=True)


def _windowed(values: Array, centre: float, width: float, function: str) -> Array | None:
    """(H, W) from 0 to 1 (PS3.3 C.11.2.1.2 and C.11.2.1.3), None for a width that the function does not know."""
    x = np.asarray(values, dtype=np.float64)
    if function == "SIGMOID" and width > 0:
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (x - centre) / width, -700, 700))))
    if function == "LINEAR_EXACT" and width > 0:
        return np.asarray(np.clip((x - centre) / width + 0.5, 0, 1))
    if width <= 1:
        return None
    return np.asarray(np.clip((x - (centre - 0.5)) / (width - 1) + 0.5, 0, 1))


def _first(value: Any) -> float | None:
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return _finite(value[0] if several and len(value) else None if several else value)


def _finite(value: Any) -> float | None:
    if value is None or value == "":
        return None
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"{value} is no number")
    return number
