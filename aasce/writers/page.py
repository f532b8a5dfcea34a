"""The page an overlay is drawn on: the film in a window, margins, a strip of text, lines and text at the page's size.

OpenCV draws lines and Pillow text: OpenCV's fonts have no degree sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from aasce.types import Array

Floats = NDArray[np.float64]
Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

WHITE: Colour = (235, 235, 235)
PALE: Colour = (170, 185, 195)
AMBER: Colour = (255, 200, 60)

MOST_LINES = 14  # of the strip, so that it never crowds out the film
_SUBPIXEL = 4  # bits of a pixel's fraction that OpenCV keeps


def windowed(pixels: Array, rows: int, columns: int) -> NDArray[np.uint8]:
    """The film resized to (rows, columns), uint8.

    An 8-bit film keeps its greys; any other is stretched from its 0.5th to its 99.5th percentile.
    """
    way = cv2.INTER_AREA if rows < len(pixels) else cv2.INTER_CUBIC
    kind = np.uint8 if pixels.dtype == np.uint8 else np.float32 if pixels.dtype != np.uint16 else np.uint16
    shown = cv2.resize(np.ascontiguousarray(pixels, dtype=kind), (columns, rows), interpolation=way)
    if kind == np.uint8:
        return np.asarray(shown, dtype=np.uint8)
    low, high = np.percentile(shown, [0.5, 99.5])
    scaled = (shown.astype(np.float32) - low) * (255.0 / max(float(high - low), 1.0))
    return np.asarray(np.clip(np.round(scaled), 0, 255), dtype=np.uint8)


@lru_cache(maxsize=32)
def font(size: int, bold: bool = True) -> Font:
    """DejaVu Sans as matplotlib ships it, found without importing matplotlib; else Pillow's own font."""
    spec = find_spec("matplotlib")
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / "mpl-data" / "fonts" / "ttf" / name
        if path.is_file():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)


def text_width(text: str, size: int, bold: bool = True) -> float:
    """Px."""
    return float(font(size, bold).getlength(text))


def wrap(text: str, width: float, size: int) -> list[str]:
    """Lines of text that fit into `width` px; a word too long for a line is cut."""
    lines = [""]
    for word in text.split():
        trial = f"{lines[-1]} {word}".strip()
        if text_width(trial, size) <= width:
            lines[-1] = trial
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and text_width(lines[-1] + letter, size) > width:
                lines.append("")
            lines[-1] += letter
    return [line for line in lines if line]


@dataclass(slots=True)
class _Note:
    text: str
    box: Box
    colour: Colour
    size: int


@dataclass(slots=True)
class Page:
    """A film on a dark page. Points come in px of the film, sizes and text boxes are px of the page.

    Attributes:
        canvas: (H, W, 3) uint8 RGB.
        scale: px of the page per px of the film.
        left, top: px of the page where the film's corner lies.
        em: text size in px of the page; every other size follows from it.
    """

    canvas: NDArray[np.uint8]
    scale: float
    left: int
    top: int
    em: int
    _notes: list[_Note] = field(default_factory=list)
    _kept_clear: NDArray[np.uint8] | None = None

    @property
    def thickness(self) -> int:
        return max(1, round(self.em / 13))

    def place(self, points: Array) -> Floats:
        """(..., 2) px of the film to px of the page; pixel centres are integers in both."""
        moved = (np.asarray(points, dtype=np.float64) + 0.5) * self.scale - 0.5 + (self.left, self.top)
        reach = 4.0 * max(self.canvas.shape[:2])  # beyond, OpenCV's fixed-point coordinates overflow
        return np.asarray(np.clip(moved, -reach, reach))

    def polyline(
        self, points: Array, colour: Colour, thickness: int, closed: bool = False, halo: bool = True
    ) -> None:
        """An antialiased line through (N, 2) px of the page, dark-edged to stand out from bright bone."""
        fixed = [np.round(np.asarray(points) * (1 << _SUBPIXEL)).astype(np.int32).reshape(-1, 2)]
        if halo:
            cv2.polylines(self.canvas, fixed, closed, (0, 0, 0), thickness + 2, cv2.LINE_AA, _SUBPIXEL)
        cv2.polylines(self.canvas, fixed, closed, colour, thickness, cv2.LINE_AA, _SUBPIXEL)

    def dot(self, point: Array, radius: float, colour: Colour) -> None:
        """A filled disc with a dark rim at a point of the page."""
        centre = tuple(int(v) for v in np.round(np.asarray(point) * (1 << _SUBPIXEL)))
        for r, c in ((radius + 1.5, (0, 0, 0)), (radius, colour)):
            cv2.circle(self.canvas, centre, round(r * (1 << _SUBPIXEL)), c, -1, cv2.LINE_AA, _SUBPIXEL)

    def box_of(self, text: str, anchor: Array | tuple[float, float], size: int, align: float) -> Box:
        """x0, y0, x1, y1 of a text centred on the anchor's row; `align` of its width lies left of it."""
        width, height = text_width(text, size), 1.25 * size
        x, y = float(anchor[0]) - align * width, float(anchor[1]) - height / 2
        return x, y, x + width, y + height

    def keep_clear(self, outlines: Array) -> None:
        """Keeps texts off polygons.

        Args:
            outlines: (N, K, 2) px of the page, corners in order.
        """
        if self._kept_clear is None:
            self._kept_clear = np.zeros(self.canvas.shape[:2], np.uint8)
        for outline in np.round(outlines).astype(np.int32):
            cv2.fillPoly(self._kept_clear, [np.ascontiguousarray(outline)], (1,))

    def is_free(self, box: Box) -> bool:
        """Whether a text box lies on the page, on no other text and on nothing that is kept clear."""
        height, width = self.canvas.shape[:2]
        x0, y0, x1, y1 = box
        if x0 < 2 or y0 < 2 or x1 > width - 2 or y1 > height - 2:
            return False
        if (
            self._kept_clear is not None
            and self._kept_clear[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1].any()
        ):
            return False
        return not any(
            x0 < b[2] + 2 and b[0] < x1 + 2 and y0 < b[3] and b[1] < y1 for b in (n.box for n in self._notes)
        )

    def write(self, text: str, box: Box, colour: Colour, size: int) -> None:
        """Keeps a text for `finish`, pushed onto the page where it would leave it."""
        height, width = self.canvas.shape[:2]
        x0 = min(max(box[0], 2.0), max(2.0, width - 2 - (box[2] - box[0])))
        y0 = min(max(box[1], 2.0), max(2.0, height - 2 - (box[3] - box[1])))
        self._notes.append(_Note(text, (x0, y0, x0 + box[2] - box[0], y0 + box[3] - box[1]), colour, size))

    def finish(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 with all texts on top of all lines."""
        image = Image.fromarray(self.canvas)
        draw = ImageDraw.Draw(image)
        for note in self._notes:
            x0, y0, _, y1 = note.box
            rim = max(1, note.size // 9)
            draw.text(
                (x0, (y0 + y1) / 2),
                note.text,
                fill=note.colour,
                font=font(note.size),
                anchor="lm",
                stroke_width=rim,
                stroke_fill=(0, 0, 0),
            )
        return np.array(image)


def lay_out(
    film: Array, reach: tuple[float, float], strip: Sequence[tuple[str, Colour]], largest: int
) -> Page:
    """Scales the film, sets it on a page with margins and writes the strip above it.

    Args:
        film: (H, W), any depth.
        reach: px of the film that drawing needs left of column 0 and right of the last one.
        strip: lines of text with their colours, wrapped to the page.
        largest: the page is at most so many rows high.
    """
    height, width = film.shape
    # The text strip takes rows too; its size follows from that of the film as shown.
    scale = _scale(height, width, largest)
    em = int(np.clip(round(height * scale / 52), 13, 30))
    left, right = (int(np.ceil(r * scale)) for r in reach)
    shown = max(1, round(width * scale))
    spare = max(0, 26 * em - (left + shown + right))
    left, right = left + spare // 2, right + spare - spare // 2
    total = left + shown + right
    small = max(12, round(0.85 * em))
    lines = [(part, colour) for text, colour in strip for part in wrap(text, total - 2 * em, small)]
    lines = lines[:MOST_LINES]
    top = round((1.4 * len(lines) + 0.9) * small)
    scale = min(scale, max(largest - top, largest // 3) / height)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    canvas = np.full((top + max(rows, 8 * em), total, 3), 14, dtype=np.uint8)
    left += (shown - columns) // 2
    canvas[top : top + rows, left : left + columns] = windowed(film, rows, columns)[..., None]
    page = Page(canvas, scale, left, top, em)
    for i, (text, colour) in enumerate(lines):
        y = (1.4 * i + 1.1) * small
        page.write(text, page.box_of(text, (em, y), small, align=0.0), colour, small)
    return page


def _scale(height: int, width: int, largest: int) -> float:
    """Large films are shrunk, small ones enlarged up to four times, so that text stands well beside them."""
    wanted = min(largest / height, largest / width)
    return wanted if wanted < 1 else min(4.0, max(1.0, 900 / max(height, width)))
