"""Where the spine is, of a mask that may be torn; and which part of a film is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aasce.preprocess.crop import View
from aasce.solvers.shared.autocrop import closer_look, crop_box, largest_part, longest_part
from aasce.solvers.shared.samples import Box

VIEW = View(np.array([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]), (240, 120))
"""Film px to canvas px; masks are of half the canvas, so that a mask px is 4 film px."""


def torn_spine(gap: int) -> np.ndarray:
    """(120, 60) a column of 8 px from row 10 to row 110, leaning by 6 px across a gap in its middle."""
    mask = np.zeros((120, 60), bool)
    mask[10:60, 20:28] = True
    mask[60 + gap : 110, 26:34] = True
    return mask


def test_a_spine_in_pieces_is_taken_whole() -> None:
    whole = longest_part(torn_spine(12), VIEW)
    assert whole is not None
    assert abs(whole[1] - 4 * 10) <= 4
    assert abs(whole[3] - 4 * 110) <= 8
    assert abs(whole[0] - 4 * 20) <= 8
    assert abs(whole[2] - 4 * 34) <= 8

    piece = largest_part(torn_spine(12), VIEW)
    assert piece is not None
    assert piece[3] - piece[1] < 4 * 55


def test_what_lies_far_apart_is_no_spine() -> None:
    found = longest_part(torn_spine(40), VIEW)
    assert found is not None
    assert found[3] < 4 * 65


def test_an_empty_mask_has_no_spine() -> None:
    assert longest_part(np.zeros((120, 60), bool), VIEW) is None


@dataclass(frozen=True)
class Seen:
    """A look that sees the same spine whatever it looks at."""

    box: Box
    spine: NDArray[np.float64] | None


SPINE = np.array([40.0, 100.0, 60.0, 300.0])


def looks(own: NDArray[np.float64] | None, told: NDArray[np.float64] | None, below: float) -> list[Box]:
    """The boxes of a film of 1000 rows that are looked at in turn; the last is measured."""
    boxes: list[Box] = []

    def see(box: Box) -> Seen:
        boxes.append(box)
        return Seen(box, own)

    assert closer_look(see, (1000, 200), below, told).box == boxes[-1]
    return boxes


def test_a_spine_that_is_told_is_cropped_to_at_once() -> None:
    elsewhere = np.array([0.0, 600.0, 30.0, 900.0])
    assert looks(elsewhere, SPINE, 0.6) == [crop_box(SPINE, (1000, 200))]


def test_a_told_spine_that_fills_the_film_leaves_it_whole() -> None:
    told = np.array([40.0, 100.0, 60.0, 850.0])
    assert looks(SPINE, told, 0.6) == [(0, 0, 200, 1000)]
    assert looks(SPINE, told, 0.8) == [crop_box(told, (1000, 200))]


def test_without_being_told_a_small_spine_is_found_first() -> None:
    boxes = looks(SPINE, None, 0.6)
    assert boxes == [(0, 0, 200, 1000), crop_box(SPINE, (1000, 200))]


def test_where_nothing_is_seen_at_the_told_place_the_whole_film_is_looked_at() -> None:
    assert looks(None, SPINE, 0.6) == [crop_box(SPINE, (1000, 200)), (0, 0, 200, 1000)]
