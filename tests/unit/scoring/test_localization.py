"""Identification rate and localisation distance, against values derived by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from aasce.scoring.localization import (
    TRUNK_MM,
    assumed_pixel_mm,
    distances,
    identified,
    localization_score,
)

COLUMN = np.stack([np.full(17, 100.0), 50.0 + 30.0 * np.arange(17)], axis=1)
"""Centroids 30 px apart, T1 to L5."""


def shifted(x: float, y: float) -> NDArray[np.float64]:
    return COLUMN + np.array([x, y])


def test_a_shift_by_one_level_identifies_none_and_one_by_less_than_half_all() -> None:
    assert identified(shifted(0, 14), COLUMN, 20.0).all()
    found = identified(shifted(0, 30), COLUMN, 100.0)
    # Only L5, below which there is no label that would be nearer.
    assert found.tolist() == [False] * 16 + [True]
    assert not identified(shifted(0, 30), COLUMN, 20.0).any()


def test_the_radius_counts_in_all_directions() -> None:
    assert identified(shifted(19, 0), COLUMN, 20.0).all()
    assert identified(shifted(20, 0), COLUMN, 20.0).all()
    assert not identified(shifted(21, 0), COLUMN, 20.0).any()


def test_levels_that_are_missed_or_not_labelled() -> None:
    found, truth = shifted(3, 4), COLUMN.copy()
    found[2], truth[5] = np.nan, np.nan
    off = distances(found, truth)
    assert np.flatnonzero(np.isnan(off)).tolist() == [2, 5]
    assert np.delete(off, [2, 5]) == pytest.approx(5.0)
    score = localization_score([found], [truth], [1.0])
    assert (score.films, score.vertebrae, score.missed) == (1, 16, 1)
    assert score.identified == pytest.approx(100 * 15 / 16)


def test_films_of_different_scales() -> None:
    """4 px at 0.5 mm and 1 px at 2 mm: 2 mm both, 2.5 +- 1.5 px."""
    score = localization_score([shifted(4, 0), shifted(0, 1)], [COLUMN, COLUMN], [0.5, 2.0])
    assert (score.mean_px, score.sd_px) == pytest.approx((2.5, 1.5))
    assert (score.mean_mm, score.sd_mm) == pytest.approx((2.0, 0.0))
    assert score.identified == 100.0
    # At 2 mm a px, 20 mm are 10 px.
    assert localization_score([shifted(11, 0)], [COLUMN], [2.0]).identified == 0.0


def test_a_film_without_scale_has_that_of_an_average_spine() -> None:
    """16 steps of 30 px; 20 mm are then 20 / (TRUNK_MM / 480) px."""
    assert assumed_pixel_mm(COLUMN) == pytest.approx(TRUNK_MM / 480)
    radius = 20 * 480 / TRUNK_MM
    for off, rate in ((radius - 0.5, 100.0), (radius + 0.5, 0.0)):
        score = localization_score([shifted(off, 0)], [COLUMN], [None])
        assert score.identified == rate
        assert score.mean_px == pytest.approx(off)
        assert score.mean_mm is None
        assert score.sd_mm is None


def test_an_average_spine_of_which_a_part_is_seen() -> None:
    part = COLUMN.copy()
    part[:4] = np.nan
    part[8] = np.nan
    neck = np.full((7, 2), np.nan)
    assert assumed_pixel_mm(np.concatenate([neck, part])) == pytest.approx(TRUNK_MM / 480)
    with pytest.raises(ValueError, match="two centroids"):
        assumed_pixel_mm(np.full((17, 2), 3.0))


def test_no_centroid_at_all() -> None:
    score = localization_score([np.full((17, 2), np.nan)], [COLUMN], [1.0])
    assert (score.identified, score.missed) == (0.0, 17)
    assert np.isnan(score.mean_px)
    assert score.mean_mm is None
    with pytest.raises(ValueError, match="no vertebra"):
        localization_score([COLUMN], [np.full((17, 2), np.nan)], [1.0])


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        distances(COLUMN[:16], COLUMN)
    with pytest.raises(ValueError, match="a film"):
        localization_score([COLUMN], [COLUMN], [])
