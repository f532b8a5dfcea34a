"""Pictures of every format, TIFFs of several pages, bad sectors, outliers of 16 bit, and what is no picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from aasce.readers import film_size, raster, read_film, read_films
from aasce.readers.jpeg import has_damage
from aasce.types import AasceError
from tests.dicom_films import encoded, likeness, spine

SPINE = spine(256, 192)
FLAT = (SPINE >> 4).astype(np.uint8)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".bmp", {}),
        (".gif", {}),
        (".webp", {"lossless": True}),
        (".jp2", {}),
        (".j2k", {"no_jp2": True}),
        (".pgm", {}),
        (".ppm", {}),
    ],
)
def test_every_format_is_read(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    path = tmp_path / f"a{suffix}"
    image = Image.fromarray(FLAT)
    (image.convert("RGB") if suffix == ".ppm" else image).save(path, **options)
    assert suffix in raster.SUFFIXES
    read = read_films(path)[0]
    assert (read.pixels.dtype, read.flags, film_size(path)) == (np.uint8, (), FLAT.shape)
    np.testing.assert_allclose(read.pixels.astype(int), FLAT, atol=1)


@pytest.mark.parametrize("suffix", [".pgm", ".jp2"])
def test_sixteen_bit_stay(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(SPINE).save(path)
    np.testing.assert_array_equal(read_film(path).pixels, SPINE)


def test_of_an_animation_the_first_picture_counts(tmp_path: Path) -> None:
    first, second = Image.fromarray(FLAT), Image.fromarray(255 - FLAT)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    (read,) = read_films(tmp_path / "a.gif")
    assert (read.film_id, read.frame, likeness(read.pixels, FLAT) > 0.999) == ("a", None, True)


def test_a_pdf_names_the_remedy() -> None:
    with pytest.raises(AasceError, match="a PDF, no picture; export the film itself"):
        raster.read_raster(Path("a.pdf"), "a", b"%PDF-1.7\n")


@pytest.mark.parametrize("content", [b"BMW is a car", b"P9 ", b"RIFF1234WAVE", b"GIF90a", b""])
def test_a_few_letters_make_no_picture(content: bytes) -> None:
    assert raster.kind(content) is None


def tiff_pages(path: Path, deep_colour: bool = False) -> list[Any]:
    pages: list[Any] = [SPINE, SPINE[::2, ::2], SPINE[:, ::-1]]
    if deep_colour:
        pages = [np.repeat(page[..., None] * np.uint16(16), 3, axis=2) for page in pages]
        assert cv2.imwritemulti(str(path), pages)
    else:
        images = [Image.fromarray(page) for page in pages]
        images[0].save(path, save_all=True, append_images=images[1:])
    return pages


@pytest.mark.parametrize("deep_colour", [False, True])
def test_each_page_of_a_tiff_is_a_film(tmp_path: Path, deep_colour: bool) -> None:
    path = tmp_path / "a.tif"
    pages = tiff_pages(path, deep_colour)
    films = raster.read_pages(path, "a", path.read_bytes())
    assert [(film.film_id, film.frame) for film in films] == [("a#1", 1), ("a#2", 2), ("a#3", 3)]
    for film, page in zip(films, pages, strict=True):
        assert film.size == page.shape[:2]
        assert likeness(film.pixels, page[..., 0] if deep_colour else page) > 0.9999
    with pytest.raises(AasceError, match=r"holds 3 pages; .*read_films"):
        raster.read_raster(path, "a", path.read_bytes())


@pytest.mark.parametrize(
    "options", [{}, {"optimize": True}, {"progressive": True}, {"restart_marker_blocks": 4}]
)
def test_a_bad_sector_of_a_jpeg_is_flagged(tmp_path: Path, options: dict[str, Any]) -> None:
    texture = spine(512, 384)
    whole = encoded((texture >> 4).astype(np.uint8), "JPEG", quality=90, **options)
    assert not has_damage(whole)
    path = tmp_path / "a.jpg"
    for place in np.random.default_rng(2).integers(700, len(whole) - 600, 8):
        for filling in (bytes(512), b"\xff" * 512):
            path.write_bytes(whole[:place] + filling + whole[place + 512 :])
            try:
                flags = read_film(path).flags
            except AasceError:
                continue
            assert "pixels_damaged" in flags


def test_black_film_and_colours_that_libjpeg_does_not_turn_grey_are_no_damage() -> None:
    black = encoded(np.zeros((512, 512), np.uint8), "JPEG", optimize=True, progressive=True)
    assert not has_damage(black)
    buffer = io.BytesIO()
    Image.new("CMYK", (64, 64)).save(buffer, "JPEG")
    assert not has_damage(buffer.getvalue())
    assert not has_damage(b"\xff\xd8\xff")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_hot_pixels_of_16_bit_set_no_range(tmp_path: Path, suffix: str) -> None:
    hot = SPINE.copy()
    hot.ravel()[np.random.default_rng(5).choice(SPINE.size, 300, replace=False)] = 65535
    path = tmp_path / f"a{suffix}"
    Image.fromarray(hot).save(path)
    read = read_film(path)
    cool = (hot < 65535) & (SPINE > 300)
    assert read.flags == ("intensity_rescaled",)
    assert likeness(read.pixels[cool], SPINE[cool]) > 0.999
    assert np.ptp(np.percentile(read.pixels[cool], [5, 95])) > 20000


def test_a_picture_too_large_for_the_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(raster, "_pixels", no_memory)
    with pytest.raises(AasceError, match=r"a\.png: needs more memory than there is"):
        raster.read_raster(Path("a.png"), "a", encoded(FLAT, "PNG"))
