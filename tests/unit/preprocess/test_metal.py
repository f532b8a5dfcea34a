"""Metal over the spine is told on rendered films it is drawn on, and on none as they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

import aasce
from aasce.datasets import read_challenge
from aasce.examples import LANDMARKS, example_films
from aasce.preprocess.metal import PIECE, has_hardware, largest_metal
from aasce.solvers.shared.screened import screened
from aasce.types import Array, Orientation, Radiograph, SpinePrediction
from aasce.xray.hardware import MetalLook, attenuated
from tests.conftest import straight_spine


def known(film_id: str) -> Array:
    return np.array(json.loads(LANDMARKS.read_text())[film_id]["landmarks"])


@pytest.fixture(scope="module")
def films() -> list[Radiograph]:
    return [aasce.read_film(path) for path in example_films()]


def rods(film: Radiograph) -> Radiograph:
    """Two rods of dense metal along the spine."""
    metal = np.zeros(film.size, np.float32)
    corners = known(film.film_id)
    across = corners[:, 1] - corners[:, 0]
    for side in (-0.3, 0.3):
        line = np.rint(corners.mean(axis=1) + side * across).astype(np.int32)
        cv2.polylines(metal, [line], False, 4.0, round(0.2 * float(np.linalg.norm(across, axis=1).mean())))
    pixels = attenuated(film.pixels, metal, MetalLook(), np.random.default_rng(0))
    return Radiograph(film.film_id, pixels)


def test_no_rendered_film_has_metal_and_all_with_rods_have(films: list[Radiograph]) -> None:
    assert [film.film_id for film in films if has_hardware(film.pixels, known(film.film_id))] == []
    assert [f.film_id for f in map(rods, films[:4]) if not has_hardware(f.pixels, known(f.film_id))] == []


def test_the_area_of_a_bar_by_hand() -> None:
    """A bar of 12 px on the 800 px from the first centre to the last, 50 px a step: 5.76 by 384 mm."""
    pixels = np.full((950, 400), 80, np.uint8)
    pixels[:, 194:206] = 250
    assert largest_metal(pixels, straight_spine()) == pytest.approx(5.76 * 384, rel=0.2)
    assert largest_metal(255 - pixels, straight_spine(), negative=True) == pytest.approx(5.76 * 384, rel=0.2)
    assert largest_metal(255 - pixels, straight_spine()) == 0.0


def test_metal_beside_the_column_and_broad_brightness_do_not_count() -> None:
    beside, broad = np.full((2, 950, 400), 80, np.uint8)
    beside[:, 320:332] = 250
    broad[:, 150:250] = 250
    for pixels in (beside, broad):
        assert largest_metal(pixels, straight_spine()) < PIECE


def test_landmarks_off_the_film_or_in_one_place_are_no_column() -> None:
    pixels = np.full((60, 60), 80, np.uint8)
    assert largest_metal(pixels, straight_spine() + 5000) == 0.0
    assert largest_metal(pixels, np.zeros((17, 4, 2))) == 0.0


def test_a_prediction_on_metal_is_flagged_once_and_keeps_its_confidence(films: list[Radiograph]) -> None:
    film = rods(films[0])
    prediction = SpinePrediction(film.film_id, film.size, landmarks=known(film.film_id), confidence=0.8)
    found = screened(film, screened(film, prediction))
    assert found.flags == ("hardware",)
    assert found.confidence == 0.8
    assert screened(films[0], prediction) is prediction
    without = SpinePrediction(film.film_id, film.size, confidence=0.8, orientation=Orientation())
    assert screened(film, without) is without


@pytest.mark.skipif("AASCE_DATA" not in os.environ, reason="needs the challenge's films")
def test_hardly_a_training_film_is_flagged() -> None:
    """Every 60th."""
    films = read_challenge(Path(os.environ["AASCE_DATA"]))
    shown = range(0, len(films), 60)
    assert not any(has_hardware(films.radiograph(k).pixels, films[k].landmarks) for k in shown)  # type: ignore[arg-type]
