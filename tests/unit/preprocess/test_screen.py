"""Screens and pages of text are no radiographs; films of any quality are."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from aasce.preprocess.screen import NOT_A_RADIOGRAPH, film_flags
from aasce.types import Array
from aasce.writers.page import font

FLAGGED = (NOT_A_RADIOGRAPH,)
EXAMPLES = Path(__file__).parents[3] / "aasce" / "examples"


def menu(paper: int = 240, ink: int = 20, size: int = 16, step: int = 30) -> Image.Image:
    """Even lines of text, which solvers take for vertebrae."""
    image = Image.new("L", (500, 900), paper)
    draw = ImageDraw.Draw(image)
    for line in range(880 // step):
        draw.text(
            (20, 10 + step * line), "Measure angle between"[: 9 + line % 12], fill=ink, font=font(size, False)
        )
    return image


def viewer() -> Image.Image:
    """An empty window with a bar of buttons and a list."""
    image = Image.new("L", (1000, 800), 0)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 1000, 60), fill=70)
    draw.rectangle((0, 0, 180, 800), fill=45)
    for k in range(14):
        draw.rectangle((200 + k * 50, 12, 236 + k * 50, 48), fill=110, outline=200)
        draw.text((10, 80 + k * 30), f"Series {k} CR", fill=200, font=font(13, False))
    return image


def shaded() -> Image.Image:
    """A menu on a background that runs from grey to grey."""
    y, x = np.mgrid[:900, :900]
    image = Image.fromarray((60 + x * 60 / 900 + y * 40 / 900).astype(np.uint8))
    image.paste(menu(), (200, 0))
    return image


def bars() -> Image.Image:
    """Twenty plain boxes one above the other."""
    image = Image.new("L", (500, 1000), 0)
    for k in range(20):
        ImageDraw.Draw(image).rectangle((150, 20 + 48 * k, 350, 50 + 48 * k), fill=200)
    return image


def compressed(image: Image.Image, quality: int) -> Array:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return np.array(Image.open(stream))


@pytest.mark.parametrize("make", [menu, viewer, bars, lambda: menu(20, 220), lambda: menu(255, 0, 24, 36)])
def test_screens_and_pages_are_flagged(make: Callable[[], Image.Image]) -> None:
    image = make()
    pixels = np.array(image)
    assert film_flags(pixels) == FLAGGED
    assert film_flags(compressed(image, 90)) == FLAGGED
    small = Image.fromarray(cv2.resize(pixels, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA))
    assert film_flags(compressed(small, 75)) == FLAGGED


def test_depth_margin_and_background_hide_no_screen() -> None:
    pixels = np.array(menu())
    assert film_flags(pixels.astype(np.uint16) * 16) == FLAGGED
    assert film_flags(np.pad(pixels, 300)) == FLAGGED
    assert film_flags(np.array(shaded())) == FLAGGED


@pytest.fixture(scope="module")
def film() -> Array:
    pixels = cv2.imread(str(sorted(EXAMPLES.glob("*.jpg"))[0]), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    return np.asarray(pixels)


def test_a_film_of_any_quality_is_a_film(film: Array) -> None:
    rng = np.random.default_rng(0)
    height, width = film.shape
    third = cv2.resize(film, (width // 3, height // 3), interpolation=cv2.INTER_AREA)
    changed = {
        "as it is": film,
        "negative": 255 - film,
        "16 bit": film.astype(np.uint16) * 257,
        "noisy": np.clip(film + rng.normal(0, 30, film.shape), 0, 255).astype(np.uint8),
        "blurred": cv2.GaussianBlur(film, (0, 0), 4),
        "pale": (film // 8 + 100).astype(np.uint8),
        "small on an empty page": np.pad(third, ((height // 3,) * 2, (width // 3,) * 2)),
        "enlarged": cv2.resize(film, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
        "small": cv2.resize(film, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA),
        "compressed": compressed(Image.fromarray(film), 20),
    }
    assert [name for name, pixels in changed.items() if film_flags(pixels)] == []


def test_a_film_shown_in_a_window_is_a_film(film: Array) -> None:
    screen = viewer()
    shown = cv2.resize(film, (300, 700), interpolation=cv2.INTER_AREA)
    screen.paste(Image.fromarray(shown), (400, 80))
    assert film_flags(np.array(screen)) == ()


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (17, 15)])
def test_any_size_is_looked_at(size: tuple[int, int]) -> None:
    assert film_flags(np.zeros(size, np.uint8)) == ()  # blank: a solver says so
    assert film_flags(np.random.default_rng(0).integers(0, 255, size).astype(np.uint8)) in ((), FLAGGED)


@pytest.mark.skipif("AASCE_DATA" not in os.environ, reason="needs the challenge's films")
def test_no_training_film_is_flagged() -> None:
    """Every 60th; all 481 were looked at once, and 3,482 others."""
    films = sorted((Path(os.environ["AASCE_DATA"]) / "aasce19").rglob("*.jpg"))[::60]
    assert films
    assert [path.name for path in films if film_flags(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))] == []  # type: ignore[arg-type]
