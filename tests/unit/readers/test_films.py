"""Images of every kind to films, damage named in one line, and films found by name."""

from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from aasce.readers import film_name, film_size, find_films, read_film
from aasce.readers.greys import is_colourful
from aasce.types import AasceError

RAMP = np.arange(60 * 40, dtype=np.uint16).reshape(60, 40)
DEEP = (RAMP * 27).astype(np.uint16)
FLAT = (RAMP // 10).astype(np.uint8)
TIFF_LZW = {"format": "TIFF", "compression": "tiff_lzw"}


def noise(height: int = 400, width: int = 300) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)


def saved(path: Path, array: NDArray[np.generic], **options: object) -> Path:
    Image.fromarray(array).save(path, **options)  # type: ignore[arg-type]
    return path


def cv_saved(path: Path, array: NDArray[np.generic]) -> Path:
    assert cv2.imwrite(str(path), array)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF"])
def test_grey_of_8_bit_is_kept(tmp_path: Path, suffix: str) -> None:
    film = read_film(saved(tmp_path / f"a{suffix}", FLAT))
    np.testing.assert_array_equal(film.pixels, FLAT)
    assert (film.film_id, film.size, film.pixels.dtype) == ("a", (60, 40), np.uint8)
    assert (film.spacing, film.spacing_source, film.flags) == (None, None, ())


def test_grey_of_16_bit_is_kept(tmp_path: Path) -> None:
    for path in (cv_saved(tmp_path / "a.png", DEEP), saved(tmp_path / "b.tif", DEEP, **TIFF_LZW)):
        film = read_film(path)
        assert film.pixels.dtype == np.uint16
        np.testing.assert_array_equal(film.pixels, DEEP)


def test_a_jpeg_is_read(tmp_path: Path) -> None:
    smooth = np.tile(np.linspace(0, 255, 80).astype(np.uint8), (60, 1))
    film = read_film(saved(tmp_path / "film of a.patient.jpg", smooth, quality=95))
    assert film.film_id == "film of a.patient"
    assert np.abs(film.pixels.astype(int) - smooth).max() <= 6


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("deep", [False, True])
def test_colour_becomes_its_luminance(tmp_path: Path, suffix: str, deep: bool) -> None:
    # ITU-R BT.601: pure red weighs 0.299, whatever the depth.
    full = 65535 if deep else 255
    red = np.zeros((40, 50, 3), np.uint16 if deep else np.uint8)
    red[..., 2] = full  # OpenCV writes BGR
    film = read_film(cv_saved(tmp_path / f"a{suffix}", red))
    assert film.pixels.dtype == red.dtype
    np.testing.assert_allclose(film.pixels, 0.299 * full, atol=0.5 if not deep else 40)
    assert film.flags == ()


def test_alpha_palettes_and_bilevel_pictures(tmp_path: Path) -> None:
    alpha = np.dstack([FLAT, np.full_like(FLAT, 7)])
    np.testing.assert_array_equal(read_film(saved(tmp_path / "a.png", alpha)).pixels, FLAT)
    Image.fromarray(FLAT).convert("P").save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_film(tmp_path / "b.png").pixels, FLAT)
    Image.fromarray(FLAT > 100).save(tmp_path / "c.png")
    np.testing.assert_array_equal(read_film(tmp_path / "c.png").pixels, np.where(FLAT > 100, 255, 0))


def test_float_and_long_pictures_are_stretched_to_16_bit(tmp_path: Path) -> None:
    values = np.linspace(-1.0, 3.0, 60 * 40, dtype=np.float32).reshape(60, 40)
    film = read_film(saved(tmp_path / "a.tif", values))
    assert (film.pixels.min(), film.pixels.max(), film.flags) == (0, 65535, ("intensity_rescaled",))
    # The value 1.0 lies half way.
    assert int(film.pixels.ravel()[np.argmin(np.abs(values - 1.0))]) == pytest.approx(32768, abs=15)
    np.testing.assert_array_equal(read_film(saved(tmp_path / "b.tif", DEEP.astype(np.int32))).pixels, DEEP)
    long = read_film(saved(tmp_path / "c.tif", DEEP.astype(np.int32) - 70000))
    assert (long.pixels.min(), long.pixels.max(), long.flags) == (0, 65535, ("intensity_rescaled",))


def test_white_is_zero_is_inverted_at_both_depths(tmp_path: Path) -> None:
    entry = struct.pack("<HHI", 262, 3, 1)  # PhotometricInterpretation, one short
    for name, array, top in (("a.tif", FLAT, 255), ("b.tif", DEEP, 65535)):
        path = saved(tmp_path / name, array)
        content = path.read_bytes()
        assert content.count(entry + b"\x01\x00") == 1
        path.write_bytes(content.replace(entry + b"\x01\x00", entry + b"\x00\x00"))
        np.testing.assert_array_equal(read_film(path).pixels, top - array)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "deep.tif", "deep.png"])
def test_exif_orientation_is_applied_alike_everywhere(tmp_path: Path, kind: str, orientation: int) -> None:
    upright = np.zeros((64, 96), np.uint8)
    upright[:16, :16] = 250  # a mark in the corner at the top left
    transposed = upright.T if orientation in (5, 6, 7, 8) else upright
    rows = -1 if orientation in (3, 4, 6, 7) else 1
    columns = -1 if orientation in (2, 3, 7, 8) else 1
    stored = np.ascontiguousarray(transposed[::rows, ::columns])
    path = tmp_path / f"a.{kind}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind.startswith("deep"):
        deep_picture(path, stored, orientation)
    else:
        Image.fromarray(stored).save(path, exif=exif)
    film = read_film(path)
    scale = 257 if kind.startswith("deep") else 1
    assert np.abs(film.pixels.astype(int) - upright.astype(int) * scale).max() <= 12 * scale
    assert film.flags == (() if orientation == 1 else ("exif_orientation_applied",))
    assert film_size(path) == (64, 96)


def deep_picture(path: Path, grey: NDArray[np.uint8], orientation: int) -> None:
    """Colour of 16 bit with an orientation: a TIFF tag, or an eXIf chunk put into the PNG by hand."""
    colour = np.repeat(grey[..., None].astype(np.uint16) * 257, 3, axis=2)
    if path.suffix == ".tif":
        import tifffile

        tifffile.imwrite(path, colour, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
        return
    coded = cv2.imencode(".png", colour)[1].tobytes()
    exif = b"II*\x00" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    path.write_bytes(coded[:33] + chunk + coded[33:])


def test_a_photograph_is_flagged_and_a_tinted_film_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    patches = np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((32, 32, 1))).astype(np.uint8)
    assert read_film(saved(tmp_path / "holiday.png", patches)).flags == ("not_a_radiograph",)
    assert is_colourful(patches.astype(np.uint16) * 257)
    grey = noise(256, 256)[..., None] / 255.0
    tinted = (grey * [180, 205, 255]).astype(np.uint8)
    tinted[100:108, 20:200] = [255, 0, 0]  # a ruled red line
    assert read_film(saved(tmp_path / "blue base.png", tinted)).flags == ()


def test_a_film_of_zeros_can_be_read(tmp_path: Path) -> None:
    film = read_film(saved(tmp_path / "zeros.png", np.zeros((100, 50), np.uint8)))
    assert film.size == (100, 50)
    assert not film.pixels.any()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("keep", [0.3, 0.9, 0.99])
def test_a_file_cut_short_is_refused(tmp_path: Path, kind: str, keep: float) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise()).save(buffer, kind)
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(buffer.getvalue()[: int(keep * buffer.tell())])
    with pytest.raises(AasceError, match="cut short") as error:
        read_film(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_film_is_refused_by_name(tmp_path: Path) -> None:
    cases = {
        "empty.jpg": (b"", "is empty"),
        "text.png": (b"hello, this is not a film", "no film that can be read"),
        "head.png": (b"\x89PNG\r\n\x1a\n" + b"\x00" * 40, "damaged"),
        "head.jpg": (b"\xff\xd8\xff\xe0rubbish", "damaged"),
    }
    for name, (content, words) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(AasceError, match=words):
            read_film(tmp_path / name)
    with pytest.raises(AasceError, match="no such film"):
        read_film(tmp_path / "absent.png")
    with pytest.raises(AasceError, match="a folder, not a film"):
        read_film(tmp_path)


def test_an_unreadable_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: str) -> bytes:
        raise PermissionError(13, "Permission denied")

    path = saved(tmp_path / "a.png", FLAT)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AasceError, match="Permission denied"):
        read_film(path)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((1, 1), "too small"),
        ((31, 400), "too small"),
        ((30_000, 40), "too large"),
        ((40, 20_001), "too large"),
    ],
)
def test_films_too_small_or_too_large_are_refused(tmp_path: Path, size: tuple[int, int], words: str) -> None:
    with pytest.raises(AasceError, match=words):
        read_film(saved(tmp_path / "a.png", np.zeros(size, np.uint8)))


def test_a_picture_that_would_fill_the_memory_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.png", noise())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(AasceError, match="too large"):
        read_film(path)


def test_a_tiff_of_two_films_is_refused_and_a_thumbnail_is_none(tmp_path: Path) -> None:
    pages = [Image.fromarray(FLAT), Image.fromarray(FLAT)]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(AasceError, match="holds 2 pages"):
        read_film(tmp_path / "two.tif")
    small = Image.fromarray(FLAT[::2, ::2])
    small.encoderinfo = {"tiffinfo": {254: 1}}
    pages[0].save(tmp_path / "one.tif", save_all=True, append_images=[small])
    np.testing.assert_array_equal(read_film(tmp_path / "one.tif").pixels, FLAT)


def test_the_header_gives_the_size_without_the_pixels(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", noise(200, 70))
    assert film_size(path) == (200, 70)
    path.write_bytes(path.read_bytes()[:400])
    assert film_size(path) == (200, 70)
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(AasceError):
        film_size(path)


def test_a_film_of_3000_rows_is_read_in_a_blink(tmp_path: Path) -> None:
    smooth = cv2.resize(noise(60, 24), (1200, 3000), interpolation=cv2.INTER_CUBIC)
    path = saved(tmp_path / "a.jpg", smooth)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        read_film(path)
        times.append(time.perf_counter() - start)
    # 80 ms on one free core; eight times that separates a slow path from a busy machine.
    assert min(times) < 0.64


def test_film_names_keep_dots_that_are_no_suffix() -> None:
    assert film_name("a/1.2.840.55") == "1.2.840.55"
    assert film_name("a/film.v2.DCM") == "film.v2"


def test_films_are_found_by_file_folder_and_glob(tmp_path: Path) -> None:
    for name in ("b 10.png", "b 2.png", "a.jpg", ".hidden.png"):
        saved(tmp_path / name, FLAT)
    (tmp_path / "notes.txt").write_text("no film")
    (tmp_path / "inner").mkdir()
    saved(tmp_path / "inner" / "c.png", FLAT)
    (tmp_path / "1.2.840").write_bytes(b"\0" * 128 + b"DICM")
    names = [p.name for p in find_films([tmp_path])]
    assert names == ["1.2.840", "a.jpg", "b 10.png", "b 2.png"]
    both = find_films([str(tmp_path / "b*"), tmp_path / "a.jpg"])
    assert [p.name for p in both] == ["b 10.png", "b 2.png", "a.jpg"]
    assert find_films([tmp_path / "a.jpg", tmp_path / "inner" / ".." / "a.jpg"]) == [tmp_path / "a.jpg"]


def test_a_name_with_brackets_is_a_file_before_it_is_a_glob(tmp_path: Path) -> None:
    path = saved(tmp_path / "film [1].png", FLAT)
    assert find_films([path]) == [path]


def test_films_that_cannot_be_found_or_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(AasceError, match="a folder without films"):
        find_films([tmp_path / "empty"])
    with pytest.raises(AasceError, match="no such film"):
        find_films([tmp_path / "*.png"])
    with pytest.raises(AasceError, match="no film named"):
        find_films([])
    (tmp_path / "other").mkdir()
    saved(tmp_path / "a.png", FLAT)
    saved(tmp_path / "other" / "a.tif", FLAT)
    with pytest.raises(AasceError, match="has the same name as"):
        find_films([tmp_path / "a.png", tmp_path / "other"])
