"""Folders of held-out predictions to one table of solvers. Only files are scored; no network is loaded.

A folder holds preds.csv (`name,an1,an2,an3`, each film predicted by a model that saw none of its patient's) and
manifest.json, of which "solver" is needed; "failures" (film to reason), "labels", "seconds_a_film" with "threads" and
"engine", "parameters", "weights_mb", "remark" and, of each fold, the "seconds" of its training are shown where they are
there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aasce.datasets import FilmSet
from aasce.evaluation.held_out import MANIFEST, median_angles, read_facts, read_rows
from aasce.evaluation.split import Split
from aasce.files import write_text
from aasce.scoring import score
from aasce.scoring.bootstrap import RESAMPLES, SEED
from aasce.solvers.registry import entry_of
from aasce.types import AasceError
from aasce.weights import released, weights_size
from aasce.writers import provenance, write_csv

if TYPE_CHECKING:
    from rich.table import Table

Floats = NDArray[np.float64]
BASELINE = "constant"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out predictions of one solver.

    Attributes:
        label: its name in the table.
        solver: its name in the kit.
        angles: film to (3,) degrees.
        failed: films that got the training medians instead of a prediction.
        facts: the manifest.
    """

    label: str
    solver: str
    angles: dict[str, Floats]
    failed: frozenset[str]
    facts: dict[str, Any]


COLUMNS: dict[str, str] = {
    "solver": "str",
    "films": "int64",
    "failed": "int64",
    "smape": "float64",
    "smape_low": "float64",
    "smape_high": "float64",
    "mae_an1": "float64",
    "mae_an2": "float64",
    "mae_an3": "float64",
    "seconds": "float64",
    "threads": "Int64",
    "engine": "str",
    "train_minutes": "float64",
    "parameters": "float64",
    "weights_mb": "float64",
    "published": "str",
    "measured_on": "str",
    "citation": "str",
    "remark": "str",
}
"""Of the leaderboard, with their types: SMAPE in percent with its 95 % interval, errors in degrees; a missing value is
unknown. "seconds" is the median time that one film takes, reading its file left out, on a CPU with "threads" threads;
"engine" is the library that computed the networks (empty where none is told);
"train_minutes" is the mean time that the training of one fold took; "parameters" are millions of learned numbers,
"weights_mb" 10^6 bytes of the file; "published" are the paper's figures and "measured_on" the films of each, parted by
"; "; "remark" is what a reader must know."""


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The table (`COLUMNS`), best first, and what all rows share."""

    table: pd.DataFrame
    films: tuple[str, ...]
    labels: str
    split: str


def read_held_out(folder: Path) -> HeldOut:
    """Reads a folder of held-out predictions.

    Raises:
        AasceError: it holds no manifest or no predictions, or one of them cannot be used.
    """
    facts = read_facts(folder)
    if facts.get("definition", "challenge") != "challenge":
        raise AasceError(f"{folder / MANIFEST}: angles are {facts['definition']!r}; bench scores 'challenge'")
    angles = read_rows(folder)
    solver = facts["solver"]
    return HeldOut(solver, solver, angles, frozenset(facts.get("failures", {})) & angles.keys(), facts)


def read_all(folders: Sequence[Path]) -> list[HeldOut]:
    """Reads several folders; those of one solver are called by their folders' names."""
    found = [read_held_out(folder) for folder in folders]
    solvers = [held.solver for held in found]
    return [
        replace(held, label=folder.resolve().name) if solvers.count(held.solver) > 1 else held
        for held, folder in zip(found, folders, strict=True)
    ]


def shared_films(found: Sequence[HeldOut], films: FilmSet) -> FilmSet:
    """The films of the data set that every solver predicted, in the data set's order.

    Raises:
        AasceError: there is none, a solver predicted films that are not in the set, or by other labels.
    """
    known = {film.film_id for film in films}
    for held in found:
        strange = sorted(held.angles.keys() - known)
        if strange:
            raise AasceError(
                f"{held.label}: predicts {len(strange)} films that are not in the data set, as "
                f"{strange[0]!r}; name the data set they come from with --data"
            )
        labels = held.facts.get("labels", films.labels)
        if labels != films.labels:
            raise AasceError(
                f"{held.label}: was measured by labels {labels!r}; give --labels {labels}, or leave it out"
            )
    shared = [i for i, film in enumerate(films) if all(film.film_id in held.angles for held in found)]
    if not shared:
        listed = ", ".join(held.label for held in found)
        raise AasceError(f"{listed}: predict no film in common; compare solvers on the same folds")
    return films.subset(shared)


def baseline(shared: FilmSet, films: FilmSet, split: Split) -> HeldOut:
    """The constant predictor on shared films: each gets the median angles of all films outside its own fold.

    Raises:
        AasceError: the films cannot be dealt into so many folds.
    """
    wanted = {film.film_id for film in shared}
    angles: dict[str, Floats] = {}
    for fold in split.fold_indices(films):
        median = median_angles(films.subset(sorted(set(range(len(films))) - set(fold))))
        angles |= {films[i].film_id: median for i in fold if films[i].film_id in wanted}
    return HeldOut(BASELINE, BASELINE, angles, frozenset(), {})


def make_leaderboard(found: Sequence[HeldOut], shared: FilmSet, split: str) -> Leaderboard:
    """Scores every solver on the shared films.

    Args:
        found: the solvers.
        shared: see `shared_films`.
        split: how the films were dealt, in words.

    Raises:
        AasceError: a film has no label.
    """
    bare = next((film for film in shared if film.angles is None), None)
    if bare is not None:
        raise AasceError(f"{bare.path}: has no angles to score against; bench labelled films only")
    rows = [_row(held, shared) for held in found]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    table = table.sort_values(["smape", "solver"], ignore_index=True)
    return Leaderboard(table, tuple(film.film_id for film in shared), shared.labels, split)


def _row(held: HeldOut, shared: FilmSet) -> dict[str, Any]:
    names = [film.film_id for film in shared]
    truth = np.array([film.angles for film in shared], dtype=np.float64)
    result = score(np.array([held.angles[name] for name in names]), truth)
    low, high = result.smape_interval or (None, None)
    parameters, megabytes = _size(held)
    entry = entry_of(held.solver)
    return {
        "solver": held.label,
        "films": result.n,
        "failed": len(held.failed.intersection(names)),
        "smape": result.smape,
        "smape_low": low,
        "smape_high": high,
        "mae_an1": result.an1.mae,
        "mae_an2": result.an2.mae,
        "mae_an3": result.an3.mae,
        "seconds": held.facts.get("seconds_a_film"),
        "threads": held.facts.get("threads"),
        "engine": str(held.facts.get("engine", "")),
        "train_minutes": _train_minutes(held.facts),
        "parameters": None if parameters is None else parameters / 1e6,
        "weights_mb": megabytes,
        "published": "; ".join(str(figure) for figure in entry.figures),
        "measured_on": "; ".join(figure.films for figure in entry.figures),
        "citation": entry.citation,
        "remark": str(held.facts.get("remark", "")),
    }


def _train_minutes(facts: Mapping[str, Any]) -> float | None:
    """Mean over the folds whose manifest tells how long training took; None where none does."""
    told = [fold.get("training", fold).get("seconds") for fold in facts.get("folds", ())]
    seconds = [float(value) for value in told if isinstance(value, int | float)]
    return sum(seconds) / len(seconds) / 60 if seconds else None


def _size(held: HeldOut) -> tuple[int | None, float | None]:
    """Parameters and megabytes by the manifest, else of the released weights."""
    facts = held.facts
    if "parameters" in facts and "weights_mb" in facts:
        return facts["parameters"], facts["weights_mb"]
    folder = released().get(held.solver)
    if folder is None:
        return None, None
    size = weights_size(folder)
    return size.parameters, size.megabytes


def write_leaderboard(board: Leaderboard, out: Path) -> None:
    """Writes leaderboard.csv, leaderboard.md and leaderboard.json into a folder.

    Raises:
        AasceError: they cannot be written.
    """
    write_csv(out / "leaderboard.csv", board.table, "%.6g")
    write_text(out / "leaderboard.md", markdown(board))
    plain = board.table.astype(object)
    body = {
        "rows": plain.where(plain.notna(), None).to_dict("records"),
        "films": board.films,
        "labels": board.labels,
        "split": board.split,
        "bootstrap": {"method": "BCa over films", "level": 0.95, "resamples": RESAMPLES, "seed": SEED},
        **provenance(),
    }
    write_text(out / "leaderboard.json", json.dumps(body, indent=2, ensure_ascii=False) + "\n")


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The measured columns as text, under the headings that a reader sees."""
    rows = [
        {
            "solver": row.solver,
            "films": str(row.films),
            "failed": str(row.failed),
            "SMAPE (95 %)": f"{row.smape:.2f}{_interval(row)}",
            "MAE an1": f"{row.mae_an1:.2f}°",
            "an2": f"{row.mae_an2:.2f}°",
            "an3": f"{row.mae_an3:.2f}°",
            "s a film (threads)": _seconds(row),
            "engine": row.engine or "-",
            "min to train": _number(row.train_minutes, 0),
            "M parameters": _number(row.parameters, 2),
            "weights, MB": _number(row.weights_mb, 1),
            "published": row.published or "-",
        }
        for row in table.itertuples(index=False)
    ]
    return pd.DataFrame(rows)


def _interval(row: Any) -> str:
    return "" if pd.isna(row.smape_low) else f" ({row.smape_low:.2f}-{row.smape_high:.2f})"


def _seconds(row: Any) -> str:
    if pd.isna(row.seconds):
        return "-"
    text = f"{row.seconds:.2f}" if row.seconds >= 0.095 else f"{row.seconds:.2g}"
    return text if pd.isna(row.threads) else f"{text} ({row.threads})"


def _number(value: Any, digits: int) -> str:
    return "-" if pd.isna(value) else f"{value:.{digits}f}"


def caption(board: Leaderboard) -> str:
    """What the rows share, in one line."""
    films = f"{len(board.films)} film{'s' if len(board.films) > 1 else ''}"
    return f"{films}, labels {board.labels}, {board.split}; {BASELINE} is the baseline"


def markdown(board: Leaderboard) -> str:
    """The table with the published figures, and the remarks below it."""
    table = board.table
    text = shown(table)
    text["measured on"] = table["measured_on"].replace("", "-")
    lines = [f"{caption(board)}. Intervals are 95 % BCa bootstrap over films.", "", *markdown_lines(text)]
    remarked, published = table[table["remark"] != ""], table[table["published"] != ""]
    lines += [f"\n`{name}`: {text}." for name, text in remarked[["solver", "remark"]].to_numpy()]
    papers = published[["solver", "citation"]].to_numpy()
    lines += ["\nPapers:\n", *(f"- `{name}`: {citation}" for name, citation in papers)]
    return "\n".join(lines) + "\n"


def markdown_lines(table: pd.DataFrame) -> list[str]:
    """A table of text in Markdown, a line a row."""
    # Not DataFrame.to_markdown: it needs one more package, and pads cells, so that one change moves every line.
    lines = [f"| {' | '.join(map(str, row))} |" for row in (table.columns, *table.to_numpy())]
    return [lines[0], "|" + "---|" * len(table.columns), *lines[1:]]


def terminal_table(board: Leaderboard) -> Table:
    """The table for the terminal, with the published figures and without their films."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    text = shown(board.table)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in text.columns:
        left = heading in ("solver", "published")
        table.add_column(heading, justify="left" if left else "right", overflow="fold")
    for row in text.to_numpy():
        table.add_row(*(Text(str(cell)) for cell in row))
    return table
