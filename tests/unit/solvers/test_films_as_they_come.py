"""vertebra_field on films that lie turned, are negatives, are pale, lateral, or end before the spine does."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import aasce
from aasce.ensemble import measure
from aasce.examples import LANDMARKS, example_films
from aasce.geometry.cobb import cobb_angles
from aasce.geometry.spine import turned_size
from aasce.preprocess.crop import letterbox
from aasce.report.overlay import draw_overlay
from aasce.solvers.vertebra_field.solver import VertebraFieldSolver
from aasce.types import Radiograph, SpinePrediction
from tools.as_they_come import lateral_film, main


@pytest.fixture(scope="module")
def solver() -> VertebraFieldSolver:
    solver = aasce.load("vertebra_field")
    assert isinstance(solver, VertebraFieldSolver)
    return solver


@pytest.fixture(scope="module")
def film() -> Radiograph:
    return aasce.read_film(example_films()[2])


@pytest.fixture(scope="module")
def plain(solver: VertebraFieldSolver, film: Radiograph) -> SpinePrediction:
    return solver.predict([film])[0]


def test_an_upright_film_is_taken_as_it_is(plain: SpinePrediction) -> None:
    assert plain.flags == ()
    assert plain.confidence > 0.7
    assert plain.landmarks is not None
    assert len(plain.landmarks) == 17


@pytest.mark.parametrize(
    ("quarters", "negative", "flags"),
    [
        (0, True, ("film_negative",)),
        (1, False, ("film_on_its_side",)),
        (2, False, ("film_upside_down",)),
        (3, False, ("film_on_its_side",)),
        (2, True, ("film_upside_down", "film_negative")),
    ],
)
def test_a_turned_film_or_a_negative_is_measured_and_told(
    solver: VertebraFieldSolver,
    film: Radiograph,
    plain: SpinePrediction,
    quarters: int,
    negative: bool,
    flags: tuple[str, ...],
) -> None:
    pixels = np.ascontiguousarray(np.rot90(film.pixels, -quarters))  # clockwise
    shown = replace(film, pixels=255 - pixels if negative else pixels)
    said = solver.predict([shown])[0]
    assert said.flags == flags
    assert said.angles is not None
    assert plain.angles is not None
    np.testing.assert_allclose(said.angles.degrees, plain.angles.degrees, atol=0.6)
    assert said.angles.end_vertebrae == plain.angles.end_vertebrae
    # Landmarks stay on the film as it was given: on the turned places of the upright film's.
    there = letterbox(film.size, turned_size(film.size, quarters), quarters).apply(plain.landmarks)
    assert said.landmarks is not None
    assert np.linalg.norm(said.landmarks - there, axis=-1).mean() < 1.0
    assert said.size == shown.size
    assert draw_overlay(shown, said, said.angles).shape[2] == 3


def test_angles_of_corners_alone_are_measured_upright_too(
    film: Radiograph, solver: VertebraFieldSolver, plain: SpinePrediction
) -> None:
    config = solver.config.model_copy(update={"tilt_share": 0.0})
    corners = VertebraFieldSolver(config)
    corners.module = solver.module
    shown = replace(film, pixels=np.ascontiguousarray(film.pixels[::-1, ::-1]))
    said = measure(corners.predict([shown])[0])
    assert said.angles is not None
    assert plain.landmarks is not None
    own = cobb_angles(plain.landmarks, film.height).degrees
    np.testing.assert_allclose(said.angles.degrees, own, atol=0.6)


def test_a_pale_film_is_measured_like_the_film(
    solver: VertebraFieldSolver, film: Radiograph, plain: SpinePrediction
) -> None:
    shown = replace(film, pixels=(film.pixels * 0.2).astype(np.uint8))
    said = solver.predict([shown])[0]
    assert said.landmarks is not None
    assert len(said.landmarks) == 17
    assert said.angles is not None
    assert plain.angles is not None
    np.testing.assert_allclose(said.angles.degrees, plain.angles.degrees, atol=2.0)


def test_a_film_that_ends_early_gets_no_vertebra_squeezed_in(
    solver: VertebraFieldSolver, film: Radiograph
) -> None:
    known = np.array(json.loads(LANDMARKS.read_text())[film.film_id]["landmarks"]).mean(axis=1)
    end = int((known[12, 1] + known[13, 1]) / 2)  # below L1
    said = solver.predict([replace(film, pixels=film.pixels[:end])])[0]
    assert said.landmarks is not None
    assert {"vertebra_missing", "levels_unsure"} <= set(said.flags)
    apart = np.linalg.norm(said.landmarks.mean(axis=1)[:, None] - known[None], axis=2)
    assert apart.argmin(axis=1).tolist() == list(range(13))
    assert apart.min(axis=1).max() < 0.5 * np.diff(known[:, 1]).min()


def test_a_picture_without_a_spine_is_not_turned_about(solver: VertebraFieldSolver) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (600, 300)).astype(np.uint8)
    said = solver.predict([Radiograph("noise", noise)])[0]
    assert not {"film_upside_down", "film_on_its_side", "film_negative"} & set(said.flags)


def test_a_lateral_film_is_told_and_not_trusted(solver: VertebraFieldSolver) -> None:
    said = solver.predict([lateral_film(703)])[0]
    assert said.failure is not None or "spine_unclear" in said.flags
    assert said.confidence < 0.5


def test_the_tool_counts_what_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(example_films()[2], tmp_path)
    main(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop(3).startswith("pale: told 0 of 1")
    assert [line.split(", median")[0] for line in lines] == [
        "as a negative: told 1 of 1, within 1 degree 1",
        "upside down: told 1 of 1, within 1 degree 1",
        "on its side: told 1 of 1, within 1 degree 1",
        "as it is: taken for one of these 0 of 1",
    ]
