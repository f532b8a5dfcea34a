"""Predictions of films that a model has not seen: the one way they are made, and the one format they have.

preds.csv is the challenge's table. manifest.json holds the solver with its settings, the split,
which films failed or are flagged, and how long a film took; its "folds" holds an entry for each model, with its
confidence in each film. Both lie in the run folder of a single model, and in a folder of their own
(submissions/oof-SOLVER) when several are put together.
The manifest is written last, so that its presence says that the predictions are whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aasce.api import measure_films
from aasce.datasets import FilmSet
from aasce.ensemble import Measurement
from aasce.evaluation.runs import RunPlan
from aasce.evaluation.timing import THREADS, TimedSolver, limited_threads, seconds_a_film
from aasce.files import write_text
from aasce.scoring import read_angles_csv
from aasce.solvers.base import Solver, engines_of, read_state
from aasce.types import AasceError, Radiograph
from aasce.weights import UNSEEN_LOCALIZER, load_solver, weights_size
from aasce.writers import provenance, submission_rows, write_submission

PREDICTIONS, MANIFEST, LANDMARKS = "preds.csv", "manifest.json", "predictions.json"
"""LANDMARKS is for tools that study errors; it stays in the run folder unless `merge` is asked to keep it."""

MeasuredFilm = tuple[Radiograph | None, Measurement]
Watch = Callable[[Iterator[MeasuredFilm], Sequence[Path]], Iterable[MeasuredFilm]]
"""Passes measured films on while it shows progress to the user."""


def unwatched(films: Iterator[MeasuredFilm], paths: Sequence[Path]) -> Iterator[MeasuredFilm]:
    """Passes films on and shows nothing."""
    return films


def predict_held_out(plan: RunPlan, threads: int = THREADS, watch: Watch = unwatched) -> None:
    """Predicts the films that a finished run was not trained on, by its weights as they are on disk.

    Films are predicted on the CPU, one at a time. A film that fails gets the medians of the training films and is
    listed in the manifest's failures.

    Args:
        plan: of the run, with films held out.
        threads: of the CPU.
        watch: shows progress.

    Raises:
        AasceError: the run cannot be loaded, or the files cannot be written.
    """
    assert plan.parts.held is not None
    path = plan.folder.path
    solver = load_solver(path, localizer=UNSEEN_LOCALIZER)
    timed = TimedSolver(solver)
    paths = [film.path for film in plan.parts.held]
    with limited_threads(threads):
        measured = [m for _, m in watch(measure_films(paths, timed), paths)]
    median = median_angles(plan.parts.train)
    write_submission(path / PREDICTIONS, submission_rows(measured, median))
    _write_landmarks(path / LANDMARKS, measured)
    seconds = [round(value, 5) for value in timed.seconds]
    facts = _facts(plan, solver, measured) | {"threads": threads, "seconds_a_film": seconds_a_film(seconds)}
    sure = {m.film_id: round(float(m.prediction.confidence), 6) for m in measured}
    rule = solver.learned.calibration or solver.prior
    fold = _fold_facts(plan, median, seconds) | {"confidence": sure, "calibration": rule}
    _write_json(path / MANIFEST, facts | {"folds": [fold]})


def median_angles(films: FilmSet) -> NDArray[np.float64]:
    """(3,) degrees: medians over the labelled films."""
    return np.asarray(np.median([film.angles for film in films if film.angles is not None], axis=0))


def _facts(plan: RunPlan, solver: Solver, measured: Sequence[Measurement]) -> dict[str, Any]:
    """What the folds of one solver share, and what is kept by film."""
    size = weights_size(plan.folder.path)
    return {
        "solver": plan.solver,
        "settings": plan.config.model_dump(mode="json"),
        "definition": "challenge",
        "labels": plan.split["labels"],
        "films": len(measured),
        "failures": {m.film_id: m.failure for m in measured if m.failure is not None},
        "flags": {m.film_id: list(m.prediction.flags) for m in measured if m.prediction.flags},
        "processors": os.cpu_count(),
        "engine": engines_of(solver),
        "parameters": size.parameters,
        "weights_mb": size.megabytes,
        "remark": f"films localized by {UNSEEN_LOCALIZER}" if solver.needs_localizer else "",
    }


def _fold_facts(plan: RunPlan, median: NDArray[np.float64], seconds: Sequence[float]) -> dict[str, Any]:
    """What is one model's own."""
    training = read_state(plan.folder.path).training
    return {
        "split": _made(plan)["split"],
        "identity": identity(_made(plan)),
        "films": plan.split["held_out_films"],
        "median": median.tolist(),
        "seconds": list(seconds),
        "training": {key: value for key, value in training.items() if key not in plan.split},
        **provenance(),
    }


def _write_landmarks(path: Path, measured: Sequence[Measurement]) -> None:
    """Landmarks of the films that have any: px of the film as read, with the network's confidence in each."""
    found = {m.film_id: _landmarks(m) for m in measured if m.prediction.landmarks is not None}
    if found:
        write_text(path, json.dumps(found) + "\n")


def _landmarks(measured: Measurement) -> dict[str, Any]:
    seen = measured.prediction
    sure = seen.landmark_confidence
    return {
        "landmarks": np.round(np.asarray(seen.landmarks), 3).tolist(),
        "landmark_confidence": None if sure is None else np.asarray(sure).tolist(),
        "first_level": seen.first_level,
        "turns": seen.orientation.turns,
    }


def is_predicted(plan: RunPlan) -> bool:
    """Whether the folder of a plan holds its predictions.

    Raises:
        AasceError: it holds predictions that were made otherwise; the first difference is named.
    """
    path = plan.folder.path
    if not (path / MANIFEST).exists():
        return False
    facts, made = read_facts(path), _made(plan)
    fold = (facts.get("folds") or [{}])[0]
    if fold.get("identity") == identity(made):
        return (path / PREDICTIONS).is_file()
    there = {"solver": facts["solver"], "settings": facts.get("settings"), "split": fold.get("split")}
    old, new = dict(_flat(there)), dict(_flat(made))
    differing = [key for key in {**old, **new} if old.get(key) != new.get(key)] or ["identity"]
    key = differing[0]
    more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
    raise AasceError(
        f"{path}: holds predictions made otherwise ({key} {old.get(key)}, now {new.get(key)}{more}); "
        "choose another --out, or remove the folder"
    )


def _made(plan: RunPlan) -> dict[str, Any]:
    start = {} if plan.start is None else {"start": plan.start}
    settings = plan.config.model_dump(mode="json")
    return {"solver": plan.solver, "settings": settings, "split": {**plan.split, **start}}


def identity(made: dict[str, Any]) -> str:
    """Hash of solver, settings and split (with the weights that were started from)."""
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else name)
    else:
        yield key, value


def read_facts(folder: Path) -> dict[str, Any]:
    """Reads the manifest of a folder of held-out predictions.

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


def read_rows(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Film to (3,) degrees of a folder of held-out predictions.

    Raises:
        AasceError: it holds no table, or one that cannot be read.
    """
    return dict(zip(*read_angles_csv(folder / PREDICTIONS), strict=True))


def read_held_landmarks(folder: Path) -> dict[str, dict[str, Any]]:
    """Film to its landmarks ((V, 4, 2) px as lists), `first_level`, and `turns` (0 in folders from before it was kept).

    Raises:
        AasceError: the folder holds no landmarks, or they cannot be read.
    """
    path = folder / LANDMARKS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): {"turns": 0, **row} for name, row in content.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AasceError(
            f"{path}: cannot be read ({reason}); name run folders of folds whose solver finds landmarks"
        ) from error


SHARED = (
    "solver",
    "settings",
    "definition",
    "labels",
    "threads",
    "processors",
    "parameters",
    "weights_mb",
    "remark",
)
"""What is the same for every fold of one solver."""


def merge(folders: Sequence[Path], out: Path, landmarks: bool = False, name: str | None = None) -> None:
    """Puts the held-out predictions of several models of one solver together, in the same format.

    Args:
        folders: of the models.
        out: folder of the whole.
        landmarks: keep the films' landmarks too, without the networks' confidence in each.
        name: of the solver in the manifest; None keeps the method's. Weights that ship beside the method's own need it.

    Raises:
        AasceError: they are of different solvers, settings or labels, a film is in two of them, or landmarks are
            wanted that a folder lacks.
    """
    facts = [read_facts(folder) for folder in folders]
    rows: dict[str, Any] = {}
    for folder, its in zip(folders, facts, strict=True):
        other = next((key for key in ("solver", "settings", "labels") if its[key] != facts[0][key]), None)
        if other is not None:
            raise AasceError(f"{folder}: differs from {folders[0]} in {other}; put like with like")
        angles = read_rows(folder)
        twice = sorted(rows.keys() & angles.keys())
        if twice:
            raise AasceError(
                f"{folder}: predicts {twice[0]!r}, which another folder holds too; leave one out"
            )
        rows |= angles
    folds = [fold for its in facts for fold in its["folds"]]
    seconds = [value for fold in folds for value in fold["seconds"]]
    write_submission(out / PREDICTIONS, rows)
    if landmarks:
        found = {name: row for folder in folders for name, row in read_held_landmarks(folder).items()}
        lines = [
            f"{json.dumps(name)}: {json.dumps(row | {'landmark_confidence': None})}"
            for name, row in found.items()
        ]
        write_text(out / LANDMARKS, "{\n" + ",\n".join(lines) + "\n}\n")
    body = {
        **{key: facts[0][key] for key in SHARED},
        "solver": name or facts[0]["solver"],
        "films": len(rows),
        "failures": {name: why for its in facts for name, why in its["failures"].items()},
        "flags": {name: flags for its in facts for name, flags in its["flags"].items()},
        "seconds_a_film": seconds_a_film(seconds),
        "engine": ", ".join(dict.fromkeys(its["engine"] for its in facts if its.get("engine"))),
        "folds": folds,
    }
    _write_json(out / MANIFEST, body)


def _write_json(path: Path, facts: dict[str, Any]) -> None:
    write_text(path, json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
