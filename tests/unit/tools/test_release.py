"""What of a run goes into the package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aasce.datasets import FilmSet, LabelledFilm
from aasce.solvers.base import read_state, write_state
from aasce.solvers.constant.solver import ConstantSolver
from aasce.writers import write_submission
from tools.release import PRIOR, below_data, calibration, main


def test_folders_of_this_machine_are_taken_out() -> None:
    given = {"backgrounds": "/home/a/aasce19_wide", "inner": {"path": "films"}, "epochs": 3}
    assert below_data(given) == {"backgrounds": "aasce19_wide", "inner": {"path": "films"}, "epochs": 3}


def test_a_run_is_released_under_a_name(tmp_path: Path) -> None:
    solver = ConstantSolver()
    solver.angles = np.array([30.0, 20.0, 10.0])
    solver.training = {"epochs": 1, "start": "/home/a/runs/first"}
    solver.save(tmp_path / "run")
    main(tmp_path / "run", "ours", None, "three films", None, tmp_path / "weights")
    again = ConstantSolver.load(tmp_path / "weights" / "ours")
    assert again.angles is not None
    assert again.angles.tolist() == [30.0, 20.0, 10.0]
    assert again.training == {"epochs": 1, "start": "first", "data": "three films"}
    assert (tmp_path / "weights" / "ours" / "config.yaml").read_text() == "seed: 0\nstatistic: median\n"


def held_out(folder: Path, wrong_by: float, sure: float) -> tuple[Path, FilmSet]:
    """Twenty films, every other one wrong by so many degrees; the network is less sure of these."""
    films = [
        LabelledFilm(f"film {k}", Path(f"{k}.png"), f"{k}", angles=np.array([30.0, 9.0, 9.0]))
        for k in range(20)
    ]
    angles = {film.film_id: np.array([30.0 + wrong_by * (k % 2), 9.0, 9.0]) for k, film in enumerate(films)}
    write_submission(folder / "preds.csv", angles)
    confidence = {film.film_id: sure if k % 2 else 1 - 1e-6 for k, film in enumerate(films)}
    rows = {
        name: {"landmark_confidence": np.full((17, 4), value).tolist()} for name, value in confidence.items()
    }
    (folder / "predictions.json").write_text(json.dumps(rows))
    return folder, FilmSet(films, "training", "official")


def test_the_rule_trusts_less_where_unsure_films_are_wrong(tmp_path: Path) -> None:
    # The expected tilt error of a corner is 0.1 / -log(1 - confidence) radians: 0.8 gives 3.56 degrees.
    folder, films = held_out(tmp_path / "wrong", 8.0, 0.8)
    offset, slope = calibration([folder], films)
    assert slope * 3.56 - offset > 0  # an unsure film is more likely wrong than right
    assert slope * 0.41 - offset < 0
    folder, films = held_out(tmp_path / "right", 3.0, 0.8)
    offset, slope = calibration([folder], films)
    assert slope * 3.56 - offset < 0


def test_the_rule_is_kept_with_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = ConstantSolver()
    solver.angles = np.array([30.0, 20.0, 10.0])
    solver.save(tmp_path / "run")
    monkeypatch.setattr("tools.release.calibration", lambda folders, films: PRIOR)
    monkeypatch.setattr("tools.release.read_challenge", lambda root: None)
    main(tmp_path / "run", None, [tmp_path], None, tmp_path, tmp_path / "weights")
    state = read_state(tmp_path / "weights" / "constant")
    assert state.learned["calibration"] == list(PRIOR)
    write_state(tmp_path / "weights" / "constant", state)
    assert ConstantSolver.load(tmp_path / "weights" / "constant").learned.calibration == PRIOR
