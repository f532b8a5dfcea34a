"""`aasce bench`: solvers to one leaderboard, each trained on the same folds and measured on the films held out.

OUT/SOLVER/fold-K is a run folder as `aasce train --fold K` writes it, and OUT/SOLVER holds the predictions of all
folds asked for. What is there is not done again, an interrupted training goes on from its checkpoint, and what was
made with other settings is refused.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from aasce.api import check_device
from aasce.commands.progress import watched
from aasce.commands.train import run_name
from aasce.config import load_settings, nearest
from aasce.datasets import FilmSet
from aasce.evaluation.benchmark import Benchmark, Candidate, fold_plan
from aasce.evaluation.held_out import is_predicted, merge, predict_held_out
from aasce.evaluation.leaderboard import (
    BASELINE,
    HeldOut,
    Leaderboard,
    baseline,
    make_leaderboard,
    read_all,
    read_held_out,
    shared_films,
    write_leaderboard,
)
from aasce.evaluation.runs import RunPlan, fit_run, is_trained
from aasce.evaluation.timing import TimedSolver, limited_threads, machine_is_busy, seconds_a_film
from aasce.solvers.base import engines_of
from aasce.solvers.registry import SOLVERS, solver_class
from aasce.types import AasceError
from aasce.weights import load_solver, released

LEFT_OUT = {"inverse_render": "learns nothing and takes half a minute a film"}
"""Solvers that are benched only when named, and why."""


def bench(
    benchmark: Benchmark, candidates: Sequence[Candidate], held: Sequence[int], out: Path
) -> Leaderboard:
    """Trains what is missing, predicts the held-out films, and writes the leaderboard after each solver.

    Args:
        benchmark: films and how they are dealt.
        candidates: the solvers, `candidates_of`.
        held: the folds to measure on, from 0; one model is trained for each.
        out: folder of everything.

    Raises:
        AasceError: no such fold or device, or a folder holds something made otherwise.
    """
    check_device(benchmark.device)
    for fold in held:
        benchmark.split.deal(benchmark.films, (fold,))
    done: list[HeldOut] = []
    board = None
    for candidate in candidates:
        folders = [out / candidate.name / f"fold-{fold}" for fold in held]
        for fold, folder in zip(held, folders, strict=True):
            plan = fold_plan(benchmark, candidate, (fold,), folder)
            make_fold(plan, benchmark.threads)
        merge(folders, out / candidate.name)
        done.append(replace(read_held_out(out / candidate.name), label=candidate.name))
        shared = shared_films(done, benchmark.films)
        board = make_leaderboard(done, shared, benchmark.split_text(held))
        write_leaderboard(board, out)
    if board is None:
        raise AasceError("no solver is named; name some with --solvers")
    return board


def make_fold(plan: RunPlan, threads: int, train: Callable[[RunPlan], object] = fit_run) -> None:
    """Trains one model and predicts the films held out, unless that is done already.

    Args:
        plan: of the model.
        threads: of the CPU while films are predicted.
        train: leaves a finished run in the plan's folder.

    Raises:
        AasceError: the folder holds predictions made with other settings or on other films.
    """
    if is_predicted(plan):
        return
    folder, started = plan.folder.path, time.monotonic()
    if not is_trained(folder):
        print(f"{folder}: training on {len(plan.parts.train)} films", file=sys.stderr)
        train(plan)
    _warn_if_busy()
    predict_held_out(plan, threads, watched)
    print(f"{folder}: done in {time.monotonic() - started:.0f} s", file=sys.stderr)


def _warn_if_busy() -> None:
    busy = machine_is_busy()
    if busy is not None:
        print(busy, file=sys.stderr)


def from_folders(folders: Sequence[Path], benchmark: Benchmark, timed: int, out: Path) -> Leaderboard:
    """The leaderboard of held-out predictions that are there already, on the films that all of them hold.

    Args:
        folders: preds.csv and manifest.json each, as in submissions/oof-SOLVER.
        benchmark: the data set, and the folds that the baseline is made by.
        timed: films to time the released weights of a solver on whose manifest holds no seconds; 0 for none.
        out: folder of the leaderboard.

    Raises:
        AasceError: a folder cannot be used, or the folders have no film in common.
    """
    found = read_all(folders)
    shared = shared_films(found, benchmark.films)
    found = [_with_seconds(held, shared, timed, benchmark.threads) for held in found]
    if BASELINE not in [held.solver for held in found]:
        found.append(baseline(shared, benchmark.films, benchmark.split))
    board = make_leaderboard(found, shared, "out of fold, the films that all folders hold")
    write_leaderboard(board, out)
    return board


def _with_seconds(held: HeldOut, shared: FilmSet, films: int, threads: int) -> HeldOut:
    """The same predictions with the seconds that the released weights take on a few of the films."""
    if held.facts.get("seconds_a_film") is not None or films < 1 or held.solver not in released():
        return held
    print(f"{held.label}: timing its released weights", file=sys.stderr)
    timed = TimedSolver(load_solver(held.solver))
    _warn_if_busy()
    with limited_threads(threads):
        for index in range(min(films, len(shared))):
            timed.measure([shared.radiograph(index)])
    facts = {"seconds_a_film": seconds_a_film(timed.seconds), "threads": threads}
    return replace(held, facts={**held.facts, **facts, "engine": engines_of(timed.solver)})


def solver_names(given: Sequence[str]) -> list[str]:
    """Names as given, parted by commas or one each; without any, all but `LEFT_OUT`. The baseline is added.

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
    return list(dict.fromkeys([BASELINE, *names]))


def candidates_of(
    names: Sequence[str], overrides: Sequence[str], configs: Sequence[str], seed: int
) -> list[Candidate]:
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
        Candidate(run_name(name), name, load_settings(solver_class(name).Config, paths.get(name), given))
        for name, given in changes.items()
    ]


def _listed(changes: dict[str, list[str]], name: str, what: str) -> list[str]:
    if name not in changes:
        raise AasceError(f"{what}: {name!r} is not among the solvers{nearest(name, changes)}")
    return changes[name]
