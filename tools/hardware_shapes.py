"""Metal painted over films in grey values: shapes made by hand, to measure on.

None of it shares code or statistics with `aasce.phantom.devices.on_film`, by which networks are trained: strokes,
polygons and discs of a constant or textured grey, blended over the film, with no depth, no attenuation and no scatter.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.geometry.spine import centres, widths

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Ink = NDArray[np.uint8]
Painter = Callable[[Ink, Floats, np.random.Generator], None]
SHIFT = 4
"""Bits of the fraction of a px that OpenCV draws with."""


def painted(film: Bytes, landmarks: Floats, kind: str, rng: np.random.Generator) -> Bytes:
    """A film with one kind of hardware over its spine.

    Args:
        film: (H, W) uint8, bone bright.
        landmarks: (V, 4, 2) px from the top.
        kind: a key of `KINDS`.
        rng: source of every draw.
    """
    ink = np.zeros(film.shape, np.uint8)
    KINDS[kind](ink, landmarks, rng)
    cover = cv2.GaussianBlur(ink, (0, 0), float(rng.uniform(0.6, 1.1))).astype(np.float32) / 255
    cover *= np.float32(rng.uniform(0.8, 1.0))
    metal = np.float32(rng.uniform(228, 255))
    return np.asarray(np.rint(film * (1 - cover) + metal * cover), np.uint8)


def _fixed(points: Floats) -> NDArray[np.int32]:
    return np.rint(np.asarray(points) * (1 << SHIFT)).astype(np.int32)


def _stroke(ink: Ink, points: Floats, px: float, grey: int = 255) -> None:
    cv2.polylines(ink, [_fixed(points)], False, grey, max(round(px), 1), cv2.LINE_AA, SHIFT)


def _polygon(ink: Ink, points: Floats, grey: int = 255) -> None:
    cv2.fillPoly(ink, [_fixed(points)], grey, cv2.LINE_AA, SHIFT)


def _disc(ink: Ink, centre: Floats, px: float, grey: int = 255) -> None:
    x, y = _fixed(centre)
    cv2.circle(ink, (int(x), int(y)), int(px * (1 << SHIFT)), grey, -1, cv2.LINE_AA, SHIFT)


def _bar(centre: Floats, half: Floats, degrees: float) -> Floats:
    """Corners (4, 2) px of a rectangle."""
    turn = np.radians(degrees)
    way = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return np.asarray(centre + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ way)


def _span(landmarks: Floats, rng: np.random.Generator, fewest: int) -> tuple[int, int]:
    """First vertebra and the one after the last."""
    count = len(landmarks)
    length = int(rng.integers(fewest, max(fewest + 1, count - 2)))
    top = int(rng.integers(0, count - length + 1))
    return top, top + length


def _unit(landmarks: Floats) -> float:
    """px: mean width of a vertebra."""
    return float(widths(landmarks).mean())


def _bent(landmarks: Floats, aside: float) -> Floats:
    """A line (V, 2) beside the middle of the column, in shares of a vertebra's width."""
    across = landmarks[:, [1, 3]].mean(axis=1) - landmarks[:, [0, 2]].mean(axis=1)
    return np.asarray(centres(landmarks) + aside * across)


def rods_and_screws(ink: Ink, landmarks: Floats, rng: np.random.Generator) -> None:
    """Two strokes with grooves; screws as wedges that point inward or seen end-on as discs with a dark socket."""
    top, end = _span(landmarks, rng, 6)
    unit, gap = _unit(landmarks), rng.uniform(0.28, 0.5)
    for side in (-1, 1):
        line = _bent(landmarks, side * gap)[top:end] + rng.normal(0, 0.03 * unit, (end - top, 2))
        _stroke(ink, line, rng.uniform(0.1, 0.2) * unit)
        for k in range(0, len(line), int(rng.integers(1, 3))):
            head = rng.uniform(0.14, 0.22) * unit
            if rng.random() < 0.5:
                tip = line[k] + np.array([-side * rng.uniform(0.2, 0.6), rng.uniform(-0.2, 0.3)]) * unit
                across = np.array([0.0, 0.5 * head])
                _polygon(
                    ink,
                    np.stack([line[k] - across, line[k] + across, tip + 0.2 * across, tip - 0.2 * across]),
                )
            _disc(ink, line[k], head)
            if rng.random() < 0.5:
                _disc(ink, line[k], 0.4 * head, int(rng.integers(90, 200)))


def plates(ink: Ink, landmarks: Floats, rng: np.random.Generator) -> None:
    """Plates with holes over two to five vertebrae, in the middle or beside it."""
    unit = _unit(landmarks)
    for _ in range(int(rng.integers(1, 4))):
        top, end = _span(landmarks, rng, 3)
        end = min(end, top + 5)
        line = _bent(landmarks, rng.uniform(-0.6, 0.6))[top:end]
        middle, way = (line[0] + line[-1]) / 2, line[-1] - line[0]
        half = np.array([rng.uniform(0.14, 0.3) * unit, float(np.linalg.norm(way)) / 2])
        _polygon(
            ink,
            _bar(middle, half, float(-np.degrees(np.arctan2(way[0], way[1])))),
            int(rng.integers(190, 256)),
        )
        for point in line:
            _disc(ink, point, 0.4 * half[0], int(rng.integers(60, 160)))


def textured_rod(ink: Ink, landmarks: Floats, rng: np.random.Generator) -> None:
    """One or two rods with notches, from neck to pelvis, with hooks as angular pieces at their ends."""
    unit = _unit(landmarks)
    for aside in (rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7))[: int(rng.integers(1, 3))]:
        whole = _bent(landmarks, aside)
        ends = whole[[0, -1]] if rng.random() < 0.5 else whole[:: int(rng.integers(2, 5))]
        _stroke(ink, ends, rng.uniform(0.15, 0.26) * unit)
        for share in np.linspace(0.02, rng.uniform(0.2, 0.9), 16):
            at = ends[0] + share * (ends[-1] - ends[0])
            _stroke(
                ink,
                np.stack([at - np.array([0.12 * unit, 0]), at + np.array([0.12 * unit, 0])]),
                0.05 * unit,
                120,
            )
        for end in (ends[0], ends[-1]):
            corners = rng.uniform(-0.3, 0.3, (5, 2)) * unit
            order = np.argsort(np.arctan2(corners[:, 1], corners[:, 0]))
            _polygon(ink, end + corners[order])


def clips_and_staples(ink: Ink, landmarks: Floats, rng: np.random.Generator) -> None:
    """Short strokes in groups, and brackets in a row beside the column."""
    unit, middle = _unit(landmarks), centres(landmarks)
    for _ in range(int(rng.integers(2, 5))):
        group = middle[int(rng.integers(len(middle)))] + rng.normal(0, 0.5, 2) * unit
        for _ in range(int(rng.integers(3, 8))):
            at, way = group + rng.normal(0, 0.25, 2) * unit, rng.normal(0, 0.09, 2) * unit
            _stroke(ink, np.stack([at - way, at + way]), 0.05 * unit)
    line = _bent(landmarks, rng.uniform(-0.4, 0.4))
    for k in np.arange(0, len(line) - 1, 0.25):
        at = line[int(k)] + (k % 1) * (line[int(k) + 1] - line[int(k)])
        half = np.array([0.09, 0.0]) * unit
        _stroke(ink, np.stack([at - half + [0, 3], at - half, at + half, at + half + [0, 3]]), 0.035 * unit)


def wires(ink: Ink, landmarks: Floats, rng: np.random.Generator) -> None:
    """Cerclage: loops and twisted ends at each of several levels, a straight rod they hold."""
    top, end = _span(landmarks, rng, 5)
    unit = _unit(landmarks)
    line = _bent(landmarks, rng.uniform(-0.3, 0.3))[top:end]
    angle = np.linspace(0, 2 * np.pi, 24)[:, None]
    for at in line:
        across, down = (
            np.array([rng.uniform(0.15, 0.4), 0.0]) * unit,
            np.array([0.0, rng.uniform(0.1, 0.2)]) * unit,
        )
        _stroke(ink, at + np.cos(angle) * across + np.sin(angle) * down, 0.05 * unit)
        turns = np.linspace(0, 0.5, 20)[:, None] * unit
        _stroke(ink, at + across + np.hstack([turns, 0.05 * unit * np.sin(turns)]), 0.07 * unit)
    if rng.random() < 0.6:
        _stroke(ink, line[[0, -1]], 0.16 * unit)


def zip_and_buttons(ink: Ink, landmarks: Floats, rng: np.random.Generator) -> None:
    """A zip over the column, buttons with holes beside or on it."""
    unit, middle = _unit(landmarks), centres(landmarks)
    x, y = middle[0] + [rng.uniform(-0.5, 0.5) * unit, rng.uniform(0, 4) * unit]
    for k in range(int(rng.integers(30, 80))):
        at = np.array([x + (0.06 if k % 2 else -0.06) * unit, y + 0.11 * unit * k])
        _polygon(ink, _bar(at, np.array([0.07, 0.028]) * unit, 0.0))
    for k in range(int(rng.integers(2, 7))):
        at = middle[int(rng.integers(len(middle)))] + rng.normal(0, 0.5, 2) * unit
        _disc(ink, at, rng.uniform(0.15, 0.3) * unit, int(rng.integers(150, 256)))
        for hole in (-1, 1):
            _disc(ink, at + np.array([hole * 0.06 * unit, 0.02 * k]), 0.03 * unit, 40)


def brace_metal(ink: Ink, landmarks: Floats, rng: np.random.Generator) -> None:
    """Bars, buckles as frames, rivets and hinges of a brace, some of them on the column."""
    unit, middle = _unit(landmarks), centres(landmarks)
    for _ in range(int(rng.integers(1, 4))):
        at = middle[int(rng.integers(len(middle)))] + [rng.normal(0, 1.0) * unit, 0]
        _polygon(
            ink, _bar(at, np.array([rng.uniform(0.12, 0.3), rng.uniform(1.5, 5)]) * unit, rng.normal(0, 8))
        )
    for _ in range(int(rng.integers(2, 6))):
        at = middle[int(rng.integers(len(middle)))] + [rng.normal(0, 0.9) * unit, 0]
        half, turn = np.array([rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.6)]) * unit, rng.normal(0, 15)
        corners = _bar(at, half, turn)
        _stroke(ink, np.concatenate([corners, corners[:1]]), 0.1 * unit)
        _disc(ink, at + np.array([rng.uniform(0.6, 1.2) * unit, 0]), 0.14 * unit)


KINDS: dict[str, Painter] = {
    "rods and screws": rods_and_screws, "plates": plates, "textured rods": textured_rod,
    "clips and staples": clips_and_staples, "wires": wires, "zip and buttons": zip_and_buttons,
    "brace": brace_metal,
}  # fmt: skip
