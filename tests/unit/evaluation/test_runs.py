"""Run folders: what is recorded, what training goes on from, and predictions put together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aasce.datasets import read_challenge
from aasce.evaluation.held_out import (
    is_predicted,
    merge,
    predict_held_out,
    read_facts,
    read_held_landmarks,
    read_rows,
)
from aasce.evaluation.runs import RunPlan, fit_run, is_trained
from aasce.evaluation.split import Split
from aasce.scoring import read_angles_csv
from aasce.solvers.base import RunFolder, read_state
from aasce.solvers.constant.solver import ConstantSolver
from aasce.solvers.vertebra_field.settings import VertebraFieldConfig
from aasce.types import AasceError, Radiograph, SpinePrediction

SPLIT = Split(folds=3, validation=0.0)


def plan(data: Path, folder: Path, held: tuple[int, ...] = (0,), **about: Any) -> RunPlan:
    films = read_challenge(data)
    parts = SPLIT.deal(films, held)
    facts = SPLIT.facts(films, held, parts)
    config = about.pop("config", ConstantSolver.Config())
    return RunPlan(about.pop("solver", "constant"), config, parts, RunFolder(folder), facts, **about)


class Begun(ConstantSolver):
    """Writes down what it begins from."""

    def start_from(self, folder: Path) -> None:
        self.learned = self.Learned(calibration=(float(len(folder.name)), 1.0))


def test_training_goes_on_from_the_weights_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit_run(plan(data, tmp_path / "first"))
    monkeypatch.setattr("aasce.evaluation.runs.solver_class", lambda name: Begun)
    fit_run(plan(data, tmp_path / "second", start=str(tmp_path / "first")))
    state = read_state(tmp_path / "second")
    assert state.learned["calibration"] == [len("first"), 1.0]
    assert state.training["start"] == str(tmp_path / "first")
    assert "start" not in read_state(tmp_path / "first").training


@pytest.mark.parametrize(
    ("start", "text"),
    [
        ("constant", "holds weights of 'constant', not of 'vertebra_field'"),
        ("vertebra_field", "does not hold this solver's weights"),
        ("nowhere", "nowhere: no run folder and no released weights"),
    ],
    ids=["another solver", "another size", "nothing"],
)
def test_weights_that_training_cannot_go_on_from(data: Path, tmp_path: Path, start: str, text: str) -> None:
    given = plan(
        data, tmp_path / "run", solver="vertebra_field", config=VertebraFieldConfig.tiny(), start=start
    )
    with pytest.raises(AasceError, match=text):
        fit_run(given)
    assert not (tmp_path / "run").exists()


def test_a_run_is_trained_once_its_record_is_whole(data: Path, tmp_path: Path) -> None:
    assert not is_trained(tmp_path)
    solver = ConstantSolver()
    solver.angles = np.array([30.0, 20.0, 10.0])
    solver.save(tmp_path / "saved")
    assert not is_trained(tmp_path / "saved")
    fit_run(plan(data, tmp_path / "run"))
    assert is_trained(tmp_path / "run")


def test_predictions_are_those_of_the_weights_on_disk(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is scored is what the folder gives to whoever loads it, not what training left in memory."""
    given = plan(data, tmp_path / "run")
    fit_run(given)
    solver = ConstantSolver.load(tmp_path / "run")
    solver.angles = np.array([1.0, 2.0, 3.0])
    solver.training = read_state(tmp_path / "run").training
    solver.save(tmp_path / "run")
    predict_held_out(given)
    names, degrees = read_angles_csv(tmp_path / "run" / "preds.csv")
    assert given.parts.held is not None
    assert set(names) == {film.film_id for film in given.parts.held}
    assert (degrees == [1.0, 2.0, 3.0]).all()
    assert is_predicted(given)


def test_landmarks_are_kept_in_the_run_folder(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of solvers that have any: tools study errors by them."""
    given = plan(data, tmp_path / "run")
    fit_run(given)
    predict_held_out(given)
    assert not (tmp_path / "run" / "predictions.json").exists()
    plain = ConstantSolver._prediction

    def with_landmarks(self: ConstantSolver, film: Radiograph, angles: Any) -> SpinePrediction:
        corners, sure = np.full((16, 4, 2), 1.23456), np.full((16, 4), 0.987654321)
        seen = plain(self, film, angles)
        return replace(seen, landmarks=corners, landmark_confidence=sure, first_level=1)

    monkeypatch.setattr(ConstantSolver, "_prediction", with_landmarks)
    predict_held_out(given)
    kept = json.loads((tmp_path / "run" / "predictions.json").read_text())
    assert kept.keys() == read_rows(tmp_path / "run").keys()
    row = next(iter(kept.values()))
    assert np.array(row["landmarks"]).shape == (16, 4, 2)
    assert (row["landmarks"][0][0], row["landmark_confidence"][0][0]) == ([1.235, 1.235], 0.987654321)
    assert (row["first_level"], row["turns"]) == (1, 0)
    merge([tmp_path / "run"], tmp_path / "oof", landmarks=True)
    found = read_held_landmarks(tmp_path / "oof")
    assert found == {name: {**row, "landmark_confidence": None} for name, row in kept.items()}
    assert read_facts(tmp_path / "oof")["solver"] == "constant"
    merge([tmp_path / "run"], tmp_path / "without", name="constant_2")
    assert read_facts(tmp_path / "without")["solver"] == "constant_2"
    with pytest.raises(AasceError, match=r"predictions.json: cannot be read .* name run folders"):
        read_held_landmarks(tmp_path / "without")


def test_predictions_made_otherwise_are_refused(data: Path, tmp_path: Path) -> None:
    given = plan(data, tmp_path / "run")
    fit_run(given)
    predict_held_out(given)
    assert is_predicted(given)
    with pytest.raises(AasceError, match=r"made otherwise \(split\.start None, now elsewhere\)"):
        is_predicted(replace(given, start="elsewhere"))
    (tmp_path / "run" / "manifest.json").unlink()
    assert not is_predicted(given)


@pytest.fixture
def folders(data: Path, tmp_path: Path) -> list[Path]:
    """Predictions of the first two folds of three."""
    plans = [plan(data, tmp_path / f"fold-{fold}", (fold,)) for fold in (0, 1)]
    for given in plans:
        fit_run(given)
        predict_held_out(given)
    return [given.folder.path for given in plans]


def facts(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text()))


def test_folds_are_put_together_in_the_format_of_one(folders: list[Path], tmp_path: Path) -> None:
    merge(folders, tmp_path / "oof")
    merged, first = facts(tmp_path / "oof"), facts(folders[0])
    assert merged.keys() == first.keys()
    assert merged["films"] == 4
    assert [fold["split"]["held"] for fold in merged["folds"]] == [[0], [1]]
    sure = {name: chance for fold in merged["folds"] for name, chance in fold["confidence"].items()}
    assert sure.keys() == read_rows(tmp_path / "oof").keys()
    chances = [ConstantSolver.load(folder).confidence for folder in folders]
    assert [set(fold["confidence"].values()) for fold in merged["folds"]] == [{chance} for chance in chances]
    assert [fold["calibration"] for fold in merged["folds"]] == [None, None]
    seconds = [value for fold in merged["folds"] for value in fold["seconds"]]
    assert merged["seconds_a_film"] == np.median(seconds)
    rows = [read_rows(folder) for folder in (*folders, tmp_path / "oof")]
    assert rows[0].keys() | rows[1].keys() == rows[2].keys()
    merge([tmp_path / "oof"], tmp_path / "again")
    assert facts(tmp_path / "again") == merged


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"settings": {"seed": 1}}, "differs from .*fold-0 in settings"),
        ({"labels": "fixed"}, "differs from .*fold-0 in labels"),
    ],
)
def test_unlike_predictions_are_not_put_together(
    folders: list[Path], tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    (folders[1] / "manifest.json").write_text(json.dumps(facts(folders[1]) | change))
    with pytest.raises(AasceError, match=text):
        merge(folders, tmp_path / "oof")


def test_a_film_counts_once(folders: list[Path], tmp_path: Path) -> None:
    with pytest.raises(AasceError, match="which another folder holds too"):
        merge([folders[0], folders[0]], tmp_path / "oof")
    assert not (tmp_path / "oof").exists()
