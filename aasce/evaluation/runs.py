"""One training: what it is made of, its run folder, and the record that it leaves there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aasce.config import dump_settings
from aasce.evaluation.split import Parts
from aasce.files import write_text
from aasce.solvers.base import (
    CONFIG_FILE,
    STATE_FILE,
    FitReport,
    RunFolder,
    Solver,
    SolverConfig,
    read_state,
    write_state,
)
from aasce.solvers.registry import matching_torchvision, solver_class
from aasce.types import AasceError
from aasce.weights import UNSEEN_LOCALIZER, resolve, with_localizer
from aasce.writers import provenance

SPLIT_FILE = "split.json"


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What to train, on what, and where to.

    Attributes:
        solver: a name of the registry, or "my.module:Class".
        config: its resolved settings.
        parts: the films, dealt.
        folder: the run folder, the device, and where the data set lies.
        split: how the films were dealt, see `Split.facts`.
        start: released name, run folder or hub address of weights to go on from; None begins from nothing.
    """

    solver: str
    config: SolverConfig
    parts: Parts
    folder: RunFolder
    split: Mapping[str, Any]
    start: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What two calls must share to go on from one another, besides the settings."""
        start = {} if self.start is None else {"start": self.start}
        return {"solver": self.solver, **self.split, **start, "seed": self.config.seed}


def fit_run(plan: RunPlan) -> FitReport:
    """Trains a solver and writes its run folder; state.json is completed last.

    A solver that needs a localizer gets one that has seen no real film, so that neither the validation films nor
    those held out are known to it.

    Raises:
        AasceError: the folder holds another run, or the weights to start from cannot be used.
    """
    folder = plan.folder
    # How a solver is made is not part of `Solver`'s abstract methods; every class takes settings and a device.
    make: Any = solver_class(plan.solver)
    with matching_torchvision(plan.solver):
        solver: Solver = with_localizer(make(plan.config, folder.device), folder.device, UNSEEN_LOCALIZER)
        if plan.start is not None:
            solver.start_from(resolve(plan.start, solver.name))
        open_run(plan)
        report = solver.fit(plan.parts.train, plan.parts.validation, folder)
    solver.save(folder.path)
    _record(plan, report)
    return report


def open_run(plan: RunPlan) -> None:
    """Makes the run folder, or checks that the one there is of the same plan.

    Raises:
        AasceError: it holds another run, or cannot be written.
    """
    path = plan.folder.path
    texts = {
        CONFIG_FILE: dump_settings(plan.config),
        SPLIT_FILE: json.dumps(plan.facts, indent=2, sort_keys=True) + "\n",
    }
    used = [name for name in texts if (path / name).is_file()]
    if used and not plan.folder.resume:
        raise AasceError(
            f"{path}: holds a run already; go on with --resume, or choose another place with --out"
        )
    for name in used:
        if (path / name).read_text(encoding="utf-8") != texts[name]:
            raise AasceError(
                f"{path / name}: the run began otherwise; resume with the same settings and split"
            )
    for name, text in texts.items():
        write_text(path / name, text)


def _record(plan: RunPlan, report: FitReport) -> None:
    """Adds to state.json what the solver cannot know: films, split, seed, what was reached, version, commit."""
    path = plan.folder.path
    facts = {key: value for key, value in plan.facts.items() if key != "solver"}
    training = {
        **facts,
        "data": f"{len(plan.parts.train)} films of {plan.parts.train.name}, labels {plan.parts.train.labels}",
        "epochs": report.epochs,
        "best_epoch": report.best_epoch,
        "best_score": report.best_score,
        "seconds": round(report.seconds, 1),
        "notes": report.notes,
        **provenance(),
    }
    write_state(path, replace(read_state(path), training=training))


def is_trained(path: Path) -> bool:
    """Whether a run folder holds a model whose training came to its end."""
    return (path / STATE_FILE).is_file() and "epochs" in read_state(path).training
