"""Isolation of the spine's rows, the cord, and the refined region, on made films and masks."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.preprocess.augment import mirror_landmarks
from aasce.solvers.rotated_proposals.regions import (
    cord_mask,
    cord_outline,
    isolated_box,
    midline,
    on_cord,
    projection_thresholds,
    refined_view,
)
from aasce.solvers.rotated_proposals.settings import RegionSettings
from aasce.solvers.rotated_proposals.task import cord_target
from tests.synthetic import bent_spine

REGION = RegionSettings()


def trunk(height: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(100, 6, (height, 60)).clip(0, 255), np.uint8)


def test_head_and_pelvis_are_cut_off_where_the_projection_leaves_the_trunks_range() -> None:
    limits = projection_thresholds([trunk(400, k) for k in range(3)])
    assert 0.8 < limits[0] < 1 < limits[1] < 1.2
    film = trunk(400, 9)
    film[:60] = 30  # the air beside a head
    film[350:] = 220  # a pelvis
    x0, y0, x1, y1 = isolated_box(film, limits)
    assert (x0, x1) == (0, 60)
    # The projection is averaged over 2 % of the rows, 8.
    assert y0 == pytest.approx(60, abs=8)
    assert y1 == pytest.approx(350, abs=8)


def test_a_film_of_the_trunk_alone_is_kept_whole_and_the_middle_rows_always() -> None:
    limits = projection_thresholds([trunk(400, k) for k in range(3)])
    assert isolated_box(trunk(400, 5), limits) == (0, 0, 60, 400)
    assert isolated_box(trunk(400, 5), (0.0, 0.5)) == (0, 100, 60, 300)


def test_a_short_disturbance_cuts_nothing_off() -> None:
    film = trunk(400, 5)
    film[40:43] = 255  # a marker: 3 rows of the 8 that end the trunk, and averaged away
    limits = (0.5, 1.7)
    assert isolated_box(film, limits) == (0, 0, 60, 400)


def test_the_cord_is_the_longest_part_and_gaps_are_bridged() -> None:
    probability = np.zeros((160, 48), np.float32)
    probability[10:150, 20:30] = 0.9
    probability[80:84] = 0.1  # a gap of a disc
    probability[20:50, 40:46] = 0.9  # an arm, shorter
    mask = cord_mask(probability)
    assert mask[12:148, 22:28].all()
    assert not mask[:, 38:].any()
    assert not cord_mask(np.full((160, 48), 0.2, np.float32)).any()
    speck = np.zeros((160, 48), np.float32)
    speck[50:54, 10:14] = 1
    assert not cord_mask(speck).any()


def test_midline_and_outline_of_a_cord() -> None:
    mask = np.zeros((40, 20), np.uint8)
    mask[10:30, 4:8] = 1
    line = midline(mask)
    # Columns 4 to 7 have their middle at 5.5, canvas px (5.5 + 0.5) * 4 - 0.5.
    np.testing.assert_allclose(line[:, 0], 23.5)
    assert line[0, 1] == 41.5
    assert line[-1, 1] == 117.5
    edges = cord_outline(mask)
    np.testing.assert_allclose(edges.min(axis=0), [15.5, 39.5])
    np.testing.assert_allclose(edges.max(axis=0), [31.5, 119.5])


def test_the_cords_target_and_its_midline_fit_the_vertebrae() -> None:
    size = (336, 96)
    spine = bent_spine(30.0, size)
    line = midline(cord_mask(cord_target(spine, size) / 255.0))
    centres = spine.mean(axis=1)
    found = np.interp(centres[:, 1], line[:, 1], line[:, 0])
    np.testing.assert_allclose(found, centres[:, 0], atol=2.0)


@pytest.mark.parametrize("lean", [0.0, 12.0, -12.0])
def test_the_refined_region_has_its_aspect_and_stands_upright(lean: float) -> None:
    turn = np.radians(lean)
    line = np.array([300.0, 500.0]) + np.linspace(-200, 200, 50)[:, None] * [np.sin(turn), np.cos(turn)]
    view = refined_view(line, line, REGION)
    seen = view.apply(line)
    np.testing.assert_allclose(seen[:, 0], (192 - 1) / 2, atol=1e-6)
    assert (np.diff(seen[:, 1]) > 0).all()
    # A line 400 px long with a margin of 3 % on either side fills the 672 rows.
    assert np.ptp(seen[:, 1]) == pytest.approx(672 / 1.06)


def test_a_wide_curve_makes_the_region_larger_not_wider() -> None:
    line = np.array([[0.0, 0.0], [200.0, 200.0], [0.0, 400.0]])
    view = refined_view(line[[0, 2]], line, REGION)
    width = 200 + 2 * 0.03 * 400
    assert view.scale == pytest.approx(192 / width)
    assert 3.5 * width == pytest.approx(672 / view.scale)
    seen = view.apply(line)
    assert seen.min() > 0
    assert (seen < [192, 672]).all()


def test_the_region_of_a_mirrored_spine_is_the_mirrored_region() -> None:
    spine = bent_spine(40.0, (900, 400)) + np.array([30.0, 0.0])
    other = mirror_landmarks(spine, 400)
    views = [refined_view(s.mean(axis=1), s.reshape(-1, 2), REGION) for s in (spine, other)]
    seen, mirrored = views[0].apply(spine), views[1].apply(other)
    np.testing.assert_allclose(mirror_landmarks(mirrored, 192), seen, atol=1e-6)


def test_detections_off_the_cord_are_told_from_those_on_it() -> None:
    mask = np.zeros((40, 20), np.uint8)
    mask[10:30, 8:12] = 1  # canvas px 31.5 to 47.5 and 39.5 to 119.5
    points = [[40, 80], [32, 41], [46, 130], [29, 80], [10, 80], [-30, 80], [40, 400]]
    assert on_cord(np.array(points, float), mask, 4.0).tolist() == [
        True,
        True,
        False,
        True,
        False,
        False,
        False,
    ]
    assert on_cord(np.array([[46.0, 122.0]]), mask, 4.0).all()
    assert on_cord(np.array([[5.0, 5.0]]), np.zeros((40, 20), np.uint8), 4.0).all()  # no cord, no reason
    assert on_cord(np.zeros((0, 2)), mask, 4.0).shape == (0,)
