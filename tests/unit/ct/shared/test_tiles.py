"""Tiles along z."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from aasce.ct.shared.tiles import merged, tiled_length


@pytest.mark.parametrize(
    ("length", "wanted"), [(3.5, 16), (16, 16), (16.2, 20), (20, 20), (27, 28), (100, 100), (101, 104)]
)
def test_the_length_is_the_smallest_that_tiles_fill(length: float, wanted: int) -> None:
    assert tiled_length(length, 16, 12) == wanted


def test_tiles_merged_by_the_maximum_equal_one_pass_of_a_small_receptive_field() -> None:
    """A mean over 3 voxels, with zeros beyond a tile as convolutions have them, is lower at the tiles' ends only."""

    def run(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(values, 3, mode="constant")[None]

    column = np.random.default_rng(1).uniform(0, 1, (6, 6, 28)).astype(np.float32)
    np.testing.assert_allclose(merged(column, run, 16, 12), run(column), atol=1e-6)


def test_maps_of_a_stride_keep_their_place() -> None:
    def run(values: np.ndarray) -> np.ndarray:
        return np.stack([values[::2, ::2, ::2], -values[1::2, ::2, ::2]])

    column = np.random.default_rng(2).normal(size=(4, 6, 20)).astype(np.float32)
    np.testing.assert_array_equal(merged(column, run, 8, 4), run(column))


def test_of_overlapping_tiles_the_largest_answer_counts() -> None:
    answers = iter([1.0, 3.0, 2.0])
    found = merged(
        np.zeros((1, 1, 8), np.float32), lambda t: np.full((1, 1, 1, 4), next(answers), np.float32), 4, 2
    )
    np.testing.assert_array_equal(found[0, 0, 0], [1, 1, 3, 3, 3, 3, 2, 2])
