"""Where the spine is, of a mask that may be torn."""

from __future__ import annotations

import numpy as np

from aasce.preprocess.crop import View
from aasce.solvers.closer import largest_part, longest_part

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
