"""Films and what a first network made of them, as a second network's samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.preprocess.crop import View
from aasce.preprocess.intensity import Bytes
from aasce.solvers.shared.cascade import corrupt_mask, seen_items, stack_tensor, stacked
from aasce.solvers.shared.samples import Sample
from tests.conftest import straight_spine


def test_film_comes_first_and_maps_follow() -> None:
    canvas = np.full((128, 64), 255, np.uint8)
    maps = [np.full((64, 32), 0.2), np.full((64, 32), 1.0)]
    stack = stacked(canvas, maps, (32, 16))
    assert stack.shape == (32, 16, 3)
    assert stack[0, 0].tolist() == [255, 51, 255]
    assert stacked(None, maps, (64, 32)).shape == (64, 32, 2)
    x = stack_tensor(torch.from_numpy(stack)[None], film=True)
    assert x[0, :, 5, 5].tolist() == pytest.approx([127.5 / 64, 51 / 127.5 - 1, 1.0])
    assert stack_tensor(torch.from_numpy(stack[..., 1:])[None], film=False)[
        0, 0, 0, 0
    ].item() == pytest.approx(-0.6)


def marked_item() -> Sample:
    """A film of 900 x 400 that is black but for the middles of its vertebrae."""
    landmarks = straight_spine(tilt=np.linspace(-20, 20, 17))
    pixels = np.zeros((900, 400, 1), np.uint8)
    for x, y in landmarks.mean(axis=1):
        pixels[round(y) - 9 : round(y) + 10, round(x) - 59 : round(x) - 20] = 255  # left of the middles
    identity = View(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), (900, 400))
    return Sample(pixels, landmarks, np.array([40.0, 0, 0]), identity, 900)


@pytest.mark.parametrize("size", [(256, 128), (128, 64)])
def test_variants_stand_where_their_landmarks_say(size: tuple[int, int]) -> None:
    """Marks 40 px left of the middles (right in a mirrored look), whatever the look and the stack's size."""

    def read(canvases: Bytes) -> list[Bytes]:
        return [stacked(canvas, [], size) for canvas in canvases]

    items = seen_items(read, [marked_item(), marked_item()], ((256, 128), size), 3, 0.0, 0)
    assert len(items) == 6
    for number, item in enumerate(items):
        middles = item.landmarks.mean(axis=1)
        across = (item.landmarks[8, 1] - item.landmarks[8, 0]) / 60  # px of the stack for one of the film
        sign = 1 if (number % 3) % 2 else -1
        x, y = np.round(middles[8] + sign * 40 * np.linalg.norm(across) * np.array([1, 0])).astype(int)
        assert item.pixels[y, x, 0] > 150
        assert item.pixels[y, round(2 * middles[8, 0] - x), 0] < 100
        rows = item.view.undo(item.landmarks)[..., 1]
        assert np.sort(rows.ravel()) == pytest.approx(
            np.sort(marked_item().landmarks[..., 1].ravel()), abs=1e-6
        )


def test_corrupted_maps_stay_between_none_and_all() -> None:
    rng = np.random.default_rng(0)
    maps = np.zeros((128, 64, 2), np.float32)
    maps[20:100, 20:24, 0] = maps[20:100, 40:44, 1] = 1
    for _ in range(5):
        corrupted = corrupt_mask(maps, straight_spine() * 0.14, 0.6, rng)
        assert corrupted.shape == maps.shape
        assert 0 <= corrupted.min() < corrupted.max() <= 1
        assert np.corrcoef(corrupted.ravel(), maps.ravel())[0, 1] > 0.6
        assert not np.array_equal(corrupted, maps)
