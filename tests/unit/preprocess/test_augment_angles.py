"""Bends: landmarks and film move together, and by the wanted angle."""

from __future__ import annotations

import albumentations as A
import numpy as np
import pytest

from aasce.geometry.cobb import cobb_angles, tilts
from aasce.preprocess.augment import augment, reseed
from aasce.preprocess.augment_angles import SpineWarp, WarpRanges, make_bend, random_bend, source_map
from aasce.preprocess.crop import similarity
from aasce.targets.mask import encode_mask
from tests.conftest import straight_spine

SIZE = (900, 400)


def pipeline(warp: SpineWarp, mirror: float = 0.5) -> A.Compose:
    keypoints = A.KeypointParams(format="xy", remove_invisible=False)
    return A.Compose([A.HorizontalFlip(p=mirror), warp], keypoint_params=keypoints)


def test_a_bend_turns_each_vertebra_by_its_turn() -> None:
    """20 degrees more from the top to the bottom of a straight spine: a major angle of 20 * 800 / 900."""
    bend = make_bend(200.0, np.linspace(0, 900, 400), np.radians(np.linspace(-10, 10, 400)))
    bent = bend.apply(straight_spine())
    centres = 60.0 + 50.0 * np.arange(17)
    assert tilts(bent) == pytest.approx(-10 + 20 * centres / 900, abs=0.05)
    assert cobb_angles(bent, 900).degrees[0] == pytest.approx(20 * 800 / 900, abs=0.05)


def test_a_constant_turn_is_a_rotation() -> None:
    bend = make_bend(200.0, np.linspace(0, 900, 50), np.full(50, np.radians(7.0)))
    landmarks = straight_spine()
    turned = similarity((200.0, 450.0), 1.0, 7.0, SIZE, np.array([200.0, 450.0])).apply(landmarks)
    assert np.abs(bend.apply(landmarks) - turned).max() < 1e-6


def test_undo_is_the_inverse_beyond_the_given_rows_too() -> None:
    rng = np.random.default_rng(1)
    bend = random_bend(straight_spine(), 14.0, 0.5, rng)
    points = np.stack(np.meshgrid(np.linspace(120, 280, 9), np.linspace(-50, 950, 21)), axis=-1)
    assert np.abs(bend.undo(bend.apply(points), rounds=20) - points).max() < 0.01


def test_source_map_sends_canvas_to_film() -> None:
    bend = random_bend(straight_spine(), 14.0, 0.5, np.random.default_rng(2))
    view = similarity((200.0, 450.0), 0.5, 6.0, (512, 256))
    grid = source_map(bend, view)
    for x, y in ((0, 0), (255, 511), (128, 200), (7, 300)):
        assert np.abs(grid[y, x] - bend.undo(view.undo(np.array([x, y])))).max() < 0.3


@pytest.mark.parametrize("stretch", [0.0, 0.3])
def test_film_and_landmarks_move_together(stretch: float) -> None:
    """The mask drawn from the moved landmarks is the moved mask, to a thin rim."""
    landmarks = straight_spine(tilt=np.linspace(-15, 15, 17))
    film = np.round(encode_mask(landmarks, SIZE)[1:].transpose(1, 2, 0) * 255).astype(np.uint8)
    warp = SpineWarp((512, 256), WarpRanges(stretch=stretch))
    steps, rng = pipeline(warp), np.random.default_rng(3)
    seen = set()
    for _ in range(12):
        reseed(steps, rng)
        moved, points = augment(steps, film, landmarks)
        seen.add(warp.get_applied_params()["bent"] is None)
        drawn = encode_mask(points, (512, 256))[1] * 255
        assert points.shape == (17, 4, 2)
        assert np.abs(drawn - moved[..., 0]).mean() < 0.02 * 255
        assert (points >= 0).all()
        assert (points < [256, 512]).all()
    assert seen == ({True, False} if stretch == 0 else {False})


def test_without_a_bend_every_angle_stays() -> None:
    tilt = np.array([0, 4, 9, 15, 20, 22, 18, 9, -2, -13, -21, -25, -24, -18, -10, -4, 0.0])
    landmarks = straight_spine(tilt=tilt)
    steps, rng = pipeline(SpineWarp((512, 256), WarpRanges(turned=1.0, bent=0.0))), np.random.default_rng(4)
    for _ in range(8):
        reseed(steps, rng)
        _, points = augment(steps, np.zeros((*SIZE, 1), np.uint8), landmarks)
        between = np.abs(tilts(points)[:, None] - tilts(points)[None])
        assert np.abs(between - np.abs(tilt[:, None] - tilt[None])).max() < 1e-3  # key points are 32 bit


def test_the_seed_decides_the_draw() -> None:
    steps = pipeline(SpineWarp((128, 64)))
    drawn = []
    for _ in range(2):
        reseed(steps, np.random.default_rng(5))
        drawn.append(augment(steps, np.zeros((*SIZE, 1), np.uint8), straight_spine())[1])
    assert np.array_equal(drawn[0], drawn[1])
