"""A data set to a trained solver: the split, the run folder, the predictions of the held-out fold."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from aasce.api import Single, check_device
from aasce.commands.predict import measure_films
from aasce.config import dump_settings, load_settings
from aasce.datasets import FilmSet, data_root, grouped_folds, grouped_holdout, read_challenge
from aasce.datasets.challenge import Labels
from aasce.files import write_text
from aasce.solvers.base import (
    CONFIG_FILE,
    MANIFEST_FILE,
    FitReport,
    RunFolder,
    Solver,
    SolverConfig,
    read_manifest,
)
from aasce.solvers.registry import matching_torchvision, solver_class
from aasce.types import AasceError
from aasce.weights import equip, resolve
from aasce.writers import Manifest, submission_rows, write_manifest, write_submission

SPLIT_FILE = "split.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to train, on what, and where to.

    Attributes:
        solver: a name of the table, or "my.module:Class".
        config: YAML of settings, None for the defaults.
        overrides: "key=value" over them.
        data: folder of the data set, None for the one AASCE_DATA names.
        labels: "official" or "fixed".
        fold: from 0; None trains on all films.
        folds: parts that whole studies are dealt to.
        validation: share of the training films held back to choose weights by; 0 for none.
        out: run folder.
        seed: None keeps the settings' one.
        device: "auto", "cpu", "cuda", "mps".
        resume: go on where an interrupted run of the same plan stood.
        rendered: number of films to render and train on where no data set is named; 0 never renders.
        start: released name, run folder or hub address of weights to go on from; None begins from nothing.
    """

    solver: str
    out: Path
    config: Path | None = None
    overrides: tuple[str, ...] = ()
    data: Path | None = None
    labels: Labels = "official"
    fold: int | None = None
    folds: int = 5
    validation: float = 0.1
    seed: int | None = None
    device: str = "auto"
    resume: bool = False
    rendered: int = 0
    start: str | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """The films of a run, whole studies together: to learn from, to choose weights by, to predict at last."""

    train: FilmSet
    validation: FilmSet | None
    held: FilmSet | None


def run_name(solver: str, fold: int | None) -> str:
    """Name of a run folder when none is given: "seg4reg", "seg4reg-fold0", "Class" of a "my.module:Class"."""
    return solver.rpartition(":")[2] + ("" if fold is None else f"-fold{fold}")


def train(plan: Plan) -> FitReport:
    """Trains a solver and writes its run folder; with a fold, oof.csv and oof.json of the films held out.

    Raises:
        AasceError: unknown solver, wrong settings, no data set, wrong split, a run folder already in use.
    """
    cls = solver_class(plan.solver)
    seed = () if plan.seed is None else (f"seed={plan.seed}",)
    config = load_settings(cls.Config, plan.config, (*plan.overrides, *seed))
    check_device(plan.device)
    films = films_of(plan, config.seed)
    parts = split(films, plan, config.seed)
    facts = {**_facts(plan, parts), "seed": config.seed}
    solver, report = fit_run(plan, config, parts, facts)
    if parts.held is not None:
        write_held_out(plan, solver, config, parts, facts)
    return report


def fit_run(
    plan: Plan, config: SolverConfig, parts: Parts, facts: dict[str, Any]
) -> tuple[Solver, FitReport]:
    """Trains on parts that are dealt already and writes the run folder, its manifest last.

    Raises:
        AasceError: the folder holds another run.
    """
    cls = solver_class(plan.solver)
    # The protocol leaves construction to each class; all of the kit's, and any from outside, take these two.
    with matching_torchvision(plan.solver):
        solver = equip(cast(Callable[..., Solver], cls)(config, device=plan.device))
        if plan.start is not None:
            begin_from(solver, plan.start)
            _warn_of_seen_films(plan)
        open_run(plan, config, facts)
        report = solver.fit(parts.train, parts.validation, RunFolder(plan.out, plan.device, plan.resume))
    solver.save(plan.out)
    add_to_manifest(plan.out, facts, report)
    return solver, report


def begin_from(solver: Solver, start: str) -> None:
    """Gives a solver the weights that it goes on from.

    Raises:
        AasceError: the weights cannot be found, are those of another solver or network, or the solver has none
            to go on from.
    """
    if not hasattr(solver, "start_from"):
        raise AasceError(f"--start {start}: {solver.name} has no weights to go on from; leave --start out")
    solver.start_from(resolve(start, solver.name))


def _warn_of_seen_films(plan: Plan) -> None:
    if plan.fold is not None:
        fault = f"what is predicted of fold {plan.fold} measures nothing if these weights have seen its films"
        print(f"--start {plan.start}: {fault}", file=sys.stderr)


def films_of(plan: Plan, seed: int) -> FilmSet:
    """The data set that is named; without one, films that the kit renders into the run folder."""
    if plan.data is not None or os.environ.get("AASCE_DATA") or plan.rendered == 0:
        return read_challenge(data_root(plan.data), labels=plan.labels)
    from aasce.commands import synth

    folder = plan.out / "rendered"
    print(f"no data set named: training on {plan.rendered} films rendered into {folder}", file=sys.stderr)
    synth.synth(synth.Plan(plan.rendered, folder, seed * 1_000_000, workers=os.cpu_count() or 1))
    return read_challenge(folder)


def split(films: FilmSet, plan: Plan, seed: int) -> Parts:
    """Deals the films into the parts of a plan, whole studies together, wholly determined by the seed."""
    held = () if plan.fold is None else (plan.fold,)
    return deal(films, plan.folds, held, plan.validation, seed)


def deal(films: FilmSet, folds: int, held: Sequence[int], validation: float, seed: int) -> Parts:
    """Deals films into parts, whole studies together.

    Args:
        films: all of them.
        folds: number of folds.
        held: the folds that are predicted at last, from 0; none trains on all films.
        validation: share of the others to choose weights by.
        seed: decides folds and validation part.

    Raises:
        AasceError: there are no such folds, or no such share.
    """
    tested = _tested(films, folds, held, seed) if held else []
    kept = films.subset(sorted(set(range(len(films))) - set(tested)))
    try:
        learned, chosen = grouped_holdout(kept.studies, validation, seed)
    except ValueError as error:
        raise AasceError(f"--validation {validation}: {error}") from error
    validated = kept.subset(chosen) if chosen else None
    return Parts(kept.subset(learned), validated, films.subset(tested) if held else None)


def _tested(films: FilmSet, folds: int, held: Sequence[int], seed: int) -> list[int]:
    for fold in held:
        if not 0 <= fold < folds:
            raise AasceError(f"--fold {fold}: is from 0 to {folds - 1} for --folds {folds}")
    try:
        tests = [test for _, test in grouped_folds(films.studies, folds, seed)]
    except ValueError as error:
        raise AasceError(f"--folds {folds}: {error}") from error
    return sorted(index for fold in set(held) for index in tests[fold])


def _facts(plan: Plan, parts: Parts) -> dict[str, Any]:
    return {
        "part": parts.train.name,
        "labels": plan.labels,
        "fold": plan.fold,
        "folds": None if plan.fold is None else plan.folds,
        **({} if plan.start is None else {"start": plan.start}),
        "train_films": len(parts.train),
        "validation_films": len(parts.validation or ()),
        "held_out_films": len(parts.held or ()),
    }


def open_run(plan: Plan, config: SolverConfig, facts: dict[str, Any]) -> None:
    """Makes the run folder, or checks that the one there is of the same plan.

    Raises:
        AasceError: it holds another run, or cannot be written.
    """
    texts = {
        CONFIG_FILE: dump_settings(config),
        SPLIT_FILE: json.dumps({"solver": plan.solver, **facts}, indent=2, sort_keys=True) + "\n",
    }
    used = [name for name in texts if (plan.out / name).is_file()]
    if used and not plan.resume:
        raise AasceError(
            f"{plan.out}: holds a run already; go on with --resume, or choose another place with --out"
        )
    for name in used:
        if (plan.out / name).read_text(encoding="utf-8") != texts[name]:
            raise AasceError(
                f"{plan.out / name}: the run began otherwise; resume with the same settings and split"
            )
    for name, text in texts.items():
        write_text(plan.out / name, text)


def add_to_manifest(folder: Path, facts: dict[str, Any], report: FitReport) -> None:
    """Writes into the manifest that the solver saved what it cannot know: split, seed, version, commit."""
    blank = Manifest((), (), "challenge", 0)
    manifest = {
        **read_manifest(folder),
        "run": {
            **facts,
            "epochs": report.epochs,
            "best_epoch": report.best_epoch,
            "best_score": report.best_score,
            "seconds": report.seconds,
        },
        "version": blank.version,
        "commit": blank.commit,
        "created": blank.created,
    }
    write_text(folder / MANIFEST_FILE, json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def write_held_out(
    plan: Plan, solver: Solver, config: SolverConfig, parts: Parts, facts: dict[str, Any]
) -> None:
    """Predicts the held-out films and writes oof.csv (the challenge's table) and oof.json, its manifest."""
    assert parts.held is not None
    paths = [film.path for film in parts.held]
    measured = [m for _, m in measure_films(paths, Single((plan.solver,), (solver,)), "challenge")]
    named = [
        replace(m, prediction=replace(m.prediction, film_id=film.film_id))
        for m, film in zip(measured, parts.held, strict=True)
    ]
    median = np.median([film.angles for film in parts.train if film.angles is not None], axis=0)
    write_submission(plan.out / "oof.csv", submission_rows(named, median))
    settings = config.model_dump(mode="json")
    manifest = Manifest.of(named, (plan.solver,), (1.0,), "challenge", median, settings, facts)
    write_manifest(plan.out / "oof.json", manifest)
