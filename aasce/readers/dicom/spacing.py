"""Spacing of a film with the tag it came from, and square pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aasce.readers.limits import check_size
from aasce.types import Array

_ISOTROPIC = 1e-3  # a relative difference of spacings below this turns no line by more than 0.03 degrees
_MAGNIFICATION = "EstimatedRadiographicMagnificationFactor"


@dataclass(frozen=True, slots=True)
class Spacing:
    """Size of a pixel as a file states it.

    Attributes:
        row: mm between rows (or a bare ratio when `source` is None).
        column: mm between columns (or a bare ratio).
        source: the tag it came from, None when only the ratio of the two is known.
    """

    row: float
    column: float
    source: str | None

    @property
    def square(self) -> bool:
        return abs(self.row / self.column - 1) < _ISOTROPIC


def pixel_spacing(dataset: Any) -> Spacing | None:
    """Spacing in the patient where the file states it, else at the detector, else the bare pixel ratio.

    PixelSpacing is calibrated to the patient (PS3.3 10.7). ImagerPixelSpacing is that of the detector: it is
    divided by the estimated magnification where that is given, and the source then names both tags.
    """
    for tag in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        pair = _pair(dataset.get(tag))
        if pair is None:
            continue
        factor = _number(dataset.get(_MAGNIFICATION)) if tag == "ImagerPixelSpacing" else None
        if factor is not None and factor >= 1:
            return Spacing(pair[0] / factor, pair[1] / factor, f"{tag}/{_MAGNIFICATION}")
        return Spacing(pair[0], pair[1], tag)
    ratio = _pair(dataset.get("PixelAspectRatio"))
    return Spacing(ratio[0], ratio[1], None) if ratio is not None else None


def _pair(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        return None
    row, column = _number(value[0]), _number(value[1])
    return (row, column) if row is not None and column is not None else None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number > 0 else None


def squared(path: Path, pixels: Array, spacing: Spacing) -> tuple[Array, Spacing]:
    """Resamples to square pixels of the finer of the two spacings: nothing the film shows is lost.

    Args:
        path: of the film, for the message.
        pixels: (H, W) uint8 or uint16.
        spacing: of its rows and columns, in mm or as a bare ratio.

    Raises:
        AasceError: the ratio is such that the film would grow too large.
    """
    height, width = pixels.shape
    fine = min(spacing.row, spacing.column)
    rows, columns = round(height * spacing.row / fine), round(width * spacing.column / fine)
    check_size(path, (rows, columns))  # before the memory is spent
    resized = np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_LINEAR))
    return resized, Spacing(spacing.row * height / rows, spacing.column * width / columns, spacing.source)
