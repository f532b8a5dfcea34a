"""DICOM to a film: display values, bone bright, square pixels, the spacing with the tag it came from."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aasce.readers.limits import check_size
from aasce.readers.raster import grey, is_colourful, stretched
from aasce.types import AasceError, Array, Radiograph

SLICES = {
    "CT": "a CT slice",
    "MR": "an MR slice",
    "PT": "a PET slice",
    "NM": "a nuclear image",
    "US": "an ultrasound image",
}
_SLICE_CLASSES = {  # SOP class UIDs, PS3.4 annex B.5
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.4.4": "MR",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
    "1.2.840.10008.5.1.4.1.1.6.1": "US",
}
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


def is_dicom(content: bytes) -> bool:
    """True when the bytes carry DICOM's mark after its 128-byte preamble."""
    return content[128:132] == b"DICM"


def read_frames(path: Path, film_id: str, content: bytes) -> list[Radiograph]:
    """Reads every frame as a film of its own, named "film_id#1", "film_id#2", ...; a file of one keeps its name.

    Raises:
        AasceError: as `read_dicom`.
    """
    with _told(path):
        dataset = _dataset(content)
        _refuse(path, dataset)
        frames = _frames(dataset)
        if frames == 1:
            return [_film(path, film_id, dataset)]
        return [_film(path, f"{film_id}#{frame}", dataset, frame) for frame in range(1, frames + 1)]


def read_dicom(path: Path, film_id: str, content: bytes) -> Radiograph:
    """Reads one projection radiograph.

    The modality LUT, then the VOI LUT or window are applied and MONOCHROME1 is inverted (PS3.3 C.11.1,
    C.11.2, C.7.6.3.1.2), so that bone is bright. More than 8 bit come as uint16 stretched over its range.
    Pixels that are not square are resampled to the finer spacing before anything is measured on them.

    Raises:
        AasceError: the file is damaged, holds no image, several frames, or a slice of CT, MR, PET, nuclear
            medicine or ultrasound; or its compression cannot be decoded here.
    """
    with _told(path):
        dataset = _dataset(content)
        _refuse(path, dataset)
        if _frames(dataset) > 1:
            raise AasceError(
                f"{path}: holds {_frames(dataset)} frames; `aasce.readers.read_films` reads each as a film"
            )
        return _film(path, film_id, dataset)


def _dataset(content: bytes) -> Any:
    import pydicom

    return pydicom.dcmread(io.BytesIO(content), force=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns what a damaged file raises into one line."""
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")
            yield
    except AasceError:
        raise
    except Exception as error:  # pydicom lets every kind of exception out of a damaged header, and late
        raise AasceError(f"{path}: damaged DICOM header ({_short(error)}); export the film again") from error


def _frames(dataset: Any) -> int:
    return int(dataset.get("NumberOfFrames") or 1)


def _film(path: Path, film_id: str, dataset: Any, frame: int | None = None) -> Radiograph:
    pixels, flags = _display(path, dataset, frame)
    spacing = pixel_spacing(dataset)
    if spacing is not None and not spacing.square:
        pixels, spacing = squared(path, pixels, spacing)
        flags.append("anisotropic_pixels_corrected")
    pixels = np.ascontiguousarray(pixels)
    if spacing is None or spacing.source is None:
        return Radiograph(film_id, pixels, path, flags=tuple(flags), frame=frame)
    return Radiograph(
        film_id, pixels, path, (spacing.row, spacing.column), spacing.source, tuple(flags), frame
    )


def _refuse(path: Path, dataset: Any) -> None:
    stated = str(dataset.get("Modality", "")).upper()
    modality = _SLICE_CLASSES.get(str(dataset.get("SOPClassUID", "")), stated)
    if modality in SLICES:
        raise AasceError(f"{path}: {SLICES[modality]}, not a radiograph; give a film (DX, CR, RF or a scan)")
    if "PixelData" not in dataset or not dataset.get("Rows") or not dataset.get("Columns"):
        raise AasceError(f"{path}: DICOM without an image; export the film itself")
    check_size(path, (int(dataset.Rows), int(dataset.Columns)))


def _display(path: Path, dataset: Any, frame: int | None) -> tuple[Array, list[str]]:
    """(H, W) uint8 or uint16 of a dataset, bone bright, and flags."""
    stored = _stored(path, dataset, frame)
    try:
        if stored.ndim == 3:
            return _colour(stored)
        if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
            from pydicom.pixels.processing import apply_color_lut

            return _colour(_deep_or_8(np.asarray(apply_color_lut(stored, dataset))))
        return _monochrome(stored, dataset), []
    except Exception as error:  # a damaged look-up table
        raise AasceError(f"{path}: a look-up table is damaged ({_short(error)}); export it again") from error


def _stored(path: Path, dataset: Any, frame: int | None) -> Array:
    from pydicom.pixels import pixel_array

    try:
        return np.asarray(pixel_array(dataset, index=None if frame is None else frame - 1))
    except Exception as error:  # each decoder has its own exceptions
        syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
        name = getattr(syntax, "name", "unknown")
        raise AasceError(
            f"{path}: pixels damaged or not decodable ({name}: {_short(error)}); export the film uncompressed"
        ) from error


def _colour(colour: Array) -> tuple[Array, list[str]]:
    rgb = colour[..., :3] if colour.dtype in (np.uint8, np.uint16) else stretched(colour[..., :3])
    return grey(rgb), ["not_a_radiograph"] if is_colourful(rgb) else []


def _deep_or_8(colour: Array) -> Array:
    """Palette entries are 16 bit even where only the upper 8 are used."""
    return colour if colour.dtype == np.uint8 else (colour >> 8).astype(np.uint8)


def _monochrome(stored: Array, dataset: Any) -> Array:
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    values = np.asarray(apply_voi_lut(np.asarray(apply_modality_lut(stored, dataset)), dataset))
    inverted = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    padding = _padding(stored, dataset)
    if values.dtype == np.uint8 and not padding.any():
        return 255 - values if inverted else values
    values = values.astype(np.float64)
    values = -values if inverted else values
    if padding.any() and not padding.all():
        values[padding] = values[~padding].min()  # a collimated border is dark
    flat = stretched(values)
    return (flat >> 8).astype(np.uint8) if int(dataset.get("BitsStored") or 16) <= 8 else flat


def _padding(stored: Array, dataset: Any) -> Array:
    """(H, W) bool: pixels that are no part of the film (PS3.3 C.7.5.1.1.2)."""
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if not isinstance(value, int):
        return np.zeros(stored.shape, dtype=bool)
    low, high = sorted((value, limit if isinstance(limit, int) else value))
    return np.asarray((stored >= low) & (stored <= high))


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


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__


class _quiet:
    """Keeps pydicom's own log lines off the terminal while it decodes."""

    def __enter__(self) -> None:
        self._logger = logging.getLogger("pydicom")
        self._level = self._logger.level
        self._logger.setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        self._logger.setLevel(self._level)
