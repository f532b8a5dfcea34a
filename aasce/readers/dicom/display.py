"""Stored values to display values, bone bright, with every tag that changes grey values."""

from __future__ import annotations

from typing import Any

import numpy as np

from aasce.readers.dicom.field import hidden
from aasce.readers.dicom.tables import Shown, modality_values, shown
from aasce.readers.greys import robust_range, stretched
from aasce.types import Array

WINDOW_IGNORED = "window_ignored"
TABLE_SHORT = "lookup_table_short"
FOR_PROCESSING = "for_processing"
LEVELS = 200
"""Grey levels that a window has to leave, where the film has as many; half of them for a table of 8 bit."""
_STEPS = 4095.0  # a level is one of 12 bit
_MOST_BRIGHT, _MOST_DARK = 0.05, 0.25  # share of the film's middle that a window may cut off at its ends
_RAW_CLASSES = frozenset(  # SOP classes "for processing", PS3.4 annex B.5
    f"1.2.840.10008.5.1.4.1.1.1.{kind}.1" for kind in (1, 2, 3)
)


def monochrome(stored: Array, dataset: Any) -> tuple[Array, list[str]]:
    """(H, W) uint8 or uint16 of a grey image, bone bright, and flags.

    Modality look-up table, then VOI look-up table or window, then the inversion of MONOCHROME1 or of
    PresentationLUTShape (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2, C.11.6), then padding and shutter made dark. A window that
    cuts the spine's greys off is left out. Films of more than 8 bit come stretched to 16, outliers aside.

    Raises:
        ValueError: the modality look-up table is damaged.
    """
    if int(dataset.BitsStored) <= 8 and stored.dtype.kind == "u":
        stored = np.minimum(stored, 255).astype(np.uint8)  # words of 16 bit may hold 8
    values, short = modality_values(stored, dataset)
    flags = [TABLE_SHORT] if short else []
    masked = hidden(stored, dataset)
    if _is_raw(dataset):
        return _finished(_attenuation(values, dataset, ~masked), masked, deep=True), [*flags, FOR_PROCESSING]
    inverted = _is_inverted(dataset)
    window = shown(values, dataset)
    flags += [TABLE_SHORT] if window.short and not short else []
    if window.values is not None and _keeps_spine(window, values, ~masked, inverted):
        values = window.values
    elif window.stated:
        flags.append(WINDOW_IGNORED)
    if values.dtype == np.uint8 and not masked.any():
        return (255 - values if inverted else values), flags
    values = values.astype(np.float64)
    return _finished(-values if inverted else values, masked, int(dataset.BitsStored) > 8), flags


def _finished(values: Array, masked: Array, deep: bool) -> Array:
    """Stretched over the exposed field; what is masked is dark."""
    bounds = robust_range(values, ~masked)
    if masked.any():
        values[masked] = bounds[0]
    flat = stretched(values, bounds)
    return flat if deep else (flat >> 8).astype(np.uint8)


def _is_inverted(dataset: Any) -> bool:
    """Whether low values are bright. The standard pairs INVERSE with MONOCHROME1: both are one inversion."""
    shape = str(dataset.get("PresentationLUTShape", "")).upper()
    return bool(dataset.PhotometricInterpretation == "MONOCHROME1" or shape == "INVERSE")


def _keeps_spine(window: Shown, values: Array, exposed: Array, inverted: bool) -> bool:
    """Whether a window leaves the film's grey levels and hardly cuts its middle third, where the spine lies.

    Args:
        window: with values.
        values: (H, W) before the window.
        exposed: (H, W) bool.
        inverted: whether what the window makes dark will be shown bright.
    """
    assert window.values is not None
    windowed = 1 - window.values if inverted else window.values
    step = max(1, max(values.shape) // 512)
    windowed, values, exposed = (array[::step, ::step] for array in (windowed, values, exposed))
    if not exposed.any():
        return False
    level = np.rint(windowed * _STEPS).astype(np.int64)
    held = len(np.unique(values[exposed]))
    if len(np.unique(level[exposed])) < min(LEVELS // 2 if window.coarse else LEVELS, 0.8 * held):
        return False
    middle = _middle(exposed)
    own, level = values[middle], level[middle]
    least, most = values[exposed].min(), values[exposed].max()
    lost = (own > least) & (own < most)  # what lies at the film's own ends is not the window's doing
    bright, dark = (lost & (level >= _STEPS)).mean(), (lost & (level <= 0)).mean()
    return bool(bright <= _MOST_BRIGHT and dark <= _MOST_DARK)


def _middle(exposed: Array) -> Array:
    """(H, W) bool: the middle third of the exposed field's columns, without a twentieth at top and bottom."""
    rows, columns = np.flatnonzero(exposed.any(axis=1)), np.flatnonzero(exposed.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    edge, third = (bottom - top) // 20, (right - left) // 3
    middle = np.zeros_like(exposed)
    middle[top + edge : bottom - edge, left + third : right - third] = True
    return middle & exposed if (middle & exposed).any() else exposed


def _is_raw(dataset: Any) -> bool:
    stated = str(dataset.get("PresentationIntentType", "")).upper()
    return stated == "FOR PROCESSING" or str(dataset.get("SOPClassUID", "")) in _RAW_CLASSES


def _attenuation(values: Array, dataset: Any, exposed: Array) -> Array:
    """Raw detector values to attenuation, so that bone is bright (PS3.3 C.8.11.3.1.2).

    A detector counts what passes the body: bone is low, unless the sign says that low values are much X-ray. Values
    that are linear in the exposure are taken by their logarithm, as attenuation is.
    """
    sign = int(float(dataset.get("PixelIntensityRelationshipSign") or 1))
    if sign < 0:
        return np.asarray(values, dtype=np.float64).copy()
    exposure = np.asarray(values, dtype=np.float64)
    if str(dataset.get("PixelIntensityRelationship") or "LIN").upper() != "LIN":
        return -exposure
    bright = float(np.percentile(exposure[exposed][:: max(1, exposed.size // 1_000_000)], 99))
    # A floor of a thousandth keeps dead pixels and collimated borders from setting the range.
    return np.asarray(-np.log(np.maximum(exposure, max(bright / 1000, 1e-6))))
