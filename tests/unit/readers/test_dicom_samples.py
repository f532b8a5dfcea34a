"""The files that pydicom tests itself with, damaged and rare ones among them: a film or a line each."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from aasce.readers.dicom import read_frames
from aasce.types import AasceError, Radiograph

LARGEST = 1_000_000  # bytes; the few larger files repeat kinds of the smaller ones


@cache
def samples() -> list[Path]:
    from pydicom.data import get_testdata_files

    paths = {Path(name) for name in get_testdata_files()}
    return sorted(path for path in paths if path.is_file() and path.stat().st_size < LARGEST)


def answer(path: Path) -> list[Radiograph] | str:
    try:
        return read_frames(path, path.name, path.read_bytes())
    except AasceError as error:
        return str(error)


def test_every_sample_is_a_film_or_a_line() -> None:
    answers = {path: answer(path) for path in samples()}
    lines = [line for line in answers.values() if isinstance(line, str)]
    assert all("\n" not in line and ": " in line for line in lines)
    assert len(lines) >= 100
    films = [film for films in answers.values() if not isinstance(films, str) for film in films]
    assert all(min(film.size) >= 32 and film.pixels.dtype in ("uint8", "uint16") for film in films)
    assert len(films) >= 30


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CT_small.dcm", "a CT slice"),
        ("MR_truncated.dcm", "an MR slice"),
        ("reportsi.dcm", "without an image"),
        ("rtdose.dcm", "a dose distribution"),
        ("README.txt", "DICOM"),
    ],
)
def test_samples_that_are_no_films_say_why(name: str, words: str) -> None:
    path = next(path for path in samples() if path.name == name)
    assert words in str(answer(path))


def test_twelve_bit_jpeg_is_read_as_its_reference_says() -> None:
    """A nuclear image by its modality; read here as a film, for its two known values (of pylibjpeg's own tests)."""
    import pydicom

    from aasce.readers.dicom.pixels import stored_frame

    path = next(path for path in samples() if path.name == "JPGExtended.dcm")
    pixels = stored_frame(path, pydicom.dcmread(path), 1).pixels
    assert (pixels.shape, int(pixels[420, 140]), int(pixels[230, 120])) == ((1024, 256), 244, 95)
