"""The kit's own films: small, whole, true to the landmarks they were drawn from, and drawn again the same."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aasce.examples import FOLDER, LANDMARKS, TRUTH, example_films
from aasce.geometry.cobb import cobb_angles, tilts
from aasce.readers import read_film

NAMES = ["example-1", "example-2", "example-3", "example-4"]


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return dict(json.loads(LANDMARKS.read_text()))


@pytest.fixture(scope="module")
def renderer() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "tools"))
        return importlib.import_module("render_examples")


def test_four_films_with_truth_each(truth: dict[str, Any]) -> None:
    assert [film.stem for film in example_films()] == NAMES
    assert list(truth) == NAMES
    assert {path.name for path in FOLDER.iterdir() if path.suffix != ".py" and path.is_file()} == {
        *(f"{name}.jpg" for name in NAMES),
        "truth.csv",
        "landmarks.json",
    }


@pytest.mark.parametrize("name", NAMES)
def test_films_are_small_grey_and_upright(name: str, truth: dict[str, Any]) -> None:
    path = FOLDER / f"{name}.jpg"
    film = read_film(path)
    assert path.stat().st_size <= 120_000
    assert film.pixels.dtype == np.uint8
    assert list(film.size) == truth[name]["size"]
    assert 1500 <= film.height <= 2000
    assert film.height > 2 * film.width


@pytest.mark.parametrize("name", NAMES)
def test_angles_are_those_of_the_landmarks(name: str, truth: dict[str, Any]) -> None:
    with TRUTH.open(newline="") as file:
        rows = {
            row["name"]: [float(row[key]) for key in ("an1", "an2", "an3")] for row in csv.DictReader(file)
        }
    assert list(rows) == NAMES
    points, height = np.array(truth[name]["landmarks"]), truth[name]["size"][0]
    assert points.shape == (17, 4, 2)
    # Three decimals are written, so half a thousandth is the rounding.
    np.testing.assert_allclose(cobb_angles(points, height).degrees, rows[name], atol=5.01e-4)


@pytest.mark.parametrize("name", NAMES)
def test_landmarks_lie_inside_and_in_order(name: str, truth: dict[str, Any]) -> None:
    points, (height, width) = np.array(truth[name]["landmarks"]), truth[name]["size"]
    assert (points >= 0).all()
    assert (points <= [width - 1, height - 1]).all()
    top_left, top_right, bottom_left, bottom_right = points.transpose(1, 0, 2)
    assert (top_left[:, 0] < top_right[:, 0]).all()
    assert (bottom_left[:, 0] < bottom_right[:, 0]).all()
    assert (top_left[:, 1] < bottom_left[:, 1]).all()
    assert (top_right[:, 1] < bottom_right[:, 1]).all()
    # No vertebra reaches into the next: discs lie between them.
    assert (bottom_left[:-1, 1] < top_left[1:, 1]).all()
    assert (bottom_right[:-1, 1] < top_right[1:, 1]).all()


@pytest.mark.parametrize("name", NAMES)
def test_bodies_are_brighter_than_what_lies_beside_them(name: str, truth: dict[str, Any]) -> None:
    """The truth fits the picture: lumbar bodies against the strips of belly one body away on both sides."""
    pixels = read_film(FOLDER / f"{name}.jpg").pixels.astype(np.float64)
    for corners in np.array(truth[name]["landmarks"])[12:]:
        (x, y), (half, rise) = corners.mean(axis=0), np.ptp(corners, axis=0) / 4

        def grey(at: float, y: float = y, half: float = half, rise: float = rise) -> float:
            rows, columns = slice(int(y - rise), int(y + rise)), slice(int(at - half), int(at + half))
            return float(pixels[rows, columns].mean())

        assert grey(x) > grey(x - 5 * half) + 5
        assert grey(x) > grey(x + 5 * half) + 5


def test_same_seed_same_bits(renderer: Any) -> None:
    first, landmarks = renderer.render(renderer.PHANTOMS[0], scale=0.2)
    again, also = renderer.render(renderer.PHANTOMS[0], scale=0.2)
    assert first.dtype == np.uint8
    assert first.shape == (320, 120)
    assert np.array_equal(first, again)
    assert np.array_equal(landmarks, also)


def test_stored_landmarks_are_those_the_renderer_placed(renderer: Any, truth: dict[str, Any]) -> None:
    for phantom in renderer.PHANTOMS:
        poses = renderer.spine(phantom, 284.0 * phantom.build)
        points = renderer.corners(phantom, poses) / phantom.pixel
        np.testing.assert_allclose(points, truth[phantom.name]["landmarks"], atol=0.00501)


def test_tilts_follow_the_curve_that_was_asked_for(renderer: Any, truth: dict[str, Any]) -> None:
    """Knots at whole levels fix the tilt there; turned and leaning bodies show it to within 1.5 degrees."""
    for phantom in renderer.PHANTOMS:
        seen = tilts(np.array(truth[phantom.name]["landmarks"]))
        asked = {int(level): degrees for level, degrees in phantom.tilts if level in range(17)}
        assert len(asked) >= 3
        for level, degrees in asked.items():
            assert seen[level] == pytest.approx(degrees, abs=1.5)
