"""Sides of a comparison: the same films, what they share trained once, a table that says how sure it is."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aasce.config import load_settings
from aasce.datasets import read_challenge
from aasce.evaluation.held_out import Ground
from aasce.scoring import smape
from aasce.solvers.registry import SOLVERS, solver_class
from aasce.types import AasceError
from tests.synthetic import bent_spine, write_challenge
from tools.compare import Comparison, Row, Side, compare, entry_of
from tools.comparisons import COMPARISONS, comparison_of
from tools.seg4reg_table import grid

STUB = """
from dataclasses import replace
from pathlib import Path

from aasce.solvers.constant.solver import ConstantSolver

TRAINED = []


class Staged(ConstantSolver):
    # Trains a first stage in seg/, unless its checkpoint is there.
    name = "staged"

    def fit(self, train, validation, run):
        checkpoint = run.path / "seg" / "checkpoint.pt"
        if not (run.resume and checkpoint.exists()):
            checkpoint.parent.mkdir(parents=True)
            checkpoint.write_text("done")
            TRAINED.append("seg")
        TRAINED.append(self.config.statistic)
        report = super().fit(train, validation, run)
        self.manifest["validation_miou"] = 0.75
        return replace(report, seconds=3.0)
"""


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "compare_stub.py").write_text(STUB)
    sys.path.insert(0, str(tmp_path))
    yield "compare_stub:Staged"
    sys.path.remove(str(tmp_path))
    sys.modules.pop("compare_stub", None)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    bends = [10.0, 12.0, 20.0, 35.0, 40.0, 60.0]
    films = read_challenge(write_challenge(tmp_path / "data", [bent_spine(bend) for bend in bends]))
    return Ground(films, folds=2, validation=0.0, threads=1)


def sides(shares: bool = True, answers: bool = False) -> tuple[Side, ...]:
    return (
        Side("median", ("statistic=median",), "SMAPE 1"),
        Side(
            "mean",
            ("statistic=mean",),
            "SMAPE 2",
            ("median", "seg") if shares else None,
            "median" if answers else None,
        ),
    )


def test_sides_meet_the_same_films_and_differences_are_paired(
    tmp_path: Path, ground: Ground, stub: str
) -> None:
    rows = compare(Comparison(stub, "a paper", sides(), ()), ground, (0,), tmp_path / "out")
    films = ground.films
    held = films_of(tmp_path / "out" / "median" / "fold-0" / "preds.csv")
    assert held == films_of(tmp_path / "out" / "mean" / "fold-0" / "preds.csv")
    truth = np.array([film.angles for film in films if film.film_id in held])
    learned = np.array([film.angles for film in films if film.film_id not in held])
    expected = [smape(np.tile(f(learned, axis=0), (len(truth), 1)), truth) for f in (np.median, np.mean)]
    assert [row.smape for row in rows] == pytest.approx(expected, abs=1e-3)
    assert rows[0].difference == 0
    assert rows[1].difference == pytest.approx(expected[1] - expected[0], abs=1e-3)
    assert [row.films for row in rows] == [3, 3]
    assert [row.miou for row in rows] == [0.75, 0.75]
    assert rows[0].seconds == 3
    # The first stage was trained once.
    assert sys.modules["compare_stub"].TRAINED == ["seg", "median", "mean"]


def films_of(path: Path) -> set[str]:
    with path.open(newline="", encoding="utf-8") as stream:
        return {row["name"] for row in csv.DictReader(stream)}


def test_what_is_done_is_not_done_again(tmp_path: Path, ground: Ground, stub: str) -> None:
    comparison = Comparison(stub, "a paper", sides(), ())
    first = compare(comparison, ground, (0,), tmp_path / "out")
    trained = sys.modules["compare_stub"].TRAINED
    before = list(trained)
    assert compare(comparison, ground, (0,), tmp_path / "out") == first
    assert trained == before
    with pytest.raises(AasceError, match=r"holds predictions made otherwise \(settings.seed 0, now 5"):
        compare(replace(comparison, budget=("seed=5",)), ground, (0,), tmp_path / "out")


def test_sides_that_only_answer_otherwise_share_one_model(tmp_path: Path, ground: Ground, stub: str) -> None:
    """Weights of the median answer for the "mean", whose own settings stand beside them."""
    comparison = Comparison(stub, "a paper", sides(shares=False, answers=True), ())
    rows = compare(comparison, ground, (0, 1)[:1], tmp_path / "out")
    assert sys.modules["compare_stub"].TRAINED == ["seg", "median"]
    assert rows[0].smape == rows[1].smape
    assert rows[1].seconds == 0
    run = tmp_path / "out" / "mean" / "fold-0" / "run"
    assert "statistic: mean" in (run / "config.yaml").read_text()


def test_folds_are_held_out_together(tmp_path: Path, ground: Ground, stub: str) -> None:
    three = replace(ground, folds=3)
    rows = compare(Comparison(stub, "a paper", sides(), ()), three, (0, 2), tmp_path / "out")
    assert [row.films for row in rows] == [4, 4]
    assert (tmp_path / "out" / "median" / "fold-0-2" / "preds.csv").is_file()


def test_the_table_is_written_in_both_forms(tmp_path: Path, ground: Ground, stub: str) -> None:
    rows = compare(Comparison(stub, "a paper, table 1", sides(), ("seed=0",)), ground, (0,), tmp_path / "out")
    with (tmp_path / "out" / "table.csv").open(newline="", encoding="utf-8") as stream:
        kept = list(csv.DictReader(stream))
    assert [float(row["smape"]) for row in kept] == pytest.approx([row.smape for row in rows])
    text = (tmp_path / "out" / "table.md").read_text()
    assert "a paper, table 1. 3 films of fold 0 of 2 (seed 0), labels official, never trained on" in text
    assert "budget seed=0" in text
    first, second = (line for line in text.splitlines() if line.startswith(("| median", "| mean")))
    assert "| 0.7500 |" in first
    assert first.endswith("| SMAPE 1 |")
    assert f"| {rows[1].difference:+.2f}" in second
    assert first.count("|") == second.count("|") == text.splitlines()[2].count("|")


def test_an_interrupted_take_over_is_begun_anew(tmp_path: Path, ground: Ground, stub: str) -> None:
    """A half-copied stage is no stage."""
    comparison = Comparison(stub, "a paper", sides(), ())
    run = tmp_path / "out" / "mean" / "fold-0" / "run"
    (run / "seg.part").mkdir(parents=True)
    (run / "seg.part" / "checkpoint.pt").write_text("half")
    compare(comparison, ground, (0,), tmp_path / "out")
    assert (run / "seg" / "checkpoint.pt").read_text() == "done"
    assert not (run / "seg.part").exists()


@pytest.mark.parametrize("name", COMPARISONS)
def test_every_comparison_has_settings_that_its_solver_knows(name: str) -> None:
    comparison = comparison_of(name)
    assert comparison.solver in SOLVERS
    cls = solver_class(comparison.solver)
    entries = [entry_of(comparison, side, 0) for side in comparison.sides]
    assert len({entry.config.model_dump_json() for entry in entries}) == len(entries) >= 2
    assert len({entry.name for entry in entries}) == len(entries)
    for side in comparison.sides:
        load_settings(cls.Config, None, [*comparison.budget, *side.settings])
        for other in (side.answers_for, side.shares[0] if side.shares else None):
            assert other is None or comparison.side(other).answers_for is None
        assert side.answers_for != side.name


def test_an_unknown_comparison_is_answered_with_the_nearest() -> None:
    with pytest.raises(AasceError, match=r"did you mean 'seg4reg_inputs'\?"):
        comparison_of("seg4reg_input")


def test_grid_of_seg4reg() -> None:
    def row(side: str, value: float) -> Row:
        return Row(side, "", value, 1.0, 2.0, 0, None, None, 0, 0, 0, 0, 3, None, 0, 0, "")

    text = grid([row("mask, without adaptation", 14.57), row("image, with adaptation", 24.67)])
    assert "| mask | 14.57 (1.00 to 2.00) |  |" in text
    assert "| image |  | 24.67 (1.00 to 2.00) |" in text
