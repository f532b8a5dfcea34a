"""Sides of one solver compared: each trained with the same budget, on the same films, by the same seed.

A side is trained without the folds it is measured on (a validation part of the others chooses weights). What two
sides have in common, such as a segmenter, is trained once, and sides that differ in prediction alone share one
model. What is done is not done again; an interrupted side goes on from its checkpoint.
"""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aasce.commands.bench import make_fold
from aasce.config import load_settings
from aasce.datasets import grouped_holdout
from aasce.evaluation.benchmark import Benchmark, Candidate, fold_plan
from aasce.evaluation.leaderboard import markdown_lines, read_held_out
from aasce.evaluation.runs import RunPlan, fit_run, open_run
from aasce.files import write_text
from aasce.scoring import score
from aasce.scoring.bootstrap import bca_intervals
from aasce.scoring.metrics import film_smape
from aasce.solvers.base import CONFIG_FILE, STATE_FILE, WEIGHTS_FILE
from aasce.solvers.registry import solver_class
from aasce.writers import write_csv

Floats = NDArray[np.float64]

COLUMNS = (
    "side", "settings", "smape", "smape_low", "smape_high", "difference", "difference_low", "difference_high",
    "mae_an1", "mae_an2", "mae_an3", "failed", "films", "miou", "seconds", "seconds_a_film", "paper",
)  # fmt: skip
"""Of a table: percent and degrees; "difference" is to the first side, negative is better; "miou" is the segmenter's on
the validation part, where the solver reports it; "seconds" are of the training, without what another side shares."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: its row in the table.
        settings: "key=value" over the budget's.
        paper: what the paper reports for it.
        shares: another side, and the folders below its run whose training is this side's too.
        weights_of: another side whose weights this one predicts with: its settings matter to prediction alone.
        start: released name or run folder of weights that training goes on from.
        films: share of the training films that it learns from, whole studies together, in as many steps as the others.
    """

    name: str
    settings: tuple[str, ...]
    paper: str = ""
    shares: tuple[str, str] | None = None
    weights_of: str | None = None
    start: str | None = None
    films: float = 1.0

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return re.sub("[^A-Za-z0-9]+", "-", self.name).strip("-")


@dataclass(frozen=True)
class Comparison:
    """What is compared, where the paper does so, and the budget of each side.

    The settings are those of `config`, a YAML file, else the class's defaults, changed by the budget and by the side.
    """

    solver: str
    source: str
    sides: tuple[Side, ...]
    budget: tuple[str, ...]
    config: Path | None = None

    def side(self, name: str) -> Side:
        return next(side for side in self.sides if side.name == name)


@dataclass(frozen=True)
class ComparisonRun:
    """Where a comparison is made.

    Attributes:
        benchmark: films and how they are dealt.
        held: folds to measure on; one model a side is trained without all of them.
        out: folder of the comparison.
        weights: run folder of a model trained without these folds, whose settings every side begins from, and whose
            weights are those of the sides that others predict with; None trains each side.
    """

    benchmark: Benchmark
    held: tuple[int, ...]
    out: Path
    weights: Path | None = None

    def folder(self, side: Side) -> Path:
        """Run folder of a side."""
        return self.out / side.folder / ("fold-" + "-".join(str(fold) for fold in self.held))


def compare(comparison: Comparison, run: ComparisonRun) -> pd.DataFrame:
    """Trains and measures each side that is not there yet, and writes table.csv and table.md after each.

    Returns:
        One row a side (`COLUMNS`), in the order of the comparison.

    Raises:
        AasceError: a setting is wrong, or a side's folder was made otherwise.
    """
    candidates = {side.name: candidate_of(comparison, side, run) for side in comparison.sides}
    rows: list[dict[str, Any]] = []
    first: Floats | None = None
    table = pd.DataFrame(columns=list(COLUMNS))
    for side in comparison.sides:
        folder = make_side(comparison, side, candidates, run)
        found, truth = angles_of(folder, run.benchmark)
        by_film = film_smape(found, truth)
        first = by_film if first is None else first
        rows.append(row_of(side, folder, found, truth, by_film - first))
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        write_csv(run.out / "table.csv", table, "%.6g")
        write_text(run.out / "table.md", markdown(table, comparison, run))
    return table


def candidate_of(comparison: Comparison, side: Side, run: ComparisonRun) -> Candidate:
    """A side with all its settings."""
    cls = solver_class(comparison.solver)
    base = comparison.config if run.weights is None else run.weights / CONFIG_FILE
    settings = (f"seed={run.benchmark.split.seed}", *comparison.budget, *side.settings)
    config: Any = load_settings(cls.Config, base, settings)
    if side.films < 1:  # fewer films are as many steps in more epochs
        train = config.train.model_copy(update={"epochs": round(config.train.epochs / side.films)})
        config = config.model_copy(update={"train": train})
    return Candidate(side.folder, comparison.solver, config)


def make_side(
    comparison: Comparison, side: Side, candidates: dict[str, Candidate], run: ComparisonRun
) -> Path:
    """Predictions of one side, after those of the side it takes its training from; returns their folder."""
    folder = run.folder(side)
    other = side.weights_of or (side.shares[0] if side.shares else None)
    train: Callable[[RunPlan], object] = fit_run
    if other is not None:
        source = make_side(comparison, comparison.side(other), candidates, run)
        train = functools.partial(adopt, source, part=side.shares[1] if side.shares else None)
    elif run.weights is not None and any(s.weights_of == side.name for s in comparison.sides):
        train = functools.partial(adopt, run.weights, part=None)
    plan = plan_of_side(side, fold_plan(run.benchmark, candidates[side.name], run.held, folder))
    make_fold(plan, run.benchmark.threads, train)
    return folder


def plan_of_side(side: Side, plan: RunPlan) -> RunPlan:
    """The plan of a side: a fold's plan with its own start and its share of the training films."""
    plan = replace(plan, start=side.start)
    if side.films == 1:
        return plan
    train = plan.parts.train
    kept, _ = grouped_holdout(train.studies, 1 - side.films, plan.config.seed)
    split = {**plan.split, "train_films": len(kept), "films_share": side.films}
    return replace(plan, parts=replace(plan.parts, train=train.subset(kept)), split=split)


def adopt(source: Path, plan: RunPlan, part: str | None) -> None:
    """Takes over the weights of another side's run, or begins with the folders of it that `part` names."""
    open_run(plan)
    path = plan.folder.path
    if part is None:
        for name in (WEIGHTS_FILE, STATE_FILE):
            shutil.copyfile(source / name, path / name)
        return
    for folder in source.glob(part):
        target = path / folder.name
        if not target.exists():
            shutil.copytree(folder, target.with_suffix(".part"), dirs_exist_ok=True)
            target.with_suffix(".part").rename(target)
    fit_run(plan)


def angles_of(folder: Path, benchmark: Benchmark) -> tuple[Floats, Floats]:
    """(N, 3) predicted and true degrees of the films that a folder predicts, in the data set's order."""
    angles = read_held_out(folder).angles
    films = [film for film in benchmark.films if film.film_id in angles]
    return np.array([angles[film.film_id] for film in films]), np.array([film.angles for film in films])


def row_of(side: Side, folder: Path, found: Floats, truth: Floats, difference: Floats) -> dict[str, Any]:
    """Scores one side."""
    held = read_held_out(folder)
    result = score(found, truth)
    low, high = result.smape_interval or (None, None)
    (span,) = bca_intervals(difference[:, None])
    (fold,) = held.facts["folds"]
    return {
        "side": side.name,
        "settings": " ".join(setting.replace(" ", "") for setting in side.settings),
        "smape": result.smape,
        "smape_low": low,
        "smape_high": high,
        "difference": float(difference.mean()),
        "difference_low": span[0] if span else None,
        "difference_high": span[1] if span else None,
        "mae_an1": result.an1.mae,
        "mae_an2": result.an2.mae,
        "mae_an3": result.an3.mae,
        "failed": len(held.failed),
        "films": result.n,
        "miou": fold["training"]["notes"].get("validation_miou"),
        "seconds": 0.0 if side.weights_of else fold["training"]["seconds"],
        "seconds_a_film": held.facts["seconds_a_film"],
        "paper": side.paper,
    }


def markdown(table: pd.DataFrame, comparison: Comparison, run: ComparisonRun) -> str:
    """The table in Markdown."""
    folds = ", ".join(str(fold) for fold in run.held)
    split = run.benchmark.split
    budget = dict(text.split("=", 1) for text in comparison.budget)  # the last one of a key holds
    about = (
        f"{comparison.solver}, {comparison.source}. {table['films'][0]} films of fold {folds} of {split.folds} (seed "
        f"{split.seed}), labels {run.benchmark.films.labels}, never trained on; budget "
        + " ".join(f"{key}={value}" for key, value in budget.items())
    )
    rows = [_shown(row, first=index == 0) for index, row in enumerate(table.to_dict("records"))]
    return "\n".join([f"{about}.", "", *markdown_lines(pd.DataFrame(rows))]) + "\n"


def _shown(row: dict[Any, Any], first: bool) -> dict[str, str]:
    """A row as text, under the headings that a reader sees."""
    difference = f"{row['difference']:+.2f}{_span(row['difference_low'], row['difference_high'])}"
    return {
        "side": row["side"],
        "SMAPE (95 %)": f"{row['smape']:.2f}{_span(row['smape_low'], row['smape_high'])}",
        "to the first (95 %)": "" if first else difference,
        "MAE an1": f"{row['mae_an1']:.2f}",
        "an2": f"{row['mae_an2']:.2f}",
        "an3": f"{row['mae_an3']:.2f}",
        "mIoU": "" if pd.isna(row["miou"]) else f"{row['miou']:.4f}",
        "failed": str(row["failed"]),
        "training s": f"{row['seconds']:.0f}",
        "s a film": f"{row['seconds_a_film']:.2g}",
        "paper": row["paper"],
    }


def _span(low: float | None, high: float | None) -> str:
    """An interval in brackets; nothing where there is none."""
    return "" if low is None or high is None or pd.isna(low) else f" ({low:.2f} to {high:.2f})"
