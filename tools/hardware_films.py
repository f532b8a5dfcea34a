"""How a system does on films of a fold with hardware painted over them, against the same films as they are.

    python -m tools.hardware_films runs/fold0 --fold 0 --films 40 --out runs/hardware
    python -m tools.hardware_films vertebra_field            the released weights, which have seen the films

Shapes are those of `tools.hardware_shapes`, which no network is trained on; the film's number decides kind and shape.
A film counts as flagged with a flag by which `aasce compare` calls a film unsafe, and as wrong when its major angle is
more than 10 degrees off the label.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from aasce.api import Single
from aasce.commands.compare import UNSAFE
from aasce.commands.progress import progress
from aasce.datasets import FilmSet, data_root, read_challenge
from aasce.ensemble import Measurement
from aasce.evaluation.split import Split
from aasce.preprocess.intensity import to_uint8
from aasce.scoring.metrics import film_smape
from aasce.solvers.base import read_state
from aasce.types import AasceError, Array, Radiograph
from aasce.weights import UNSEEN_LOCALIZER, load_solver, released, resolve
from tools.film_tables import show
from tools.hardware_shapes import KINDS, painted

WRONG = 10.0
"""Degrees by which the major angle of a wrong measurement is off."""


@dataclass(frozen=True, slots=True)
class FilmResult:
    """One film, shown one way.

    Attributes:
        film: its id.
        kind: of the hardware; "" for the film as it is.
        smape: percent; 100 where it failed.
        error: degrees of the major angle; infinite where it failed.
        flags: joined by a blank.
        flagged: whether a flag, a failure included, warns of the angles.
    """

    film: str
    kind: str
    smape: float
    error: float
    flags: str
    flagged: bool


def result(film: str, kind: str, measured: Measurement, truth: Array) -> FilmResult:
    """Scores a measurement against the three labelled angles (3,)."""
    prediction = measured.prediction
    if measured.angles is None:
        return FilmResult(film, kind, 100.0, float("inf"), prediction.failure or "failed", True)
    degrees = measured.angles.degrees
    smape = float(film_smape(degrees[None], truth[None])[0])
    flagged = any(flag in UNSAFE for flag in prediction.flags)
    return FilmResult(
        film, kind, smape, float(abs(degrees[0] - truth[0])), " ".join(prediction.flags), flagged
    )


def with_metal(film: Radiograph, landmarks: Array, number: int, seed: int) -> tuple[Radiograph, str]:
    """A film with the hardware that its number stands for, and the kind of it."""
    kind = list(KINDS)[number % len(KINDS)]
    drawn = painted(to_uint8(film.pixels), landmarks, kind, np.random.default_rng((seed, number)))
    return replace(film, pixels=drawn), kind


def summary(results: list[FilmResult]) -> pd.DataFrame:
    """One row for the films as they are, one for those with hardware, and one a kind."""
    table = pd.DataFrame([asdict(one) for one in results])
    groups = {"as they are": table[table.kind == ""], "with hardware": table[table.kind != ""]}
    groups |= {kind: table[table.kind == kind] for kind in KINDS}
    rows = []
    for name, part in groups.items():
        wrong = part.error > WRONG
        rows.append(
            {
                "shown": name,
                "films": len(part),
                "smape": part.smape.mean(),
                "flagged": int(part.flagged.sum()),
                "wrong": int(wrong.sum()),
                "wrong_unflagged": int((wrong & ~part.flagged).sum()),
            }
        )
    return pd.DataFrame(rows)


def measured_films(single: Single, films: FilmSet, seed: int) -> list[FilmResult]:
    """Every film as it is and with hardware."""
    found = []
    for number, film in enumerate(progress(films, len(films), "measuring")):
        assert film.landmarks is not None
        assert film.angles is not None
        plain = films.radiograph(number)
        metal, kind = with_metal(plain, film.landmarks, number, seed)
        for shown, name in ((plain, ""), (metal, kind)):
            found.append(result(film.film_id, name, single.measure([shown])[0], film.angles))
    return found


def chosen_films(films: FilmSet, fold: int, count: int) -> FilmSet:
    """That many films of a fold, spread over it evenly.

    Raises:
        AasceError: there is no such fold.
    """
    folds = Split().fold_indices(films)
    if not 0 <= fold < len(folds):
        raise AasceError(f"--fold {fold}: is from 0 to {len(folds) - 1}")
    kept = [k for k in folds[fold] if films[k].landmarks is not None]
    places = np.unique(np.linspace(0, len(kept) - 1, min(count, len(kept))).round().astype(int))
    return films.subset([kept[k] for k in places])


def main(
    weights: Annotated[str, typer.Argument(help="released name, or the run folder of a fold's model")],
    films: Annotated[int, typer.Option(min=1, help="how many films")] = 40,
    fold: Annotated[int, typer.Option(min=0, help="fold that they are from")] = 0,
    seed: Annotated[int, typer.Option(help="of the shapes")] = 0,
    out: Annotated[Path | None, typer.Option(help="folder for films.csv and summary.csv")] = None,
) -> None:
    """Prints the figures and writes them with those of each film below --out."""
    chosen = chosen_films(read_challenge(data_root(None)), fold, films)
    held = read_state(resolve(weights)).training.get("held") or []
    unseen = fold in held
    solver = (
        load_solver(weights, localizer=UNSEEN_LOCALIZER)
        if weights not in released()
        else load_solver(weights)
    )
    results = measured_films(Single((weights,), (solver,)), chosen, seed)
    table = summary(results)
    typer.echo(
        f"{weights}: {'has not seen' if unseen else 'has seen'} these {len(chosen)} films of fold {fold}"
    )
    show(table, results, out, 2)


if __name__ == "__main__":
    try:
        typer.run(main)
    except AasceError as error:
        raise SystemExit(str(error)) from None
