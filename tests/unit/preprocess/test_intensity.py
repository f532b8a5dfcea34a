"""Grey-value rules."""

from __future__ import annotations

import numpy as np

from aasce.preprocess.intensity import clahe, equalize, standardize, to_uint8


def test_eight_bit_films_are_left_alone() -> None:
    film = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(to_uint8(film), film)


def test_pale_eight_bit_films_are_windowed() -> None:
    film = np.tile(np.arange(40, 80, dtype=np.uint8), (40, 1))
    shown = to_uint8(film)
    assert shown.min() == 0
    assert shown.max() == 255
    np.testing.assert_array_equal(to_uint8(np.full((16, 16), 9, np.uint8)), np.full((16, 16), 9))


def test_sixteen_bit_films_are_windowed_to_the_full_range_in_order() -> None:
    film = np.linspace(10_000, 30_000, 64 * 64).astype(np.uint16).reshape(64, 64)
    shown = to_uint8(film)
    assert shown.dtype == np.uint8
    assert shown.min() == 0
    assert shown.max() == 255
    assert (np.diff(shown.ravel().astype(int)) >= 0).all()


def test_a_constant_deep_film_does_not_divide_by_zero() -> None:
    assert np.unique(to_uint8(np.full((40, 40), 7, np.uint16))).size == 1


def test_equalisation_flattens_the_histogram() -> None:
    film = (np.random.default_rng(0).beta(2, 9, (200, 200)) * 255).astype(np.uint8)
    flat = equalize(film)
    # A flat histogram over 0..255 has mean 127.5 and standard deviation 255 / sqrt(12) = 73.6.
    assert abs(flat.mean() - 127.5) < 5
    assert abs(flat.std() - 73.6) < 3
    assert clahe(film).std() > film.std()


def test_standardize_is_a_fixed_rule() -> None:
    np.testing.assert_allclose(standardize(np.array([[0, 255]], np.uint8)), [[-127.5 / 64, 127.5 / 64]])
