"""Linear correction of tangents, each test against values derived by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.geometry.correction import Correction, reaches_edge


def test_a_correction_is_found_again() -> None:
    """Tilts that are 1.2 times the tangents: the fitted matrix has that factor; wrong labels are left out."""
    rng = np.random.default_rng(0)
    plain = Correction.plain(19)
    tangents = rng.normal(0, 8, (300, 19))
    wanted = 1.2 * plain.apply(tangents)
    wanted[0] += 90
    fitted = Correction.fitted(tangents, wanted, np.tile(plain.places, (300, 1)), 1e-6)
    assert np.abs(fitted.matrix - 1.2 * plain.matrix).max() < 1e-3
    assert fitted.places == pytest.approx(plain.places, abs=1e-5)
    wanted[:, ::2] = plain.apply(tangents)[:, ::2]
    free, held = (
        Correction.fitted(tangents, wanted, np.tile(plain.places, (300, 1)), r) for r in (1e-6, 1e6)
    )
    assert np.abs(free.matrix[::2] - plain.matrix[::2]).max() < 1e-3
    assert np.abs(free.matrix[1::2] - 1.2 * plain.matrix[1::2]).max() < 1e-3
    ratio = held.matrix[plain.matrix > 0.1] / plain.matrix[plain.matrix > 0.1]  # one factor for all
    assert 1.05 < ratio.min() < ratio.max() < 1.2
    assert np.ptp(ratio) < 1e-3


def test_major_angles_are_stretched_to_the_labels() -> None:
    """Tangents of random noise over half the size: least squares flatten them, the median ratio undoes it."""
    rng = np.random.default_rng(1)
    plain = Correction.plain(17)
    curves = 20 * np.sin(rng.uniform(0, 6, (400, 1)) + np.linspace(0, 4, 17))
    fitted = Correction.fitted(
        curves + rng.normal(0, 6, curves.shape), curves, np.tile(plain.places, (400, 1)), 1.0
    )
    found = fitted.apply(curves + rng.normal(0, 6, curves.shape))
    assert np.median(np.ptp(found, axis=1) / np.ptp(curves, axis=1)) == pytest.approx(1.0, abs=0.03)


def test_a_film_alone_and_a_wrong_one_change_nothing() -> None:
    plain = Correction.plain(19)
    tangents = np.linspace(-10, 10, 19)[None]
    wrong = Correction.fitted(tangents, plain.apply(tangents) + 90, plain.places[None], 1.0)
    assert np.array_equal(wrong.matrix, plain.matrix)


def test_plain_correction_interpolates() -> None:
    assert Correction.plain(33).apply(np.linspace(0, 32, 33)) == pytest.approx(
        32 * Correction.plain(33).places
    )


def test_curves_that_end_at_an_edge_of_the_film() -> None:
    curve = np.array([[50.0, 3.0], [50.0, 900.0]])
    assert reaches_edge(curve, (1000, 300))
    assert not reaches_edge(curve + np.array([0, 20]), (1000, 300))
    assert reaches_edge(curve + np.array([0, 97]), (1000, 300))


def test_a_correction_is_held_to_what_it_starts_from() -> None:
    """Features that are two estimates of each tilt, and a start that trusts the second one alone."""
    rng = np.random.default_rng(2)
    start = Correction(np.hstack([np.zeros((17, 17)), np.eye(17)]), np.linspace(0, 1, 17))
    tilts = rng.normal(0, 8, (200, 17))
    read, places = np.concatenate([2 * tilts, tilts], axis=1), np.tile(start.places, (200, 1))
    held = Correction.fitted(read, tilts, places, 1e9, start)
    assert held.matrix == pytest.approx(start.matrix, abs=1e-4)
    wrong = Correction.fitted(read, tilts + 90, places, 1.0, start)
    assert np.array_equal(wrong.matrix, start.matrix)
