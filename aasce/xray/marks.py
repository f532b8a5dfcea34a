"""Marks and borders on a film: lead markers, written text, rulers, collimation borders, blank corners."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aasce.types import Array
from aasce.xray.appearance import Border, Mark


def lead(marks: Iterable[Mark], shape: tuple[int, int], pitch: float) -> Array | None:
    """(H, W) float32 ln attenuation by the lead markers in the beam; None without any."""
    total = None
    for mark in marks:
        if mark.grey < 0:
            total = np.zeros(shape, np.float32) if total is None else total
            total = np.maximum(total, _drawn(mark, shape, pitch) * np.float32(-mark.grey))
    return total


def burn(grey: Array, marks: Iterable[Mark], pitch: float) -> Array:
    """Grey film (H, W) float32 with the texts that the console writes onto it."""
    for mark in marks:
        if mark.grey >= 0:
            height, width = grey.shape
            ink = _drawn(mark, (height, width), pitch)
            grey = grey * (1 - ink) + np.float32(mark.grey) * ink
    return grey


def mask(grey: Array, border: Border) -> Array:
    """Grey film (H, W) float32 with its borders and blank corners."""
    height, width = grey.shape
    hidden = 1 - field(border, (height, width))
    if hidden.any():
        soft = cv2.GaussianBlur(hidden, (0, 0), border.soft_px) if border.soft_px > 0.3 else hidden
        soft *= np.float32(border.cover)
        grey = grey * (1 - soft) + np.float32(border.grey) * soft
    left, left_height, right, right_height = border.corners
    if left > 0 and left_height > 0:
        grey = grey.copy()
        grey[: round(left_height * height), : round(left * width)] = 0
        grey[: round(right_height * height), width - round(right * width) :] = 0
    return grey


def field(border: Border, shape: tuple[int, int]) -> Array:
    """(H, W) float32: 1 inside the borders, 0 where they mask the film; blank corners are not included."""
    height, width = shape
    if not any((border.left, border.right, border.top, border.bottom)):
        return np.ones(shape, np.float32)
    lines = (
        _side(border.left * width, border.slants[0], height),
        _side(border.right * width, border.slants[1], height),
        _side(border.top * height, border.slants[2], width),
        _side(border.bottom * height, border.slants[3], width),
    )
    x = np.arange(width, dtype=np.float32)[None]
    y = np.arange(height, dtype=np.float32)[:, None]
    distance = np.minimum(x - lines[0][:, None], width - 1 - lines[1][:, None] - x)
    distance = np.minimum(distance, np.minimum(y - lines[2][None], height - 1 - lines[3][None] - y))
    return np.asarray(np.clip(distance + 0.5, 0, 1), dtype=np.float32)


def _side(inset: float, degrees: float, length: int) -> Array:
    """(length,) px by which the border reaches into the film along one side; -1 on a side without border."""
    if inset <= 0:
        return np.full(length, -1.0, np.float32)
    along = np.arange(length, dtype=np.float32) - length / 2
    return np.asarray(np.maximum(inset + along * np.tan(np.radians(degrees)), -1), dtype=np.float32)


def _drawn(mark: Mark, shape: tuple[int, int], pitch: float) -> Array:
    """(H, W) float32 ink, 0 to 1."""
    if mark.text == "|":
        return _ruler(mark, shape, pitch)
    height = shape[0]
    stamp = _printed(mark, height) if mark.weight == 0 else _stroked(mark, height)
    if mark.mirrored:
        stamp = stamp[:, ::-1]
    return _stamped(np.ascontiguousarray(stamp), mark, shape)


def _printed(mark: Mark, height: int) -> Array:
    """The text in Pillow's own font."""
    size = max(mark.height * height * 1.35, 6.0)  # capitals are about three quarters of the font's size high
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(mark.text)
    canvas = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
    ImageDraw.Draw(canvas).text((2 - left, 2 - top), mark.text, fill=255, font=font)
    return _framed(np.array(canvas), size, max(round(size * 0.07), 1), mark.ring)


def _stroked(mark: Mark, height: int) -> Array:
    """The text in strokes of one thickness, as on lead markers."""
    size = max(mark.height * height, 5.0)
    stroke = max(round(mark.weight * size), 1)
    scale = size / 21  # capitals of Hershey fonts are 21 units high
    (width, tall), base = cv2.getTextSize(mark.text, cv2.FONT_HERSHEY_SIMPLEX, scale, stroke)
    edge = stroke + 2
    stamp = np.zeros((tall + base + 2 * edge, width + 2 * edge), np.uint8)
    cv2.putText(
        stamp, mark.text, (edge, edge + tall), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, stroke, cv2.LINE_AA
    )
    return _framed(stamp, size, stroke, mark.ring)


def _framed(stamp: Array, size: float, stroke: int, ring: bool) -> Array:
    """The letters cut out and centred, with a ring around them if wanted."""
    rows, columns = np.flatnonzero(stamp.any(1)), np.flatnonzero(stamp.any(0))
    if not len(rows):
        return stamp
    ink = stamp[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    edge = int(size * 0.4) + stroke if ring else 2
    framed = np.asarray(cv2.copyMakeBorder(ink, edge, edge, edge, edge, cv2.BORDER_CONSTANT))
    return _ringed(framed, stroke) if ring else framed


def _ringed(stamp: Array, stroke: int) -> Array:
    height, width = stamp.shape
    side = max(height, width)
    square = cv2.copyMakeBorder(
        stamp,
        (side - height) // 2,
        side - height - (side - height) // 2,
        (side - width) // 2,
        side - width - (side - width) // 2,
        cv2.BORDER_CONSTANT,
    )
    middle = (side // 2, side // 2)
    return np.asarray(cv2.circle(square, middle, max(side // 2 - stroke - 1, 2), 255, stroke, cv2.LINE_AA))


def _stamped(stamp: Array, mark: Mark, shape: tuple[int, int]) -> Array:
    """The stamp, rotated, on an empty film; parts beyond the film's edge are cut off."""
    height, width = shape
    rows, columns = stamp.shape
    turn = cv2.getRotationMatrix2D((columns / 2 - 0.5, rows / 2 - 0.5), mark.degrees, 1.0)
    turn[:, 2] += (mark.x * width - columns / 2, mark.y * height - rows / 2)
    return cv2.warpAffine(stamp, turn, (width, height), flags=cv2.INTER_LINEAR).astype(
        np.float32
    ) / np.float32(255)


def _ruler(mark: Mark, shape: tuple[int, int], pitch: float) -> Array:
    """A radiopaque ruler from top to bottom: a tick every cm, a long one with its number every 5 cm."""
    height, width = shape
    ink = np.zeros(shape, np.uint8)
    x, inward = round(mark.x * width), -1 if mark.mirrored else 1
    long = max(round(6 / pitch), 3)
    cv2.line(ink, (x, 0), (x, height), 255, 1, cv2.LINE_AA)
    for number in range(int(height * pitch / 10) + 1):
        y = round(number * 10 / pitch)
        reach = long if number % 5 == 0 else long // 2
        cv2.line(ink, (x, y), (x + inward * reach, y), 255, 1, cv2.LINE_AA)
        if number % 5 == 0 and number:
            place = (x + (long + 2 if inward > 0 else -long - 16), y + 4)
            cv2.putText(ink, str(number), place, cv2.FONT_HERSHEY_PLAIN, 0.6, 255, 1, cv2.LINE_AA)
    return ink.astype(np.float32) / np.float32(255)
