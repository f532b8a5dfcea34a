"""Sides of one solver compared: each trained with the same budget, on the same films, by the same seed.

A side is trained without the folds it is measured on (a validation part of the others chooses weights). What two
sides have in common, such as a segmenter, is trained once, and sides that differ in how they answer share one
model. What is done is not done again; an interrupted side goes on from its checkpoint.
"""

from __future__ import annotations

import csv
import functools
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aasce.commands.train import Parts, Plan, open_run
from aasce.config import load_settings
from aasce.evaluation.held_out import Entry, Ground, make_fold, train_run
from aasce.evaluation.leaderboard import read_answers
from aasce.files import write_text
from aasce.scoring import score
from aasce.scoring.bootstrap import bca_intervals
from aasce.scoring.metrics import film_smape
from aasce.solvers.base import MANIFEST_FILE, WEIGHTS_FILE
from aasce.solvers.registry import solver_class

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: its row in the table.
        settings: "key=value" over the budget's.
        paper: what the paper reports for it.
        shares: another side, and the folders below its run whose training is this side's too.
        answers_for: another side whose weights this one answers with: its settings matter to predictions only.
    """

    name: str
    settings: tuple[str, ...]
    paper: str = ""
    shares: tuple[str, str] | None = None
    answers_for: str | None = None

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return re.sub("[^A-Za-z0-9]+", "-", self.name).strip("-")


@dataclass(frozen=True)
class Comparison:
    """What is compared, where the paper does so, and the budget of each side."""

    solver: str
    source: str
    sides: tuple[Side, ...]
    budget: tuple[str, ...]

    def side(self, name: str) -> Side:
        return next(side for side in self.sides if side.name == name)


@dataclass(frozen=True)
class Row:
    """One line of a table: percent and degrees; `difference` is to the first side, negative is better.

    Attributes:
        miou: of the segmenter on the validation part, where the solver reports it.
        seconds: of the training, without what another side shares.
    """

    side: str
    settings: str
    smape: float
    smape_low: float | None
    smape_high: float | None
    difference: float
    difference_low: float | None
    difference_high: float | None
    mae_an1: float
    mae_an2: float
    mae_an3: float
    failed: int
    films: int
    miou: float | None
    seconds: float
    seconds_a_film: float
    paper: str


def compare(comparison: Comparison, ground: Ground, held: Sequence[int], out: Path) -> list[Row]:
    """Trains and measures each side that is not there yet, and writes table.csv and table.md after each.

    Args:
        comparison: what to compare.
        ground: films and how they are dealt.
        held: folds to measure on; one model a side is trained without all of them.
        out: folder of the comparison.

    Raises:
        AasceError: a setting is wrong, or a side's folder was made otherwise.
    """
    entries = {side.name: entry_of(comparison, side, ground.seed) for side in comparison.sides}
    rows: list[Row] = []
    first: Floats | None = None
    for side in comparison.sides:
        folder = make_side(comparison, side, entries, ground, held, out)
        found, truth = angles_of(folder, ground)
        by_film = film_smape(found, truth)
        first = by_film if first is None else first
        rows.append(row_of(side, folder, found, truth, by_film - first))
        write_table(rows, comparison, ground, held, out)
    return rows


def entry_of(comparison: Comparison, side: Side, seed: int) -> Entry:
    """A side with all its settings."""
    cls = solver_class(comparison.solver)
    settings = (f"seed={seed}", *comparison.budget, *side.settings)
    return Entry(side.folder, comparison.solver, load_settings(cls.Config, None, settings))


def make_side(
    comparison: Comparison,
    side: Side,
    entries: dict[str, Entry],
    ground: Ground,
    held: Sequence[int],
    out: Path,
) -> Path:
    """Predictions of one side, after those of the side it takes its training from; returns their folder."""
    place = "fold-" + "-".join(str(fold) for fold in held)
    folder = out / side.folder / place
    other = side.answers_for or (side.shares[0] if side.shares else None)
    training = train_run
    if other is not None:
        source = make_side(comparison, comparison.side(other), entries, ground, held, out)
        begin = functools.partial(adopt, source / "run")
        training = begin if side.shares is None else functools.partial(begin, part=side.shares[1])
    make_fold(entries[side.name], ground, held, folder, training)
    return folder


def adopt(
    source: Path, entry: Entry, plan: Plan, parts: Parts, facts: dict[str, Any], part: str | None = None
) -> None:
    """Takes over the weights of another side's run, or begins with the folders of it that `part` names."""
    open_run(plan, entry.config, facts)
    if part is None:
        for name in (WEIGHTS_FILE, MANIFEST_FILE):
            shutil.copyfile(source / name, plan.out / name)
        return
    for folder in source.glob(part):
        target = plan.out / folder.name
        if not target.exists():
            shutil.copytree(folder, target.with_suffix(".part"), dirs_exist_ok=True)
            target.with_suffix(".part").rename(target)
    train_run(entry, plan, parts, facts)


def angles_of(folder: Path, ground: Ground) -> tuple[Floats, Floats]:
    """(N, 3) predicted and true degrees of the films that a folder answers, in the data set's order."""
    answers = read_answers(folder).angles
    films = [film for film in ground.films if film.film_id in answers]
    return np.array([answers[film.film_id] for film in films]), np.array([film.angles for film in films])


def row_of(side: Side, folder: Path, found: Floats, truth: Floats, difference: Floats) -> Row:
    """Scores one side."""
    answers = read_answers(folder)
    result = score(found, truth)
    low, high = result.smape_interval or (None, None)
    (apart,) = bca_intervals(difference[:, None])
    facts = answers.facts
    return Row(
        side=side.name,
        settings=" ".join(setting.replace(" ", "") for setting in side.settings),
        smape=result.smape,
        smape_low=low,
        smape_high=high,
        difference=float(difference.mean()),
        difference_low=apart[0] if apart else None,
        difference_high=apart[1] if apart else None,
        mae_an1=result.an1.mae,
        mae_an2=result.an2.mae,
        mae_an3=result.an3.mae,
        failed=len(answers.failed),
        films=result.n,
        miou=facts["validation"].get("validation_miou"),
        seconds=0.0 if side.answers_for else facts["training"]["seconds"],
        seconds_a_film=float(np.median(facts["seconds"])),
        paper=side.paper,
    )


def write_table(
    rows: Sequence[Row], comparison: Comparison, ground: Ground, held: Sequence[int], out: Path
) -> None:
    """table.csv and table.md."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "table.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows(["" if v is None else v for v in asdict(row).values()] for row in rows)
    write_text(out / "table.md", markdown(rows, comparison, ground, held))


def markdown(rows: Sequence[Row], comparison: Comparison, ground: Ground, held: Sequence[int]) -> str:
    """The table in Markdown."""
    folds = ", ".join(str(fold) for fold in held)
    budget = dict(text.split("=", 1) for text in comparison.budget)  # the last one of a key holds
    lines = [
        f"{comparison.solver}, {comparison.source}. {rows[0].films} films of fold {folds} of {ground.folds} (seed "
        f"{ground.seed}), labels {ground.films.labels}, never trained on; budget "
        + " ".join(f"{key}={value}" for key, value in budget.items())
        + ".",
        "",
        "| side | SMAPE (95 %) | to the first (95 %) | MAE an1 | an2 | an3 | mIoU | failed | training s | s a film "
        "| paper |",
        "|" + "---|" * 11,
    ]
    for row in rows:
        cells = (
            row.side,
            f"{row.smape:.2f}{span(row.smape_low, row.smape_high)}",
            "" if row is rows[0] else f"{row.difference:+.2f}{span(row.difference_low, row.difference_high)}",
            *(f"{value:.2f}" for value in (row.mae_an1, row.mae_an2, row.mae_an3)),
            "" if row.miou is None else f"{row.miou:.4f}",
            str(row.failed),
            f"{row.seconds:.0f}",
            f"{row.seconds_a_film:.2g}",
            row.paper,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def span(low: float | None, high: float | None) -> str:
    """An interval in brackets; nothing where there is none."""
    return "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
