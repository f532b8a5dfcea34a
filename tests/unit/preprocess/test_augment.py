"""Film and landmarks move together; no landmark is lost, and left stays left."""

from __future__ import annotations

import albumentations as A
import numpy as np
import pytest

from aasce.geometry.cobb import cobb_angles
from aasce.preprocess.augment import (
    augment,
    geometric_pipeline,
    intensity_pipeline,
    mirror_landmarks,
    relabel_mirrored,
    reseed,
)
from tests.conftest import straight_spine

TILT = np.concatenate([np.linspace(-20, 20, 9), np.linspace(17, -15, 8)])


def spotted_film(landmarks: np.ndarray) -> np.ndarray:
    """A film whose only bright px are the 68 landmarks."""
    film = np.zeros((1000, 420), np.uint8)
    for x, y in np.round(landmarks.reshape(-1, 2)).astype(int):
        film[y - 2 : y + 3, x - 2 : x + 3] = 255
    return film


@pytest.mark.parametrize("seed", range(8))
def test_landmarks_stay_on_their_spots_and_keep_their_names(seed: int) -> None:
    spine = straight_spine(tilt=TILT)
    pipeline = geometric_pipeline(scale=(0.85, 1.0), rotation=15.0)
    reseed(pipeline, np.random.default_rng(seed))
    film, moved = augment(pipeline, spotted_film(spine), spine)
    assert moved.shape == (17, 4, 2)
    for x, y in np.round(moved.reshape(-1, 2)).astype(int):
        if 3 <= x < film.shape[1] - 3 and 3 <= y < film.shape[0] - 3:
            assert film[y - 2 : y + 3, x - 2 : x + 3].max() > 100
    assert (moved[:, 0, 0] < moved[:, 1, 0]).all()
    assert (moved[:, 0, 1] < moved[:, 2, 1]).all()


@pytest.mark.parametrize("seed", range(4))
def test_angles_between_vertebrae_survive_turn_scale_and_mirror(seed: int) -> None:
    spine = straight_spine(tilt=TILT)
    pipeline = geometric_pipeline()
    reseed(pipeline, np.random.default_rng(seed))
    _, moved = augment(pipeline, spotted_film(spine), spine)
    before = cobb_angles(spine, 1000, "clinical").degrees[0]
    # The largest difference is 20 - (-20).
    assert before == pytest.approx(40.0, abs=1e-6)
    assert cobb_angles(moved, 1000, "clinical").degrees[0] == pytest.approx(before, abs=1e-3)


def test_stretching_one_axis_changes_the_angle_by_the_formula() -> None:
    spine = straight_spine(tilt=TILT)
    stretched = spine * np.array([1.5, 1.0])
    # tan(tilt) scales by 1 / 1.5 for a midline at `tilt`.
    expected = 2 * np.degrees(np.arctan(np.tan(np.radians(20.0)) / 1.5))
    assert cobb_angles(stretched, 1000, "clinical").degrees[0] == pytest.approx(expected, abs=1e-6)


def test_a_pipeline_that_drops_landmarks_is_refused() -> None:
    spine = straight_spine()
    careless = A.Compose(
        [A.Crop(0, 0, 100, 100)], keypoint_params=A.KeypointParams(format="xy", remove_invisible=True)
    )
    with pytest.raises(ValueError, match="68 landmarks"):
        augment(careless, spotted_film(spine), spine)


def test_mirroring_twice_is_nothing() -> None:
    spine = straight_spine(tilt=TILT)
    np.testing.assert_allclose(mirror_landmarks(mirror_landmarks(spine, 420), 420), spine)
    mirrored = spine * np.array([-1.0, 1.0]) + np.array([419.0, 0.0])
    np.testing.assert_allclose(relabel_mirrored(spine, mirrored), mirror_landmarks(spine, 420))


def test_intensity_pipeline_repeats_with_its_seed_and_leaves_the_shape() -> None:
    film = np.random.default_rng(0).integers(0, 255, (64, 48), dtype=np.uint8)
    results = []
    for seed in (1, 1, 2, 3, 4):
        pipeline = intensity_pipeline()
        reseed(pipeline, np.random.default_rng(seed))
        results.append(pipeline(image=film)["image"])
    np.testing.assert_array_equal(results[0], results[1])
    assert any(not np.array_equal(results[0], r) for r in results[2:])
    assert all(r.shape == film.shape and r.dtype == np.uint8 for r in results)
