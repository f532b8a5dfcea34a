"""Metal over a film: brighter where it is, nothing changed where it is not, the same under the same seed."""

from __future__ import annotations

import numpy as np

from aasce.xray.hardware import MetalLook, attenuated

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
