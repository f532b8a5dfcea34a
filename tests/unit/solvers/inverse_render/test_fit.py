"""The phantom fitted to its own X-rays: truth is known, the start is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import aasce
from aasce.geometry.cobb import cobb_angles, tilts
from aasce.phantom.films import RenderedFilm, render_film
from aasce.solvers.inverse_render.chain import best_chain, gradients_of
from aasce.solvers.inverse_render.fit import (
    agreement,
    blind_starts,
    descend,
    film_at,
    fit_blind,
    model_of,
    moved_by,
    stepped,
)
from aasce.solvers.inverse_render.model import SpineModel, camera, landmarks, render
from aasce.solvers.inverse_render.prior import LEANS, TILTS, TURNS, shapes
from aasce.solvers.inverse_render.settings import BlindStart, InverseRenderConfig, Stage
from aasce.solvers.inverse_render.solver import InverseRenderSolver
from aasce.types import AasceError, Radiograph

SIZE = (512, 256)


def bent() -> SpineModel:
    """A spine with one curve of 40 degrees between T5 and L2, somewhat off the middle."""
    model = SpineModel.straight()
    levels = np.arange(25)
    model.shape = shapes().of_tilts(
        20 * np.sin((levels - 15.5) / 9 * np.pi) * (abs(levels - 15.5) < 9), levels
    )
    model.shift = torch.tensor([1.0, -2.0])
    return model


@pytest.fixture(scope="module")
def shadow() -> np.ndarray:
    """(512, 256) the X-ray of `bent`, with noise."""
    with torch.no_grad():
        bone = render(bent(), camera(512, SIZE)).numpy()
    noise = np.random.default_rng(0).normal(0, 2, bone.shape)
    return np.clip(40 + bone + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def film() -> RenderedFilm:
    return render_film(52, rows=512, frame="trunk")


def off(model: SpineModel) -> float:
    """px at 512 rows between the corners of a model and of `bent`."""
    scanner = camera(512, SIZE)
    with torch.no_grad():
        return float((landmarks(model, scanner) - landmarks(bent(), scanner)).norm(dim=-1).mean())


def test_the_true_spine_agrees_best(shadow: np.ndarray) -> None:
    target = film_at(shadow, 256, 1.0)
    values = []
    for shift in (-3.0, 0.0, 3.0):
        model = bent()
        model.shift = model.shift + torch.tensor([shift, 0.0])
        values.append(float(agreement(model, target, SIZE, InverseRenderConfig())))
    assert values[1] > max(values[0], values[2]) + 0.2
    assert values[1] > 0.5


def test_gradient_descent_comes_back(shadow: np.ndarray) -> None:
    moved = bent()
    moved.shift = moved.shift + torch.tensor([0.6, 0.5])
    moved.shape = moved.shape * 0.8
    stage = Stage(rows=192, steps=20, rate=0.15, blur=1.5)
    fitted = descend(moved, shadow, stage, InverseRenderConfig())
    assert off(fitted.model) < off(moved) / 3


def test_a_blind_search_finds_the_place(shadow: np.ndarray) -> None:
    sizes = (0.6, 0.66, 0.72, 0.78)
    for kept, laid, near in ((3, 0, 15), (0, 3, 25)):
        starts = blind_starts(shadow, BlindStart(sizes=sizes, kept=kept, laid=laid, spines=10), seed=0)
        assert 1 <= len(starts) <= 3
        assert starts[0].agreement == max(start.agreement for start in starts)
        assert min(off(start.model) for start in starts) < near


@pytest.mark.parametrize("length", [0.66, 0.72])
def test_a_chain_follows_the_curve(shadow: np.ndarray, length: float) -> None:
    chain = best_chain(gradients_of(film_at(shadow, 160, 1.0).numpy()), length)
    assert chain is not None
    assert chain.corners.shape == (17, 4, 2)
    with torch.no_grad():
        truth = landmarks(bent(), camera(160, SIZE)).numpy()
    there, here = truth.mean(axis=1), chain.corners.mean(axis=1)
    across = here[:, 0] - np.interp(here[:, 1], there[:, 1], there[:, 0])
    assert np.abs(across).mean() < 3  # px of 160 rows; a vertebra is 8 wide
    assert np.abs(tilts(chain.corners) - np.interp(here[:, 1], there[:, 1], tilts(truth))).mean() < 8


def test_nothing_like_a_vertebra_is_no_chain() -> None:
    assert best_chain(gradients_of(np.zeros((160, 80), np.float32)), 0.7) is None


def test_a_blind_fit_ends_at_the_spine(shadow: np.ndarray) -> None:
    search = BlindStart(sizes=(0.66, 0.72, 0.78), kept=2, laid=0, explored=20, finalists=(2, 1))
    stages = (
        Stage(rows=128, steps=20, rate=0.15, blur=1.5),
        Stage(rows=192, steps=20, rate=0.08, blur=1.2),
    )
    fitted = fit_blind(shadow, InverseRenderConfig(start=search, stages=stages))
    assert fitted is not None
    best = min(off(start.model) for start in blind_starts(shadow, search, seed=0))
    assert off(fitted.model) < best / 2


@pytest.mark.parametrize("levels", [-1, 1])
def test_a_spine_moved_by_a_vertebra_stands_where_its_neighbour_stood(levels: int) -> None:
    scanner = camera(512, SIZE)
    with torch.no_grad():
        before, after = (
            landmarks(m, scanner).mean(dim=1) for m in (bent(), moved_by(bent(), levels, levels))
        )
    kept, taken = (slice(0, 16), slice(1, 17)) if levels == 1 else (slice(1, 17), slice(0, 16))
    apart = (before[1:] - before[:-1]).norm(dim=-1).mean()
    assert float((after[kept] - before[taken]).norm(dim=-1).mean()) < 0.15 * apart


def test_a_spine_stretched_by_a_vertebra_keeps_its_upper_end() -> None:
    scanner = camera(512, SIZE)
    with torch.no_grad():
        before, after = (landmarks(m, scanner).mean(dim=1) for m in (bent(), moved_by(bent(), 0, -1)))
    apart = (before[1:] - before[:-1]).norm(dim=-1).mean()
    assert float((after[0] - before[0]).norm()) < 0.3 * apart
    assert float((after[16] - before[15]).norm()) < 0.3 * apart


def test_a_blind_fit_steps_over_a_vertebra(shadow: np.ndarray) -> None:
    stage = Stage(rows=160, steps=30, rate=0.15, blur=1.5)
    config = InverseRenderConfig(start=BlindStart(rounds=2, moved=1, explored=12), stages=(stage,))
    wrong = descend(moved_by(bent(), 1, 1), shadow, stage, config)
    better = stepped([wrong], shadow, stage, config)[0]
    assert better.agreement > wrong.agreement
    assert off(better.model) < 5 < off(wrong.model)


def test_a_model_of_landmarks_stands_where_they_are(film: RenderedFilm) -> None:
    model = model_of(film.truth.landmarks, film.truth.size)
    with torch.no_grad():
        placed = landmarks(model, camera(512, film.truth.size)).numpy()
    assert np.abs(placed - film.truth.landmarks).mean() < 3
    major = cobb_angles(placed, 512).degrees[0]
    assert major == pytest.approx(film.truth.challenge.degrees[0], abs=3)


def test_a_start_near_the_truth_is_kept_or_bettered(film: RenderedFilm) -> None:
    start = model_of(film.truth.landmarks, film.truth.size)
    stage = Stage(rows=256, steps=8, rate=0.05, blur=1.0)
    fitted = descend(start, film.pixels, stage, InverseRenderConfig(), start)
    target = film_at(film.pixels, 256, 1.0)
    assert fitted.agreement >= float(agreement(start, target, film.truth.size, InverseRenderConfig()))
    with torch.no_grad():
        placed = landmarks(fitted.model, camera(512, film.truth.size)).numpy()
    assert np.abs(placed - film.truth.landmarks).mean() < 4


def test_a_fit_from_landmarks_without_a_localizer_is_refused(film: RenderedFilm) -> None:
    with pytest.raises(AasceError, match="has no localizer to start from"):
        InverseRenderSolver().predict([Radiograph("film", film.pixels)])


def test_the_released_one_starts_from_the_default_solvers_landmarks() -> None:
    solver = aasce.load("inverse_render")
    assert solver.localizer is not None
    assert solver.localizer.name == "vertebra_field"


def test_shapes_and_angles_are_two_ways_to_say_one_thing() -> None:
    z = torch.randn(74, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(shapes().of_angles(shapes().angles(z)), z, atol=1e-3)
    # Straight and unturned, but with kyphosis and lordosis.
    still = shapes().angles(torch.zeros(74))
    assert float(still[TILTS].abs().max()) < 1e-4
    assert float(still[TURNS].abs().max()) < 1e-4
    assert float(still[LEANS].abs().max()) > 15


def test_tilts_tell_the_rotation_and_the_levels_between() -> None:
    levels = np.array([8, 10, 12, 14, 16, 18, 20, 22, 24])
    curve = 25 * np.sin((np.arange(25) - 8) / 16 * 2 * np.pi) * (np.arange(25) >= 8)
    angles = shapes().angles(shapes().of_tilts(curve[levels], levels)).numpy()
    assert np.abs(angles[TILTS][8:] - curve[8:]).max() < 4
    turns, slope = angles[TURNS][8:23], np.gradient(angles[TILTS])[8:23]
    # Bodies turn toward the convexity (Stokes 1989), most where the bend is sharpest.
    assert np.corrcoef(turns, slope)[0, 1] < -0.8
    assert 0.5 < -np.polyfit(slope, turns, 1)[0] < 2.5
