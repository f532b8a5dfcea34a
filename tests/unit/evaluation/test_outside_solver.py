"""A solver from outside the kit is trained, saved, loaded, used and compared like one of the kit's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import aasce
from aasce.datasets import read_challenge
from aasce.evaluation.split import Split
from aasce.solvers.base import read_state
from tests.commandline import Run, rows

MODULE = '''
"""The mean angles of the training films, and how many films were learned from."""

from pathlib import Path

import numpy as np

from aasce.solvers.base import (
    FitReport, LearnedState, Solver, SolverConfig, read_config, read_numbers, restore, write_numbers, write_run,
)
from aasce.types import CobbAngles, SpinePrediction


class MeanConfig(SolverConfig):
    factor: float = 1.0


class MeanState(LearnedState):
    films: int = 0


class MeanSolver(Solver):
    name = "mean_of_ours"
    Config = MeanConfig
    Learned = MeanState
    needs_localizer = True

    def __init__(self, config=None, device="cpu"):
        self.config = config or MeanConfig()
        self.learned = MeanState()
        self.angles = np.zeros(3)

    def fit(self, train, validation, run):
        assert self.localizer is not None
        self.angles = self.config.factor * np.mean([film.angles for film in train], axis=0)
        self.learned = MeanState(films=len(train))
        return FitReport(epochs=1, best_epoch=1, best_score=0.5, notes={"validation_films": len(validation)})

    def predict(self, films):
        return [
            SpinePrediction(
                film.film_id, film.size, angles=CobbAngles(self.angles, "challenge"), solver=self.name,
                orientation=self.localized(film).orientation,
                flags=(*film.flags, f"learned_from_{self.learned.films}"),
            )
            for film in films
        ]

    def save(self, folder):
        write_run(folder, self)
        write_numbers(folder, {"angles": self.angles})

    @classmethod
    def load(cls, folder, device="cpu"):
        solver = cls(read_config(Path(folder), MeanConfig), device)
        restore(solver, folder)
        solver.angles = read_numbers(folder, cls.name, {"angles": (3,)})["angles"]
        return solver
'''
SOLVER = "ours_outside:MeanSolver"


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "ours_outside.py").write_text(MODULE)
    sys.path.insert(0, str(tmp_path))
    yield
    sys.path.remove(str(tmp_path))
    sys.modules.pop("ours_outside", None)


SPLIT = ("--folds", "3", "--validation", "0.3")


def test_it_is_trained_saved_loaded_and_predicts(run: Run, data: Path, film: Path, outside: None) -> None:
    done = run("train", "--solver", SOLVER, "--data", data, *SPLIT, "--fold", "0", "--set", "factor=0.5")
    assert done.code == 0, done.err
    folder = Path("runs/MeanSolver-fold0")
    state = read_state(folder)
    assert (state.solver, state.target) == ("mean_of_ours", SOLVER)
    assert state.training["notes"] == {"validation_films": 1}
    films = read_challenge(data)
    parts = Split(3, 0.3).deal(films, (0,))
    expected = 0.5 * np.mean([film.angles for film in parts.train], axis=0)

    solver = aasce.load(folder)
    assert solver.name == "mean_of_ours"
    (prediction,) = solver.predict([aasce.read_film(film)])
    assert prediction.angles is not None
    np.testing.assert_array_equal(prediction.angles.degrees, expected)

    for row in rows(folder / "preds.csv"):
        assert [float(row[name]) for name in ("an1", "an2", "an3")] == pytest.approx(expected, abs=1e-4)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["solver"] == SOLVER
    assert set(map(tuple, manifest["flags"].values())) == {("learned_from_3",)}

    done = run("predict", film, "--solver", folder)
    assert done.code == 0, done.err
    (row,) = rows(Path("aasce-out/predictions.csv"))
    assert float(row["an1"]) == pytest.approx(expected[0], abs=1e-4)
    assert (row["solver"], row["flags"]) == ("mean_of_ours", "learned_from_3")


def test_it_is_benched_and_scored_like_any_other(run: Run, data: Path, outside: None) -> None:
    given = ("--data", data, *SPLIT, "--threads", "1", "--out", "b")
    done = run("bench", "--solvers", SOLVER, *given, "--set", f"{SOLVER}:factor=0.5")
    assert done.code == 0, done.err
    board = {row["solver"]: row for row in rows(Path("b/leaderboard.csv"))}
    assert set(board) == {"constant", "MeanSolver"}
    assert board["MeanSolver"]["citation"] == "not a method of this kit"
    truth = data / "labels" / "training" / "angles.csv"
    score = json.loads(run("score", "b/MeanSolver/preds.csv", truth, "--partial", "--json").out)
    assert float(board["MeanSolver"]["smape"]) == pytest.approx(score["smape"], rel=1e-5)


def test_a_module_that_is_gone_is_one_line(run: Run, data: Path, film: Path, outside: None) -> None:
    given = ("--data", data, "--validation", "0.3", "--out", "run")
    assert run("train", "--solver", SOLVER, *given).code == 0
    sys.modules.pop("ours_outside")
    Path("ours_outside.py").unlink()
    line = run("predict", film, "--solver", "run").one_line()
    assert "module 'ours_outside' is neither installed nor on PYTHONPATH" in line
