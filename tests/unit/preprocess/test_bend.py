"""Bent canvases: landmarks stay on what they marked, vertebrae turn by the angle of their row."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from aasce.geometry.cobb import tilts
from aasce.preprocess.bend import Bend, random_bend
from tests.conftest import straight_spine

SIZE = (950, 400)


def test_without_turns_nothing_moves() -> None:
    bend = Bend.of_turns(np.zeros(SIZE[0]), 200.0)
    points = np.random.default_rng(0).uniform(0, 390, (50, 2))
    canvas = np.random.default_rng(1).integers(0, 255, SIZE, dtype=np.uint8)
    np.testing.assert_allclose(bend.apply(points), points, atol=1e-9)
    np.testing.assert_array_equal(bend.render(canvas), canvas)


def test_a_steady_turn_is_a_rotation() -> None:
    bend = Bend.of_turns(np.full(SIZE[0], np.radians(10)), 200.0)
    points = straight_spine()
    moved = bend.apply(points)
    turn = np.array(
        [[np.cos(np.radians(10)), np.sin(np.radians(10))], [-np.sin(np.radians(10)), np.cos(np.radians(10))]]
    )
    centre, mean = points.reshape(-1, 2).mean(0), moved.reshape(-1, 2).mean(0)
    np.testing.assert_allclose(moved - mean, (points - centre) @ turn, atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_the_way_back_is_the_inverse(seed: int) -> None:
    bend = random_bend(straight_spine(), SIZE, 8.0, np.random.default_rng(seed))
    points = np.random.default_rng(seed + 100).uniform([0, 0], [399, 949], (200, 2))
    np.testing.assert_allclose(bend.apply(bend.undo(points)), points, atol=0.05)


@pytest.mark.parametrize("seed", range(8))
def test_vertebrae_turn_by_the_angle_of_their_row(seed: int) -> None:
    points = straight_spine()
    bend = random_bend(points, SIZE, 8.0, np.random.default_rng(seed))
    rows = np.interp(points.mean(axis=1)[:, 1], np.arange(SIZE[0]), np.degrees(bend.turns))
    np.testing.assert_allclose(tilts(bend.apply(points)), rows, atol=0.3)


def test_landmarks_stay_on_what_they_marked() -> None:
    points = straight_spine()
    canvas = np.zeros(SIZE, np.uint8)
    for x, y in points.reshape(-1, 2):
        cv2.circle(canvas, (round(x), round(y)), 3, 255, -1)
    bend = random_bend(points, SIZE, 8.0, np.random.default_rng(3))
    bent = bend.render(canvas)
    assert np.degrees(np.ptp(bend.turns)) > 3
    _, _, _, found = cv2.connectedComponentsWithStats((bent > 100).astype(np.uint8))
    rounded = np.round(points)
    distance = np.linalg.norm(found[1:, None] - bend.apply(rounded).reshape(1, -1, 2), axis=-1)
    assert len(found) - 1 == len(points) * 4
    assert distance.min(axis=1).max() < 0.8
