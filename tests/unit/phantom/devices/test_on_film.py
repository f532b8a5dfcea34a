"""Metal of every kind over a film: the same under the same seed, placed by the landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.phantom.devices.on_film.hardware import with_hardware
from aasce.phantom.devices.on_film.implants import column_of
from aasce.phantom.devices.on_film.worn import KINDS, MAKERS, HardwareKind
from tests.conftest import straight_spine
from tests.synthetic import drawn_film

SIZE = (950, 400)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_on_the_film_and_repeatable(kind: HardwareKind) -> None:
    landmarks = straight_spine()
    film = drawn_film(landmarks, SIZE)
    one, again, other = (with_hardware(film, landmarks, np.random.default_rng(s), (kind,)) for s in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    changed = (one != film).mean()
    assert 1e-4 < changed < 0.4
    assert one.mean() > film.mean()


def test_the_column_follows_the_corners() -> None:
    """60 px wide and a step of 50 px: 1.2 steps; straight, so that no vertebra is turned far."""
    column = column_of(straight_spine(), SIZE, np.random.default_rng(0))
    step = column.centre[1, 1] - column.centre[0, 1]
    assert 21 <= step <= 28
    assert column.px_mm * step == pytest.approx(50)
    np.testing.assert_allclose(column.width, 1.2 * step)
    np.testing.assert_allclose(column.frame[:, 1], [[0.0, -1.0, 0.0]] * 17, atol=1e-9)
    assert (column.frame[:, 0, 0] > 0.9).all()
    np.testing.assert_allclose(
        np.einsum("vij,vkj->vik", column.frame, column.frame), [np.eye(3)] * 17, atol=1e-9
    )


def test_implants_lie_on_the_column() -> None:
    """Nine tenths of the metal of rods and screws within 1.2 widths of the middle line."""
    landmarks = straight_spine()
    film = np.full(SIZE, 60, np.uint8)
    for seed in range(4):
        drawn = with_hardware(film, landmarks, np.random.default_rng(seed), ("posterior",))
        columns = np.nonzero(drawn > 90)[1]
        assert len(columns)
        assert (np.abs(columns - 200) < 72).mean() > 0.9


def test_short_columns_take_every_kind() -> None:
    landmarks = straight_spine(3)
    column = column_of(landmarks, SIZE, np.random.default_rng(0))
    for kind, maker in MAKERS.items():
        assert any(maker(column, np.random.default_rng(0)).values()), kind
