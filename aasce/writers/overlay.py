"""Draws one film with what was measured on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aasce.files import atomic_write
from aasce.geometry.description import level_name
from aasce.geometry.spine import turn_points, turned_size
from aasce.preprocess.orientation import map_as_read, upright_film
from aasce.types import AasceError, CobbAngles, Orientation, Radiograph, SpinePrediction, as_float
from aasce.writers.construction import Construction, construct
from aasce.writers.page import Box, Colour, Page, lay_out, text_width, wrap

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

LARGEST = 1600
"""Rows of an overlay at most."""

MARGIN = 0.6
"""Of the film's width: a crossing farther out on either side is drawn by perpendiculars instead."""

WHITE: Colour = (235, 235, 235)
PALE: Colour = (170, 185, 195)
AMBER: Colour = (255, 200, 60)
RED: Colour = (255, 110, 95)
# Okabe and Ito's palette, which colour-blind readers can tell apart; brightened for a dark film.
COLOURS: dict[str, Colour] = {"MT": (255, 176, 0), "PT": (95, 200, 255), "TL/L": (240, 130, 200)}
SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


def draw_overlay(film: Radiograph, prediction: SpinePrediction, angles: CobbAngles | None) -> Pixels:
    """Film, numbered vertebrae, the lines and text of the three Cobb angles, confidence and flags.

    The overlay is not the film's size: films over 1600 rows are shrunk and small ones enlarged, a dark margin
    is added on the side where lines and text need it, and a strip of text is set above the film. A curve is
    drawn by its endplate lines out to their crossing, or by perpendiculars where these meet off the page;
    the number is the measured one and is not read off the drawing (the challenge measures midlines). A film
    with a failure is shown with the reason on it. A film that lies turned is shown upright, with its own greys.

    Args:
        film: as read.
        prediction: of that film.
        angles: as measured, None to draw the vertebrae only.

    Returns:
        (H', W', 3) uint8 RGB, H' at most 1600.
    """
    film = upright_film(film, Orientation(prediction.orientation.turns))
    prediction = _upright(prediction)
    points = prediction.landmarks
    if prediction.failure is not None:
        angles = None
    curves = _curves(points, angles, film)
    strip = _strip(film, prediction, angles)
    page = lay_out(film.pixels, _reach(curves, film), strip, LARGEST)
    if points is None:
        _draw_soft_parts(page, prediction)
    else:
        _draw_vertebrae(page, points, prediction, angles, curves)
    for j, curve in curves.items():
        if angles is not None:
            _draw_curve(page, curve, _title(angles, j), _colour(angles, j))
    if prediction.failure is not None:
        _draw_failure(page, prediction.failure)
    return page.finish()


def save_overlay(path: Path | str, overlay: Pixels) -> None:
    """Writes an overlay as JPEG or PNG, by the suffix, whole or not at all.

    Raises:
        AasceError: another suffix, or the file cannot be written.
    """
    form = SUFFIXES.get(Path(path).suffix.lower())
    if form is None:
        raise AasceError(f"{path}: an overlay is a JPEG or PNG; end the name with .jpg or .png")
    with atomic_write(path) as temporary:
        Image.fromarray(overlay).save(temporary, format=form, **({"quality": 90} if form == "JPEG" else {}))


def _drawable(prediction: SpinePrediction) -> Floats | None:
    """(V, 4, 2) px; None without landmarks, or with a shape or a number that cannot be drawn."""
    if prediction.landmarks is None:
        return None
    points = as_float(prediction.landmarks)
    if points.ndim != 3 or points.shape[1:] != (4, 2) or not np.isfinite(points).all():
        return None
    return points


def _line(prediction: SpinePrediction) -> Floats | None:
    """(N, 2) px of a centreline that can be drawn."""
    line = prediction.centerline
    return as_float(line) if line is not None and len(line) > 1 and np.isfinite(line).all() else None


def _upright(prediction: SpinePrediction) -> SpinePrediction:
    """What can be drawn of a prediction, on the film set upright."""
    size, turns = prediction.size, prediction.orientation.turns
    points, line, mask = _drawable(prediction), _line(prediction), prediction.mask
    return replace(
        prediction,
        size=turned_size(size, turns),
        landmarks=None if points is None else turn_points(points, size, turns),
        centerline=None if line is None else turn_points(line, size, turns),
        mask=map_as_read(mask, Orientation(-turns % 4)) if mask is not None and mask.ndim == 2 else None,
    )


def _colour(angles: CobbAngles, j: int) -> Colour:
    return COLOURS.get(angles.regions[j], tuple(COLOURS.values())[j])


def _title(angles: CobbAngles, j: int) -> str:
    return f"{angles.regions[j] or f'an{j + 1}'} {angles.degrees[j]:.1f}°"


def _curves(points: Floats | None, angles: CobbAngles | None, film: Radiograph) -> dict[int, Construction]:
    """Angle number to its lines; a curve whose two ends are one vertebra has none."""
    curves: dict[int, Construction] = {}
    if points is None or angles is None:
        return curves
    bounds = (-MARGIN * film.width, 0.0, (1 + MARGIN) * film.width, float(film.height))
    for j, ends in enumerate(angles.end_vertebrae):
        if ends is None or ends[0] == ends[1] or not all(0 <= v < len(points) for v in ends):
            continue
        upper, lower = sorted(ends)
        curve = construct(points[upper], points[lower], bounds)
        if curve is not None:
            curves[j] = curve
    return curves


def _reach(curves: dict[int, Construction], film: Radiograph) -> tuple[float, float]:
    """Px of the film that the lines and their texts need beyond its left and right edge."""
    x = [0.0, float(film.width)]
    text = 8 * film.height / 52  # a title is about eight letters of the text size, see `lay_out`
    for curve in curves.values():
        x += [*curve.lines[..., 0].ravel(), *curve.perpendiculars[..., 0].ravel()]
        x.append(float(curve.vertex[0]) + curve.side * text)
    most = (MARGIN + 0.1) * film.width + text
    return min(most, max(0.0, -min(x))), min(most, max(0.0, max(x) - film.width))


def _strip(
    film: Radiograph, prediction: SpinePrediction, angles: CobbAngles | None
) -> list[tuple[str, Colour]]:
    lines: list[tuple[str, Colour]] = [(film.film_id, WHITE)]
    if angles is not None:
        lines += [(_summary(prediction, angles, j), _colour(angles, j)) for j in range(3)]
    about = [prediction.solver or "unnamed solver"]
    if angles is not None:
        about.append(f"{angles.definition} definition")
    if prediction.failure is None:
        about.append(f"confidence {prediction.confidence:.2f}")
    lines.append((" · ".join(about), PALE))
    if prediction.flags:
        flags = ", ".join(flag.replace("_", " ") for flag in prediction.flags)
        lines.append((f"flags: {flags}", AMBER))
    return lines


def _summary(prediction: SpinePrediction, angles: CobbAngles, j: int) -> str:
    parts = [_title(angles, j)]
    ends, apex = angles.end_vertebrae[j], angles.apices[j]
    if ends is not None and ends[0] != ends[1]:
        upper, lower = (level_name(prediction.first_level, v) for v in ends)
        parts.append(f"{upper}–{lower}")
        if apex is not None and abs(ends[1] - ends[0]) > 1:
            parts.append(f"apex {level_name(prediction.first_level, apex)}")
    return " · ".join(parts)


def _draw_vertebrae(
    page: Page,
    points: Floats,
    prediction: SpinePrediction,
    angles: CobbAngles | None,
    curves: dict[int, Construction],
) -> None:
    """Outlines, numbers and apices; of a failed film the outlines only, its numbers are not to be read."""
    corners = page.place(points)
    apices = _apices(angles)
    ends = {v for j in curves if angles is not None for v in angles.end_vertebrae[j] or ()}
    size = max(11, round(0.78 * page.em))
    for v, outline in enumerate(corners):
        thickness = page.thickness + (1 if v in ends else 0)
        page.polyline(outline[[0, 1, 3, 2]], WHITE if v in ends else PALE, thickness, closed=True)
        if prediction.failure is not None:
            continue
        side = _label_side(v, angles, curves)
        edge = outline[[1, 3]].mean(axis=0) if side > 0 else outline[[0, 2]].mean(axis=0)
        name = level_name(prediction.first_level, v)
        colour = WHITE
        if v in apices and angles is not None:
            colour = _colour(angles, apices[v])
            page.dot(outline.mean(axis=0), 0.3 * page.em, colour)
            name = f"{name} apex"
        anchor = (float(edge[0]) + side * 0.45 * page.em, float(edge[1]))
        box = page.box_of(name, anchor, size, align=0.0 if side > 0 else 1.0)
        page.write(name, box, colour, size)


def _apices(angles: CobbAngles | None) -> dict[int, int]:
    """Vertebra to the angle it is the apex of; the first (larger) angle has it. Neighbours have no apex."""
    found: dict[int, int] = {}
    if angles is not None:
        for j, (apex, ends) in enumerate(zip(angles.apices, angles.end_vertebrae, strict=True)):
            if apex is not None and ends is not None and abs(ends[1] - ends[0]) > 1:
                found.setdefault(apex, j)
    return found


def _label_side(v: int, angles: CobbAngles | None, curves: dict[int, Construction]) -> int:
    """The convex side of the largest curve around a vertebra, where no line is in the way; else the right."""
    for j, curve in curves.items():
        ends = angles.end_vertebrae[j] if angles is not None else None
        if ends is not None and min(ends) <= v <= max(ends):
            return -curve.side
    return 1


def _draw_curve(page: Page, curve: Construction, title: str, colour: Colour) -> None:
    thickness = max(2, page.thickness)
    for line in curve.lines:
        page.polyline(page.place(line), colour, thickness + 1)
    for line in curve.perpendiculars:
        page.polyline(page.place(line), colour, thickness)
        _right_angle(page, page.place(line), colour)
    _draw_arc(page, curve, colour)
    page.write(title, _free_box(page, curve, title), colour, page.em)


def _right_angle(page: Page, line: Floats, colour: Colour) -> None:
    """The small square at the foot of a perpendicular."""
    way = line[1] - line[0]
    length = float(np.linalg.norm(way))
    if length > 2 * page.em:
        a = way / length * 0.4 * page.em
        b = np.array([-a[1], a[0]])
        page.polyline(line[0] + np.stack([a, a + b, b]), colour, 1, halo=False)


def _draw_arc(page: Page, curve: Construction, colour: Colour) -> None:
    """Between the two arms, no farther out than these are drawn; none where there is no room."""
    vertex = page.place(curve.vertex)
    first, second = (np.arctan2(arm[1], arm[0]) for arm in curve.arms)
    turn = (second - first + np.pi) % (2 * np.pi) - np.pi
    steps = first + turn * np.linspace(0, 1, 24)
    # A small angle has its arc farther out, where the arms have parted.
    if curve.kind == "perpendicular":
        room = 0.8 * float(np.linalg.norm(page.place(curve.perpendiculars) - vertex, axis=-1).min())
    else:
        room = 0.8 * float(np.linalg.norm(page.place(curve.lines) - vertex, axis=-1).max(axis=1).min())
    radius = min(room, page.em * float(np.clip(0.75 / max(abs(turn), 1e-3), 1.9, 4.0)))
    if radius < 0.8 * page.em:
        return
    arc = vertex + radius * np.stack([np.cos(steps), np.sin(steps)], 1)
    page.polyline(arc, colour, page.thickness, halo=False)


def _free_box(page: Page, curve: Construction, title: str) -> Box:
    """The nearest place beside the vertex, away from the spine, where no other text is."""
    em, side = page.em, curve.side
    x, y = (float(v) for v in page.place(curve.vertex))
    # Past a crossing the lines run on a little; past the tip of two perpendiculars there is room.
    ends = page.place(curve.lines)[..., 0] * side
    x = side * (float(ends.max()) + 0.4 * em) if curve.kind == "crossing" else x + side * 1.0 * em
    align = 0.0 if side > 0 else 1.0
    for step in range(12):
        for way in (1, -1):
            box = page.box_of(title, (x, y + way * step * 0.6 * em), em, align)
            if page.is_free(box):
                return box
    return page.box_of(title, (x, y), em, align)


def _draw_soft_parts(page: Page, prediction: SpinePrediction) -> None:
    """Mask outline and centreline of a solver that gives no landmarks."""
    if prediction.mask is not None:
        mask = (prediction.mask > 0).astype(np.uint8)
        found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for contour in found:
            page.polyline(page.place(contour[:, 0]), PALE, page.thickness, closed=True)
    line = _line(prediction)
    if line is not None:
        page.polyline(page.place(line), AMBER, page.thickness)


def _draw_failure(page: Page, reason: str) -> None:
    """The reason in the upper part of the film, over its whole width, never wider than the page."""
    width = page.canvas.shape[1] - 2 * page.em
    lines = ["not measured", *wrap(reason, width, page.em)]
    lines = _shortened(lines, 8)
    y = page.top + 2.0 * page.em
    band = page.canvas[page.top : int(y + 1.4 * len(lines) * page.em)]
    band[:] = band // 4  # so that red stands out from bone
    for i, line in enumerate(lines):
        x = (page.canvas.shape[1] - text_width(line, page.em)) / 2
        page.write(line, page.box_of(line, (x, y + 1.4 * i * page.em), page.em, align=0.0), RED, page.em)


def _shortened(lines: Sequence[str], most: int) -> list[str]:
    return [*lines[: most - 1], "..."] if len(lines) > most else list(lines)
