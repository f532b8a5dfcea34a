"""Metal over a film: brighter where it is, nothing changed where it is not, the same under the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.xray.constructs import column_of
from aasce.xray.hardware import MetalLook, attenuated, with_hardware
from aasce.xray.worn import KINDS, MAKERS, HardwareKind
from tests.conftest import straight_spine
from tests.synthetic import drawn_film

SIZE = (950, 400)
LOOK = MetalLook(blur=0.8, scatter=0.05, halo=0.0, halo_px=3.0)


def flat(grey: int) -> np.ndarray:
    return np.full((60, 60), grey, np.uint8)


def strip(attenuation: float) -> np.ndarray:
    """Metal on columns 20 to 39."""
    metal = np.zeros((60, 60), np.float32)
    metal[:, 20:40] = attenuation
    return metal


def test_more_metal_is_brighter_up_to_white_and_none_changes_nothing() -> None:
    greys = [
        int(attenuated(flat(90), strip(a), LOOK, np.random.default_rng(0))[30, 30])
        for a in (0, 0.1, 0.5, 1, 2, 8)
    ]
    assert greys[0] == 90
    assert greys == sorted(set(greys))
    assert greys[-1] > 240


def test_the_grey_of_a_known_attenuation_by_hand() -> None:
    """Density ln 2 at half of white and ln 2 more: a quarter of the way to white is left. Without scatter and noise."""
    look = MetalLook(blur=0.5, scatter=0.0, halo=0.0, white=200.0)
    found = attenuated(flat(100), strip(float(np.log(2))), look, np.random.default_rng(0))
    assert found[30, 30] == 150


def test_pixels_away_from_metal_are_those_of_the_film() -> None:
    film = np.random.default_rng(1).integers(20, 200, (60, 60)).astype(np.uint8)
    drawn = attenuated(film, strip(2.0), LOOK, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn[:, :10], film[:, :10])
    np.testing.assert_array_equal(drawn[:, 50:], film[:, 50:])
    assert (drawn[:, 22:38].astype(int) > film[:, 22:38]).mean() > 0.99


def test_edge_enhancement_leaves_a_dark_rim() -> None:
    halo = MetalLook(blur=0.8, scatter=0.05, halo=0.4, halo_px=3.0)
    assert attenuated(flat(120), strip(2.0), halo, np.random.default_rng(0))[30, 17] < 120


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
