"""How well vertebrae are found on every second film of Spinal-AI2024: recall, precision and the error of tilts.

    python -m tools.field_on_spinal_ai vertebra_field --data $AASCE_DATA --out runs/spinal_ai
    python -m tools.field_on_spinal_ai runs/fold0 --films 100        (the first 100 of them)

A predicted and a labelled vertebra are one if their centres lie within half a vertebra, one to one, nearest first; a
vertebra is the labelled body's height (`height`), or the step to the next centre (`step`, about 1.5 heights), a row
each. The labels name no level and go beyond T1 to L5 on two films of five, so that

- precision counts the predicted vertebrae in the labelled span: to half a step above the first and below the last
  labelled centre;
- recall counts all labelled vertebrae, and `recall_17` at most 17 of a film, as many as T1 to L5 are (`reachable` is
  the largest recall that 17 vertebrae a film can have);
- tilts are compared where vertebrae are one, all of them and without the two at either end of the label.

Labels are as released, which lie a few px lower and farther right than the bodies, unless --aligned moves them.
A film without a prediction counts as one with no vertebra found.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from aasce.api import load_single
from aasce.commands.progress import progress
from aasce.datasets import FilmSet, data_root, read_spinal_ai2024
from aasce.geometry.cobb import tilts
from aasce.geometry.spine import centres, heights
from aasce.readers.films import read_film
from aasce.solvers.base import Solver
from aasce.solvers.vertebra_field.settings import VertebraFieldConfig
from aasce.types import AasceError, Array
from tools.film_tables import show

Floats = NDArray[np.float64]
Unit = Literal["height", "step"]
UNITS: tuple[Unit, ...] = ("height", "step")
COLUMN = 17
"""Vertebrae T1 to L5."""

ENDS = 2
"""Vertebrae at either end of a label whose tilts the inner figure leaves out."""


@dataclass(frozen=True, slots=True)
class FilmScore:
    """One film by one unit.

    Attributes:
        film: its id.
        unit: what half of is the largest distance.
        labelled: vertebrae.
        predicted: vertebrae in the labelled span.
        matched: pairs.
        tilt_sum: degrees, sum of the tilts' absolute differences over the pairs.
        inner, inner_tilt_sum: the same without the ends of the label.
        failed: nothing was predicted.
    """

    film: str
    unit: Unit
    labelled: int
    predicted: int
    matched: int
    tilt_sum: float
    inner: int
    inner_tilt_sum: float
    failed: bool


def film_score(film: str, predicted: Array | None, truth: Array, unit: Unit) -> FilmScore:
    """Scores one film.

    Args:
        film: its id.
        predicted: (P, 4, 2) px, None for a failed film.
        truth: (V, 4, 2) px.
        unit: "height" or "step".
    """
    if predicted is None or not len(predicted):
        return FilmScore(film, unit, len(truth), 0, 0, 0.0, 0, 0.0, True)
    found = predicted[in_span(predicted, truth)]
    mine, theirs = pairs(found, truth, 0.5 * sizes(truth, unit))
    off = np.abs(tilts(found)[mine] - tilts(truth)[theirs])
    inner = (theirs >= ENDS) & (theirs < len(truth) - ENDS)
    return FilmScore(
        film, unit, len(truth), len(found), len(mine), float(off.sum()), int(inner.sum()),
        float(off[inner].sum()), False,
    )  # fmt: skip


def sizes(truth: Array, unit: Unit) -> Floats:
    """(V,) px of each labelled vertebra: its height, or the mean step to its neighbours."""
    if unit == "height":
        return heights(truth)
    steps = np.linalg.norm(np.diff(centres(truth), axis=0), axis=1)
    return np.asarray((np.append(steps[:1], steps) + np.append(steps, steps[-1:])) / 2)


def in_span(predicted: Array, truth: Array) -> NDArray[np.bool_]:
    """(P,) whether a predicted centre lies no more than half a step beyond the label's ends, along the spine."""
    mine, theirs = centres(predicted), centres(truth)
    inside = np.ones(len(mine), dtype=bool)
    for end, next_one in ((theirs[0], theirs[1]), (theirs[-1], theirs[-2])):
        outward = end - next_one
        inside &= (mine - end) @ outward <= 0.5 * float(outward @ outward)
    return inside


def pairs(predicted: Array, truth: Array, reach: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of predicted and labelled vertebrae that are one: as many pairs as possible, least distance in all.

    Args:
        predicted: (P, 4, 2) px.
        truth: (V, 4, 2) px.
        reach: (V,) px, largest distance of the centres.
    """
    apart = np.linalg.norm(centres(predicted)[:, None] - centres(truth)[None], axis=-1)
    near = apart <= reach
    mine, theirs = linear_sum_assignment(np.where(near, apart, 1e6))
    kept = near[mine, theirs]
    return mine[kept], theirs[kept]


def summary(scores: list[FilmScore]) -> pd.DataFrame:
    """One row a unit; shares of 1 and degrees, over all vertebrae of all films."""
    table = pd.DataFrame([asdict(score) for score in scores])
    rows = []
    for unit in UNITS:
        part = table[table["unit"] == unit]
        at_most = part["labelled"].clip(upper=COLUMN)
        rows.append(
            {
                "unit": unit,
                "films": len(part),
                "failed": int(part["failed"].sum()),
                "recall": _share(part["matched"].sum(), part["labelled"].sum()),
                "reachable": _share(at_most.sum(), part["labelled"].sum()),
                "recall_17": _share(part["matched"].clip(upper=at_most).sum(), at_most.sum()),
                "precision": _share(part["matched"].sum(), part["predicted"].sum()),
                "tilt_mae": _share(part["tilt_sum"].sum(), part["matched"].sum()),
                "tilt_mae_inner": _share(part["inner_tilt_sum"].sum(), part["inner"].sum()),
            }
        )
    return pd.DataFrame(rows)


def _share(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else float("nan")


def scores_of(solver: Solver, films: FilmSet) -> list[FilmScore]:
    """Every film predicted by itself and scored by each unit."""
    scores = []
    for film in progress(films, len(films), "measuring"):
        assert film.landmarks is not None
        found = solver.predict([read_film(film.path)])[0].landmarks
        scores += [film_score(film.film_id, found, film.landmarks, unit) for unit in UNITS]
    return scores


def seen(solver: Solver) -> str:
    """What these weights' own training saw of the set; weights that they began from are not known."""
    config = getattr(solver, "config", None)
    if not isinstance(config, VertebraFieldConfig) or config.sources.spinal_ai2024.share == 0:
        return "trained on no film of the set"
    part = config.sources.spinal_ai2024.part
    return "trained on these films too" if part == "all" else "trained on the other films of the set"


def main(
    weights: Annotated[str, typer.Argument(help="released name, run folder or hub address")],
    data: Annotated[Path | None, typer.Option(help="folder of the set or above it; else AASCE_DATA")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for films.csv and summary.csv")] = None,
    aligned: Annotated[
        bool,
        typer.Option("--aligned", help="labels moved onto the bodies, see datasets.spinal_ai2024.OFFSET"),
    ] = False,
    films: Annotated[int | None, typer.Option(min=1, help="only the first so many of them")] = None,
    device: str = "auto",
) -> None:
    """Prints the figures of every second film and writes them with those of each film below --out."""
    held = read_spinal_ai2024(data_root(data), "held_out", aligned)
    solver = load_single(weights, device).solvers[0]
    scores = scores_of(solver, held.films[:films])
    table = summary(scores)
    typer.echo(f"{weights}: {seen(solver)}; {len(held.left_out)} films left out for their labels")
    show(table, scores, out, 3)


if __name__ == "__main__":
    try:
        typer.run(main)
    except AasceError as error:
        raise SystemExit(str(error)) from None
