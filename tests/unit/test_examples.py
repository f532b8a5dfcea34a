"""The kit's own films: small, true to the landmarks they were rendered from, and rendered again the same."""

from __future__ import annotations

import csv
import json
from typing import Any

import numpy as np
import pytest

from aasce.examples import FOLDER, LANDMARKS, TRUTH, example_films
from aasce.geometry.cobb import cobb_angles
from aasce.readers import read_film
from tools.render_examples import EXAMPLES, render

NAMES = list(EXAMPLES)


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return dict(json.loads(LANDMARKS.read_text()))


def test_a_dozen_films_with_truth_each(truth: dict[str, Any]) -> None:
    assert len(NAMES) == 12
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
    assert path.stat().st_size <= 250_000
    assert film.pixels.dtype == np.uint8
    assert list(film.size) == truth[name]["size"]
    assert film.height == 1280
    assert film.height > film.width


@pytest.mark.parametrize("name", NAMES)
def test_angles_are_those_of_the_landmarks(name: str, truth: dict[str, Any]) -> None:
    with TRUTH.open(newline="") as file:
        rows = {
            row["name"]: [float(row[key]) for key in ("an1", "an2", "an3")] for row in csv.DictReader(file)
        }
    assert list(rows) == NAMES
    points, height = np.array(truth[name]["landmarks"]), truth[name]["size"][0]
    assert points.shape == (17, 4, 2)
    # Landmarks are written to a hundredth of a pixel, of bodies some 50 px wide.
    np.testing.assert_allclose(cobb_angles(points, height).degrees, rows[name], atol=0.05)


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
    assert (np.diff(points.mean(axis=1)[:, 1]) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_bodies_are_brighter_than_what_lies_beside_them(name: str, truth: dict[str, Any]) -> None:
    """The truth fits the picture: lumbar bodies against the strips of belly on both sides, in the mean."""
    pixels = read_film(FOLDER / f"{name}.jpg").pixels.astype(np.float64)
    gains = []
    for corners in np.array(truth[name]["landmarks"])[12:]:
        (x, y), (half, rise) = corners.mean(axis=0), np.ptp(corners, axis=0) / 4

        def grey(at: float, y: float = y, half: float = half, rise: float = rise) -> float:
            rows, columns = slice(int(y - rise), int(y + rise)), slice(int(at - half), int(at + half))
            return float(pixels[rows, columns].mean())

        places = [x + side * 4.5 * half for side in (-1, 1)]
        beside = [grey(at) for at in places if half < at < pixels.shape[1] - half]
        gains.append(grey(x) - np.mean(beside))
    assert np.mean(gains) > 4


def test_an_example_is_rendered_again_the_same() -> None:
    first, again = (render("example-04", rows=256) for _ in range(2))
    assert np.array_equal(first.pixels, again.pixels)


@pytest.mark.parametrize("name", ["example-01", "example-08"])
def test_stored_landmarks_are_those_of_the_phantom(name: str, truth: dict[str, Any]) -> None:
    np.testing.assert_allclose(render(name).truth.landmarks, truth[name]["landmarks"], atol=0.0101)
