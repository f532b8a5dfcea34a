"""Intervals and clinical figures from held-out predictions on drawn films with known errors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aasce.api import load_ensemble, load_single
from aasce.config import dump_settings
from aasce.datasets import FilmSet, read_challenge
from aasce.ensemble import EnsembleMember, EnsembleSettings
from aasce.solvers.base import read_state
from aasce.solvers.constant.solver import ConstantSolver
from aasce.types import AasceError, Radiograph
from tests.synthetic import SIZE, bent_spine, write_challenge
from tools import clinical_scores, fit_intervals
from tools.docs_tables import Sources, table
from tools.held_out_films import HeldFilm, read_held_films

BENDS = tuple(float(b) for b in range(12, 60, 4))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_challenge(tmp_path_factory.mktemp("data"), [bent_spine(b) for b in BENDS])


@pytest.fixture(scope="module")
def films(data: Path) -> FilmSet:
    return read_challenge(data)


def held(folder: Path, films: FilmSet, off: float = 2.0, sure: float | None = 0.8, **places: Any) -> Path:
    """Predictions that are `off` degrees too large, the first film flagged and 10 times as far off, the last failed."""
    folder.mkdir(parents=True)
    names = [film.film_id for film in films]
    errors = [10 * off, *[off] * (len(films) - 1)]
    rows = [
        ",".join([film.film_id, *(f"{angle + error:.6f}" for angle in film.angles)])
        for film, error in zip(films, errors, strict=True)
        if film.angles is not None
    ]
    (folder / "preds.csv").write_text("name,an1,an2,an3\n" + "\n".join(rows) + "\n")
    fold = {} if sure is None else {"confidence": dict.fromkeys(names, sure), "calibration": [2.0, 0.5]}
    facts = {
        "solver": "constant",
        "flags": {names[0]: ["levels_unsure"]},
        "failures": {names[-1]: "no spine"},
    }
    (folder / "manifest.json").write_text(json.dumps({**facts, "folds": [fold]}))
    if places:
        (folder / "predictions.json").write_text(json.dumps(dict.fromkeys(names, places)))
    return folder


def weights(folder: Path, *degrees: float) -> str:
    solver = ConstantSolver()
    solver.angles = np.array(degrees)
    solver.save(folder)
    return str(folder)


def test_films_come_with_confidence_and_flags_and_without_failures(tmp_path: Path, films: FilmSet) -> None:
    found = read_held_films([held(tmp_path / "oof", films)])
    assert list(found) == [film.film_id for film in films][:-1]
    first = found[films[0].film_id]
    assert (first.confidence, first.rule, first.flags) == (0.8, (2.0, 0.5), ("levels_unsure",))
    with pytest.raises(AasceError, match="another folder holds too"):
        read_held_films([tmp_path / "oof", tmp_path / "oof"])


def test_a_confidence_is_stated_by_another_rule() -> None:
    """Odds e^(2 - 0.5 u) are 4 at u = 2 (2 - log 4); the released rule makes them e^(1 - 0.25 u)."""
    film = HeldFilm(np.zeros(3), 0.8, (2.0, 0.5), ())
    odds = math.exp(1 - 0.25 * 2 * (2 - math.log(4)))
    assert film.confidence_by((1.0, 0.25)) == pytest.approx(odds / (1 + odds))
    assert film.confidence_by((2.0, 0.5)) == film.confidence_by(None) == 0.8
    unclear = HeldFilm(np.zeros(3), 0.3, (2.0, 0.5), ("spine_unclear",))
    assert unclear.confidence_by((9.0, 0.5)) == 0.3


def test_a_film_is_unsure_by_the_released_confidence() -> None:
    """Whatever the fold's own rule said; a confidence that is not kept makes no film unsure."""
    film = HeldFilm(np.zeros(3), 0.8, (2.0, 0.5), ("levels_unsure", "angles_unsure"))
    assert film.flags_by(0.7, 0.65) == ("levels_unsure",)
    assert film.flags_by(0.6, 0.65) == ("levels_unsure", "angles_unsure")
    assert HeldFilm(np.zeros(3), None, None, ()).flags_by(0.5, 0.65) == ()
    assert HeldFilm(np.zeros(3), 0.3, (2.0, 0.5), ("spine_unclear",)).flags_by(0.3, 0.65) == (
        "spine_unclear",
    )


def test_the_rules_go_into_the_state_of_the_weights(
    tmp_path: Path, data: Path, films: FilmSet, capsys: pytest.CaptureFixture[str]
) -> None:
    name, docs = weights(tmp_path / "run", 30, 10, 5), tmp_path / "docs" / "intervals.json"
    oof = held(tmp_path / "oof", films)
    fit_intervals.main(name, [oof], data, tmp_path, 0.8, docs)
    told = capsys.readouterr().out
    assert "challenge definition, 11 films, 0.8 asked for:" in told
    assert '"levels_unsure": {"films": 1, "mae": 20.0, "mae_all": 20.0}' in told
    assert "clinical: left out" in told
    (rule,) = read_state(Path(name)).learned["intervals"]
    assert (rule["films"], len(rule["groups"])) == (11, 1)
    (measured,) = load_single(name, coverage=0.8).measure([Radiograph("film", np.zeros((40, 40), np.uint8))])
    # The 10th of eleven errors is 2 degrees; all are as sure, so that all are expected to be as large.
    assert measured.intervals[0] == pytest.approx((28.0, 32.0), abs=1e-3)
    (entry,) = json.loads(docs.read_text()).values()
    assert entry["challenge"]["flags"]["others"] == {"films": 10, "mae": 2.0, "mae_all": 2.0}
    text = table("intervals", Sources({"intervals": json.loads(docs.read_text())}, {}, tmp_path))
    assert (
        "of the three angles: 1 films with a flag 20.00°, 20.00°; 10 films without 2.00°, 2.00°; 1 films"
        in text
    )
    assert "| over 40 by the label |" in text


def test_nothing_is_written_when_it_is_only_tried(tmp_path: Path, data: Path, films: FilmSet) -> None:
    name = weights(tmp_path / "run", 30, 10, 5)
    before = (tmp_path / "run" / "state.json").read_bytes()
    fit_intervals.main(name, [held(tmp_path / "oof", films)], data, docs=tmp_path / "new.json", dry_run=True)
    assert (tmp_path / "run" / "state.json").read_bytes() == before
    assert not (tmp_path / "new.json").exists()


def test_old_predictions_are_refused(tmp_path: Path, data: Path, films: FilmSet) -> None:
    oof = held(tmp_path / "oof", films, sure=None)
    with pytest.raises(AasceError, match="keeps no confidence of the films; predict the held-out films anew"):
        fit_intervals.main(weights(tmp_path / "run", 30, 10, 5), [oof], data)


def test_old_predictions_can_do_without(tmp_path: Path, data: Path, films: FilmSet) -> None:
    """The rule widens with severity and with the members' spread, not with a confidence that nobody knew."""
    names = [weights(tmp_path / key, 30, 10, 5) for key in "ab"]
    path = tmp_path / "pair.yaml"
    members = tuple(EnsembleMember(solver=name, weight=0.5) for name in names)
    path.write_text(dump_settings(EnsembleSettings(members=members)))
    for name, off in zip(names, (2.0, 4.0), strict=True):
        held(tmp_path / f"oof-{name}", films, off, sure=None)
    fit_intervals.main(str(path), None, data, tmp_path, 0.8, tmp_path / "docs.json", confidence=False)
    rule = json.loads((tmp_path / "pair.intervals.json").read_text())["rules"][0]
    assert all(scale[1] == 0 for scale in rule["scales"])
    assert any(scale[2] > 0 for scale in rule["scales"])


def test_an_ensemble_is_fitted_as_it_is_combined(tmp_path: Path, data: Path, films: FilmSet) -> None:
    """Members 2 and 4 degrees off: their mean is 3 off, and they lie 1 degree from it."""
    names = [weights(tmp_path / key, 30, 10, 5) for key in "ab"]
    members = tuple(EnsembleMember(solver=name, weight=0.5) for name in names)
    path = tmp_path / "pair.yaml"
    path.write_text(dump_settings(EnsembleSettings(members=members)))
    for name, off in zip(names, (2.0, 4.0), strict=True):
        held(tmp_path / f"oof-{name}", films, off)
    parts, limit, settings = fit_intervals.read_members(str(path), [], tmp_path)
    found = fit_intervals.calibration_films(parts, films, "challenge", limit)
    assert (limit, settings) == (20.0, EnsembleSettings(members=members))
    assert found is not None
    assert found.films.spread[1].tolist() == pytest.approx([1, 1, 1])
    assert (found.films.predicted - found.films.truth)[1].tolist() == pytest.approx([3, 3, 3], abs=1e-5)
    fit_intervals.main(str(path), None, data, tmp_path, 0.8, tmp_path / "docs.json")
    (measured,) = load_ensemble(path, coverage=0.8).measure(
        [Radiograph("film", np.zeros((40, 40), np.uint8))]
    )
    low, high = measured.intervals[0] or (0.0, 0.0)
    # Off by 3 degrees where members lie 1 degree from their mean, by 30 where they lie 10: a power of 1 + spread.
    expected = 3 * 2 ** -(math.log(10) / math.log(11 / 2))
    assert (30 - low, high - 30) == pytest.approx((expected, expected), rel=0.01)
    with pytest.raises(AasceError, match="name their folder by --submissions"):
        fit_intervals.read_members(str(path), [tmp_path], tmp_path)


def test_figures_by_both_definitions(
    tmp_path: Path, data: Path, films: FilmSet, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each film's landmarks are those of a spine bent by 30 degrees: the ends are the label's, T1 and L5."""
    spine = bent_spine(30.0).tolist()
    docs = tmp_path / "clinical.json"
    oof = held(tmp_path / "oof", films, landmarks=spine, landmark_confidence=None, first_level=0)
    clinical_scores.main("made", [oof], data, docs=docs)
    assert "made, clinical definition, 11 films" in capsys.readouterr().out
    entry = json.loads(docs.read_text())["made"]
    assert entry["challenge"]["angles"]["an1"]["mae"] == pytest.approx((20 + 10 * 2) / 11, abs=1e-3)
    bends = np.abs(np.array(BENDS[:-1]) - 30.0)  # up to the rounding of corners to whole px
    assert entry["clinical"]["angles"]["an1"]["mae"] == pytest.approx(bends.mean(), abs=1.5)
    ends = entry["clinical"]["angles"]["an1"]["ends"]
    assert (ends["count"], ends["near_upper"], ends["near_lower"]) == (11, 1.0, 1.0)
    text = table("clinical", Sources({"clinical": {"made": entry}}, {}, tmp_path))
    assert "`made`, 11 films out of fold." in text
    assert "| an1 (the major angle), upper |" in text


def test_levels_count_from_the_first_one(films: FilmSet) -> None:
    landmarks = bent_spine(30.0)[2:]
    film = HeldFilm(np.zeros(3), 0.5, None, (), landmarks, first_level=2)
    found = clinical_scores.levels(film.angles("clinical", SIZE), film.first_level)
    assert found[0] == (2, 16)


def test_without_landmarks_the_table_is_left_out(
    tmp_path: Path, data: Path, films: FilmSet, capsys: pytest.CaptureFixture[str]
) -> None:
    docs = tmp_path / "clinical.json"
    clinical_scores.main("made", [held(tmp_path / "oof", films)], data, docs=docs)
    assert "kept without landmarks; the table is left out" in capsys.readouterr().out
    assert not docs.exists()
    assert table("clinical", Sources({}, {}, tmp_path)) == table("intervals", Sources({}, {}, tmp_path)) == ""
