"""Gathers the out-of-fold predictions of `train_released.py` into a submission folder.

python -m tools.assemble_oof vertebra_field --runs runs --out submissions/oof-vertebra_field
python -m tools.assemble_oof vertebra_field --runs runs --stage rendered --out submissions/oof-vertebra_field_rendered
aasce score submissions/oof-vertebra_field/preds.csv $AASCE_DATA/aasce19/labels/training/angles.csv --partial
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import yaml

from aasce.commands.predict import training_median
from aasce.files import write_text
from aasce.writers import write_submission
from tools.release import below_data


def main(
    solver: str,
    runs: Path = Path("runs"),
    out: Annotated[Path | None, typer.Option()] = None,
    stage: Annotated[str, typer.Option(help="pattern of the runs")] = "fold-*",
) -> None:
    """Writes preds.csv and manifest.json from the runs of a solver, its folds' if no others are named."""
    folders = sorted((runs / solver).glob(stage)) or [runs / solver / "base"]
    folder = out or Path("submissions") / f"oof-{solver}"
    rows: dict[str, tuple[float, ...]] = {}
    failures: dict[str, str] = {}
    flags: dict[str, list[str]] = {}
    median = training_median()
    settings = settings_of(folders[0])
    folds = []
    for run in folders:
        said: dict[str, Any] = json.loads((run / "oof.json").read_text())
        for name, row in said.items():
            rows[name] = tuple(np.asarray(row["angles"] if row["angles"] is not None else median).tolist())
            if row["failure"]:
                failures[name] = row["failure"]
            if row["flags"]:
                flags[name] = row["flags"]
        manifest = json.loads((run / "manifest.json").read_text())
        fold = {"fold": run.name, "films": len(said), **{k: v for k, v in manifest.items() if k != "solver"}}
        # Folds may differ in epochs or batch; those that do bear their own settings.
        folds.append(fold if settings_of(run) == settings else {**fold, "settings": settings_of(run)})
    write_submission(folder / "preds.csv", rows)
    # Weights that go by another name than their solver's are another row of a leaderboard.
    name = folder.name.removeprefix("oof-") if folder.name.startswith("oof-") else solver
    body = {
        "solver": name, "definition": "challenge", "labels": "official", "films": len(rows), "folds": folds,
        "settings": settings,
        "failures": failures, "flags": flags,
        "split": "grouped by study: aasce.readers.grouped_folds(studies, folds=5, seed=0); "
        f"{', '.join(run.name for run in folders)} predicted, each by a model whose training, a shared base's "
        "included, saw none of its studies",
    }  # fmt: skip
    write_text(folder / "manifest.json", json.dumps(body, indent=2, sort_keys=True) + "\n")


def settings_of(run: Path) -> Any:
    """The settings that a run was trained with, without paths of this machine."""
    return below_data(yaml.safe_load((run / "config.yaml").read_text()))


if __name__ == "__main__":
    typer.run(main)
