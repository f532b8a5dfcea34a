"""Puts a trained run into the package: weights, settings, state, and the confidence's rule from held-out films.

aasce train --solver vertebra_field --validation 0                  (all films)
aasce train --solver vertebra_field --fold K                        (K from 0 to 4, for the rule)
python -m tools.release runs/vertebra_field --fold runs/vertebra_field-fold0 --fold runs/vertebra_field-fold1 ...
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from aasce.config import dump_settings, load_settings
from aasce.datasets import FilmSet, data_root, read_challenge
from aasce.evaluation.held_out import LANDMARKS, read_rows
from aasce.files import write_text
from aasce.solvers.base import CONFIG_FILE, WEIGHTS_FILE, read_state, write_state
from aasce.solvers.registry import solver_class
from aasce.solvers.shared.confidence import Rule, fit_confidence

PRIOR: Rule = (4.0, 1.0)
WIDTH: Rule = (4.0, 1.0)


def main(
    run: Annotated[Path, typer.Argument(help="run folder to release")],
    name: Annotated[str | None, typer.Option(help="of the weights; the solver's own without")] = None,
    fold: Annotated[list[Path] | None, typer.Option(help="run folder of a fold, repeated for more")] = None,
    about: Annotated[str | None, typer.Option(help="what it was trained on, in words")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the data set; else AASCE_DATA")] = None,
    weights: Annotated[Path, typer.Option(help="folder of the released weights")] = Path("aasce/weights"),
) -> None:
    """Copies a run to WEIGHTS/NAME, with folders of this machine taken out."""
    state = read_state(run)
    target = weights / (name or state.solver)
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / WEIGHTS_FILE, target / WEIGHTS_FILE)
    config = solver_class(state.target).Config
    plain = below_data(load_settings(config, run / CONFIG_FILE).model_dump(mode="json"))
    write_text(target / CONFIG_FILE, dump_settings(config.model_validate_json(json.dumps(plain))))
    training = below_data(dict(state.training)) | ({} if about is None else {"data": about})
    learned = dict(state.learned)
    if fold:
        rule = calibration(fold, read_challenge(data_root(data)))
        learned["calibration"] = [round(value, 4) for value in rule]
    write_state(target, replace(state, learned=learned, training=training))


def below_data(value: Any) -> Any:
    """Settings with absolute folders reduced to their names, which are found below AASCE_DATA."""
    if isinstance(value, dict):
        return {key: below_data(inner) for key, inner in value.items()}
    if isinstance(value, str) and value.startswith("/"):
        return Path(value).name
    return value


def calibration(folders: Sequence[Path], films: FilmSet) -> Rule:
    """Rule of the confidence from films that their model never saw.

    The uncertainty of a film is the tilt error in degrees that the network expects, worked out again from its
    confidence in the corners (see `aasce.solvers.vertebra_field.solver`).

    Args:
        folders: run folders of folds, with the landmarks of the held-out films.
        films: labelled.
    """
    truth = {film.film_id: film.angles for film in films}
    tilt_error, right = [], []
    for folder in folders:
        angles = read_rows(folder)
        for name, row in json.loads((folder / LANDMARKS).read_text()).items():
            sure = np.clip(np.asarray(row["landmark_confidence"]), 1e-6, 1 - 1e-9)
            ratio = -0.1 / np.log1p(-sure)
            tilt_error.append(float(np.degrees(np.mean(np.minimum(ratio, 1.0)))))
            right.append(bool(abs(angles[name][0] - np.asarray(truth[name])[0]) <= 5.0))
    return fit_confidence(np.array(tilt_error), np.array(right), PRIOR, WIDTH)


if __name__ == "__main__":
    typer.run(main)
