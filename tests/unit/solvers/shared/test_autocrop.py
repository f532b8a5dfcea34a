"""The spine in a mask that may have gaps, and the part of a film that is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aasce.preprocess.crop import View
from aasce.solvers.shared.autocrop import autocrop, between_ends, crop_box, largest_part, longest_part
from aasce.solvers.shared.samples import Box

VIEW = View(0.5 * np.eye(2, 3), (240, 120))
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


def test_parts_far_from_each_other_are_not_joined() -> None:
    found = longest_part(torn_spine(40), VIEW)
    assert found is not None
    assert found[3] < 4 * 65


def test_an_empty_mask_has_no_spine() -> None:
    assert longest_part(np.zeros((120, 60), bool), VIEW) is None


@dataclass(frozen=True)
class SamePass:
    """A pass that finds the same spine whatever it is given."""

    box: Box
    spine: NDArray[np.float64] | None


SPINE = np.array([40.0, 100.0, 60.0, 300.0])


def passes(own: NDArray[np.float64] | None, localized: NDArray[np.float64] | None, below: float) -> list[Box]:
    """The boxes of a film of 1000 rows that are passed in turn; the film is measured from the last one."""
    boxes: list[Box] = []

    def run(box: Box) -> SamePass:
        boxes.append(box)
        return SamePass(box, own)

    assert autocrop(run, (1000, 200), below, localized).box == boxes[-1]
    return boxes


def test_a_localized_spine_is_cropped_to_at_once() -> None:
    elsewhere = np.array([0.0, 600.0, 30.0, 900.0])
    assert passes(elsewhere, SPINE, 0.6) == [crop_box(SPINE, (1000, 200))]


def test_a_localized_spine_that_fills_the_film_leaves_it_whole() -> None:
    localized = np.array([40.0, 100.0, 60.0, 850.0])
    assert passes(SPINE, localized, 0.6) == [(0, 0, 200, 1000)]
    assert passes(SPINE, localized, 0.8) == [crop_box(localized, (1000, 200))]


def test_without_a_localizer_a_small_spine_is_found_first() -> None:
    boxes = passes(SPINE, None, 0.6)
    assert boxes == [(0, 0, 200, 1000), crop_box(SPINE, (1000, 200))]


def test_where_nothing_is_found_at_the_localized_place_the_whole_film_is_passed() -> None:
    assert passes(None, SPINE, 0.6) == [crop_box(SPINE, (1000, 200)), (0, 0, 200, 1000)]


def test_on_a_whole_film_vertebrae_beyond_the_localized_rows_are_others() -> None:
    spine = np.array([40.0, 300.0, 90.0, 700.0])
    middle = np.array([[60.0, 285.0], [60.0, 300.0], [62.0, 500.0], [64.0, 700.0], [64.0, 730.0]])
    film = (1000, 400)
    assert between_ends(middle, film, spine).tolist() == [False, True, True, True, False]
    assert between_ends(middle, film, None).all()
    assert between_ends(middle, (560, 400), spine).all()  # the film shows hardly more than the spine
