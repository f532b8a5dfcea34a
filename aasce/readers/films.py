"""File to film: the functions that read any of them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from aasce.readers import dicom, raster
from aasce.readers.names import DICOM_SUFFIXES, film_name
from aasce.types import AasceError, Radiograph

__all__ = ["film_name", "film_size", "read_film", "read_films"]

_HEAD = 132
"""Bytes that tell what a file is."""

LARGEST = 2 * 2**30
"""Bytes; 200 megapixels of 16 bit colour are 1.2 * 10^9."""


def read_film(path: Path | str) -> Radiograph:
    """Reads one film: PNG, JPEG, TIFF (8 or 16 bit, grey or colour) or DICOM, recognised by content.

    Returns:
        A film of uint8 or uint16, one channel, bone bright, with square pixels.

    Raises:
        AasceError: the file is missing, empty, damaged, no film, holds several, or a side is under 32 or over
            20,000 px.
    """
    path = Path(path)
    content = _content(path)
    if _is_dicom(path, content):
        return dicom.read_dicom(path, film_name(path), content)
    return raster.read_raster(path, film_name(path), content)


def read_films(path: Path | str, film_id: str | None = None) -> list[Radiograph]:
    """Reads every film of a file: a DICOM of several frames, or a TIFF of several pages, holds "name#1", ...

    Args:
        path: as for `read_film`.
        film_id: name of the film; the file's own when None.

    Raises:
        AasceError: as for `read_film`; several frames are no fault here.
    """
    path = Path(path)
    name = film_id if film_id is not None else film_name(path)
    content = _content(path)
    if _is_dicom(path, content):
        return dicom.read_frames(path, name, content)
    return raster.read_pages(path, name, content)


def film_size(path: Path | str) -> tuple[int, int]:
    """(H, W) of a film as `read_film` gives it, from the header of a raster image; a DICOM is read in full."""
    path = Path(path)
    size = raster.header_size(path) if path.suffix.lower() in raster.SUFFIXES else None
    return size if size is not None else read_film(path).size


def _is_dicom(path: Path, content: bytes) -> bool:
    # DICOM comes first: its preamble may hold the header of a TIFF, so that programs for either open the file.
    if dicom.is_dicom(content):
        return True
    # Old archives write DICOM without preamble and mark: there only the suffix says so.
    return raster.kind(content) is None and path.suffix.lower() in DICOM_SUFFIXES


def _content(path: Path) -> bytes:
    if os.path.isdir(path):
        raise AasceError(f"{path}: a folder, not a film; name a film in it")
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for without end
            raise AasceError(f"{path}: is a pipe or a device, no file; save the film to a file first")
        with path.open("rb") as stream:
            return _looked_at(path, stream)
    except FileNotFoundError:
        raise AasceError(f"{path}: no such film; check its name") from None
    except OSError as error:
        raise AasceError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def _looked_at(path: Path, stream: IO[bytes]) -> bytes:
    """The whole file, once its begin and its size say that it may be a film."""
    head = stream.read(_HEAD)
    if not head:
        raise AasceError(f"{path}: is empty; copy or export the film again")
    if not _is_dicom(path, head) and raster.kind(head) is None:
        raise AasceError(f"{path}: no film that can be read; give PNG, JPEG, TIFF or DICOM")
    size = os.fstat(stream.fileno()).st_size
    if size > LARGEST:
        raise AasceError(f"{path}: {size / 1e9:.1f} GB are too large for a film; export the film alone")
    return head + stream.read()
