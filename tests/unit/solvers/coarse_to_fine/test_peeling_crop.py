"""Places of channels, the chain of those that continue one another, the region box, and the iterated crop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.preprocess.crop import Box, crop_view, letterbox
from aasce.solvers.coarse_to_fine.inference import MaskPass
from aasce.solvers.coarse_to_fine.peeling import (
    channel_places,
    continuous_levels,
    inside_film,
    peel,
    region_box,
)
from aasce.solvers.coarse_to_fine.settings import PeelingSettings

SETTINGS = PeelingSettings(aspect=2.0, margin=0.1)
COLUMN = np.stack([np.full(17, 60.0), 30.0 + 20.0 * np.arange(17)], axis=1)
SURE = np.full(17, 0.9)


def spots(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N, h, w) maps of 3 by 3 px around whole points."""
    maps = np.zeros((len(points), *size), np.float32)
    for drawn, (x, y) in zip(maps, points.astype(int), strict=True):
        drawn[y - 1 : y + 2, x - 1 : x + 2] = 0.9
    return maps


def test_a_channel_is_placed_on_the_canvas() -> None:
    boxes = spots(np.array([[10, 20], [12, 30]]), (40, 24))
    places, values = channel_places(np.ones((40, 24), np.float32), boxes, stride=4)
    # The middle of px 10 of a map of stride 4 is 10 * 4 + 1.5 on the canvas.
    np.testing.assert_allclose(places, [[41.5, 81.5], [49.5, 121.5]], atol=1e-4)
    np.testing.assert_allclose(values, 0.9, atol=1e-6)


def test_a_channel_off_the_target_mask_is_not_seen() -> None:
    boxes = spots(np.array([[10, 20], [12, 30]]), (40, 24))
    target = np.ones((40, 24), np.float32)
    target[25:] = 0
    _, values = channel_places(target, boxes, stride=4)
    assert values[1] == 0
    assert continuous_levels(np.zeros((2, 2)), values, SETTINGS).tolist() == [0]


def test_a_whole_column_is_one_chain() -> None:
    assert continuous_levels(COLUMN, SURE, SETTINGS).tolist() == list(range(17))


def test_a_place_off_the_spine_is_no_part_of_the_chain() -> None:
    places = COLUMN.copy()
    places[6] = [60 + 150, 40]
    assert continuous_levels(places, SURE, SETTINGS).tolist() == [k for k in range(17) if k != 6]


def test_two_channels_on_one_vertebra_leave_one() -> None:
    places = COLUMN.copy()
    places[9] = places[8] + [0, 1]
    chain = continuous_levels(places, SURE, SETTINGS).tolist()
    assert len(chain) == 16
    assert not {8, 9} <= set(chain)


def test_a_gap_of_unseen_levels_does_not_end_the_chain_but_a_leap_does() -> None:
    values = SURE.copy()
    values[[7, 8, 9]] = 0.0
    assert continuous_levels(COLUMN, values, SETTINGS).tolist() == [*range(7), *range(10, 17)]
    leap = COLUMN.copy()
    leap[13:, 1] += 200
    assert continuous_levels(leap, SURE, SETTINGS).tolist() == list(range(13))


def test_nothing_seen_is_no_chain() -> None:
    assert len(continuous_levels(COLUMN, np.zeros(17), SETTINGS)) == 0


def test_region_box_of_a_straight_spine() -> None:
    box = region_box(COLUMN, np.arange(17), SETTINGS)
    # Endplate to endplate 17 steps of 20 px from y = 20, half as wide, and a margin of a tenth of the height.
    np.testing.assert_allclose(box, [60 - 85 - 34, 20 - 34, 60 + 85 + 34, 360 + 34])


def test_region_box_reckons_with_levels_not_seen() -> None:
    whole = region_box(COLUMN, np.arange(17), SETTINGS)
    np.testing.assert_allclose(region_box(COLUMN, np.arange(2, 14), SETTINGS), whole)


def test_region_box_of_a_strong_curve_holds_it() -> None:
    places = COLUMN.copy()
    places[:, 0] += 120 * np.sin(np.linspace(0, np.pi, 17))
    box = region_box(places, np.arange(17), SETTINGS)
    assert box[0] < 60 - 30
    assert box[2] > 180 + 30


def test_a_box_is_cut_at_the_film() -> None:
    assert inside_film(np.array([-5.0, 10.2, 30.0, 900.0]), (100, 20)) == (0, 10, 20, 100)


class Film:
    """Passes of a film with a spine of the whole body: exact maps of each crop."""

    def __init__(self, size: tuple[int, int], spine: np.ndarray) -> None:
        self.size, self.spine, self.boxes = size, spine, []

    def __call__(self, box: Box) -> MaskPass:
        self.boxes.append(box)
        canvas = (320, 160)
        view = crop_view(box).then(letterbox((box[3] - box[1], box[2] - box[0]), canvas))
        on_map = np.round((view.apply(self.spine) + 0.5) / 4 - 0.5)
        shape = (canvas[0] // 4, canvas[1] // 4)
        inside = ((on_map >= 1) & (on_map < [shape[1] - 1, shape[0] - 1])).all(axis=1)
        maps = np.zeros((17, *shape), np.float32)
        maps[inside] = spots(on_map[inside], shape)
        return MaskPass(box, view, torch.zeros(2, 1, 1, 1), np.ones(shape, np.float32), maps, 4)


def test_a_film_of_the_whole_body_is_peeled_to_its_spine() -> None:
    spine = np.stack([200 + 30 * np.sin(np.linspace(0, 3, 17)), np.linspace(400, 800, 17)], axis=1)
    film = Film((1200, 500), spine)
    settings = PeelingSettings(margin=0.06, iterations=6)
    found = peel(film, film.size, (0, 0, 500, 1200), settings)
    x0, y0, x1, y1 = found.box
    assert (x0 < spine[:, 0]).all()
    assert (spine[:, 0] < x1).all()
    # 17 steps of 25 px from endplate to endplate and the margins, a px of the map (25 px at first) more or less.
    assert y1 - y0 == pytest.approx(425 * 1.12, abs=30)
    assert y0 == pytest.approx(400 - 12.5 - 0.06 * 425, abs=15)
    heights = [box[3] - box[1] for box in film.boxes]
    assert 3 <= len(heights) <= 1 + settings.iterations
    assert heights[0] == 1200


def test_the_crop_ends_at_the_largest_number_of_iterations() -> None:
    spine = np.stack([np.full(17, 200.0), np.linspace(400, 800, 17)], axis=1)
    film = Film((1200, 500), spine)
    peel(film, film.size, (0, 0, 500, 1200), PeelingSettings(narrowing=0.0, iterations=1))
    assert len(film.boxes) == 2


def test_a_spine_that_fills_the_film_is_not_cropped() -> None:
    spine = np.stack([np.full(17, 250.0), np.linspace(50, 1150, 17)], axis=1)
    film = Film((1200, 500), spine)
    assert peel(film, film.size, (0, 0, 500, 1200), PeelingSettings()).box == (0, 0, 500, 1200)
    assert len(film.boxes) == 1


def test_a_spine_that_leaves_the_film_keeps_the_edge() -> None:
    spine = np.stack([np.full(17, 250.0), np.linspace(700, 1290, 17)], axis=1)
    found = peel(Film((1200, 500), spine), (1200, 500), (0, 0, 500, 1200), PeelingSettings())
    assert found.box[3] == 1200
    assert 500 < found.box[1] < 700


def test_a_film_without_a_spine_stays_whole() -> None:
    nowhere = Film((1200, 500), np.full((17, 2), -500.0))
    assert peel(nowhere, (1200, 500), (0, 0, 500, 1200), PeelingSettings()).box == (0, 0, 500, 1200)
