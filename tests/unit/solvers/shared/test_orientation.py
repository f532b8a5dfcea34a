"""Orientation of films: the way upright and back, and the solvers on rotated films and negatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import aasce
from aasce.ensemble import with_angles
from aasce.examples import example_films
from aasce.preprocess.orientation import map_as_read, points_as_read, upright_film
from aasce.solvers.base import UNCLEAR_CONFIDENCE, Localization, Solver
from aasce.solvers.constant.solver import ConstantSolver
from aasce.solvers.registry import SOLVERS
from aasce.solvers.scg_net.solver import ScgNetSolver
from aasce.solvers.shared.orientation import FilmCache, upright_once
from aasce.types import Orientation, Radiograph
from aasce.weights import with_localizer
from tools.orientation_check import lateral_film

WAYS = [
    (0, True, ("film_negative",)),
    (1, False, ("film_on_its_side",)),
    (2, False, ("film_upside_down",)),
    (3, True, ("film_on_its_side", "film_negative")),
]
LOCALIZED = [name for name in SOLVERS if name not in ("constant", "vertebra_field", "inverse_render")]


def shown(film: Radiograph, quarters: int, negative: bool) -> Radiograph:
    """A film rotated clockwise by quarter turns, perhaps a negative."""
    pixels = np.ascontiguousarray(np.rot90(film.pixels, -quarters))
    return replace(film, pixels=255 - pixels if negative else pixels)


@pytest.fixture(scope="module")
def film() -> Radiograph:
    return aasce.read_film(example_films()[2])


@pytest.mark.parametrize("turns", range(4))
def test_what_is_found_upright_lies_where_the_film_shows_it(turns: int) -> None:
    pixels = np.random.default_rng(turns).integers(0, 255, (7, 4)).astype(np.uint8)
    given = Radiograph("film", pixels, spacing=(0.2, 0.1))
    lay = Orientation(turns)
    upright = upright_film(given, lay)
    for x, y in [(0, 0), (upright.width - 1, 0), (1, upright.height - 2)]:
        at = points_as_read(np.array([x, y]), given.size, lay).astype(int)
        assert given.pixels[at[1], at[0]] == upright.pixels[y, x]
    np.testing.assert_array_equal(map_as_read(upright.pixels, lay), pixels)
    assert upright.spacing == ((0.2, 0.1) if turns % 2 == 0 else (0.1, 0.2))


def test_a_film_that_lies_upright_is_left_alone() -> None:
    deep = Radiograph("deep", np.arange(12, dtype=np.uint16).reshape(3, 4))
    assert upright_film(deep, Orientation()) is deep
    turned = upright_film(deep, Orientation(2))
    assert turned.pixels.dtype == np.uint16
    assert turned.pixels[0, 0] == 11


def test_a_negative_is_set_right() -> None:
    ramp = Radiograph("ramp", np.tile(np.arange(0, 60000, 500, dtype=np.uint16), (9, 1)))
    bright = upright_film(ramp, Orientation(negative=True)).pixels
    assert bright.dtype == np.uint8
    assert bright[0, 0] == 255
    assert bright[0, -1] == 0


def test_flags_and_confidence() -> None:
    assert Localization().flags == ()
    found = Localization(Orientation(2, True), unclear=True)
    assert found.flags == ("film_upside_down", "film_negative", "spine_unclear")
    assert Localization().limited(0.9) == 0.9
    assert found.limited(0.9) == UNCLEAR_CONFIDENCE
    assert found.limited(0.01) == 0.01


@pytest.fixture(scope="module", params=LOCALIZED)
def solver(request: pytest.FixtureRequest) -> Solver:
    return aasce.load(request.param)


@pytest.mark.parametrize(("quarters", "negative", "flags"), WAYS)
def test_a_film_is_measured_in_any_orientation(
    solver: Solver, film: Radiograph, quarters: int, negative: bool, flags: tuple[str, ...]
) -> None:
    plain = solver.predict([film])[0]
    given = shown(film, quarters, negative)
    found = solver.predict([given])[0]
    assert found.flags == (*flags, *plain.flags)
    measured, expected = with_angles(found).angles, with_angles(plain).angles
    assert measured is not None
    assert expected is not None
    # Landmarks go to the film as read and back; regressed angles are the same to the last bit.
    np.testing.assert_allclose(measured.degrees, expected.degrees, rtol=0, atol=1e-9)
    assert found.confidence == plain.confidence
    assert found.size == given.size
    if plain.mask is not None:
        assert found.mask is not None
        np.testing.assert_array_equal(found.mask, np.rot90(plain.mask, -quarters))
    if plain.centerline is not None:
        assert found.centerline is not None
        back = Orientation(-quarters % 4)
        np.testing.assert_allclose(found.centerline, points_as_read(plain.centerline, given.size, back))


def test_inverse_render_fits_a_film_in_any_orientation(film: Radiograph) -> None:
    """Two steps of the fit: the test is about the frame of the corners, not about how well they fit."""
    solver = aasce.load("inverse_render")
    stage = solver.config.stages[0].model_copy(update={"steps": 2, "rows": 192})
    solver.config = solver.config.model_copy(update={"stages": (stage,)})
    plain = solver.predict([film])[0]
    given = shown(film, 1, True)
    found = solver.predict([given])[0]
    assert found.failure is None
    assert {"film_on_its_side", "film_negative"} <= set(found.flags)
    assert found.landmarks is not None
    assert plain.landmarks is not None
    there = points_as_read(plain.landmarks, given.size, Orientation(3))
    np.testing.assert_allclose(found.landmarks, there, atol=1.0)


def test_a_lateral_film_is_flagged_and_not_trusted() -> None:
    solver = aasce.load("scg_net")
    found = solver.predict([lateral_film(703)])[0]
    assert "spine_unclear" in found.flags
    assert found.confidence <= UNCLEAR_CONFIDENCE


def test_which_solvers_need_a_localizer() -> None:
    """A solver that localizes films itself, or reads no film, gets none; one that is not loaded has none."""
    own = ScgNetSolver(ScgNetSolver.Config.tiny())
    assert own.needs_localizer
    assert own.localizer is None
    assert with_localizer(own) is own
    assert own.localizer is not None
    assert own.localizer.can_localize
    assert not own.localizer.needs_localizer
    constant = ConstantSolver()
    assert with_localizer(constant).localizer is None


def test_several_solvers_share_one_pass_over_a_film() -> None:
    passes = []

    def localize(film: Radiograph) -> Localization:
        passes.append(film.film_id)
        return Localization(unclear=bool(film.pixels.max()))

    cache: FilmCache[Localization] = FilmCache()
    dark, bright = (Radiograph("film", np.full((4, 3), v, np.uint8)) for v in (0, 9))
    found = [cache.get(film, localize).unclear for film in (dark, bright, bright, dark)]
    assert found == [False, True, True, False]
    assert len(passes) == 2
    # Another film of the same name, perhaps at the same place in memory, is another film.
    for value in (0, 9, 0):
        film = Radiograph("film", np.full((4, 3), value, np.uint8))
        assert cache.get(film, localize).unclear == bool(value)
        del film
    assert len(passes) == 5


def test_several_solvers_share_one_turned_film() -> None:
    given = Radiograph("film", np.arange(12, dtype=np.uint8).reshape(3, 4))
    lies = Orientation(1, True)
    assert upright_once(given, Orientation()) is given
    turned = upright_once(given, lies)
    assert upright_once(given, lies) is turned
    np.testing.assert_array_equal(turned.pixels, upright_film(given, lies).pixels)
    assert upright_once(given, Orientation(2)).size == given.size
    other = Radiograph("film", given.pixels.copy())
    assert upright_once(other, lies) is not turned


def test_released_solvers_share_one_localizer() -> None:
    a, b = (aasce.load(name) for name in ("scg_net", "top_down"))
    assert isinstance(a, Solver)
    assert isinstance(b, Solver)
    assert a.localizer is b.localizer is not None


def test_loading_changes_no_generator_and_no_global_flag() -> None:
    """The user's random numbers continue as if nothing had been loaded."""
    import random

    import torch

    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    flags = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    for name in ("scg_net", "vertebra_field", "inverse_render"):
        aasce.load(name)
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])
    assert (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()) == flags
