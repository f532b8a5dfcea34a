"""Picture files to a grey film; damage is an error or a flag, never passed over."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageOps

from aasce.readers.greys import grey, is_colourful, robust_range, stretched
from aasce.readers.jpeg import PIXELS_DAMAGED, has_damage
from aasce.readers.limits import MAX_PIXELS, check_size
from aasce.types import AasceError, Array, Radiograph

Kind: TypeAlias = Literal["jpeg", "png", "tiff", "bmp", "gif", "webp", "jp2", "pnm", "pdf"]

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp",
    ".jp2", ".j2k", ".jpf", ".jpx", ".pgm", ".ppm", ".pnm",
)  # fmt: skip
"""Names of pictures that can be read end in one of these; the content decides."""

_MAGIC: tuple[tuple[re.Pattern[bytes], Kind], ...] = (
    (re.compile(rb"\xff\xd8\xff"), "jpeg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "png"),
    (re.compile(rb"II[*+]\x00|MM\x00[*+]"), "tiff"),
    (re.compile(rb"BM.{4}\x00{4}", re.DOTALL), "bmp"),
    (re.compile(rb"GIF8[79]a"), "gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "webp"),
    (re.compile(rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"), "jp2"),
    (re.compile(rb"P[1-6]\s"), "pnm"),
    (re.compile(rb"%PDF-"), "pdf"),
)
_ORIENTATION = 0x0112
_AS_STORED = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_REDUCED_PAGE, _BITS, _PHOTOMETRIC = 254, 258, 262  # TIFF 6.0 tags


def kind(content: bytes) -> Kind | None:
    """The format by a file's first bytes, whatever its suffix is; a PDF is known, but not read."""
    return next((name for magic, name in _MAGIC if magic.match(content)), None)


def header_size(path: Path) -> tuple[int, int] | None:
    """(H, W) of an image as `read_raster` gives it, from its header; None for what is no image."""
    try:
        with path.open("rb") as stream:
            if kind(stream.read(32)) is None:
                return None
            stream.seek(0)
            with _opened(stream) as image:
                return _upright_size(image)
    except (OSError, Image.DecompressionBombError):
        return None


def read_raster(path: Path, film_id: str, content: bytes) -> Radiograph:
    """Decodes one picture of 8 or 16 bit, grey or colour; of an animated one the first.

    The orientation a camera wrote into EXIF is applied, so that a photographed film is upright; the
    challenge's films carry none. Resolution tags are no spacing: scanners and editors fill them freely.

    Raises:
        AasceError: the file is damaged or cut short, of a size that is no film's, a PDF, or holds several pages.
    """
    pages = _pages(path, content)
    if len(pages) > 1:
        raise AasceError(f"{path}: holds {len(pages)} pages; aasce.readers.read_films gives each as a film")
    return _film(path, film_id, content, pages[0], None)


def read_pages(path: Path, film_id: str, content: bytes) -> list[Radiograph]:
    """Reads every page of a TIFF as a film of its own, named "film_id#1", ...; any other picture keeps its name.

    Thumbnails and other reduced pages do not count.

    Raises:
        AasceError: as `read_raster`, and for pages of more than 200 megapixels together.
    """
    pages = _pages(path, content)
    if len(pages) == 1:
        return [_film(path, film_id, content, pages[0], None)]
    return [_film(path, f"{film_id}#{number}", content, page, number) for number, page in enumerate(pages, 1)]


def _film(path: Path, film_id: str, content: bytes, page: int, frame: int | None) -> Radiograph:
    pixels, turned = _decoded(path, content, page)
    flags = ["exif_orientation_applied"] if turned else []
    if pixels.ndim == 3:
        if is_colourful(pixels):
            flags.append("not_a_radiograph")
        pixels = grey(pixels)
    pixels, rescaled = _in_range(pixels)
    flags += ["intensity_rescaled"] if rescaled else []
    if kind(content) == "jpeg" and has_damage(content):
        flags.append(PIXELS_DAMAGED)
    return Radiograph(film_id, np.ascontiguousarray(pixels), path, flags=tuple(flags), frame=frame)


def _in_range(pixels: Array) -> tuple[Array, bool]:
    """uint8 or uint16, and whether the numbers were changed: long and real ones, and outliers of 16 bit."""
    if pixels.dtype == np.uint8:
        return pixels, False
    finite = np.nan_to_num(pixels, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = robust_range(finite)
    if pixels.dtype == np.uint16 and low <= pixels.min() and pixels.max() <= high:
        return pixels, False
    return stretched(finite, (low, high)), True


@contextmanager
def _opened(stream: IO[bytes]) -> Iterator[Image.Image]:
    """Opens an image without Pillow's warning of large ones: `check_size` has its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(stream) as image:
            yield image


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns what a damaged picture raises into one line."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise AasceError(f"{path}: is too large for a film ({error}); scale it down") from error
    except MemoryError as error:
        raise AasceError(f"{path}: needs more memory than there is; close other programs") from error
    except (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, cv2.error) as error:
        reason = " ".join(str(error).split())[:80]
        raise AasceError(
            f"{path}: damaged, cut short or of a rare kind ({reason}); export it again"
        ) from error


def _pages(path: Path, content: bytes) -> list[int]:
    """Numbers, from 0, of a TIFF's pages that are films; 0 alone for other pictures."""
    if kind(content) == "pdf":
        raise AasceError(f"{path}: a PDF, no picture; export the film itself as DICOM, PNG or TIFF")
    with _told(path), _opened(io.BytesIO(content)) as image:
        if image.format != "TIFF":
            return [0]
        pages, pixels = [], 0
        for page in range(getattr(image, "n_frames", 1)):
            image.seek(page)
            if not _tag(image, _REDUCED_PAGE, 0) & 1:
                pages.append(page)
                pixels += image.size[0] * image.size[1]
        if len(pages) > 1 and pixels > MAX_PIXELS:
            raise AasceError(f"{path}: {len(pages)} pages are too many at once; save those to measure")
        return pages or [0]


def _decoded(path: Path, content: bytes, page: int) -> tuple[Array, bool]:
    """Pixels as stored, (H, W) or (H, W, 3) RGB, and whether EXIF turned them."""
    with _told(path), _opened(io.BytesIO(content)) as image:
        if page:
            image.seek(page)
        check_size(path, _upright_size(image))
        orientation = _orientation(image)
        image.load()  # Pillow refuses an image cut short; OpenCV fills the missing rows with grey
        if _deep_colour(image, content):
            # OpenCV turns a TIFF by itself, whatever it is asked.
            deep = _deep_pixels(content, page)
            return deep if image.format == "TIFF" else _turned(deep, orientation), orientation != 1
        # Pillow turns a TIFF while it loads it, other formats when asked; the tag is gone once it has.
        upright = image if orientation == 1 else ImageOps.exif_transpose(image)
        # Pillow inverts "white is zero" of 8 bit by itself, not of 16.
        inverted = image.mode.startswith("I;16") and _tag(image, _PHOTOMETRIC, 1) == 0
        pixels = _pixels(upright)
        return 65535 - pixels if inverted else pixels, orientation != 1


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(_ORIENTATION, 1))


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """(H, W) after turning; Pillow gives a TIFF's size turned already."""
    width, height = image.size
    on_its_side = _orientation(image) in (5, 6, 7, 8) and image.format != "TIFF"
    return (width, height) if on_its_side else (height, width)


def _tag(image: Image.Image, tag: int, default: int) -> int:
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _deep_colour(image: Image.Image, content: bytes) -> bool:
    """True for colour of 16 bit a channel, which Pillow would cut to 8."""
    if image.format == "TIFF":
        return image.mode.startswith("RGB") and _tag(image, _BITS, 8) == 16
    # Bit depth and colour type are bytes 24 and 25 of the PNG header; 0 is grey, 3 a palette.
    return image.format == "PNG" and content[24] == 16 and content[25] != 0


def _turned(array: Array, orientation: int) -> Array:
    """Applies an EXIF orientation (1 to 8) to (H, W, 3)."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return array[::rows, ::columns]


def _deep_pixels(content: bytes, page: int) -> Array:
    packed = np.frombuffer(content, np.uint8)
    if page:
        array = next(iter(cv2.imdecodemulti(packed, _AS_STORED, range=(page, page + 1))[1]), None)
    else:
        array = cv2.imdecode(packed, _AS_STORED)
    if array is None:
        raise ValueError("16 bit colour that OpenCV cannot decode")
    return np.asarray(array)[..., ::-1]


def _pixels(image: Image.Image) -> Array:
    if image.mode in ("L", "RGB"):
        return np.array(image)
    if image.mode.startswith("I;16"):
        return np.array(image).astype(np.uint16)
    if image.mode in ("I", "F"):
        array = np.array(image)
        whole = image.mode == "I" and array.min() >= 0 and array.max() <= 65535
        return array.astype(np.uint16) if whole else array
    if image.mode in ("1", "LA", "La"):
        return np.array(image.convert("L"))
    return np.array(image.convert("RGB"))
