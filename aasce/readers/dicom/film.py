"""One DICOM file to one film, or to one film a frame."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from aasce.readers.dicom.display import monochrome
from aasce.readers.dicom.functional import with_frame
from aasce.readers.dicom.header import complete, header_flags, parsed, patient_left, refuse
from aasce.readers.dicom.pixels import frame_count, stored_frame
from aasce.readers.dicom.spacing import pixel_spacing, squared
from aasce.readers.greys import grey, is_colourful, stretched
from aasce.readers.jpeg import PIXELS_DAMAGED
from aasce.types import AasceError, Array, Radiograph


def is_dicom(content: bytes) -> bool:
    """True when the bytes carry DICOM's mark after its 128-byte preamble."""
    return content[128:132] == b"DICM"


def read_dicom(path: Path, film_id: str, content: bytes, frame: int | None = None) -> Radiograph:
    """Reads one projection radiograph, as `aasce.readers.dicom.display.monochrome` shows it.

    Pixels that are not square are resampled to the finer spacing before anything is measured on them.

    Args:
        path: of the file, for the film and for messages.
        film_id: the film's name.
        content: of the file.
        frame: which frame of several, from 1; None for a file of one.

    Raises:
        AasceError: the file is damaged, holds no image, several frames and none is named, or a slice of CT, MR, PET,
            nuclear medicine or ultrasound; or its compression cannot be decoded here.
    """
    with _told(path):
        dataset = parsed(content)
        refuse(path, dataset)
        complete(dataset)
        frames = frame_count(dataset)
        if frame is None and frames > 1:
            raise AasceError(f"{path}: holds {frames} frames; aasce.readers.read_films gives each as a film")
        if frame is not None and not 1 <= frame <= frames:
            raise AasceError(f"{path}: has no frame {frame}; give 1 to {frames}")
        return _film(path, film_id, dataset, frame)


def read_frames(path: Path, film_id: str, content: bytes) -> list[Radiograph]:
    """Reads every frame as a film of its own, named "film_id#1", "film_id#2", ...; a file of one keeps its name.

    Raises:
        AasceError: as `read_dicom`.
    """
    with _told(path):
        dataset = parsed(content)
        refuse(path, dataset)
        complete(dataset)
        frames = frame_count(dataset)
        if frames == 1:
            return [_film(path, film_id, dataset, None)]
        return [_film(path, f"{film_id}#{frame}", dataset, frame) for frame in range(1, frames + 1)]


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns what a damaged file raises into one line."""
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")
            yield
    except AasceError:
        raise
    except MemoryError as error:
        raise AasceError(f"{path}: needs more memory than there is; close other programs") from error
    except Exception as error:  # pydicom lets every kind of exception out of a damaged header, and late
        raise AasceError(f"{path}: damaged DICOM header ({_short(error)}); export the film again") from error


def _film(path: Path, film_id: str, dataset: Any, frame: int | None) -> Radiograph:
    stored = stored_frame(path, dataset, frame or 1)
    header = with_frame(dataset, frame or 1)
    pixels, flags = _display(path, header, stored.pixels)
    flags += [PIXELS_DAMAGED] if stored.damaged else []
    spacing = pixel_spacing(header)
    if spacing is not None and not spacing.square:
        pixels, spacing = squared(path, pixels, spacing)
        flags.append("anisotropic_pixels_corrected")
    known = spacing is not None and spacing.source is not None
    side, side_source = patient_left(header)
    return Radiograph(
        film_id,
        np.ascontiguousarray(pixels),
        path,
        spacing=(spacing.row, spacing.column) if spacing is not None and known else None,
        spacing_source=spacing.source if spacing is not None else None,
        flags=(*flags, *header_flags(header)),
        frame=frame,
        patient_left=side,
        patient_left_source=side_source,
    )


def _display(path: Path, dataset: Any, stored: Array) -> tuple[Array, list[str]]:
    """(H, W) uint8 or uint16 of a frame, bone bright, and flags."""
    try:
        if stored.ndim == 3:
            return _colour(stored)
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            from pydicom.pixels.processing import apply_color_lut

            return _colour(_deep_or_8(np.asarray(apply_color_lut(stored, dataset))))
        return monochrome(stored, dataset)
    except MemoryError:
        raise
    except Exception as error:  # a damaged look-up table
        raise AasceError(f"{path}: a look-up table is damaged ({_short(error)}); export it again") from error


def _colour(colour: Array) -> tuple[Array, list[str]]:
    rgb = colour[..., :3] if colour.dtype in (np.uint8, np.uint16) else stretched(colour[..., :3])
    return grey(rgb), ["not_a_radiograph"] if is_colourful(rgb) else []


def _deep_or_8(colour: Array) -> Array:
    """Palette entries are 16 bit even where only the upper 8 are used."""
    return colour if colour.dtype == np.uint8 else (colour >> 8).astype(np.uint8)


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
