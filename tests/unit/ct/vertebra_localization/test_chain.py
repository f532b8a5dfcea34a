"""Names, places and count of the vertebrae, chosen together along one line."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.ct.shared.grids import world_grid
from aasce.ct.vertebra_localization.chain import (
    best_chain,
    chain_of,
    column_line,
    endplates_along,
    pitches,
    sharpened,
)
from aasce.ct.vertebra_localization.settings import ChainSettings
from aasce.volume import Volume

LABELS = (19, 20, 21, 22, 23)
"""T12 to L4."""
STEP = 2


def heatmaps_at(places: np.ndarray, affine: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(L, x, y, z) Gaussians of 8 mm about world places (L, 3)."""
    cells = np.stack(np.meshgrid(*(np.arange(16),) * 2, np.arange(48), indexing="ij"), -1)
    world = ((cells + 0.5) * STEP - 0.5) @ affine[:3, :3].T + affine[:3, 3]
    off = np.linalg.norm(world[None] - places[:, None, None, None], axis=-1)
    return np.asarray(values[:, None, None, None] * np.exp(-0.5 * (off / 8) ** 2), np.float32)


@pytest.fixture
def affine() -> np.ndarray:
    return world_grid((0.0, 0.0, 0.0), 2.0, (32, 32, 96)).affine


@pytest.fixture
def places() -> np.ndarray:
    z = 60 - np.r_[0.0, np.cumsum(pitches(LABELS))]
    return np.stack([0.05 * z, -3 + 0 * z, z], axis=1)


def bodies(dark: bool, places: np.ndarray, middle_peak: float = 0.0) -> Volume:
    """A scan of 1 mm whose HU change along z alone: marrow, endplates, and discs amid the places."""
    z = np.arange(-95.0, 96.0)
    gaps = (places[:-1, 2] + places[1:, 2]) / 2
    off = np.abs(z[:, None] - gaps).min(axis=1)
    hu = np.where(off < 3, 90.0, np.where(off < 6, 260.0, 70.0 if dark else 180.0))
    near = np.abs(z[:, None] - places[:, 2]).min(axis=1) < 2
    hu = hu + middle_peak * near
    data = np.broadcast_to(hu, (64, 64, len(z))).astype(np.float32)
    affine = np.eye(4)
    affine[:3, 3] = (-32, -32, -95)
    return Volume(data, affine, "ct")


def test_a_clear_column_is_found_with_its_names(affine: np.ndarray, places: np.ndarray) -> None:
    heatmaps = heatmaps_at(places, affine, np.full(5, 0.9))
    found = chain_of(heatmaps, affine, STEP, bodies(False, places), LABELS, ChainSettings())
    assert [vertebra.level for vertebra in found] == [0, 1, 2, 3, 4]
    assert np.abs(np.array([vertebra.place for vertebra in found]) - places).max() < 2
    assert all(vertebra.value > 0.7 for vertebra in found)


@pytest.mark.parametrize("dark", [True, False])
def test_endplates_put_right_what_lies_on_discs(affine: np.ndarray, places: np.ndarray, dark: bool) -> None:
    """Weak heatmaps, all of them half a vertebra too high: the endplates are amid the middles all the same."""
    high = places + np.array([0.0, 0.0, 11.0])
    heatmaps = heatmaps_at(high, affine, np.full(5, 0.45))
    scan = bodies(dark, places)
    found = chain_of(heatmaps, affine, STEP, scan, LABELS, ChainSettings())
    bare = chain_of(heatmaps, affine, STEP, scan, LABELS, ChainSettings(endplates=0.0))
    true = dict(enumerate(places))
    off = [abs(vertebra.place[2] - true[vertebra.level][2]) for vertebra in found]
    before = [abs(vertebra.place[2] - true[vertebra.level][2]) for vertebra in bare]
    assert np.mean(off) < 5 < np.mean(before)


def test_a_vertebra_that_no_heatmap_shows_is_counted(affine: np.ndarray, places: np.ndarray) -> None:
    values = np.array([0.9, 0.9, 0.0, 0.9, 0.9])
    scan = bodies(False, places)
    found = chain_of(heatmaps_at(places, affine, values), affine, STEP, scan, LABELS, ChainSettings())
    assert [vertebra.level for vertebra in found] == [0, 1, 3, 4]


def test_nothing_is_found_where_heatmaps_stay_below_the_price(affine: np.ndarray, places: np.ndarray) -> None:
    heatmaps = heatmaps_at(places, affine, np.full(5, 0.1))
    assert chain_of(heatmaps, affine, STEP, bodies(False, places), LABELS, ChainSettings(endplates=0.0)) == []


def test_a_line_outside_the_scan_finds_nothing(affine: np.ndarray, places: np.ndarray) -> None:
    scan = bodies(False, places)
    away = np.eye(4)
    away[:3, 3] = (500, 500, 500)
    heatmaps = heatmaps_at(places, affine, np.full(5, 0.9))
    assert chain_of(heatmaps, affine, STEP, Volume(scan.data, away, "ct"), LABELS, ChainSettings()) == []


def test_the_line_follows_the_bodies_from_the_head(affine: np.ndarray, places: np.ndarray) -> None:
    line = column_line(heatmaps_at(places, affine, np.full(5, 0.9)), affine, STEP)
    assert (np.diff(line[:, 2]) < 0).all()
    assert np.linalg.norm(np.diff(line, axis=0), axis=1) == pytest.approx(1.0, abs=0.05)
    near = [np.linalg.norm(line - place, axis=1).min() for place in places]
    assert max(near) < 3


def test_endplates_are_bright_ridges_within_the_scan(places: np.ndarray) -> None:
    line = np.stack([np.zeros(181), np.zeros(181), np.arange(90.0, -91.0, -1.0)], axis=1)
    seen = np.abs(line[:, 2]) < 80
    found = endplates_along(bodies(True, places), line, seen)
    gaps = (places[:-1, 2] + places[1:, 2]) / 2
    off = np.abs(line[:, 2][:, None] - gaps).min(axis=1)
    assert found[(off > 3) & (off < 6) & seen].mean() > 5 * found[(off > 9) & seen].mean()
    assert not found[~seen].any()
    assert not endplates_along(bodies(True, places), line, np.zeros(181, bool)).any()


def test_small_persons_have_short_steps() -> None:
    """The same proportions at 0.8: the chain keeps to neighbours."""
    steps = pitches(LABELS)
    at = np.r_[20, 20 + np.rint(np.cumsum(0.8 * steps))].astype(int)
    values = np.zeros((5, 160))
    for level, place in enumerate(at):
        values[level] = 0.9 * np.exp(-0.5 * ((np.arange(160) - place) / 4) ** 2)
    assert best_chain(values, np.zeros(160), steps, ChainSettings()) == list(enumerate(at.tolist()))


def test_steps_hold_further_vertebrae_where_they_are_labels() -> None:
    (usual,) = pitches((19, 20))
    assert pitches((19, 28, 20)) == pytest.approx([usual, usual])
    assert pitches((18, 20)) == pytest.approx(pitches((18, 19)) + usual)
    assert pitches((24, 25, 26)) == pytest.approx([*pitches((24, 26)), *pitches((24, 26))])
    assert 10 < pitches((3, 4))[0] < pitches((23, 24))[0] < 45


def test_a_sure_maximum_near_a_place_is_the_place(affine: np.ndarray, places: np.ndarray) -> None:
    heatmap = heatmaps_at(places[:1], affine, np.array([0.9]))[0]
    near, far = places[0] + [3, 0, 0], places[0] + [20, 0, 0]
    assert np.linalg.norm(sharpened(heatmap, affine, STEP, near, 0.7) - places[0]) < 1.5
    assert sharpened(heatmap, affine, STEP, far, 0.7) == pytest.approx(far)
    assert sharpened(heatmap / 2, affine, STEP, near, 0.7) == pytest.approx(near)
