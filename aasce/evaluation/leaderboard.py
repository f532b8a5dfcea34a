"""Folders of out-of-fold predictions to one table of solvers. Only files are scored; no network is loaded.

A folder holds preds.csv (`name,an1,an2,an3`, each film predicted by a model that saw none of its patient's) and
manifest.json, of which "solver" is needed; "failures" (film to reason), "labels", "seconds_a_film" with "threads",
"parameters", "weights_mb" and "remark" are told where they stand.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aasce.datasets import FilmSet, grouped_folds
from aasce.files import write_text
from aasce.scoring import Score, read_angles_csv
from aasce.scoring import score as compare
from aasce.scoring.bootstrap import RESAMPLES, SEED
from aasce.solvers.published import published
from aasce.types import AasceError
from aasce.weights import released, weights_size
from aasce.writers import Manifest

if TYPE_CHECKING:
    from rich.table import Table

Floats = NDArray[np.float64]
PREDICTIONS, MANIFEST = "preds.csv", "manifest.json"
LINE_TO_BEAT = "constant"


@dataclass(frozen=True, slots=True)
class Answers:
    """Out-of-fold predictions of one solver.

    Attributes:
        label: its name in the table.
        solver: its name in the kit.
        angles: film to (3,) degrees.
        failed: films that got the training medians for want of an answer.
        facts: the manifest.
    """

    label: str
    solver: str
    angles: dict[str, Floats]
    failed: frozenset[str]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: SMAPE in percent with its 95 % interval, errors in degrees; None is unknown.

    Attributes:
        seconds: median time that one film takes, reading its file left out, on a CPU with `threads` threads.
        parameters: millions of learned numbers.
        weights_mb: size of the weights' file, 10^6 bytes.
        published, measured_on: the paper's figures and the films of each, parted by "; ".
        remark: what a reader must know.
    """

    solver: str
    films: int
    failed: int
    smape: float
    smape_low: float | None
    smape_high: float | None
    mae_an1: float
    mae_an2: float
    mae_an3: float
    seconds: float | None
    threads: int | None
    parameters: float | None
    weights_mb: float | None
    published: str
    measured_on: str
    citation: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """The table, best first, and what all rows share."""

    rows: tuple[Row, ...]
    films: tuple[str, ...]
    labels: str
    split: str


def read_answers(folder: Path) -> Answers:
    """Reads a folder of out-of-fold predictions.

    Raises:
        AasceError: it holds no manifest or no predictions, or one of them cannot be used.
    """
    facts = read_facts(folder)
    if facts.get("definition", "challenge") != "challenge":
        raise AasceError(f"{folder / MANIFEST}: angles are {facts['definition']!r}; bench scores 'challenge'")
    names, degrees = read_angles_csv(folder / PREDICTIONS)
    angles = dict(zip(names, degrees, strict=True))
    solver = facts["solver"]
    return Answers(solver, solver, angles, frozenset(facts.get("failures", {})) & angles.keys(), facts)


def read_facts(folder: Path) -> dict[str, Any]:
    """Reads the manifest of a folder of out-of-fold predictions.

    Raises:
        AasceError: it is missing, or names no solver.
    """
    path = folder / MANIFEST
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or not isinstance(facts.get("solver"), str):
            raise ValueError("it names no solver")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AasceError(
            f"{path}: cannot be read ({reason}); name a folder that holds {PREDICTIONS} and {MANIFEST}"
        ) from error
    return facts


def read_all(folders: Sequence[Path]) -> list[Answers]:
    """Reads several folders; those of one solver are told apart by their folders' names."""
    found = [read_answers(folder) for folder in folders]
    solvers = [answers.solver for answers in found]
    return [
        replace(answers, label=folder.resolve().name) if solvers.count(answers.solver) > 1 else answers
        for answers, folder in zip(found, folders, strict=True)
    ]


def shared_films(found: Sequence[Answers], films: FilmSet) -> FilmSet:
    """The films of the data set that every solver answered, in the data set's order.

    Raises:
        AasceError: there is none, a solver answered films that are not in the set, or by other labels.
    """
    known = {film.film_id for film in films}
    for answers in found:
        strange = sorted(answers.angles.keys() - known)
        if strange:
            raise AasceError(
                f"{answers.label}: predicts {len(strange)} films that are not in the data set, as "
                f"{strange[0]!r}; name the data set they come from with --data"
            )
        labels = answers.facts.get("labels", films.labels)
        if labels != films.labels:
            raise AasceError(
                f"{answers.label}: was measured by labels {labels!r}; say --labels {labels}, or leave it out"
            )
    shared = [i for i, film in enumerate(films) if all(film.film_id in a.angles for a in found)]
    if not shared:
        listed = ", ".join(answers.label for answers in found)
        raise AasceError(f"{listed}: predict no film in common; compare solvers on the same folds")
    return films.subset(shared)


def medians(shared: FilmSet, films: FilmSet, folds: int, seed: int) -> Answers:
    """The line to beat on shared films: each gets the median angles of all films outside its own fold.

    Raises:
        AasceError: the films cannot be parted into so many folds.
    """
    try:
        parts = grouped_folds(films.studies, folds, seed)
    except ValueError as error:
        raise AasceError(f"--folds {folds}: {error}") from error
    wanted = {film.film_id for film in shared}
    angles: dict[str, Floats] = {}
    for train, test in parts:
        median = np.median([films[i].angles for i in train if films[i].angles is not None], axis=0)
        angles |= {films[i].film_id: median for i in test if films[i].film_id in wanted}
    return Answers(LINE_TO_BEAT, LINE_TO_BEAT, angles, frozenset(), {})


def make_board(found: Sequence[Answers], shared: FilmSet, split: str) -> Board:
    """Scores every solver on the shared films.

    Args:
        found: the solvers.
        shared: see `shared_films`.
        split: how the films were dealt, in words.

    Raises:
        AasceError: a film has no label.
    """
    names = [film.film_id for film in shared]
    bare = next((film for film in shared if film.angles is None), None)
    if bare is not None:
        raise AasceError(f"{bare.path}: has no angles to score against; bench labelled films only")
    truth = np.array([film.angles for film in shared], dtype=np.float64)
    rows = []
    for answers in found:
        result = compare(np.array([answers.angles[name] for name in names]), truth)
        rows.append(_row(answers, result, len(answers.failed.intersection(names))))
    rows.sort(key=lambda row: (row.smape, row.solver))
    return Board(tuple(rows), tuple(names), shared.labels, split)


def _row(answers: Answers, result: Score, failed: int) -> Row:
    paper = published(answers.solver)
    low, high = result.smape_interval or (None, None)
    parameters, megabytes = _size(answers)
    return Row(
        solver=answers.label,
        films=result.n,
        failed=failed,
        smape=result.smape,
        smape_low=low,
        smape_high=high,
        mae_an1=result.an1.mae,
        mae_an2=result.an2.mae,
        mae_an3=result.an3.mae,
        seconds=answers.facts.get("seconds_a_film"),
        threads=answers.facts.get("threads"),
        parameters=None if parameters is None else parameters / 1e6,
        weights_mb=megabytes,
        published="; ".join(str(figure) for figure in paper.figures),
        measured_on="; ".join(figure.films for figure in paper.figures),
        citation=paper.citation,
        remark=str(answers.facts.get("remark", "")),
    )


def _size(answers: Answers) -> tuple[int | None, float | None]:
    """Parameters and megabytes as the manifest tells them, else of the released weights."""
    facts = answers.facts
    if "parameters" in facts and "weights_mb" in facts:
        return facts["parameters"], facts["weights_mb"]
    folder = released().get(answers.solver)
    if folder is None:
        return None, None
    size = weights_size(folder)
    return size.parameters, size.megabytes


def write_board(board: Board, out: Path) -> None:
    """Writes leaderboard.csv, leaderboard.md and leaderboard.json into a folder.

    Raises:
        AasceError: they cannot be written.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    for row in board.rows:
        writer.writerow([_plain(value) for value in asdict(row).values()])
    write_text(out / "leaderboard.csv", stream.getvalue())
    write_text(out / "leaderboard.md", markdown(board))
    made = Manifest((), (), "challenge", len(board.films))
    body = {
        "rows": [asdict(row) for row in board.rows],
        "films": board.films,
        "labels": board.labels,
        "split": board.split,
        "bootstrap": {"method": "BCa over films", "level": 0.95, "resamples": RESAMPLES, "seed": SEED},
        "version": made.version,
        "commit": made.commit,
        "created": made.created,
    }
    write_text(out / "leaderboard.json", json.dumps(body, indent=2, ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


Cell = tuple[str, Callable[[Row], str]]

CELLS: tuple[Cell, ...] = (
    ("solver", lambda row: row.solver),
    ("films", lambda row: str(row.films)),
    ("failed", lambda row: str(row.failed)),
    ("SMAPE (95 %)", lambda row: f"{row.smape:.2f}{_interval(row)}"),
    ("MAE an1", lambda row: f"{row.mae_an1:.2f}°"),
    ("an2", lambda row: f"{row.mae_an2:.2f}°"),
    ("an3", lambda row: f"{row.mae_an3:.2f}°"),
    ("s a film (threads)", lambda row: _seconds(row)),
    ("M parameters", lambda row: _number(row.parameters, 2)),
    ("weights, MB", lambda row: _number(row.weights_mb, 1)),
)
"""Heading of each measured column, and what stands in it."""


def _interval(row: Row) -> str:
    return "" if row.smape_low is None else f" ({row.smape_low:.2f}-{row.smape_high:.2f})"


def _seconds(row: Row) -> str:
    if row.seconds is None:
        return "-"
    text = f"{row.seconds:.2f}" if row.seconds >= 0.095 else f"{row.seconds:.2g}"
    return text if row.threads is None else f"{text} ({row.threads})"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def caption(board: Board) -> str:
    """What the rows share, in one line."""
    films = f"{len(board.films)} film{'s' if len(board.films) > 1 else ''}"
    return f"{films}, labels {board.labels}, {board.split}; {LINE_TO_BEAT} is the line to beat"


def markdown(board: Board) -> str:
    """The table with the published figures, and the remarks below it."""
    headings = [heading for heading, _ in CELLS] + ["published", "measured on"]
    lines = [f"{caption(board)}. Intervals are 95 % BCa bootstrap over films.", ""]
    lines += ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    for row in board.rows:
        cells = [cell(row) for _, cell in CELLS] + [row.published or "-", row.measured_on or "-"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [f"\n`{row.solver}`: {row.remark}." for row in board.rows if row.remark]
    lines += ["\nPapers:\n", *(f"- `{row.solver}`: {row.citation}" for row in board.rows if row.published)]
    return "\n".join(lines) + "\n"


def board_table(board: Board) -> Table:
    """The table for the terminal, with the published figures and without their films."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, (heading, _) in enumerate(CELLS):
        table.add_column(heading, justify="right" if index else "left", overflow="fold")
    table.add_column("published", overflow="fold")
    for row in board.rows:
        table.add_row(*(Text(cell(row)) for _, cell in CELLS), Text(row.published or "-"))
    return table
