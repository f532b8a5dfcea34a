"""Trains the released weights and the out-of-fold models whose figures stand beside them.

Patients fall into five folds. One base network is trained on folds 2 to 4 alone (less a validation part). The
model of fold 0 goes on from it with fold 1 added, that of fold 1 with fold 0 added, so neither has seen the
fold it is measured on; the released one goes on with all films. A second base, trained on folds 0 and 1, serves
the models of folds 2 to 4 likewise. The bases save most of the time that separate trainings would take. Films of
a fold are predicted only once its model is done; a base predicts the folds that it never saw.

    python -m tools.train_released vertebra_field base --data $AASCE_DATA --runs runs
    python -m tools.train_released vertebra_field fold-0 ...    (then fold-1, release)
    python -m tools.train_released vertebra_field base-01 ...   (then fold-2, fold-3, fold-4)

    aasce train --solver vertebra_field --data FILMS --validation 0 --out runs/vertebra_field/rendered ...
    python -m tools.train_released vertebra_field rendered --only-predict ...

The run "rendered" has learned from films of `aasce synth` alone and may predict every film.
A solver that trains in minutes needs no base: its fold-0 starts `--fresh` (or from a run on rendered films, `--start`),
and its release goes on from that with all films.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from aasce.config import load_settings
from aasce.datasets import FilmSet, data_root, grouped_folds, grouped_holdout, read_challenge
from aasce.solvers.base import RunFolder
from aasce.solvers.registry import solver_class

FOLDS = 5
SEED = 0
SHARED = (2, 3, 4)
RENDERED = "rendered"
"""Stage of a run that has seen no film of the data set: `aasce train` makes it."""


def parts(films: FilmSet, stage: str) -> tuple[list[int], list[int], list[int]]:
    """Indices (train, validation, test) of a stage; validation films lie in the shared folds."""
    folds = [test for _, test in grouped_folds(films.studies, FOLDS, SEED)]
    shared = sorted(i for k in SHARED for i in folds[k])
    _, held = grouped_holdout([films.studies[i] for i in shared], 0.08, SEED)
    validation = [shared[i] for i in held]
    if stage == "release":
        return list(range(len(films))), [], []
    if stage == RENDERED:
        return [], [], list(range(len(films)))
    if stage == "base-01":
        return [i for i in range(len(films)) if i not in set(shared)], [], shared
    others = sorted(i for k in range(FOLDS) if k not in SHARED for i in folds[k])
    test = others if stage == "base" else folds[int(stage.removeprefix("fold-"))]
    seen = shared if stage == "base" else [i for i in range(len(films)) if i not in set(test)]
    if stage in ("fold-2", "fold-3", "fold-4"):
        return seen, [], test
    return [i for i in seen if i not in set(validation)], validation, test


def commit() -> str:
    """The commit of the code that ran."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def main(
    solver: str,
    stage: str,
    data: Annotated[Path | None, typer.Option()] = None,
    runs: Path = Path("runs"),
    config: Annotated[Path | None, typer.Option()] = None,
    settings: Annotated[list[str] | None, typer.Option("--set")] = None,
    start: Annotated[Path | None, typer.Option(help="run to go on from; the base run by default")] = None,
    fresh: Annotated[bool, typer.Option(help="start from random weights")] = False,
    resume: bool = False,
    quiet: bool = True,
    only_predict: Annotated[bool, typer.Option(help="predict the fold anew with its trained model")] = False,
) -> None:
    """Runs one stage (base, fold-0, fold-1, ..., release) and writes its weights and predictions."""
    films = read_challenge(data_root(data))
    train, validation, test = parts(films, stage)
    cls: Any = solver_class(solver)
    if only_predict:
        folder = runs / solver / stage
        trained = cls.load(folder)
        if test:
            predict_fold(trained, films.subset(test), folder / "oof.json")
        return
    if not train:
        raise typer.BadParameter(
            "is trained by 'aasce train' on rendered films; --only-predict", param_hint=stage
        )
    model = cls(load_settings(cls.Config, config, settings or []))
    folder = runs / solver / stage
    base = "base-01" if stage in ("fold-2", "fold-3", "fold-4") else "base"
    begin = start if start or stage in ("base", "base-01") else runs / solver / base
    if begin is not None and not fresh:
        model.start_from(begin)
    held = films.subset(validation) if validation else None
    report = model.fit(films.subset(train), held, RunFolder(folder, resume=resume, quiet=quiet))
    model.manifest |= {
        "data": "AASCE 2019 training films, official labels, corners and vertebrae reordered for training",
        "films": len(train), "validation_films": len(validation), "stage": stage, "split_seed": SEED,
        "folds": FOLDS, "seconds": round(report.seconds), "commit": commit(),
    }  # fmt: skip
    model.save(folder)
    if test:
        predict_fold(model, films.subset(test), folder / "oof.json")


def predict_fold(model: Any, films: FilmSet, path: Path) -> dict[str, Any]:
    """Writes and returns what the fold's model says of the fold's films: landmarks, angles, confidence, flags."""
    from aasce.geometry.cobb import cobb_angles

    rows: dict[str, Any] = {}
    for index, film in enumerate(films):
        said = model.predict([films.radiograph(index)])[0]
        angles = said.angles
        if angles is None and said.landmarks is not None:
            angles = cobb_angles(said.landmarks, said.size[0])
        rows[film.film_id] = {
            "angles": None if angles is None else np.asarray(angles.degrees).tolist(),
            "landmarks": None if said.landmarks is None else said.landmarks.tolist(),
            "confidence": said.confidence, "flags": list(said.flags), "failure": said.failure,
            "corner_confidence": None if said.landmark_confidence is None else said.landmark_confidence.tolist(),
            "first_level": said.first_level, "truth": np.asarray(film.angles).tolist(),
        }  # fmt: skip
    path.write_text(json.dumps(rows))
    return rows


if __name__ == "__main__":
    typer.run(main)
