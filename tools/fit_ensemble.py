"""Weights of an ensemble from held-out predictions, and what they are worth on films that they were not fitted on.

    python -m tools.fit_ensemble vertebra_field seg4reg --data $AASCE_DATA

Weights fitted on the other folds are scored on each; the printed weights are fitted on all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from aasce.datasets import data_root, read_challenge
from aasce.ensemble import EnsembleSettings, blend, fit_weights
from aasce.evaluation.held_out import read_rows
from aasce.evaluation.split import Split
from aasce.scoring import smape

LIMIT = EnsembleSettings().max_disagreement_deg


def main(
    solvers: Annotated[list[str], typer.Argument(help="members")],
    data: Annotated[Path | None, typer.Option(help="folder of the data set; else AASCE_DATA")] = None,
    submissions: Annotated[Path, typer.Option(help="folder of oof-MEMBER")] = Path("submissions"),
    max_disagreement_deg: Annotated[float, typer.Option(help="as in the ensemble's YAML")] = LIMIT,
) -> None:
    """Prints weights, each member's SMAPE, and the cross-fitted SMAPE of the ensemble."""
    films = read_challenge(data_root(data))
    tables = [read_rows(submissions / f"oof-{solver}") for solver in solvers]
    common = [i for i, film in enumerate(films) if all(film.film_id in table for table in tables)]
    angles = np.array([[table[films[i].film_id] for i in common] for table in tables])
    truth = np.array([films[i].angles for i in common])
    crossed = np.empty_like(truth)
    for fold in Split().fold_indices(films):
        inside = np.isin(common, fold)
        if inside.any() and not inside.all():
            weights = fit_weights(angles[:, ~inside], truth[~inside], max_disagreement_deg)
            crossed[inside] = blend(angles[:, inside], weights, max_disagreement_deg)
    for solver, member in zip(solvers, angles, strict=True):
        typer.echo(f"{solver}: SMAPE {smape(member, truth):.3f} over {len(common)} films")
    typer.echo(f"ensemble, weights fitted on the other folds: SMAPE {smape(crossed, truth):.3f}")
    typer.echo(f"major angle, MAE: {np.abs(crossed - truth)[:, 0].mean():.3f}")
    fitted = fit_weights(angles, truth, max_disagreement_deg)
    typer.echo(f"weights fitted on all: {np.round(fitted, 3).tolist()}")


if __name__ == "__main__":
    typer.run(main)
