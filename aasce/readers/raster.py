"""PNG, JPEG and TIFF to a grey film; damage is an error, never ignored."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageOps

from aasce.readers.greys import grey, is_colourful, stretched
from aasce.readers.limits import check_size
from aasce.types import AasceError, Array, Radiograph

Kind: TypeAlias = Literal["jpeg", "png", "tiff"]
_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
)
_ORIENTATION = 0x0112
_AS_STORED = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_REDUCED_PAGE, _BITS, _PHOTOMETRIC = 254, 258, 262  # TIFF 6.0 tags


def kind(content: bytes) -> Kind | None:
    """The format by a file's first bytes, whatever its suffix is."""
    return next((name for magic, name in _MAGIC if content.startswith(magic)), None)


def header_size(path: Path) -> tuple[int, int] | None:
    """(H, W) of an image as `read_raster` gives it, from its header; None for what is no image."""
    try:
        with path.open("rb") as stream:
            if kind(stream.read(8)) is None:
                return None
            stream.seek(0)
            with _opened(stream) as image:
                return _upright_size(image)
    except (OSError, Image.DecompressionBombError):
        return None


def read_raster(path: Path, film_id: str, content: bytes) -> Radiograph:
    """Decodes a PNG, JPEG or TIFF of 8 or 16 bit, grey or colour.

    The orientation a camera wrote into EXIF is applied, so that a photographed film is upright; the
    challenge's films carry none. Resolution tags are no spacing: scanners and editors fill them freely.

    Raises:
        AasceError: the file is damaged or cut short, of a size that is no film's, or holds several pages.
    """
    pixels, turned = _decoded(path, content)
    flags = ["exif_orientation_applied"] if turned else []
    if pixels.ndim == 3:
        if is_colourful(pixels):
            flags.append("not_a_radiograph")
        pixels = grey(pixels)
    if pixels.dtype not in (np.uint8, np.uint16):
        pixels = stretched(pixels)
        flags.append("intensity_rescaled")
    return Radiograph(film_id, np.ascontiguousarray(pixels), path, flags=tuple(flags))


@contextmanager
def _opened(stream: IO[bytes]) -> Iterator[Image.Image]:
    """Opens an image without Pillow's warning of large ones: `check_size` has its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(stream) as image:
            yield image


def _decoded(path: Path, content: bytes) -> tuple[Array, bool]:
    """Pixels as stored, (H, W) or (H, W, 3) RGB, and whether EXIF turned them."""
    try:
        with _opened(io.BytesIO(content)) as image:
            check_size(path, _upright_size(image))
            _refuse_pages(path, image)
            orientation = _orientation(image)
            image.load()  # Pillow refuses an image cut short; OpenCV fills the missing rows with grey
            if _deep_colour(image, content):
                # OpenCV turns a TIFF by itself, whatever it is asked.
                deep = _deep_pixels(content)
                return deep if image.format == "TIFF" else _turned(deep, orientation), orientation != 1
            # Pillow turns a TIFF while it loads it, other formats when asked; the tag is gone once it has.
            upright = image if orientation == 1 else ImageOps.exif_transpose(image)
            # Pillow inverts "white is zero" of 8 bit by itself, not of 16.
            inverted = image.mode.startswith("I;16") and _tag(image, _PHOTOMETRIC, 1) == 0
            pixels = _pixels(upright)
            return 65535 - pixels if inverted else pixels, orientation != 1
    except Image.DecompressionBombError as error:
        raise AasceError(f"{path}: is too large for a film ({error}); scale it down") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, cv2.error) as error:
        reason = " ".join(str(error).split())[:80]
        raise AasceError(
            f"{path}: damaged, cut short or of a rare kind ({reason}); export it again"
        ) from error


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(_ORIENTATION, 1))


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """(H, W) after turning; Pillow gives a TIFF's size turned already."""
    width, height = image.size
    on_its_side = _orientation(image) in (5, 6, 7, 8) and image.format != "TIFF"
    return (width, height) if on_its_side else (height, width)


def _refuse_pages(path: Path, image: Image.Image) -> None:
    """Refuses a TIFF of several films; thumbnails and other reduced pages do not count."""
    if image.format != "TIFF":
        return
    pages = 0
    for page in range(getattr(image, "n_frames", 1)):
        image.seek(page)
        pages += not _tag(image, _REDUCED_PAGE, 0) & 1
    image.seek(0)
    if pages > 1:
        raise AasceError(f"{path}: holds {pages} pages; save the one film to measure as a file of its own")


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


def _deep_pixels(content: bytes) -> Array:
    array = cv2.imdecode(np.frombuffer(content, np.uint8), _AS_STORED)
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
