"""The choice of the sequence on maxima made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.ct.vertebra_localization.sequence import Candidate, best_sequence, first_and_last
from aasce.ct.vertebra_localization.settings import SequenceSettings

SETTINGS = SequenceSettings(skipped=0.5)


def at(level: int, z: float, value: float = 0.9, x: float = 0.0) -> Candidate:
    return Candidate(level, np.array([x, 0.0, z]), value)


def chosen(*candidates: Candidate) -> list[tuple[int, float]]:
    return [(c.level, float(c.place[2])) for c in best_sequence(candidates, SETTINGS)]


COLUMN = [at(level, -25.0 * level) for level in range(5)]
WHOLE = [(level, -25.0 * level) for level in range(5)]


def test_a_clear_column_is_taken_as_it_is_in_any_order() -> None:
    assert chosen(*COLUMN) == WHOLE
    assert chosen(*COLUMN[::-1]) == WHOLE
    assert chosen() == []


def test_a_level_without_a_maximum_is_left_out() -> None:
    """Levels 1 and 3 are 50 mm apart, within two steps' 25 to 100 mm."""
    assert chosen(*COLUMN[:2], *COLUMN[3:]) == [WHOLE[k] for k in (0, 1, 3, 4)]


def test_of_two_maxima_of_a_level_the_one_that_fits_is_taken_even_if_it_is_lower() -> None:
    """The higher one lies 5 mm below level 1, where no next vertebra can be."""
    assert chosen(*COLUMN, at(2, -30.0, value=1.0)) == WHOLE


def test_of_two_maxima_that_fit_the_higher_one_is_taken() -> None:
    assert chosen(*COLUMN[:2], at(2, -48.0, value=0.95), *COLUMN[2:])[2] == (2, -48.0)


def test_a_following_vertebra_is_never_above() -> None:
    """Of levels 1 and 2 in reversed order one has to go, the lower value."""
    swapped = [at(0, 0.0), at(1, -50.0, value=0.9), at(2, -25.0, value=0.6), at(3, -75.0), at(4, -100.0)]
    assert chosen(*swapped) == [(0, 0.0), (1, -50.0), (3, -75.0), (4, -100.0)]


@pytest.mark.parametrize(("step", "kept"), [(12.0, False), (12.5, True), (50.0, True), (50.5, False)])
def test_consecutive_vertebrae_are_within_the_limits(step: float, kept: bool) -> None:
    found = chosen(at(0, 0.0), at(1, -step, value=0.8))
    assert found == ([(0, 0.0), (1, -step)] if kept else [(0, 0.0)])


def test_distances_are_in_space_and_not_along_z_alone() -> None:
    """10 mm below and 20 mm to the side are 22 mm."""
    assert chosen(at(0, 0.0), at(1, -10.0, x=20.0)) == [(0, 0.0), (1, -10.0)]


def test_a_field_of_view_that_cuts_the_spine_begins_and_ends_with_its_largest_values() -> None:
    """At the top, level 6 answers as well, more weakly; at the bottom, 10 as well as 9: the sequence is 7 to 9."""
    found = chosen(
        at(6, -1.0, value=0.4), at(7, 0.0), at(8, -28.0), at(9, -56.0, value=0.8), at(10, -57.0, value=0.5)
    )
    assert found == [(7, 0.0), (8, -28.0), (9, -56.0)]


def test_first_and_last_are_the_largest_values_near_the_ends() -> None:
    assert first_and_last(COLUMN, 6.0) == (0, 4)
    assert first_and_last([*COLUMN, at(7, 5.0, value=0.3)], 6.0) == (0, 4)
    assert first_and_last([at(3, 0.0)], 6.0) == (3, 3)


def test_a_shifted_copy_of_lower_values_does_not_move_the_names() -> None:
    """Each place answers in the next heatmap, too, as neighbours look alike."""
    copies = [at(level + 1, -25.0 * level, value=0.5) for level in range(5)]
    assert chosen(*COLUMN, *copies) == WHOLE


def test_a_false_maximum_above_the_column_names_it_unless_the_ends_are_free() -> None:
    """In the skull, 75 mm above level 0, level 3 seems to lie: from there on nothing above it counts."""
    candidates = [*COLUMN, at(3, 75.0, value=0.3)]
    assert [c.level for c in best_sequence(candidates, SETTINGS)] == [3, 4]
    free = best_sequence(candidates, SequenceSettings(skipped=0.5, ends="best"))
    assert [(c.level, float(c.place[2])) for c in free] == WHOLE
