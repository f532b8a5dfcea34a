"""Films with painted hardware: drawn, dealt and counted as the tool says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aasce.datasets import FilmSet, LabelledFilm
from aasce.ensemble import Measurement
from aasce.types import AasceError, CobbAngles, Radiograph, SpinePrediction
from tests.conftest import straight_spine
from tests.synthetic import drawn_film
from tools.hardware_films import FilmResult, chosen_films, result, summary, with_metal
from tools.hardware_shapes import KINDS

SIZE = (950, 400)
TRUTH = np.array([40.0, 20.0, 10.0])


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_each_kind_is_bright_on_the_film_and_repeatable(number: int) -> None:
    film = Radiograph("film", drawn_film(straight_spine(), SIZE))
    one, kind = with_metal(film, straight_spine(), number, 0)
    again, _ = with_metal(film, straight_spine(), number + 0, 0)
    assert kind == list(KINDS)[number]
    np.testing.assert_array_equal(one.pixels, again.pixels)
    changed = one.pixels != film.pixels
    assert 0.001 < changed.mean() < 0.4
    assert (one.pixels[changed] > 180).mean() > 0.3


def measured(major: float, flags: tuple[str, ...] = ()) -> Measurement:
    angles = CobbAngles(np.array([major, 20.0, 10.0]), "challenge")
    return Measurement(SpinePrediction("film", SIZE, angles=angles, flags=flags), angles)


def test_errors_and_flags_by_hand() -> None:
    """SMAPE (50 - 40) / (50 + 40 + 40 + 20) = 1 / 15; a flag about the film's pixels warns of no angle."""
    right = result("film", "wires", measured(50.0, ("intensity_rescaled",)), TRUTH)
    assert right.smape == pytest.approx(100 / 15)
    assert (right.error, right.flagged) == (10.0, False)
    assert result("film", "wires", measured(50.0, ("spine_unclear",)), TRUTH).flagged
    lost = result("film", "", Measurement(SpinePrediction("film", SIZE, failure="no spine"), None), TRUTH)
    assert (lost.smape, lost.error, lost.flagged) == (100.0, float("inf"), True)


def test_the_summary_counts_the_wrong_and_those_without_a_flag() -> None:
    results = [
        FilmResult("a", "", 5.0, 2.0, "", False),
        FilmResult("a", "wires", 30.0, 15.0, "", False),
        FilmResult("b", "", 7.0, 3.0, "", False),
        FilmResult("b", "plates", 50.0, 20.0, "spine_unclear", True),
    ]
    table = summary(results).set_index("shown")
    assert table.loc["as they are", ["films", "smape", "wrong"]].tolist() == [2, 6.0, 0]
    assert table.loc["with hardware"].tolist() == [2, 40.0, 1, 2, 1]
    assert table.loc["plates", "wrong_unflagged"] == 0


def test_films_are_of_the_fold_alone_and_spread_over_it() -> None:
    films = FilmSet(
        [LabelledFilm(f"film{k}", Path(f"film{k}.jpg"), f"s{k}", straight_spine(), TRUTH) for k in range(50)],
        "training",
        "official",
    )
    parts = [{film.film_id for film in chosen_films(films, fold, 100)} for fold in range(5)]
    assert sorted(map(len, parts)) == [10] * 5
    assert len(set.union(*parts)) == 50
    few = chosen_films(films, 2, 4)
    assert len(few) == 4
    assert {film.film_id for film in few} < parts[2]
    with pytest.raises(AasceError, match="--fold 5"):
        chosen_films(films, 5, 4)
