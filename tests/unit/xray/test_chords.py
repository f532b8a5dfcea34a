"""Path lengths of simple solids against formulas and against counting along the ray."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.xray.chords import Box, Floats, Pin, Solid, path_lengths, rod

A, B, RADIUS = np.array([12.0, 8.0, -5.0]), np.array([25.0, 14.0, 20.0]), 4.0


def inside_capsule(points: Floats) -> Floats:
    share = np.clip((points - A) @ (B - A) / ((B - A) @ (B - A)), 0, 1)
    return np.asarray(np.linalg.norm(points - A - share[:, None] * (B - A), axis=1) < RADIUS)


def inside_cylinder(points: Floats) -> Floats:
    way = (B - A) / np.linalg.norm(B - A)
    along = (points - A) @ way
    away = np.linalg.norm(points - A - along[:, None] * way, axis=1)
    return np.asarray((along > 0) & (along < np.linalg.norm(B - A)) & (away < RADIUS))


def test_chords_of_a_capsule_in_the_film_plane_by_hand() -> None:
    """Radius 3 mm from (10, 10) to (30, 10) mm, 2 px a mm: 6 mm in the middle, 2 sqrt(9 - 4) two mm aside."""
    lengths = path_lengths([rod([[10, 10, 0], [30, 10, 0]], 3.0)], (41, 81), 2.0)
    assert lengths[20, 40] == pytest.approx(6.0, abs=1e-5)
    assert lengths[24, 40] == pytest.approx(2 * np.sqrt(5), abs=1e-5)
    assert lengths[20, 64] == pytest.approx(2 * np.sqrt(5), abs=1e-5)  # 2 mm beyond the end: its round cap
    assert lengths[20, 67] == 0.0
    assert lengths[27, 40] == 0.0


def test_a_capsule_along_the_rays_is_as_long_as_it_is() -> None:
    lengths = path_lengths([rod([[10, 10, 0], [10, 10, 7]], 3.0)], (41, 41), 2.0)
    assert lengths[20, 20] == pytest.approx(7 + 6, abs=1e-5)
    assert lengths[20, 24] == pytest.approx(7 + 2 * np.sqrt(5), abs=1e-3)


@pytest.mark.parametrize(
    ("solid", "inside"),
    [(rod([A, B], RADIUS), inside_capsule), (Pin(A, B, RADIUS), inside_cylinder)],
    ids=["capsule", "pin"],
)
def test_oblique_chords_are_those_that_counting_finds(solid: Solid, inside: object) -> None:
    assert callable(inside)
    lengths, z = path_lengths([solid], (60, 80), 2.0), np.arange(-15, 30, 0.02)
    for row in range(0, 60, 6):
        for column in range(0, 80, 6):
            ray = np.stack([np.full_like(z, column / 2), np.full_like(z, row / 2), z], axis=1)
            assert lengths[row, column] == pytest.approx(inside(ray).sum() * 0.02, abs=0.05)


def test_a_box_and_a_pin_keep_their_volume() -> None:
    """10 x 6 x 4 mm, and a disc of radius 9 and 2 mm; a pixel is 0.01 mm2."""
    box = Box(np.array([15.0, 12.0, 0.0]), np.diag([5.0, 3.0, 2.0]))
    turned = Box(box.centre, box.axes @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0])
    disc = Pin(np.array([15.0, 12.0, 0.0]), np.array([15.0, 12.0, 2.0]), 9.0)
    for solid, volume in ((box, 240.0), (turned, 240.0), (disc, np.pi * 81 * 2)):
        assert path_lengths([solid], (300, 400), 10.0).sum() * 0.01 == pytest.approx(volume, rel=0.03)


def test_capsules_of_one_rod_are_one_body_and_two_rods_are_two() -> None:
    bent = rod([[10, 10, 0], [20, 10, 0], [30, 10, 0]], 3.0)
    assert path_lengths([bent], (41, 81), 2.0).max() == pytest.approx(6.0, abs=1e-5)
    assert path_lengths([bent, bent], (41, 81), 2.0).max() == pytest.approx(12.0, abs=1e-5)


def test_what_lies_off_the_film_is_left_out() -> None:
    solids: list[Solid] = [
        rod([[-50, -50, 0], [-40, -50, 0]], 3.0),
        rod([[-5, 5, 0], [5, 5, 0]], 2.0),
        Pin(A + 500, B + 500, 2.0),
    ]
    lengths = path_lengths(solids, (20, 30), 1.0)
    assert lengths[5, 0] == pytest.approx(4.0, abs=1e-5)
    assert (lengths > 0).sum() < 40
