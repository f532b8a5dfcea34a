"""Puts a trained run into the package: weights, settings, and the confidence's rule from out-of-fold films.

python -m tools.release vertebra_field --runs runs
python -m tools.release vertebra_field --runs runs --stage rendered --name vertebra_field_rendered
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import typer
import yaml

from aasce.config import dump_settings, load_settings
from aasce.solvers.base import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE
from aasce.solvers.registry import solver_class
from aasce.solvers.shared.confidence import fit_confidence
from tools.train_released import RENDERED, commit

PRIOR = (4.0, 1.0)


def main(
    solver: str,
    runs: Path = Path("runs"),
    weights: Path = Path("aasce/weights"),
    stage: str = "release",
    name: str | None = None,
) -> None:
    """Copies runs/SOLVER/STAGE to aasce/weights/NAME (the solver's own), with paths of this machine taken out."""
    source, target = runs / solver / stage, weights / (name or solver)
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / WEIGHTS_FILE, target / WEIGHTS_FILE)
    config = yaml.safe_load((source / CONFIG_FILE).read_text())
    (target / CONFIG_FILE).write_text(yaml.safe_dump(below_data(config)))
    # Read and written once more, so that the file is complete and in the order of the class.
    settings = load_settings(solver_class(solver).Config, target / CONFIG_FILE)
    (target / CONFIG_FILE).write_text(dump_settings(settings))
    manifest = json.loads((source / MANIFEST_FILE).read_text())
    manifest["commit"] = manifest.get("commit") or commit()
    if stage == RENDERED:
        manifest["data"] = f"{manifest['run']['train_films']:,} rendered films alone, no real one"
    rule = calibration(runs / solver, stage if stage == RENDERED else "fold-*")
    if rule is not None:
        manifest["calibration"] = [round(value, 4) for value in rule]
    (target / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def below_data(value: Any) -> Any:
    """Settings with absolute folders reduced to their names, which are looked up below AASCE_DATA."""
    if isinstance(value, dict):
        return {key: below_data(inner) for key, inner in value.items()}
    if isinstance(value, str) and value.startswith("/"):
        return Path(value).name
    return value


def calibration(folder: Path, runs: str = "fold-*") -> tuple[float, float] | None:
    """Rule of the confidence from films that their model never saw; None for a solver without corners.

    The doubt is the expected tilt error in degrees, read back from the corners' confidence (see
    `vertebra_field.solver`).
    """
    doubt, right = [], []
    for path in sorted(folder.glob(f"{runs}/oof.json")):
        for row in json.loads(path.read_text()).values():
            if row["corner_confidence"] is None:
                continue
            sure = np.clip(np.asarray(row["corner_confidence"]), 1e-6, 1 - 1e-9)
            ratio = -0.1 / np.log1p(-sure)
            doubt.append(float(np.degrees(np.mean(np.minimum(ratio, 1.0)))))
            right.append(abs(row["angles"][0] - row["truth"][0]) <= 5.0)
    return fit_confidence(np.array(doubt), np.array(right), PRIOR, (4.0, 1.0)) if doubt else None


if __name__ == "__main__":
    typer.run(main)
