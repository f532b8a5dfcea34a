"""Compressed pixels: every syntax read, damaged streams told or flagged, and no stream ends the process."""

from __future__ import annotations

import io
import os
import signal
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from aasce.readers import read_film
from aasce.readers.dicom import read_dicom, read_frames
from aasce.readers.dicom.pixels import fragments, stream_size
from aasce.readers.dicom.worker import WORKER, Worker
from aasce.types import AasceError, Radiograph
from tests.dicom_films import encoded, film, likeness, packed, spine, write

SPINE = spine(128, 96)
FLAT = (SPINE >> 4).astype(np.uint8)
PIXELS = b"\xe0\x7f\x10\x00"  # the tag of the pixels


def saved(dataset: FileDataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def by_pydicom(syntax: str) -> bytes:
    dataset = film(SPINE, 16)
    dataset.compress(syntax)
    return saved(dataset)


def by_gdcm(bits: int, syntax: str) -> bytes:
    """A film that GDCM compressed: pydicom writes no JPEG."""
    import gdcm

    with tempfile.TemporaryDirectory() as folder:
        path = str(write(Path(folder), film(SPINE, bits)))
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(path)
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(path)
        assert writer.Write()
        return Path(path).read_bytes()


def answer(name: str, content: bytes) -> Radiograph | str:
    """The film, or the line that stands in for it."""
    try:
        return read_dicom(Path(name), name, content)
    except AasceError as error:
        return str(error)


MAKERS: dict[str, Callable[[], bytes]] = {
    "baseline": lambda: saved(packed(film(FLAT, 8), JPEGBaseline8Bit, encoded(FLAT, "JPEG", quality=92))),
    "extended": lambda: by_gdcm(12, JPEGExtended12Bit),
    "lossless": lambda: by_gdcm(16, JPEGLossless),
    "lossless_sv1": lambda: by_gdcm(12, JPEGLosslessSV1),
    "jpeg_ls": lambda: by_pydicom(JPEGLSLossless),
    "jpeg_2000": lambda: saved(
        packed(film(SPINE, 16), JPEG2000Lossless, encoded(SPINE, "JPEG2000", no_jp2=True))
    ),
    "jpeg_2000_lossy": lambda: saved(
        packed(film(SPINE, 16), JPEG2000, encoded(SPINE, "JPEG2000", no_jp2=True, irreversible=True))
    ),
    "rle": lambda: by_pydicom(RLELossless),
}


@cache
def made(name: str) -> bytes:
    return MAKERS[name]()


@pytest.mark.parametrize("name", MAKERS)
def test_every_syntax_is_read(name: str) -> None:
    read = read_dicom(Path(name), name, made(name))
    assert (read.size, read.flags) == (SPINE.shape, ())
    assert likeness(read.pixels, SPINE) > (0.99 if name in ("baseline", "extended") else 0.99999)


@pytest.mark.parametrize("name", MAKERS)
def test_no_changed_byte_ends_the_process(name: str) -> None:
    """Two dozen single bytes of the stream, half of them in its header: a film or a line each."""
    rng = np.random.default_rng(11)
    whole = made(name)
    start = whole.index(PIXELS) + 12
    for change in range(24):
        spoilt = bytearray(whole)
        end = min(len(spoilt), start + 120) if change % 2 else len(spoilt)
        spoilt[rng.integers(start, end)] = rng.integers(256)
        read = answer(name, bytes(spoilt))
        if isinstance(read, str):
            assert read.startswith(f"{name}: ")
            assert "\n" not in read
        else:
            assert read.size == SPINE.shape


@pytest.mark.parametrize(
    ("name", "marker", "offset", "value"),
    [
        ("jpeg_ls", b"\xff\xf7", 4, 48),  # precision of the frame
        ("lossless", b"\xff\xc3", 4, 17),
        ("baseline", b"\xff\xe0", 3, 0x30),  # length of the first segment
        ("jpeg_2000", b"\xff\x51", 40, 0x25),  # precision of the component
    ],
)
def test_bytes_that_killed_the_decoder_are_told(name: str, marker: bytes, offset: int, value: int) -> None:
    spoilt = bytearray(made(name))
    spoilt[spoilt.index(marker, spoilt.index(PIXELS)) + offset] = value
    read = answer(name, bytes(spoilt))
    assert read.startswith(f"{name}: ") if isinstance(read, str) else read.size == SPINE.shape
    assert read_dicom(Path(name), name, made(name)).flags == ()


@pytest.mark.parametrize("name", MAKERS)
def test_a_bad_sector_is_flagged_or_refused(name: str) -> None:
    whole = made(name)
    for place in (0.4, 0.6, 0.8):
        spoilt = bytearray(whole)
        at = int(place * (len(whole) - 512 - 700)) + 700
        spoilt[at : at + 512] = bytes(512)
        read = answer(name, bytes(spoilt))
        assert ": pixels damaged" in read if isinstance(read, str) else "pixels_damaged" in read.flags


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="this system tells nothing of a child that died")
def test_a_decoder_that_died_is_started_again() -> None:
    options = {
        "rows": 128, "columns": 96, "samples_per_pixel": 1, "bits_allocated": 8, "bits_stored": 8,
        "pixel_representation": 0, "photometric_interpretation": "MONOCHROME2",
    }  # fmt: skip
    stream = encoded(FLAT, "JPEG", quality=92)
    pixels, damaged = WORKER.decode(stream, JPEGBaseline8Bit, options)
    first = WORKER.pid
    assert first is not None
    assert WORKER.decode(stream, JPEGBaseline8Bit, options)[0].shape == SPINE.shape
    assert WORKER.pid == first
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    again, _ = WORKER.decode(stream, JPEGBaseline8Bit, options)
    assert WORKER.pid not in (None, first)
    np.testing.assert_array_equal(pixels, again)
    assert not damaged


def test_uncompressed_films_start_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Worker, *_: object) -> None:
        raise AssertionError("started")

    monkeypatch.setattr(Worker, "decode", never)
    assert likeness(read_film(write(tmp_path, film(SPINE))).pixels, SPINE) > 0.9999


def test_jpeg_ls_of_8_bit_in_words_of_16(tmp_path: Path) -> None:
    import jpeg_ls

    stream = bytes(jpeg_ls.encode_array(FLAT))
    read = read_film(write(tmp_path, packed(film(FLAT.astype(np.uint16), 8), JPEGLSLossless, stream)))
    assert read.pixels.dtype == np.uint8
    np.testing.assert_array_equal(read.pixels, FLAT)


def test_a_syntax_without_decoder_names_the_remedy(tmp_path: Path) -> None:
    dataset = packed(film(SPINE, 16), HTJ2KLossless, b"\xff\x4f\xff\x51" + b"\1" * 4)
    with pytest.raises(AasceError, match=r"High-Throughput JPEG 2000.*export the film uncompressed"):
        read_film(write(tmp_path, dataset))


def test_more_pixels_than_the_header_says_are_refused(tmp_path: Path) -> None:
    two = film(SPINE)
    two.PixelData = SPINE.tobytes() * 2
    short = film(SPINE)
    short.Rows = 78  # the film would end above the lumbar spine
    for dataset in (two, short):
        with pytest.raises(AasceError, match="bytes of pixels more than"):
            read_film(write(tmp_path, dataset))
    padded = film(SPINE)
    padded.PixelData = SPINE.tobytes() + b"\0\0"
    assert likeness(read_film(write(tmp_path, padded)).pixels, SPINE) > 0.9999


def test_compressed_frames_that_the_header_does_not_know_are_refused(tmp_path: Path) -> None:
    stream = encoded(FLAT, "JPEG", quality=92)
    with pytest.raises(AasceError, match="holds 2 frames but states 1"):
        read_film(write(tmp_path, packed(film(FLAT, 8), JPEGBaseline8Bit, stream, stream)))
    rle = film(SPINE, 16)
    rle.compress(RLELossless)
    frame = next(fragments(rle.PixelData))
    two = packed(film(SPINE, 16), RLELossless, frame, frame)
    with pytest.raises(AasceError, match="holds 2 frames but states 1"):
        read_film(write(tmp_path, two))
    for streams in (stream, encoded(FLAT, "JPEG2000", no_jp2=True)):
        syntax = JPEGBaseline8Bit if streams is stream else JPEG2000Lossless
        dataset = packed(film(FLAT, 8), syntax, streams)
        dataset.Rows = 78
        with pytest.raises(AasceError, match="states 96x78 px but holds 96x128"):
            read_film(write(tmp_path, dataset))
    few = packed(film(FLAT, 8, NumberOfFrames=3), JPEGBaseline8Bit, stream, stream)
    with pytest.raises(AasceError, match="holds 2 frames but states 3"):
        read_frames(Path("few"), "few", saved(few))
    with pytest.raises(AasceError, match="damaged or cut short"):
        read_dicom(Path("few"), "few", saved(few), frame=3)


def test_a_stream_in_several_fragments_is_one_frame(tmp_path: Path) -> None:
    stream = encoded(FLAT, "JPEG", quality=92)
    dataset = packed(film(FLAT, 8), JPEGBaseline8Bit, stream)
    dataset.PixelData = encapsulate([stream], fragments_per_frame=3)
    assert likeness(read_film(write(tmp_path, dataset)).pixels, FLAT) > 0.99


def test_sizes_that_streams_state_of_themselves() -> None:
    assert stream_size(encoded(FLAT, "JPEG")) == (128, 96)
    assert stream_size(encoded(FLAT, "JPEG2000", no_jp2=True)) == (128, 96)
    for damaged in (
        b"",
        b"\xff\xd8\xff",
        b"\xff\x4f\xff\x51",
        b"\xff\xd8\xff\xe0\x00\x04\x00\x00\x00\x00",
        b"text",
    ):
        assert stream_size(damaged) is None
