"""vertebra_field on films that lie turned, are negatives, are pale, lateral, or end before the spine does."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import aasce
from aasce.ensemble import with_angles
from aasce.examples import LANDMARKS, example_films
from aasce.geometry.cobb import cobb_angles
from aasce.geometry.spine import turned_size
from aasce.preprocess.crop import letterbox
from aasce.solvers.vertebra_field.inference import wide_parts
from aasce.solvers.vertebra_field.solver import VertebraFieldSolver
from aasce.types import Radiograph, SpinePrediction
from aasce.writers.overlay import draw_overlay
from tools.orientation_check import lateral_film, lateral_view, on_a_square


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
    config = solver.config.model_copy(update={"corner_sd_share": 0.0})
    corners = VertebraFieldSolver(config)
    corners.module = solver.module
    shown = replace(film, pixels=np.ascontiguousarray(film.pixels[::-1, ::-1]))
    said = with_angles(corners.predict([shown])[0])
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


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_lateral_view_beside_the_film_is_left_out(
    solver: VertebraFieldSolver, film: Radiograph, plain: SpinePrediction, side: str
) -> None:
    lateral = lateral_view(film.height)
    views = [film.pixels, lateral] if side == "right" else [lateral, film.pixels]
    said = solver.predict([replace(film, pixels=np.hstack(views))])[0]
    assert said.landmarks is not None
    assert plain.landmarks is not None
    aside = lateral.shape[1] if side == "left" else 0
    seen = said.first_level + np.arange(len(said.landmarks))
    assert len(seen) >= 16
    assert np.linalg.norm(said.landmarks - plain.landmarks[seen] - (aside, 0), axis=-1).mean() < 2.0
    assert said.flags == (() if len(seen) == 17 else ("vertebra_missing",))


def test_a_wide_film_may_be_a_negative(
    solver: VertebraFieldSolver, film: Radiograph, plain: SpinePrediction
) -> None:
    said = solver.predict([replace(film, pixels=255 - on_a_square(film.pixels))])[0]
    assert said.angles is not None
    assert plain.angles is not None
    np.testing.assert_allclose(said.angles.degrees, plain.angles.degrees, atol=1.5)
    assert said.flags == ("film_negative",)


def test_parts_of_a_wide_film_cover_it_and_overlap() -> None:
    size = (1000, 1400)
    parts = wide_parts(size, (512, 256))
    corners = np.array([[0.0, 0.0], [size[1] - 1, size[0] - 1]])
    seen = [view.apply(corners) for view in parts]
    assert len(parts) == 5
    for at in seen:  # as high as the film
        np.testing.assert_allclose(at[:, 1], (0, 511), atol=0.6)
    assert seen[0][0, 0] == pytest.approx(0, abs=0.6)
    assert seen[-1][1, 0] == pytest.approx(255, abs=0.6)
    steps = -np.diff([at[0, 0] for at in seen])
    assert (steps > 0).all()
    assert (steps <= 128).all()


@pytest.mark.parametrize("size", [(1000, 560), (1000, 2100)])
def test_a_film_of_usual_shape_or_on_its_side_has_no_parts(size: tuple[int, int]) -> None:
    assert wide_parts(size, (512, 256)) == []


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
