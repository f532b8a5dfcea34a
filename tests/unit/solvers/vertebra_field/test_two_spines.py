"""A second spine beside the column is seen; one spine has none."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.solvers.base import Localization
from aasce.solvers.vertebra_field.inference import is_beside, second_gain
from aasce.targets.field import LEVELS, Candidates, choose_column
from aasce.types import Array

BOX = np.array([[-10.0, -7.0], [10.0, -7.0], [-10.0, 7.0], [10.0, 7.0]])


def column(x: float) -> Array:
    """17 vertebrae 20 px wide, 18 px apart, that swing by 12 px about x."""
    place = np.arange(17)
    middle = np.stack([x + 12 * np.sin(place / 3), 30.0 + 18 * place], axis=1)
    return middle[:, None] + BOX


def candidates(*columns: Array) -> Candidates:
    """Each vertebra seen clearly, at its own level."""
    corners = np.concatenate(columns)
    levels = np.tile(np.where(np.eye(LEVELS) > 0, -0.05, -6.0), (len(columns), 1))
    return Candidates(corners, levels, np.ones(len(corners)), np.full((len(corners), 4), 0.5))


def test_one_spine_leaves_nothing_beside_it() -> None:
    found = candidates(column(100.0))
    chosen = choose_column(found)
    assert chosen is not None
    assert second_gain(found, chosen) == 0
    assert not is_beside(found.corners, chosen.corners).any()


def test_a_spine_beside_it_gains_as_much() -> None:
    found = candidates(column(80.0), column(180.0))
    chosen = choose_column(found)
    assert chosen is not None
    assert second_gain(found, chosen) == pytest.approx(chosen.gain, rel=0.02)
    assert is_beside(found.corners, chosen.corners).sum() == 17


def test_vertebrae_beside_a_column_are_farther_than_one_and_a_half_widths() -> None:
    """Vertebrae are 20 px wide: 30 px aside belong to the spine, more do not."""
    straight = np.stack([np.full(17, 100.0), 30.0 + 18 * np.arange(17)], axis=1)[:, None] + BOX
    assert is_beside(straight + np.array([29, 0]), straight).sum() == 0
    assert is_beside(straight + np.array([31, 0]), straight).all()


def test_a_film_of_two_spines_has_a_flag_and_little_confidence() -> None:
    found = Localization(second=True)
    assert found.flags == ("two_spines",)
    assert found.limited(0.9) == 0.3
    assert Localization().limited(0.9) == 0.9
