"""vertebra_field on rotated, negative, pale, lateral, wide and short films."""

from __future__ import annotations

import json
from copy import copy
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
def test_a_rotated_film_or_a_negative_is_measured_and_flagged(
    solver: VertebraFieldSolver,
    film: Radiograph,
    plain: SpinePrediction,
    quarters: int,
    negative: bool,
    flags: tuple[str, ...],
) -> None:
    pixels = np.ascontiguousarray(np.rot90(film.pixels, -quarters))  # clockwise
    shown = replace(film, pixels=255 - pixels if negative else pixels)
    found = solver.predict([shown])[0]
    assert found.flags == flags
    assert found.angles is not None
    assert plain.angles is not None
    np.testing.assert_allclose(found.angles.degrees, plain.angles.degrees, atol=0.6)
    assert found.angles.end_vertebrae == plain.angles.end_vertebrae
    # Landmarks are in the frame of the film as read.
    there = letterbox(film.size, turned_size(film.size, quarters), quarters).apply(plain.landmarks)
    assert found.landmarks is not None
    assert np.linalg.norm(found.landmarks - there, axis=-1).mean() < 1.0
    assert found.size == shown.size
    assert draw_overlay(shown, found, found.angles).shape[2] == 3


def test_angles_of_corners_alone_are_measured_upright_too(
    film: Radiograph, solver: VertebraFieldSolver, plain: SpinePrediction
) -> None:
    config = solver.config.model_copy(update={"corner_sd_share": 0.0})
    corners = VertebraFieldSolver(config)
    corners.module = solver.module
    shown = replace(film, pixels=np.ascontiguousarray(film.pixels[::-1, ::-1]))
    found = with_angles(corners.predict([shown])[0])
    assert found.angles is not None
    assert plain.landmarks is not None
    own = cobb_angles(plain.landmarks, film.height).degrees
    np.testing.assert_allclose(found.angles.degrees, own, atol=0.6)


def test_a_pale_film_is_measured_like_the_film(
    solver: VertebraFieldSolver, film: Radiograph, plain: SpinePrediction
) -> None:
    shown = replace(film, pixels=(film.pixels * 0.2).astype(np.uint8))
    found = solver.predict([shown])[0]
    assert found.landmarks is not None
    assert len(found.landmarks) == 17
    assert found.angles is not None
    assert plain.angles is not None
    np.testing.assert_allclose(found.angles.degrees, plain.angles.degrees, atol=2.0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_lateral_view_beside_the_film_is_left_out(
    solver: VertebraFieldSolver, film: Radiograph, plain: SpinePrediction, side: str
) -> None:
    lateral = lateral_view(film.height)
    views = [film.pixels, lateral] if side == "right" else [lateral, film.pixels]
    found = solver.predict([replace(film, pixels=np.hstack(views))])[0]
    assert found.landmarks is not None
    assert plain.landmarks is not None
    aside = lateral.shape[1] if side == "left" else 0
    shown = found.first_level + np.arange(len(found.landmarks))
    assert len(shown) >= 16
    assert np.linalg.norm(found.landmarks - plain.landmarks[shown] - (aside, 0), axis=-1).mean() < 2.0
    assert found.flags == (() if len(shown) == 17 else ("vertebra_missing",))


def test_a_wide_film_may_be_a_negative(
    solver: VertebraFieldSolver, film: Radiograph, plain: SpinePrediction
) -> None:
    found = solver.predict([replace(film, pixels=255 - on_a_square(film.pixels))])[0]
    assert found.angles is not None
    assert plain.angles is not None
    np.testing.assert_allclose(found.angles.degrees, plain.angles.degrees, atol=1.5)
    assert found.flags == ("film_negative",)


def test_parts_of_a_wide_film_cover_it_and_overlap() -> None:
    size = (1000, 1400)
    parts = wide_parts(size, (512, 256))
    corners = np.array([[0.0, 0.0], [size[1] - 1, size[0] - 1]])
    corners_on = [view.apply(corners) for view in parts]
    assert len(parts) == 5
    for at in corners_on:  # as high as the film
        np.testing.assert_allclose(at[:, 1], (0, 511), atol=0.6)
    assert corners_on[0][0, 0] == pytest.approx(0, abs=0.6)
    assert corners_on[-1][1, 0] == pytest.approx(255, abs=0.6)
    steps = -np.diff([at[0, 0] for at in corners_on])
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
    found = solver.predict([replace(film, pixels=film.pixels[:end])])[0]
    assert found.landmarks is not None
    assert {"vertebra_missing", "levels_unsure"} <= set(found.flags)
    apart = np.linalg.norm(found.landmarks.mean(axis=1)[:, None] - known[None], axis=2)
    assert apart.argmin(axis=1).tolist() == list(range(13))
    assert apart.min(axis=1).max() < 0.5 * np.diff(known[:, 1]).min()


def test_little_confidence_is_flagged_once(solver: VertebraFieldSolver, film: Radiograph) -> None:
    """By a rule that trusts nothing the film's angles are unsure; a lateral film's flag says more."""
    doubting = copy(solver)
    doubting.learned = solver.learned.model_copy(update={"calibration": (-1.0, 0.0)})
    assert doubting.predict([film])[0].flags == ("angles_unsure",)
    assert "angles_unsure" not in doubting.predict([lateral_film(703)])[0].flags


def test_noise_is_not_taken_as_rotated(solver: VertebraFieldSolver) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (600, 300)).astype(np.uint8)
    found = solver.predict([Radiograph("noise", noise)])[0]
    assert not {"film_upside_down", "film_on_its_side", "film_negative"} & set(found.flags)


def test_a_lateral_film_is_flagged_and_not_trusted(solver: VertebraFieldSolver) -> None:
    found = solver.predict([lateral_film(703)])[0]
    assert found.failure is not None or "spine_unclear" in found.flags
    assert found.confidence < 0.5


def test_on_a_film_of_the_whole_body_the_localized_box_is_that_of_the_fine_pass(
    solver: VertebraFieldSolver, film: Radiograph
) -> None:
    rows = film.height // 3
    pixels = np.pad(film.pixels, ((rows, rows), (rows, rows)), constant_values=int(film.pixels.min()))
    wide = replace(film, pixels=pixels)
    found, landmarks = solver.localize(wide).spine, solver.predict([wide])[0].landmarks
    assert found is not None
    assert landmarks is not None
    points = landmarks.reshape(-1, 2)
    step = (points[:, 1].max() - points[:, 1].min()) / 17
    np.testing.assert_allclose(found, [*points.min(0), *points.max(0)], atol=0.3 * step)
