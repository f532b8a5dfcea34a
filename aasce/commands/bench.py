"""A list of solvers to one leaderboard: each trained on the same folds and measured on the films held out.

OUT/SOLVER/fold-K/run is a run folder as `aasce train` writes it; preds.csv and manifest.json beside it are the
out-of-fold predictions of that fold, and OUT/SOLVER those of all folds asked for. What is there is not done again,
an interrupted training goes on from its checkpoint, and what was made with other settings is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aasce.api import check_device
from aasce.commands.train import deal, run_name
from aasce.config import load_settings, nearest
from aasce.datasets import FilmSet, data_root, read_challenge
from aasce.datasets.challenge import Labels
from aasce.evaluation.held_out import Clock, Entry, Ground, limited_threads, make_fold, merge, say_if_busy
from aasce.evaluation.leaderboard import (
    LINE_TO_BEAT,
    Answers,
    Board,
    make_board,
    medians,
    read_all,
    read_answers,
    shared_films,
    write_board,
)
from aasce.solvers.registry import SOLVERS, solver_class
from aasce.types import AasceError
from aasce.weights import load_solver, released

LEFT_OUT = {"inverse_render": "learns nothing and takes half a minute a film"}
"""Solvers that are benched only when named, and why."""


def bench(ground: Ground, entries: Sequence[Entry], held: Sequence[int], out: Path) -> Board:
    """Trains what is missing, predicts the held-out films, and writes the leaderboard after each solver.

    Args:
        ground: films and how they are dealt.
        entries: the solvers, `entries_of`.
        held: the folds to measure on, from 0; one model is trained for each.
        out: folder of everything.

    Raises:
        AasceError: no such fold or device, or a folder holds something made otherwise.
    """
    check_device(ground.device)
    for fold in held:
        deal(ground.films, ground.folds, (fold,), ground.validation, ground.seed)
    done: list[Answers] = []
    board = None
    for entry in entries:
        folders = [out / entry.name / f"fold-{fold}" for fold in held]
        for fold, folder in zip(held, folders, strict=True):
            make_fold(entry, ground, (fold,), folder)
        merge(folders, out / entry.name)
        done.append(replace(read_answers(out / entry.name), label=entry.name))
        board = make_board(done, shared_films(done, ground.films), split_text(ground, held))
        write_board(board, out)
    if board is None:
        raise AasceError("no solver is named; name some with --solvers")
    return board


def split_text(ground: Ground, held: Sequence[int]) -> str:
    """How the films were dealt, in words."""
    listed = ", ".join(str(fold) for fold in held)
    some = f"fold{'s' if len(held) > 1 else ''} {listed} of {ground.folds}"
    return f"{some} grouped by study (seed {ground.seed}), predicted by models that saw none of its studies"


def from_folders(folders: Sequence[Path], ground: Ground, timed: int, out: Path) -> Board:
    """The leaderboard of out-of-fold predictions that are there already, on the films that all of them hold.

    Args:
        folders: preds.csv and manifest.json each, as in submissions/oof-SOLVER.
        ground: the data set, and the folds that the line to beat is dealt by.
        timed: films to time the released weights of a solver on whose manifest tells no seconds; 0 for none.
        out: folder of the leaderboard.

    Raises:
        AasceError: a folder cannot be used, or the folders have no film in common.
    """
    found = read_all(folders)
    shared = shared_films(found, ground.films)
    found = [_with_seconds(answers, shared, timed, ground.threads) for answers in found]
    if LINE_TO_BEAT not in [answers.solver for answers in found]:
        found.append(medians(shared, ground.films, ground.folds, ground.seed))
    board = make_board(found, shared, "out of fold, the films that all folders hold")
    write_board(board, out)
    return board


def _with_seconds(answers: Answers, shared: FilmSet, timed: int, threads: int) -> Answers:
    if answers.facts.get("seconds_a_film") is not None or timed < 1 or answers.solver not in released():
        return answers
    print(f"{answers.label}: timing its released weights", file=sys.stderr)
    clock = Clock(load_solver(released()[answers.solver]))
    say_if_busy()
    with limited_threads(threads):
        for index in range(min(timed, len(shared))):
            clock.measure([shared.radiograph(index)])
    facts = {**answers.facts, "seconds_a_film": float(np.median(clock.seconds)), "threads": threads}
    return replace(answers, facts=facts)


def ground_of(data: Path | None, labels: Labels, **more: Any) -> Ground:
    """Reads the data set.

    Raises:
        AasceError: it is not there or cannot be read.
    """
    root = data_root(data)
    return Ground(read_challenge(root, labels=labels), root, **more)


def solver_names(given: Sequence[str]) -> list[str]:
    """Names as given, parted by commas or one each; without any, all but `LEFT_OUT`. The line to beat is added.

    Raises:
        AasceError: a name is unknown.
    """
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    if not names:
        names = [name for name in SOLVERS if name not in LEFT_OUT]
        for name, reason in LEFT_OUT.items():
            print(f"{name} is left out ({reason}); name it with --solvers", file=sys.stderr)
    for name in names:
        if name not in SOLVERS and ":" not in name:
            known = ", ".join(SOLVERS)
            raise AasceError(f"{name}: unknown solver{nearest(name, SOLVERS)}; known: {known}")
    return list(dict.fromkeys([LINE_TO_BEAT, *names]))


def entries_of(
    names: Sequence[str], overrides: Sequence[str], configs: Sequence[str], seed: int
) -> list[Entry]:
    """Solvers with their settings, all checked before anything is trained.

    Args:
        names: of solvers, see `solver_names`.
        overrides: "solver:key=value" each.
        configs: "solver=path" of a YAML each.
        seed: of those whose overrides name none.

    Raises:
        AasceError: a solver or setting is unknown, or a setting is for a solver that is not in the list.
    """
    changes: dict[str, list[str]] = {name: [f"seed={seed}"] for name in names}
    for text in overrides:
        key, equals, value = text.partition("=")
        name, colon, setting = key.rpartition(":")
        if not (equals and colon and setting):
            raise AasceError(f"--set {text}: is written solver:key=value")
        _listed(changes, name, f"--set {text}").append(f"{setting}={value}")
    paths: dict[str, Path] = {}
    for text in configs:
        name, equals, path = text.partition("=")
        if not (equals and path):
            raise AasceError(f"--config {text}: is written solver=path")
        _listed(changes, name, f"--config {text}")
        paths[name] = Path(path)
    return [
        Entry(run_name(name, None), name, load_settings(solver_class(name).Config, paths.get(name), said))
        for name, said in changes.items()
    ]


def _listed(changes: dict[str, list[str]], name: str, what: str) -> list[str]:
    if name not in changes:
        raise AasceError(f"{what}: {name!r} is not among the solvers{nearest(name, changes)}")
    return changes[name]
