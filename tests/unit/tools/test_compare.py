"""Sides of a comparison: the same films, what they share trained once, a table that says how sure it is."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from aasce.config import load_settings
from aasce.datasets import read_challenge
from aasce.evaluation.benchmark import Benchmark, fold_plan
from aasce.evaluation.split import Split
from aasce.scoring import smape
from aasce.solvers.registry import SOLVERS, solver_class
from aasce.types import AasceError
from tests.synthetic import bent_spine, write_challenge
from tools.compare import Comparison, ComparisonRun, Side, candidate_of, compare, plan_of_side
from tools.comparisons import COMPARISONS, comparison_of, with_starts

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
        return replace(report, seconds=3.0, notes={"validation_miou": 0.75})
"""


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "compare_stub.py").write_text(STUB)
    sys.path.insert(0, str(tmp_path))
    yield "compare_stub:Staged"
    sys.path.remove(str(tmp_path))
    sys.modules.pop("compare_stub", None)


@pytest.fixture
def first_fold(tmp_path: Path) -> ComparisonRun:
    bends = [10.0, 12.0, 20.0, 35.0, 40.0, 60.0]
    films = read_challenge(write_challenge(tmp_path / "data", [bent_spine(bend) for bend in bends]))
    benchmark = Benchmark(films, split=Split(folds=2, validation=0.0), threads=1)
    return ComparisonRun(benchmark, (0,), tmp_path / "out")


def sides(shares: bool = True, one_model: bool = False) -> tuple[Side, ...]:
    return (
        Side("median", ("statistic=median",), "SMAPE 1"),
        Side(
            "mean",
            ("statistic=mean",),
            "SMAPE 2",
            ("median", "seg") if shares else None,
            "median" if one_model else None,
        ),
    )


def test_sides_meet_the_same_films_and_differences_are_paired(
    tmp_path: Path, first_fold: ComparisonRun, stub: str
) -> None:
    table = compare(Comparison(stub, "a paper", sides(), ()), first_fold)
    films = first_fold.benchmark.films
    held = films_of(tmp_path / "out" / "median" / "fold-0" / "preds.csv")
    assert held == films_of(tmp_path / "out" / "mean" / "fold-0" / "preds.csv")
    truth = np.array([film.angles for film in films if film.film_id in held])
    learned = np.array([film.angles for film in films if film.film_id not in held])
    expected = [smape(np.tile(f(learned, axis=0), (len(truth), 1)), truth) for f in (np.median, np.mean)]
    assert table["smape"].tolist() == pytest.approx(expected, abs=1e-3)
    assert table["difference"].tolist() == pytest.approx([0, expected[1] - expected[0]], abs=1e-3)
    assert table["films"].tolist() == [3, 3]
    assert table["miou"].tolist() == [0.75, 0.75]
    assert table["seconds"][0] == 3
    # The first stage was trained once.
    assert sys.modules["compare_stub"].TRAINED == ["seg", "median", "mean"]


def films_of(path: Path) -> set[str]:
    with path.open(newline="", encoding="utf-8") as stream:
        return {row["name"] for row in csv.DictReader(stream)}


def test_what_is_done_is_not_done_again(tmp_path: Path, first_fold: ComparisonRun, stub: str) -> None:
    comparison = Comparison(stub, "a paper", sides(), ())
    first = compare(comparison, first_fold)
    trained = sys.modules["compare_stub"].TRAINED
    before = list(trained)
    pd.testing.assert_frame_equal(compare(comparison, first_fold), first)
    assert trained == before
    with pytest.raises(AasceError, match=r"holds predictions made otherwise \(settings.seed 0, now 5"):
        compare(replace(comparison, budget=("seed=5",)), first_fold)


def test_sides_that_differ_in_prediction_alone_share_one_model(
    tmp_path: Path, first_fold: ComparisonRun, stub: str
) -> None:
    """The "mean" predicts with the weights of the median, beside its own settings."""
    comparison = Comparison(stub, "a paper", sides(shares=False, one_model=True), ())
    table = compare(comparison, first_fold)
    assert sys.modules["compare_stub"].TRAINED == ["seg", "median"]
    assert table["smape"][0] == table["smape"][1]
    assert table["seconds"][1] == 0
    run = tmp_path / "out" / "mean" / "fold-0"
    assert "statistic: mean" in (run / "config.yaml").read_text()


def test_a_run_of_a_fold_lends_its_settings_and_weights(
    tmp_path: Path, first_fold: ComparisonRun, stub: str
) -> None:
    """Only the side that others predict with takes them; a side of its own is trained, with these settings."""
    comparison = Comparison(stub, "a paper", sides(shares=False, one_model=True), ())
    compare(comparison, first_fold)
    lent = tmp_path / "out" / "median" / "fold-0"
    trained = sys.modules["compare_stub"].TRAINED
    before = list(trained)
    again = replace(first_fold, out=tmp_path / "again", weights=lent)
    table = compare(comparison, again)
    assert trained == before
    assert table["smape"][0] == table["smape"][1]
    compare(replace(comparison, sides=(*comparison.sides, Side("own", ("seed=7",)))), again)
    assert trained == [*before, "seg", "median"]


def test_folds_are_held_out_together(tmp_path: Path, first_fold: ComparisonRun, stub: str) -> None:
    benchmark = replace(first_fold.benchmark, split=Split(folds=3, validation=0.0))
    two_folds = replace(first_fold, benchmark=benchmark, held=(0, 2))
    table = compare(Comparison(stub, "a paper", sides(), ()), two_folds)
    assert table["films"].tolist() == [4, 4]
    assert (tmp_path / "out" / "median" / "fold-0-2" / "preds.csv").is_file()


def test_the_table_is_written_in_both_forms(tmp_path: Path, first_fold: ComparisonRun, stub: str) -> None:
    table = compare(Comparison(stub, "a paper, table 1", sides(), ("seed=0",)), first_fold)
    with (tmp_path / "out" / "table.csv").open(newline="", encoding="utf-8") as stream:
        kept = list(csv.DictReader(stream))
    assert [float(row["smape"]) for row in kept] == pytest.approx(table["smape"].tolist(), rel=1e-5)
    text = (tmp_path / "out" / "table.md").read_text()
    assert "a paper, table 1. 3 films of fold 0 of 2 (seed 0), labels official, never trained on" in text
    assert "budget seed=0" in text
    first, second = (line for line in text.splitlines() if line.startswith(("| median", "| mean")))
    assert "| 0.7500 |" in first
    assert first.endswith("| SMAPE 1 |")
    assert f"| {table['difference'][1]:+.2f}" in second
    assert first.count("|") == second.count("|") == text.splitlines()[2].count("|")


def test_an_interrupted_take_over_is_begun_anew(tmp_path: Path, first_fold: ComparisonRun, stub: str) -> None:
    """A half-copied stage is no stage."""
    comparison = Comparison(stub, "a paper", sides(), ())
    run = tmp_path / "out" / "mean" / "fold-0"
    (run / "seg.part").mkdir(parents=True)
    (run / "seg.part" / "checkpoint.pt").write_text("half")
    compare(comparison, first_fold)
    assert (run / "seg" / "checkpoint.pt").read_text() == "done"
    assert not (run / "seg.part").exists()


@pytest.mark.parametrize("name", COMPARISONS)
def test_every_comparison_has_settings_that_its_solver_knows(first_fold: ComparisonRun, name: str) -> None:
    comparison = comparison_of(name)
    assert comparison.solver in SOLVERS
    cls = solver_class(comparison.solver)
    candidates = [candidate_of(comparison, side, first_fold) for side in comparison.sides]
    differ = zip(candidates, comparison.sides, strict=True)
    ways = {(candidate.config.model_dump_json(), side.start, side.films) for candidate, side in differ}
    assert len(ways) == len(candidates) >= 2
    assert len({candidate.name for candidate in candidates}) == len(candidates)
    for side in comparison.sides:
        load_settings(cls.Config, None, [*comparison.budget, *side.settings])
        for other in (side.weights_of, side.shares[0] if side.shares else None):
            assert other is None or comparison.side(other).weights_of is None
        assert side.weights_of != side.name


def test_a_side_has_its_own_start_and_share_of_the_films(first_fold: ComparisonRun, stub: str) -> None:
    """Of the three films outside the fold a third is one; films of a study are never parted."""
    candidate = candidate_of(Comparison(stub, "", sides(), ()), sides()[0], first_fold)
    whole = fold_plan(first_fold.benchmark, candidate, first_fold.held, first_fold.out)
    plan = plan_of_side(Side("few", (), start="weights", films=1 / 3), whole)
    assert (len(whole.parts.train), len(plan.parts.train)) == (3, 1)
    assert plan.parts.held is whole.parts.held
    assert (plan.start, plan.facts["train_films"], plan.facts["start"]) == ("weights", 1, "weights")
    assert plan_of_side(Side("all", ()), whole) == whole


def test_fewer_films_are_trained_on_in_as_many_steps(first_fold: ComparisonRun) -> None:
    comparison = replace(comparison_of("vertebra_field_films"), budget=("train.epochs=6",))
    epochs: list[Any] = [candidate_of(comparison, side, first_fold).config for side in comparison.sides]
    assert [config.train.epochs for config in epochs] == [24, 12, 6, 24, 12, 6]
    assert {config.loss.tilt for config in epochs} == {14.0}  # of the YAML, not of the class


def test_a_side_can_begin_from_other_weights() -> None:
    comparison = with_starts(comparison_of("vertebra_field_starts"), ["all together=runs/a=b"])
    assert comparison.side("all together").start == "runs/a=b"
    assert comparison.side("rendered start").start == "vertebra_field_rendered"
    with pytest.raises(AasceError, match=r"--start together: write SIDE=WEIGHTS with one of the sides from"):
        with_starts(comparison, ["together=runs/a"])


def test_an_unknown_comparison_is_answered_with_the_nearest() -> None:
    with pytest.raises(AasceError, match=r"did you mean 'seg4reg_inputs'\?"):
        comparison_of("seg4reg_input")
