"""Weights of an ensemble from held-out predictions, and what they are worth on films that they were not fitted on.

    python -m tools.fit_ensemble vertebra_field seg4reg --data $AASCE_DATA

The films that all members predict are dealt into folds, whole studies together. Weights fitted on the others are
scored on each; the printed weights are fitted on all. What is gained over a reference (the default solver, or the
ensemble of `--against`) is paired film by film, with its bootstrap interval: an interval that holds 0 is no gain beyond
chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from aasce.datasets import FilmSet, data_root, grouped_folds, read_challenge
from aasce.ensemble import EnsembleSettings, blend, fit_weights
from aasce.evaluation.held_out import read_rows
from aasce.scoring import smape
from aasce.scoring.bootstrap import bca_intervals
from aasce.scoring.metrics import film_smape
from aasce.solvers.registry import DEFAULT_SOLVER

Floats = NDArray[np.float64]

LIMIT = EnsembleSettings().max_disagreement_deg
FOLDS, SEED = 5, 0


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Predictions of several members for the films that all of them predict.

    Attributes:
        names: of the members.
        angles: (M, N, 3) degrees.
        truth: (N, 3) degrees.
        reference: (N, 3) degrees, what a mixture has to beat.
        studies: (N,) study of each film.
    """

    names: tuple[str, ...]
    angles: Floats
    truth: Floats
    reference: Floats
    studies: list[str]


@dataclass(frozen=True, slots=True)
class Mixture:
    """One way to mix, measured on films that its weights were not fitted on.

    Attributes:
        name: of the way.
        smape: percent.
        difference: percent, to the reference; negative is better.
        interval: its 95 % interval, paired film by film; None where there are too few films.
    """

    name: str
    smape: float
    difference: float
    interval: tuple[float, float] | None

    @property
    def beyond_chance(self) -> bool:
        """Whether the mixture is better than the reference beyond chance."""
        return self.interval is not None and self.interval[1] < 0

    def __str__(self) -> str:
        span = "" if self.interval is None else f" ({self.interval[0]:+.2f} to {self.interval[1]:+.2f})"
        verdict = "better beyond chance" if self.beyond_chance else "within chance or worse"
        return (
            f"{self.name}: SMAPE {self.smape:.3f}, {self.difference:+.2f}{span} to the reference: {verdict}"
        )


def read_members(names: list[str], against: str, films: FilmSet, submissions: Path) -> HeldOut:
    """Reads submissions/oof-NAME of each member and of the reference; films that one lacks are left out."""
    tables = [read_rows(submissions / f"oof-{name}") for name in (*names, against)]
    common = [i for i, film in enumerate(films) if all(film.film_id in table for table in tables)]
    angles = np.array([[table[films[i].film_id] for i in common] for table in tables], np.float64)
    truth = np.array([films[i].angles for i in common], np.float64)
    return HeldOut(tuple(names), angles[:-1], truth, angles[-1], [films.studies[i] for i in common])


def crossed(held: HeldOut, limit: float) -> Floats:
    """(N, 3) degrees of the mixture, each film by weights fitted on the other folds."""
    mixed = np.full_like(held.truth, np.nan)
    for learned, tested in grouped_folds(held.studies, FOLDS, SEED):
        weights = fit_weights(held.angles[:, learned], held.truth[learned], limit)
        mixed[tested] = blend(held.angles[:, tested], weights, limit)
    return mixed


def measured(name: str, angles: Floats, held: HeldOut) -> Mixture:
    """Scores a mixture against the reference."""
    difference = film_smape(angles, held.truth) - film_smape(held.reference, held.truth)
    (span,) = bca_intervals(difference[:, None])
    return Mixture(name, smape(angles, held.truth), float(difference.mean()), span)


def mixtures(held: HeldOut, limit: float) -> list[Mixture]:
    """The fitted mixture, the plain mean of all members, and their median."""
    equal = np.full(len(held.names), 1 / len(held.names))
    return [
        measured("weights fitted on the other folds", crossed(held, limit), held),
        measured("equal weights", np.asarray(blend(held.angles, equal, limit)), held),
        measured("median of the members", np.median(held.angles, axis=0), held),
    ]


def main(
    solvers: Annotated[list[str], typer.Argument(help="members")],
    data: Annotated[Path | None, typer.Option(help="folder of the data set; else AASCE_DATA")] = None,
    submissions: Annotated[Path, typer.Option(help="folder of oof-MEMBER")] = Path("submissions"),
    against: Annotated[str, typer.Option(help="member or ensemble that has to be beaten")] = DEFAULT_SOLVER,
    max_disagreement_deg: Annotated[float, typer.Option(help="as in the ensemble's YAML")] = LIMIT,
) -> None:
    """Prints the worth of each member alone and of mixtures on films not fitted on, and the weights fitted on all."""
    held = read_members(solvers, against, read_challenge(data_root(data)), submissions)
    typer.echo(
        f"reference {against}: SMAPE {smape(held.reference, held.truth):.3f} over {len(held.truth)} films"
    )
    for solver, member in zip(held.names, held.angles, strict=True):
        typer.echo(str(measured(f"{solver} alone", member, held)))
    for mixture in mixtures(held, max_disagreement_deg):
        typer.echo(str(mixture))
    fitted = fit_weights(held.angles, held.truth, max_disagreement_deg)
    shares = ", ".join(f"{name} {weight:.3f}" for name, weight in zip(held.names, fitted, strict=True))
    typer.echo(f"weights fitted on all: {shares}")


if __name__ == "__main__":
    typer.run(main)
