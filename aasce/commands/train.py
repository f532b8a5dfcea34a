"""`aasce train`: a data set to a trained solver, and the predictions of the films held out."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from aasce.api import check_device
from aasce.commands.progress import watched
from aasce.config import load_settings
from aasce.datasets import FilmSet, data_root, read_challenge
from aasce.datasets.challenge import Labels
from aasce.evaluation.held_out import predict_held_out
from aasce.evaluation.runs import RunPlan, fit_run
from aasce.evaluation.split import Split
from aasce.solvers.base import FitReport, RunFolder
from aasce.solvers.registry import solver_class
from aasce.weights import resolve


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What the user asks for.

    Attributes:
        solver: a name of the registry, or "my.module:Class".
        out: run folder.
        config: YAML of settings, None for the defaults.
        overrides: "key=value" over them.
        data: folder of the data set, None for the one AASCE_DATA names.
        labels: "official" or "fixed".
        held: folds to hold out, from 0; none trains on all films.
        folds: parts that whole studies are dealt to.
        validation: share of the training films held back to choose weights by; 0 for none.
        seed: None keeps the settings' one; it deals the films too.
        device: "auto", "cpu", "cuda", "mps".
        resume: go on where an interrupted run of the same plan stopped.
        rendered: number of films to render and train on where no data set is named; 0 never renders.
        start: released name, run folder or hub address of weights to go on from; None begins from nothing.
    """

    solver: str
    out: Path
    config: Path | None = None
    overrides: tuple[str, ...] = ()
    data: Path | None = None
    labels: Labels = "official"
    held: tuple[int, ...] = ()
    folds: int = 5
    validation: float = 0.1
    seed: int | None = None
    device: str = "auto"
    resume: bool = False
    rendered: int = 0
    start: str | None = None


def run_name(solver: str, held: tuple[int, ...] = ()) -> str:
    """Name of a run folder when none is given: "seg4reg", "seg4reg-fold0", "Class" of a "my.module:Class"."""
    return "-".join([solver.rpartition(":")[2], *(f"fold{fold}" for fold in held)])


def train(options: TrainOptions) -> FitReport:
    """Trains a solver and writes its run folder; with films held out, their predictions too.

    Raises:
        AasceError: unknown solver, wrong settings, no data set, wrong split, a run folder already in use.
    """
    plan = plan_of(options)
    if options.start is not None and options.held:
        fault = "what is predicted measures nothing if these weights have seen the films held out"
        print(f"--start {options.start}: {fault}", file=sys.stderr)
    report = fit_run(plan)
    if options.held:
        predict_held_out(plan, watch=watched)
    return report


def plan_of(options: TrainOptions) -> RunPlan:
    """The plan of one training: settings read, films read and dealt.

    Raises:
        AasceError: unknown solver, wrong settings, no such device, no weights to start from, no data set, wrong
            split.
    """
    seed = () if options.seed is None else (f"seed={options.seed}",)
    cls = solver_class(options.solver)
    config = load_settings(cls.Config, options.config, (*options.overrides, *seed))
    check_device(options.device)
    if options.start is not None:
        resolve(options.start, cls.name)  # before films are rendered or read
    films, root = films_of(options, config.seed)
    split = Split(options.folds, options.validation, config.seed)
    parts = split.deal(films, options.held)
    facts = split.facts(films, options.held, parts)
    folder = RunFolder(options.out, options.device, options.resume, data=root)
    return RunPlan(options.solver, config, parts, folder, facts, options.start)


def films_of(options: TrainOptions, seed: int) -> tuple[FilmSet, Path]:
    """The data set that is named and its folder; without one, films that the kit renders into the run folder."""
    if options.data is not None or os.environ.get("AASCE_DATA") or options.rendered == 0:
        root = data_root(options.data)
        return read_challenge(root, labels=options.labels), root
    from aasce.commands.synth import SynthPlan, synth

    folder = options.out / "rendered"
    print(f"no data set named: training on {options.rendered} films rendered into {folder}", file=sys.stderr)
    synth(SynthPlan(options.rendered, folder, seed * 1_000_000, workers=os.cpu_count() or 1))
    return read_challenge(folder), folder
