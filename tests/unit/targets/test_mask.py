"""Masks of vertebrae and gaps, encoded from landmarks and decoded again."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.targets.mask import CLASSES, decode_mask, encode_mask


def boxes(turn: float = 0.0, count: int = 3) -> np.ndarray:
    """(count, 4, 2) px: boxes of 20 x 12 every 18 px down the column x = 40, turned by `turn` degrees."""
    a = np.radians(turn)
    box = np.array([[-10, -6], [10, -6], [-10, 6], [10, 6]]) @ np.array(
        [[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]
    )
    return box[None] + np.stack([np.full(count, 40.0), 20.0 + 18 * np.arange(count)], axis=-1)[:, None]


def test_shares_sum_to_one_everywhere() -> None:
    shares = encode_mask(boxes(17.0), (80, 80))
    assert shares.shape == (len(CLASSES), 80, 80)
    assert shares.min() >= 0
    assert np.allclose(shares.sum(axis=0), 1, atol=1e-6)


def test_areas_are_those_of_the_quadrilaterals() -> None:
    """Three boxes of 20 x 12 px, two gaps of 20 x 6; sub-pixels on the rim add an eighth px a side."""
    _, vertebra, gap = encode_mask(boxes(), (80, 80))
    assert vertebra.sum() == pytest.approx(3 * 20 * 12, rel=0.05)
    assert gap.sum() == pytest.approx(2 * 20 * 6, rel=0.08)
    assert vertebra[20, 40] == 1
    assert gap[29, 40] == 1
    assert encode_mask(boxes(), (80, 80))[0, 5, 5] == 1


def test_a_border_between_pixels_is_shared() -> None:
    """Upper endplate at y = 15: pixel 14 ends at 14.5 and is background, of pixel 15 a half is covered."""
    landmarks = boxes(count=1) + np.array([0.0, 1.0])
    column = encode_mask(landmarks, (80, 80), oversample=8)[1, :, 40]
    assert column[14] == 0
    assert column[15] == pytest.approx(0.5, abs=0.07)
    assert column[16] == 1


def test_swapped_corners_draw_no_bow_tie() -> None:
    landmarks = boxes()
    swapped = landmarks[:, [1, 0, 2, 3]]
    assert np.array_equal(encode_mask(swapped, (80, 80))[1], encode_mask(landmarks, (80, 80))[1])


@pytest.mark.parametrize("turn", [-40.0, -12.5, 0.0, 3.0, 30.0])
def test_round_trip_to_half_a_pixel(turn: float) -> None:
    landmarks = boxes(turn)
    found = decode_mask(encode_mask(landmarks, (80, 80))[1])
    assert found.shape == landmarks.shape
    assert np.abs(found - landmarks).max() < 0.5


def test_specks_and_an_empty_mask_are_no_vertebrae() -> None:
    mask = encode_mask(boxes(), (80, 80))[1]
    mask[2, 2] = 1.0
    assert len(decode_mask(mask)) == 3
    assert decode_mask(np.zeros((80, 80))).shape == (0, 4, 2)
