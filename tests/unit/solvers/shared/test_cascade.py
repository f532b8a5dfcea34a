"""Films and the maps that a first network predicts, as samples of a second network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.preprocess.crop import View
from aasce.preprocess.intensity import Bytes
from aasce.solvers.shared.cascade import ChannelInput, FirstNetwork, channels_tensor, predicted_samples
from aasce.solvers.shared.corruption import corrupt_mask
from aasce.solvers.shared.samples import Sample
from tests.conftest import straight_spine


def test_film_comes_first_and_maps_follow() -> None:
    canvas = np.full((128, 64), 255, np.uint8)
    maps = [np.full((64, 32), 0.2), np.full((64, 32), 1.0)]
    channels = ChannelInput((32, 16), film=True, maps=2).channels(canvas, maps)
    assert channels.shape == (32, 16, 3)
    assert channels[0, 0].tolist() == [255, 51, 255]
    assert ChannelInput((64, 32), film=False, maps=2).channels(canvas, maps).shape == (64, 32, 2)
    assert ChannelInput((64, 32), film=True, maps=0).channels(canvas, maps).shape == (64, 32, 1)
    x = channels_tensor(torch.from_numpy(channels)[None], film=True)
    assert x[0, :, 5, 5].tolist() == pytest.approx([127.5 / 64, 51 / 127.5 - 1, 1.0])
    assert channels_tensor(torch.from_numpy(channels[..., 1:])[None], film=False)[
        0, 0, 0, 0
    ].item() == pytest.approx(-0.6)


def marked_sample() -> Sample:
    """A film of 900 x 400 that is black but for the middles of its vertebrae."""
    landmarks = straight_spine(tilt=np.linspace(-20, 20, 17))
    pixels = np.zeros((900, 400, 1), np.uint8)
    for x, y in landmarks.mean(axis=1):
        pixels[round(y) - 9 : round(y) + 10, round(x) - 59 : round(x) - 20] = 255  # left of the middles
    return Sample(pixels, landmarks, np.array([40.0, 0, 0]), View.identity((900, 400)), 900)


@pytest.mark.parametrize("size", [(256, 128), (128, 64)])
def test_landmarks_of_variants_lie_on_their_films(size: tuple[int, int]) -> None:
    """Marks lie 40 px left of the middles (right on a mirrored film) in every variant and size."""

    def no_maps(canvases: Bytes) -> Bytes:
        return canvases[:, None]

    shown = ChannelInput(size, film=True, maps=0)
    first = FirstNetwork(no_maps, (256, 128), 0.0)
    samples = predicted_samples(first, [marked_sample(), marked_sample()], shown, 3, 0.0, 0)
    assert len(samples) == 6
    for number, sample in enumerate(samples):
        middles = sample.landmarks.mean(axis=1)
        across = (
            sample.landmarks[8, 1] - sample.landmarks[8, 0]
        ) / 60  # px of the sample for one of the film
        sign = 1 if (number % 3) % 2 else -1
        x, y = np.round(middles[8] + sign * 40 * np.linalg.norm(across) * np.array([1, 0])).astype(int)
        assert sample.pixels[y, x, 0] > 150
        assert sample.pixels[y, round(2 * middles[8, 0] - x), 0] < 100
        rows = sample.view.undo(sample.landmarks)[..., 1]
        assert np.sort(rows.ravel()) == pytest.approx(
            np.sort(marked_sample().landmarks[..., 1].ravel()), abs=1e-6
        )


def test_corrupted_maps_stay_in_0_to_1() -> None:
    rng = np.random.default_rng(0)
    maps = np.zeros((128, 64, 2), np.float32)
    maps[20:100, 20:24, 0] = maps[20:100, 40:44, 1] = 1
    for _ in range(5):
        corrupted = corrupt_mask(maps, straight_spine() * 0.14, 0.6, rng)
        assert corrupted.shape == maps.shape
        assert 0 <= corrupted.min() < corrupted.max() <= 1
        assert np.corrcoef(corrupted.ravel(), maps.ravel())[0, 1] > 0.6
        assert not np.array_equal(corrupted, maps)
