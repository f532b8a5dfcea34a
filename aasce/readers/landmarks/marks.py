"""Points that were marked on a film, in whatever program, to landmarks: each vertebra complete, corners by name.

Frame: px of the film as read, x right, y down, the centre of the first pixel at (0, 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.description import level_name
from aasce.geometry.spine import (
    RING,
    corners_agree,
    leaves_film,
    quarter_turns,
    repair_corners,
    spine_directions,
    turn_points,
)
from aasce.readers.landmarks.levels import marked_level
from aasce.types import CORNERS, VERTEBRAE, Array, FilmFacts, Orientation, SpinePrediction

Floats = NDArray[np.float64]

SOLVER = "landmarks"
"""Stands for the solver in the tables of films whose points were marked."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One corner as marked.

    Attributes:
        label: the level as written.
        corner: "TL", "TR", "BL" or "BR" of the film set upright; None where the order of the points tells.
        x, y: px; NaN for a point that was left out.
        confidence: [0, 1], None where the file says nothing.
    """

    label: str
    corner: str | None
    x: float
    y: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class MarkedFilm:
    """What a file of landmarks tells of one film.

    Attributes:
        film_id: that of the film.
        file: its file's name, None where unknown.
        frame: see `FilmFacts`.
        size: (H, W) px, None where the file does not say.
        spacing: (row, column) mm, None where the file does not say.
        spacing_source: see `FilmFacts`.
        marks: in the order of the file; those of a vertebra without named corners follow its outline.
    """

    film_id: str
    marks: tuple[Mark, ...]
    size: tuple[int, int] | None = None
    file: str | None = None
    frame: int | None = None
    spacing: tuple[float, float] | None = None
    spacing_source: str | None = None


@dataclass(frozen=True, slots=True)
class _Column:
    """All vertebrae of one film, complete and in order; `named` (V,) tells whose corners the file names."""

    first: int
    points: Floats
    confidence: Floats | None
    named: NDArray[np.bool_]


def film_of(marked: MarkedFilm, height: int | None = None) -> tuple[FilmFacts, SpinePrediction]:
    """Facts and landmarks of a marked film; one whose marks cannot be landmarks fails with the reason.

    How the film lay follows from the way from the first vertebra to the last. Corners without names are named by where
    they lie. The points are taken as given: the confidence is 1.

    Args:
        marked: the film.
        height: rows of the film, where the file does not say.
    """
    size, fault = _size(marked, height)
    facts = FilmFacts(
        marked.film_id, None if marked.file is None else Path(marked.file), marked.frame, size, marked.spacing,
        marked.spacing_source, None, None,
    )  # fmt: skip
    try:
        column = _column(marked.marks)
        if fault is not None:
            raise ValueError(fault)
        prediction = _prediction(marked.film_id, column, size)
        if marked.size is None and prediction.orientation.turns % 2:
            raise ValueError(
                "the film lies on its side, so that its width is needed too; give a file with the size"
            )
        return facts, prediction
    except ValueError as error:
        return facts, SpinePrediction(marked.film_id, size, solver=SOLVER, failure=str(error))


def _size(marked: MarkedFilm, height: int | None) -> tuple[tuple[int, int], str | None]:
    """(H, W), and why it cannot be measured on: where the file does not say, the points span it."""
    if marked.size is not None:
        return marked.size, None
    points = np.array([(mark.x, mark.y) for mark in marked.marks] or [(0.0, 0.0)])
    right, bottom = np.nan_to_num(points).max(axis=0)
    span = max(int(np.ceil(bottom)) + 1, 1), max(int(np.ceil(right)) + 1, 1)
    if height is None:
        return span, "the file does not tell the film's size; give its rows by --height"
    return (height, span[1]), None


def _prediction(film_id: str, column: _Column, size: tuple[int, int]) -> SpinePrediction:
    _check_place(column, size)
    turns = quarter_turns(column.points)
    upright = turn_points(column.points, size, turns)
    order = _corner_order(upright, column.named)
    points = np.take_along_axis(column.points, order[:, :, None], axis=1)
    upright = np.take_along_axis(upright, order[:, :, None], axis=1)
    confidence = column.confidence
    return SpinePrediction(
        film_id,
        size,
        landmarks=points,
        landmark_confidence=None if confidence is None else np.take_along_axis(confidence, order, axis=1),
        orientation=Orientation(turns),
        confidence=1.0,
        flags=(*Orientation(turns).flags, *_flags(points, upright, column.first, size)),
        solver=SOLVER,
        first_level=column.first,
    )


def _flags(points: Floats, upright: Floats, first: int, size: tuple[int, int]) -> list[str]:
    flags = ["vertebra_missing"] if len(points) < len(VERTEBRAE) else []
    flags += ["curve_leaves_film"] if leaves_film(points, size) else []
    odd = np.flatnonzero(~corners_agree(upright, spine_directions(upright)))
    return flags + [f"corner_names_disagree:{level_name(first, int(v))}" for v in odd]


def _corner_order(upright: Floats, named: Array) -> NDArray[np.intp]:
    """(V, 4): which of the points of a vertebra is TL, TR, BL, BR; named ones stay as named."""
    order = np.tile(np.arange(4), (len(upright), 1))
    order[~named] = RING  # a drawn outline; RING is its own inverse
    drawn = np.take_along_axis(upright, order[:, :, None], axis=1)
    for v, corners in enumerate(repair_corners(drawn)):
        if not named[v]:
            order[v] = [int(np.flatnonzero((upright[v] == corner).all(axis=1))[0]) for corner in corners]
    return order


def _check_place(column: _Column, size: tuple[int, int]) -> None:
    """Refuses points farther off the film than it is large: they are of another film, or in another unit."""
    limit = np.array([size[1], size[0]])
    far = ((column.points < -limit) | (column.points > 2 * limit)).any(axis=2)
    if far.any():
        v, corner = (int(i) for i in np.argwhere(far)[0])
        x, y = column.points[v, corner]
        raise ValueError(
            f"{level_name(column.first, v)}: a corner at ({x:.0f}, {y:.0f}) lies far off the film of "
            f"{size[1]} x {size[0]} px; give the points in px of this film"
        )


def _column(marks: Sequence[Mark]) -> _Column:
    """All vertebrae, from the uppermost; raises ValueError for what is missing or marked twice."""
    groups: dict[int, list[Mark]] = {}
    for mark in marks:
        groups.setdefault(marked_level(mark.label), []).append(mark)
    if len(groups) < 2:
        found = f"{level_name(next(iter(groups)), 0)} alone" if groups else "no vertebra"
        raise ValueError(f"{found} is marked; angles need two vertebrae or more")
    first, last = min(groups), max(groups)
    gaps = [level_name(level, 0) for level in range(first, last + 1) if level not in groups]
    if gaps:
        raise ValueError(
            f"{', '.join(gaps)} not marked between {level_name(first, 0)} and {level_name(last, 0)}; "
            "mark each vertebra in between"
        )
    vertebrae = [_vertebra(level_name(level, 0), groups[level]) for level in range(first, last + 1)]
    scores = [[mark.confidence for mark in four] for four in vertebrae]
    known = any(score is not None for four in scores for score in four)
    return _Column(
        first,
        np.array([[(mark.x, mark.y) for mark in four] for four in vertebrae], dtype=np.float64),
        np.array([[1.0 if s is None else s for s in four] for four in scores]) if known else None,
        np.array([four[0].corner is not None for four in vertebrae]),
    )


def _vertebra(name: str, marks: Sequence[Mark]) -> list[Mark]:
    """The four marks of a vertebra, in the order of `CORNERS` where they are named."""
    marks = [mark for mark in marks if np.isfinite((mark.x, mark.y)).all()]
    corners = [mark.corner for mark in marks if mark.corner is not None]
    twice = next((corner for corner in corners if corners.count(corner) > 1), None)
    if twice is not None:
        raise ValueError(f"{name} {twice} is marked twice; remove one")
    if len(marks) != len(CORNERS):
        missing = [c for c in CORNERS if c not in corners] if corners else []
        which = f" ({', '.join(missing)} missing)" if missing else ""
        raise ValueError(f"{name} has {len(marks)} corners of 4{which}; mark all four once")
    if not corners:
        return list(marks)
    if sorted(corners) != sorted(CORNERS):
        raise ValueError(f"{name} has corners with and without names; name TL, TR, BL and BR, or none")
    return sorted(marks, key=lambda mark: CORNERS.index(mark.corner or ""))
