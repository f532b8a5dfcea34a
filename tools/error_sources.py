"""Where a solver's error lies: films whose column lies on other levels, or other branches, than the label's.

Two things move angles by more than a corner's error does. A column may begin a vertebra above or below the label's
T1, and the challenge's rule has three branches (C, S with the major curve high, S with it low) between which a small
change of one corner decides.

    python -m tools.error_sources runs/vertebra_field-fold* --data $AASCE_DATA

reads preds.csv and predictions.json of run folders, which `aasce train --fold K` writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from aasce.datasets import FilmSet, data_root, read_challenge
from aasce.evaluation.held_out import LANDMARKS, read_rows
from aasce.geometry.cobb import cobb_angles
from aasce.scoring.metrics import film_smape
from aasce.types import Array, as_float

FARTHEST = 3
"""Vertebrae by which a column may lie off the label's."""


def level_shift(found: Array, first: int, label: Array) -> int:
    """By how many vertebrae a column lies below the levels of the label's.

    Args:
        found: (V, 4, 2) px, consecutive levels.
        first: level of the uppermost of them, index into T1..L5.
        label: (17, 4, 2) px.

    Returns:
        The shift of levels that brings the centres nearest to the label's: 1 where the column's T1 is the label's T2.
    """
    ours, theirs = as_float(found).mean(axis=1), as_float(label).mean(axis=1)
    distance = {}
    for shift in range(-FARTHEST, FARTHEST + 1):
        levels = np.arange(len(ours)) + first + shift
        met = (levels >= 0) & (levels < len(theirs))
        if met.any():
            distance[shift] = np.linalg.norm(ours[met] - theirs[levels[met]], axis=1).mean()
    return min(distance, key=lambda shift: distance[shift])


def branch(landmarks: Array, height: int) -> str:
    """Branch of the challenge's rule: "C", "S, major curve high" or "S, major curve low"."""
    measured = cobb_angles(landmarks, height)
    if measured.shape == "C":
        return "C"
    return "S, major curve " + ("high" if measured.regions[0] == "MT" else "low")


def table(films: FilmSet, rows: dict[str, dict[str, Any]]) -> list[str]:
    """Lines of films and their mean SMAPE by shift of levels, and by whether the branch is the label's.

    Args:
        films: labelled.
        rows: film to its predicted "landmarks", "first_level" and "angles" (3,) degrees.
    """
    shifts, same, scores = [], [], []
    for index, film in enumerate(films):
        row = rows.get(film.film_id)
        if row is None or film.landmarks is None or film.angles is None:
            continue
        height = films.radiograph(index).height
        found = np.array(row["landmarks"])
        shifts.append(level_shift(found, row["first_level"], film.landmarks))
        same.append(branch(found, height) == branch(film.landmarks, height))
        scores.append(film_smape(np.array([row["angles"]]), np.array([film.angles]))[0])
    off, agree, smape = np.array(shifts, dtype=int), np.array(same, dtype=bool), np.array(scores)
    groups = {
        "all": np.ones(len(smape), dtype=bool), "levels as the label's": off == 0,
        "one vertebra off": np.abs(off) == 1, "farther off": np.abs(off) > 1,
        "branch as the label's": agree, "another branch": ~agree,
    }  # fmt: skip
    return [f"{name}: {g.sum()} films, SMAPE {smape[g].mean():.2f}" for name, g in groups.items() if g.any()]


def main(
    runs: Annotated[list[Path], typer.Argument(help="run folders of folds")],
    data: Annotated[Path | None, typer.Option(help="folder of the data set; else AASCE_DATA")] = None,
) -> None:
    """Prints how many films of the folds lie on other levels or branches, and their SMAPE."""
    rows: dict[str, dict[str, Any]] = {}
    for run in runs:
        angles = read_rows(run)
        for name, row in json.loads((run / LANDMARKS).read_text()).items():
            rows[name] = {**row, "angles": angles[name]}
    for line in table(read_challenge(data_root(data)), rows):
        typer.echo(line)


if __name__ == "__main__":
    typer.run(main)
