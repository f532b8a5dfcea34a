"""Stored pixels of a DICOM file, frame by frame; what the header and the data say of their number must agree."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aasce.readers.dicom.worker import WORKER, DecodingError
from aasce.readers.jpeg import has_damage, has_gap
from aasce.types import AasceError, Array

_OPTIONS = {
    "Rows": "rows", "Columns": "columns", "SamplesPerPixel": "samples_per_pixel", "BitsAllocated": "bits_allocated",
    "BitsStored": "bits_stored", "PixelRepresentation": "pixel_representation",
    "PlanarConfiguration": "planar_configuration",
}  # fmt: skip
_DEFAULTS = {"samples_per_pixel": 1, "pixel_representation": 0, "planar_configuration": 0}
_BASELINE = "1.2.840.10008.1.2.4.50"
_RLE = "1.2.840.10008.1.2.5"
_NO_ZEROS = (_RLE, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")  # RLE and JPEG 2000
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")  # of a JPEG or JPEG-LS, and of a JPEG 2000 stream
_FRAME_MARKERS = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class Stored:
    """Pixels of one frame as the file holds them.

    Attributes:
        pixels: (H, W), or (H, W, 3) RGB.
        damaged: whether the decoder repaired a damaged stream.
    """

    pixels: Array
    damaged: bool


def stored_frame(path: Path, dataset: Any, frame: int) -> Stored:
    """Decodes one frame; compressed ones in a process that may die of them.

    Args:
        path: of the file, for the message.
        dataset: pydicom's, with the transfer syntax set.
        frame: its number, from 1.

    Raises:
        AasceError: the pixels are damaged, fewer or more than the header says, or of a compression without decoder.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    stream = b""
    try:
        if not syntax.is_encapsulated:
            return Stored(_uncompressed(path, dataset, frame), False)
        stream = _stream(path, dataset, frame)
        pixels, damaged = _decoded(dataset, stream)
    except AasceError:
        raise
    except DecodingError as error:
        raise AasceError(
            f"{path}: pixels damaged or not decodable ({syntax.name}: {error}); export the film uncompressed"
        ) from error
    except MemoryError as error:
        raise AasceError(f"{path}: needs more memory than there is; close other programs") from error
    except Exception as error:  # pydicom's own, of each kind
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise AasceError(
            f"{path}: pixels damaged or cut short ({syntax.name}: {reason}); export the film again"
        ) from error
    damaged |= has_damage(stream) if syntax == _BASELINE else syntax in _NO_ZEROS and has_gap(stream)
    return Stored(pixels, damaged)


def frame_count(dataset: Any) -> int:
    """Number of frames that the header states, at least 1."""
    return max(1, int(dataset.get("NumberOfFrames") or 1))


def _uncompressed(path: Path, dataset: Any, frame: int) -> Array:
    from pydicom.pixels.utils import get_expected_length, pixel_array

    surplus = len(dataset.PixelData) - get_expected_length(dataset)
    row = int(dataset.Columns) * int(dataset.get("SamplesPerPixel", 1)) * int(dataset.BitsAllocated) // 8
    if surplus >= max(row, 2):
        raise AasceError(
            f"{path}: holds {surplus} bytes of pixels more than its rows, columns and frames make; export it again"
        )
    return np.asarray(pixel_array(dataset, index=frame - 1))


def _stream(path: Path, dataset: Any, frame: int) -> bytes:
    """The compressed bytes of one frame."""
    from pydicom.encaps import get_frame

    frames = frame_count(dataset)
    if frame == 1:  # asked once a file: it walks through all of it
        rle = dataset.file_meta.TransferSyntaxUID == _RLE
        held = sum(rle or part.startswith(_STARTS) for part in fragments(dataset.PixelData))
        if held not in (0, frames):  # 0: of a kind whose begin is not known here
            raise AasceError(
                f"{path}: holds {held} frames but states {frames} (NumberOfFrames); export it again"
            )
    stream = get_frame(dataset.PixelData, frame - 1, number_of_frames=frames)
    stated, found = (int(dataset.Rows), int(dataset.Columns)), stream_size(stream)
    if found is not None and found != stated:
        raise AasceError(
            f"{path}: states {stated[1]}x{stated[0]} px but holds {found[1]}x{found[0]}; export it again"
        )
    return bytes(stream)


def fragments(pixel_data: bytes) -> Iterator[bytes]:
    """The parts of encapsulated pixels, without their table of offsets."""
    from pydicom.encaps import generate_fragments, parse_basic_offsets

    stream = io.BytesIO(pixel_data)
    parse_basic_offsets(stream)
    return generate_fragments(stream)


def stream_size(stream: bytes) -> tuple[int, int] | None:
    """(H, W) that a JPEG, JPEG-LS or JPEG 2000 stream states of itself, None for any other and for a damaged one."""
    if stream.startswith(_STARTS[1]) and len(stream) >= 24:
        right, bottom, left, top = struct.unpack(">4I", stream[8:24])
        return bottom - top, right - left
    position = 2
    while stream.startswith(_STARTS[0]) and position + 9 <= len(stream) and stream[position] == 0xFF:
        marker, length = stream[position + 1], int.from_bytes(stream[position + 2 : position + 4], "big")
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack(">2H", stream[position + 5 : position + 9])
            return (height, width) if height else None  # 0: the number of lines follows the scan (DNL)
        position += 2 + length
    return None


def _decoded(dataset: Any, stream: bytes) -> tuple[Array, bool]:
    options = {**_DEFAULTS, "photometric_interpretation": str(dataset.PhotometricInterpretation)}
    for keyword, option in _OPTIONS.items():
        value = dataset.get(keyword)
        if value is not None and not isinstance(value, Sequence):
            options[option] = int(value)
    return WORKER.decode(stream, str(dataset.file_meta.TransferSyntaxUID), options)
