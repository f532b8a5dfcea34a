"""Draws one film with what was measured on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aasce.ensemble.combine import Measurement
from aasce.files import atomic_write
from aasce.geometry.description import UNDER, Curve, level_name
from aasce.geometry.spine import turn_points, turned_size
from aasce.preprocess.orientation import map_as_read, upright_film
from aasce.scoring.conformal import NO_INTERVALS, Intervals
from aasce.types import AasceError, CobbAngles, Orientation, Radiograph, Side, SpinePrediction, as_float
from aasce.writers.captions import COLOURS, strip, title, vertebra_label
from aasce.writers.construction import Construction, construct
from aasce.writers.describe import description_of, upright_left
from aasce.writers.page import AMBER, PALE, WHITE, Box, Colour, Page, lay_out, text_width, wrap

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

LARGEST = 1600
"""Rows of an overlay at most."""

MARGIN = 1 / 3
"""Of the film's width: no line or title goes farther out on either side, so that the film stays large. Endplate lines
that cross beyond it are drawn by perpendiculars instead, as readers draw them on a film."""

RED: Colour = (255, 110, 95)
SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


def draw_measured(film: Radiograph, measurement: Measurement) -> Pixels:
    """`draw_overlay` of a measured film, with the intervals of its angles."""
    m = measurement
    return draw_overlay(film, m.prediction, m.angles, m.intervals, m.coverage)


def draw_overlay(
    film: Radiograph,
    prediction: SpinePrediction,
    angles: CobbAngles | None,
    intervals: Intervals = NO_INTERVALS,
    coverage: float | None = None,
) -> Pixels:
    """Film, numbered vertebrae, the lines and text of the three Cobb angles, confidence and flags.

    The overlay is not the film's size: films over 1600 rows are shrunk and small ones enlarged, a dark margin
    of at most a third of the film's width is added on the side where lines and text need it, and a strip of text is set
    above the film. A curve is drawn by its endplate lines out to their crossing, or by perpendiculars where these meet
    farther out; the number is the measured one and is not read off the drawing (the challenge measures midlines). A
    film with a failure is shown with the reason on it. A film that lies turned is shown upright, with its own greys.
    "R" and "L" at the film's upper corners are the patient's sides, where the film says them.

    Args:
        film: as read.
        prediction: of that film.
        angles: as measured, None to draw the vertebrae only.
        intervals: around the angles, degrees; written behind them.
        coverage: of the intervals.

    Returns:
        (H', W', 3) uint8 RGB, H' at most 1600.
    """
    facts, turns = film.facts, prediction.orientation.turns
    if prediction.failure is not None:
        angles = None
    description = description_of(facts, Measurement(prediction, angles))
    lines = strip(facts, prediction, angles, description, intervals, coverage)
    film = upright_film(film, Orientation(turns))
    prediction = _upright(prediction)
    points = prediction.landmarks
    drawn = _curves(points, angles, film)
    page = lay_out(film.pixels, _reach(drawn, film), lines, LARGEST)
    _draw_sides(page, film, upright_left(facts, turns))
    curves = () if description is None else description.curves
    if points is None:
        _draw_soft_parts(page, prediction)
    else:
        _draw_spine(page, points, prediction, curves, drawn)
    page.keep_clear(_bands(page, drawn.values()))
    for j, construction in drawn.items():
        _draw_curve(page, construction, title(curves[j]), COLOURS[j])
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


def _reach(drawn: dict[int, Construction], film: Radiograph) -> tuple[float, float]:
    """Px of the film that the lines and their titles need beyond its left and right edge."""
    x = [0.0, float(film.width)]
    text = 6 * film.height / 52  # a title is about six letters of the text size, see `lay_out`
    for curve in drawn.values():
        x += [*curve.lines[..., 0].ravel(), *curve.perpendiculars[..., 0].ravel()]
        x.append(float(curve.vertex[0]) + curve.side * text)
    most = MARGIN * film.width
    return min(most, max(0.0, -min(x))), min(most, max(0.0, max(x) - film.width))


def _draw_sides(page: Page, film: Radiograph, patient_left: Side | None) -> None:
    """The patient's sides in the upper corners of the film."""
    if patient_left is None:
        return
    corners = page.place(np.array([[0.0, 0.0], [film.width - 1.0, 0.0]]))
    names = ("L", "R") if patient_left == "left" else ("R", "L")
    size = round(1.4 * page.em)
    for name, (x, y), inwards in zip(names, corners, (1, -1), strict=True):
        anchor = (float(x) + inwards * 0.8 * size, float(y) + size)
        page.write(name, page.box_of(name, anchor, size, align=0.5), WHITE, size)


def _draw_spine(
    page: Page,
    points: Floats,
    prediction: SpinePrediction,
    curves: Sequence[Curve],
    drawn: dict[int, Construction],
) -> None:
    """Outlines, names and apices; of a failed film the outlines only, its names are not to be read."""
    outlines = page.place(points)[:, [0, 1, 3, 2]]
    page.keep_clear(outlines)
    ends = {v for j in drawn for v in (curves[j].upper, curves[j].lower)}
    names = [level_name(prediction.first_level, v) for v in range(len(points))]
    for name, outline in zip(names, outlines, strict=True):
        thickness, colour = (page.thickness + 1, WHITE) if name in ends else (page.thickness, PALE)
        page.polyline(outline, colour, thickness, closed=True)
    if prediction.failure is not None:
        return
    apices = _apices(curves)
    for place, j in apices.items():
        below = min(int(place + 0.5), len(points) - 1)
        page.dot(outlines[[int(place), below]].mean(axis=(0, 1)), 0.3 * page.em, COLOURS[j])
    for v in range(len(points)):
        text = vertebra_label(prediction, v)
        colour = COLOURS[apices[v]] if v in apices else WHITE
        _write_label(
            page,
            outlines[v],
            f"{text} apex" if v in apices else text,
            colour,
            _label_side(names, v, curves, drawn),
        )
    for place, j in apices.items():
        if place != int(place):
            between = outlines[[int(place), int(place) + 1]].mean(axis=0)
            side = _label_side(names, int(place), curves, drawn)
            _write_label(page, between, f"{curves[j].apex} apex", COLOURS[j], side)


def _write_label(page: Page, outline: Floats, text: str, colour: Colour, side: int) -> None:
    """Beside an outline TL, TR, BR, BL, as near as bone and other texts leave room."""
    size = max(11, round(0.78 * page.em))
    edge = outline[[1, 2]].mean(axis=0) if side > 0 else outline[[0, 3]].mean(axis=0)
    for step in range(12):
        anchor = (float(edge[0]) + side * (0.45 + 0.4 * step) * page.em, float(edge[1]))
        box = page.box_of(text, anchor, size, align=0.0 if side > 0 else 1.0)
        if page.is_free(box):
            break
    page.write(text, box, colour, size)


def _apices(curves: Sequence[Curve]) -> dict[float, int]:
    """Vertebra, or half way between two for a disc, to the curve it is the apex of; the first (larger) one has it."""
    found: dict[float, int] = {}
    for curve in curves:
        if curve.apex_place is not None and curve.severity != UNDER:
            found.setdefault(curve.apex_place, curve.number - 1)
    return found


def _label_side(names: Sequence[str], v: int, curves: Sequence[Curve], drawn: dict[int, Construction]) -> int:
    """The convex side of the largest curve around a vertebra, where no line is in the way; else the right."""
    for j, construction in drawn.items():
        if names.index(curves[j].upper) <= v <= names.index(curves[j].lower):
            return -construction.side
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


def _bands(page: Page, drawn: Iterable[Construction]) -> Floats:
    """(N, 4, 2) px of the page: narrow strips along all lines, which titles are kept off."""
    lines = [page.place(np.concatenate([c.lines, c.perpendiculars])) for c in drawn]
    along = np.concatenate([np.empty((0, 2, 2)), *lines])
    way = along[:, 1] - along[:, 0]
    way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6)
    half = 0.25 * page.em * np.stack([-way[:, 1], way[:, 0]], axis=1)[:, None]
    return np.concatenate([along + half, along[:, ::-1] - half], axis=1)


def _free_box(page: Page, curve: Construction, title: str) -> Box:
    """The nearest place beside, above or below the vertex where neither bone nor a line nor other text is."""
    em, side = page.em, curve.side
    vertex = page.place(curve.vertex)
    # Past a crossing the lines run on a little; past the tip of two perpendiculars there is room.
    ends = page.place(curve.lines)[..., 0] * side
    beside = (
        side * (float(ends.max()) + 0.4 * em) if curve.kind == "crossing" else float(vertex[0]) + side * em
    )
    half = text_width(title, em) / 2 + 3
    above = float(np.clip(vertex[0], half, max(half, page.canvas.shape[1] - half)))
    boxes = [
        page.box_of(title, (x, float(vertex[1]) + way * step * 0.5 * em), em, align)
        for step in range(20)
        for x, align in ((beside, 0.0 if side > 0 else 1.0), (above, 0.5))
        for way in (1, -1)
    ]
    return next((box for box in boxes if page.is_free(box)), boxes[0])


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
