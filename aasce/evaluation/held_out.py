"""One fold of one solver: trained without it unless that is done already, then predicted and timed.

A folder holds run/ (a run folder as `aasce train` writes it), preds.csv and manifest.json. The manifest is written
last, so that its presence says that the fold is done; its identity says of what.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aasce.commands.predict import measure_films
from aasce.commands.train import Parts, Plan, deal, fit_run
from aasce.datasets import FilmSet
from aasce.ensemble import Measurement, measure
from aasce.evaluation.leaderboard import MANIFEST, PREDICTIONS, read_answers, read_facts
from aasce.files import write_text
from aasce.solvers.base import MANIFEST_FILE, Solver, SolverConfig, read_manifest
from aasce.solvers.registry import solver_class
from aasce.types import AasceError, Definition, Radiograph
from aasce.weights import equip, weights_size
from aasce.writers import Manifest, submission_rows, write_submission


@dataclass(frozen=True, slots=True)
class Ground:
    """What all solvers of a bench share.

    Attributes:
        films: the whole data set.
        root: its folder, where solvers look for further films while they train; None leaves that to AASCE_DATA.
        folds: parts that whole studies are dealt to.
        seed: of the folds, of the validation part, and of each solver whose settings do not name another.
        validation: share of the training films to choose weights by.
        device: that networks are trained on; films are always predicted on the CPU.
        threads: of the CPU while films are predicted and timed.
    """

    films: FilmSet
    root: Path | None = None
    folds: int = 5
    seed: int = 0
    validation: float = 0.1
    device: str = "auto"
    threads: int = 2

    def facts(self, held: Sequence[int], parts: Parts) -> dict[str, Any]:
        """How the films were dealt; what a run or a table was made on is told from these."""
        named = "\n".join(film.film_id for film in self.films)
        return {
            "part": self.films.name,
            "labels": self.films.labels,
            "films_hash": hashlib.sha256(named.encode()).hexdigest()[:16],
            "folds": self.folds,
            "held": list(held),
            "split_seed": self.seed,
            "validation": self.validation,
            "train_films": len(parts.train),
            "validation_films": len(parts.validation or ()),
            "held_out_films": len(parts.held or ()),
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a bench: a solver with its settings, kept in a folder of this name."""

    name: str
    solver: str
    config: SolverConfig


Train = Callable[[Entry, Plan, Parts, dict[str, Any]], None]
"""Leaves a finished run in the plan's folder."""


def train_run(entry: Entry, plan: Plan, parts: Parts, facts: dict[str, Any]) -> None:
    """Trains one model into the plan's folder; goes on with an interrupted one."""
    fit_run(plan, entry.config, parts, facts)


def make_fold(
    entry: Entry, ground: Ground, held: Sequence[int], folder: Path, training: Train = train_run
) -> None:
    """Trains one model without the folds `held` and predicts them, unless that is done already.

    Args:
        entry: the solver.
        ground: films and how they are dealt.
        held: folds that are predicted.
        folder: preds.csv, manifest.json and run/ are written here.
        training: how the run folder comes about.

    Raises:
        AasceError: the folder holds predictions made with other settings or on other films.
    """
    parts = deal(ground.films, ground.folds, held, ground.validation, ground.seed)
    split = ground.facts(held, parts)
    made = {"solver": entry.solver, "settings": entry.config.model_dump(mode="json"), "split": split}
    if (folder / MANIFEST).exists():
        check_same(folder, made)
        if (folder / PREDICTIONS).is_file():
            return
    run = folder / "run"
    plan = Plan(entry.solver, run, labels=ground.films.labels, device=ground.device, resume=True)
    started = time.monotonic()
    if not finished(run):
        print(f"{entry.name}, {folder.name}: training on {len(parts.train)} films", file=sys.stderr)
        with data_set(ground.root):
            training(entry, plan, parts, {**split, "seed": entry.config.seed})
    predict_fold(entry, ground, parts, folder, made)
    print(f"{folder}: done in {time.monotonic() - started:.0f} s", file=sys.stderr)


@contextmanager
def data_set(root: Path | None) -> Iterator[None]:
    """Names the data set to solvers that look for unlabelled films of it."""
    before = os.environ.get("AASCE_DATA")
    if root is not None:
        os.environ["AASCE_DATA"] = str(root)
    try:
        yield
    finally:
        if before is not None:
            os.environ["AASCE_DATA"] = before
        elif root is not None:
            os.environ.pop("AASCE_DATA", None)


def finished(run: Path) -> bool:
    """Whether a run folder holds a model whose training came to its end."""
    return (run / MANIFEST_FILE).is_file() and "run" in read_manifest(run)


def check_same(folder: Path, made: dict[str, Any]) -> None:
    """Refuses predictions that were made otherwise than `made` says.

    Raises:
        AasceError: names the first difference.
    """
    facts = read_facts(folder)
    if facts.get("identity") == identity(made):
        return
    old, new = (dict(_flat({key: these.get(key) for key in made})) for these in (facts, made))
    differing = [key for key in {**old, **new} if old.get(key) != new.get(key)] or ["identity"]
    key = differing[0]
    more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
    raise AasceError(
        f"{folder}: holds predictions made otherwise ({key} {old.get(key)}, now {new.get(key)}{more}); "
        "choose another --out, or remove the folder"
    )


def identity(made: dict[str, Any]) -> str:
    """Hash of solver, settings and split."""
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else name)
    else:
        yield key, value


class Clock:
    """A solver that looks at one film at a time, and how long each took."""

    def __init__(self, solver: Solver) -> None:
        self.solver = solver
        self.seconds: list[float] = []

    def measure(self, films: Sequence[Radiograph], definition: Definition = "challenge") -> list[Measurement]:
        """Angles of each film's prediction."""
        return [self._one(film, definition) for film in films]

    def _one(self, film: Radiograph, definition: Definition) -> Measurement:
        started = time.perf_counter()
        measured = measure(self.solver.predict([film])[0], definition)
        self.seconds.append(time.perf_counter() - started)
        return measured


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Holds torch and OpenCV to `count` threads; torch is not loaded for it."""
    import cv2

    torch = sys.modules.get("torch")
    before = cv2.getNumThreads(), torch.get_num_threads() if torch else 0
    cv2.setNumThreads(count)
    if torch:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        if torch:
            torch.set_num_threads(before[1])


def say_if_busy() -> None:
    """One line on stderr when other work would make the measured seconds too long."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    cores = os.cpu_count() or 1
    if load > 1.5 * cores:
        print(f"the machine is busy (load {load:.1f} on {cores} cores): seconds a film come out too long",
              file=sys.stderr)  # fmt: skip


def predict_fold(entry: Entry, ground: Ground, parts: Parts, folder: Path, made: dict[str, Any]) -> None:
    """Writes preds.csv and, last, manifest.json of the films held out, by the run's weights as they are on disk.

    A film without an answer gets the medians of the training films and stands in the manifest's failures.
    """
    assert parts.held is not None
    run = folder / "run"
    solver = equip(solver_class(entry.solver).load(run))
    clock = Clock(solver)
    say_if_busy()
    with limited_threads(ground.threads):
        paths = [film.path for film in parts.held]
        measured = [m for _, m in measure_films(paths, clock, "challenge")]
    named = [
        replace(m, prediction=replace(m.prediction, film_id=film.film_id))
        for m, film in zip(measured, parts.held, strict=True)
    ]
    median = np.median([film.angles for film in parts.train if film.angles is not None], axis=0)
    write_submission(folder / PREDICTIONS, submission_rows(named, median))
    told = Manifest.of(named, (entry.solver,), (1.0,), "challenge", median)
    facts = {
        **made,
        "identity": identity(made),
        "definition": told.definition,
        "labels": ground.films.labels,
        "films": told.films,
        "failures": dict(told.failures),
        "median": median.tolist(),
        "flags": {name: list(flags) for name, flags in told.flags.items()},
        "seconds": [round(value, 5) for value in clock.seconds],
        "threads": ground.threads,
        "processors": os.cpu_count(),
        **_of_the_run(run, solver),
        "version": told.version,
        "commit": told.commit,
        "created": told.created,
    }
    _write(folder / MANIFEST, facts)


def _of_the_run(run: Path, solver: Solver) -> dict[str, Any]:
    """Size, training, and what the solver measured on its validation part."""
    size = weights_size(run)
    manifest = read_manifest(run)
    needs = getattr(solver, "needs", None)
    remark = f"starts from the released {needs}, which was trained on these films too" if needs else ""
    return {
        "parameters": size.parameters,
        "weights_mb": size.megabytes,
        "training": manifest["run"],
        "validation": {k: v for k, v in manifest.items() if k.startswith("validation_")},
        "remark": remark,
    }


OF_ALL = (
    "solver", "settings", "definition", "labels", "threads", "processors", "parameters", "weights_mb", "remark",
    "version",
)  # fmt: skip
OF_A_FOLD = ("split", "identity", "films", "median", "training", "validation", "commit", "created")
"""What of the folds' manifests is told once, and what for each fold, when they are put together."""


def merge(folders: Sequence[Path], out: Path) -> None:
    """Puts the folds of one solver together in the format of submissions/oof-SOLVER."""
    rows: dict[str, Any] = {}
    told = []
    for folder in folders:
        answers = read_answers(folder)
        rows |= answers.angles
        told.append(answers.facts)
    write_submission(out / PREDICTIONS, rows)
    seconds = [value for facts in told for value in facts["seconds"]]
    facts = {
        **{key: told[0][key] for key in OF_ALL},
        "films": len(rows),
        "failures": {name: why for facts in told for name, why in facts["failures"].items()},
        "flags": {name: flags for facts in told for name, flags in facts["flags"].items()},
        "seconds_a_film": float(np.median(seconds)) if seconds else None,
        "folds": [{key: facts[key] for key in OF_A_FOLD} for facts in told],
    }
    _write(out / MANIFEST, facts)


def _write(path: Path, facts: dict[str, Any]) -> None:
    write_text(path, json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
