"""How a film stands: the way there and back, and the challenge's systems on films that lie turned or are negatives."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import aasce
from aasce.examples import example_films
from aasce.solvers.base import Solver
from aasce.solvers.constant.solver import ConstantSolver
from aasce.solvers.registry import SOLVERS
from aasce.solvers.scg_net.solver import ScgNetSolver
from aasce.solvers.shared.orientation import UNCLEAR_CHANCE, Finder, Led, Remembering, Standing, standing_of
from aasce.types import Radiograph
from aasce.weights import lead
from tools.as_they_come import lateral_film, main

WAYS = [
    (0, True, ("film_negative",)),
    (1, False, ("film_on_its_side",)),
    (2, False, ("film_upside_down",)),
    (3, True, ("film_on_its_side", "film_negative")),
]
LED = [name for name in SOLVERS if name not in ("constant", "vertebra_field", "inverse_render")]


def shown(film: Radiograph, quarters: int, negative: bool) -> Radiograph:
    """A film as it looks turned clockwise."""
    pixels = np.ascontiguousarray(np.rot90(film.pixels, -quarters))
    return replace(film, pixels=255 - pixels if negative else pixels)


@pytest.fixture(scope="module")
def film() -> Radiograph:
    return aasce.read_film(example_films()[2])


@pytest.mark.parametrize("turns", range(4))
def test_what_is_found_upright_lies_where_the_film_shows_it(turns: int) -> None:
    pixels = np.random.default_rng(turns).integers(0, 255, (7, 4)).astype(np.uint8)
    given = Radiograph("film", pixels, spacing=(0.2, 0.1))
    standing = Standing(turns)
    upright = standing.upright(given)
    for x, y in [(0, 0), (upright.width - 1, 0), (1, upright.height - 2)]:
        at = standing.points_as_given(np.array([x, y]), given.size).astype(int)
        assert given.pixels[at[1], at[0]] == upright.pixels[y, x]
    np.testing.assert_array_equal(standing.pixels_as_given(upright.pixels), pixels)
    assert upright.spacing == ((0.2, 0.1) if turns % 2 == 0 else (0.1, 0.2))


def test_a_film_that_stands_upright_is_left_alone() -> None:
    deep = Radiograph("deep", np.arange(12, dtype=np.uint16).reshape(3, 4))
    assert Standing(unclear=True).upright(deep) is deep
    turned = Standing(2).upright(deep)
    assert turned.pixels.dtype == np.uint16
    assert turned.pixels[0, 0] == 11
    assert standing_of(deep, None) == Standing()


def test_a_negative_is_set_right() -> None:
    ramp = Radiograph("ramp", np.tile(np.arange(0, 60000, 500, dtype=np.uint16), (9, 1)))
    bright = Standing(negative=True).upright(ramp).pixels
    assert bright.dtype == np.uint8
    assert bright[0, 0] == 255
    assert bright[0, -1] == 0


def test_flags_and_confidence() -> None:
    assert Standing().flags == ()
    assert Standing(2, True, True).flags == ("film_upside_down", "film_negative", "spine_unclear")
    assert Standing().believed(0.9) == 0.9
    assert Standing(unclear=True).believed(0.9) == UNCLEAR_CHANCE
    assert Standing(unclear=True).believed(0.01) == 0.01


@pytest.fixture(scope="module", params=LED)
def solver(request: pytest.FixtureRequest) -> Solver:
    return aasce.load(request.param)


@pytest.mark.parametrize(("quarters", "negative", "flags"), WAYS)
def test_the_systems_measure_a_film_however_it_lies(
    solver: Solver, film: Radiograph, quarters: int, negative: bool, flags: tuple[str, ...]
) -> None:
    plain = solver.predict([film])[0]
    given = shown(film, quarters, negative)
    said = solver.predict([given])[0]
    assert said.flags == (*flags, *plain.flags)
    assert said.angles is not None
    assert plain.angles is not None
    np.testing.assert_array_equal(said.angles.degrees, plain.angles.degrees)
    assert said.confidence == plain.confidence
    assert said.size == given.size
    if plain.mask is not None:
        assert said.mask is not None
        np.testing.assert_array_equal(said.mask, np.rot90(plain.mask, -quarters))
    if plain.centerline is not None:
        assert said.centerline is not None
        back = Standing(-quarters % 4)
        np.testing.assert_allclose(
            said.centerline, back.points_as_given(plain.centerline, film.size[:: -1 if quarters % 2 else 1])
        )


def test_inverse_render_fits_a_film_however_it_lies(film: Radiograph) -> None:
    """Fitted for a step or two: where the corners end is the question, not how well they fit."""
    solver = aasce.load("inverse_render")
    stage = solver.config.stages[0].model_copy(update={"steps": 2, "rows": 192})
    solver.config = solver.config.model_copy(update={"stages": (stage,)})
    plain = solver.predict([film])[0]
    given = shown(film, 1, True)
    said = solver.predict([given])[0]
    assert said.failure is None
    assert {"film_on_its_side", "film_negative"} <= set(said.flags)
    assert said.landmarks is not None
    assert plain.landmarks is not None
    there = Standing(3).points_as_given(plain.landmarks, given.size)
    np.testing.assert_allclose(said.landmarks, there, atol=1.0)


def test_a_lateral_film_is_told_and_not_trusted() -> None:
    solver = aasce.load("scg_net")
    said = solver.predict([lateral_film(703)])[0]
    assert "spine_unclear" in said.flags
    assert said.confidence <= UNCLEAR_CHANCE


def test_who_is_led() -> None:
    """Solvers that see for themselves, or look at no film, get no finder; one made by hand has none."""
    own = ScgNetSolver(ScgNetSolver.tiny())
    assert isinstance(own, Led)
    assert own.finder is None
    assert isinstance(lead(own), ScgNetSolver)
    assert isinstance(own.finder, Finder)
    assert not isinstance(ConstantSolver(), Led)
    assert not isinstance(own.finder, Led)


class Counting:
    """A finder that counts how often it looked."""

    looked = 0

    def standing(self, film: Radiograph) -> Standing:
        self.looked += 1
        return Standing(unclear=bool(film.pixels.max()))


def test_several_solvers_share_one_look_at_a_film() -> None:
    counting = Counting()
    finder = Remembering(counting)
    dark, bright = (Radiograph("film", np.full((4, 3), v, np.uint8)) for v in (0, 9))
    assert [finder.standing(f).unclear for f in (dark, bright, bright, dark)] == [False, True, True, False]
    assert counting.looked == 2
    # Another film of the same name, perhaps at the same place in memory, is another film.
    for value in (0, 9, 0):
        film = Radiograph("film", np.full((4, 3), value, np.uint8))
        assert finder.standing(film).unclear == bool(value)
        del film
    assert counting.looked == 5


def test_released_solvers_share_one_finder() -> None:
    a, b = (aasce.load(name) for name in ("scg_net", "top_down"))
    assert isinstance(a, Led)
    assert isinstance(b, Led)
    assert a.finder is b.finder


def test_the_tool_compares_the_systems_on_whole_films(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(example_films()[2], tmp_path)
    main(tmp_path, whole=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"{n}, {w}" for n in LED for w in ("led", "by itself")]
    assert all(line.endswith("failed 0") for line in lines)
