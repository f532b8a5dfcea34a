"""Errors, agreement and end vertebrae by both definitions of the angles, from held-out predictions with landmarks.

    python -m tools.clinical_scores vertebra_field_2                     (submissions/oof-vertebra_field_2)
    python -m tools.clinical_scores vertebra_field_2 runs/fold0 runs/fold1 runs/fold2 runs/fold3 runs/fold4

The predictions have to be kept with their landmarks (`tools.assemble_oof --landmarks`). By the challenge's definition
the labels are the official angles; by the clinical one, and for the end vertebrae, they are measured on the labelled
corners as `aasce.geometry.audit` repairs them. The figures go into docs/data/clinical.json, of which `tools.write_docs`
makes a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from aasce.datasets import FilmSet, data_root, read_challenge
from aasce.geometry.audit import fix_landmarks
from aasce.geometry.cobb import cobb_angles
from aasce.readers.films import film_size
from aasce.scoring import score
from aasce.scoring.end_vertebrae import end_agreement
from aasce.scoring.metrics import mean_squares
from aasce.scoring.reliability import icc_absolute
from aasce.types import CobbAngles, Definition
from tools.docs_scores import add_figures
from tools.fit_intervals import DEFINITIONS
from tools.held_out_films import HeldFilm, read_held_films

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Predicted and labelled, film by film, by one definition.

    Attributes:
        predicted, truth: (N, 3) degrees.
        found_ends, true_ends: (N, 3, 2) levels of the end vertebrae of each angle, indices into `VERTEBRAE`.
    """

    predicted: Floats
    truth: Floats
    found_ends: Ints
    true_ends: Ints


def pairs_of(films: FilmSet, held: dict[str, HeldFilm], definition: Definition) -> Pairs:
    """Pairs predictions that have landmarks with the labels.

    Args:
        films: labelled.
        held: by film, of models that had not seen it.
        definition: of the angles.
    """
    predicted, truth, found_ends, true_ends = [], [], [], []
    for film in films:
        ours = held.get(film.film_id)
        if ours is None or ours.landmarks is None or film.landmarks is None:
            continue
        size = film_size(film.path)
        found = ours.angles(definition, size)
        label = cobb_angles(fix_landmarks(film.landmarks, size), size[0], definition)
        own = definition == "challenge"
        predicted.append(ours.degrees if own else found.degrees)
        truth.append(film.angles if own else label.degrees)
        found_ends.append(levels(found, ours.first_level))
        true_ends.append(levels(label, 0))
    shape = (-1, 3)
    return Pairs(
        np.array(predicted, np.float64).reshape(shape),
        np.array(truth, np.float64).reshape(shape),
        np.array(found_ends, np.int64).reshape(-1, 3, 2),
        np.array(true_ends, np.int64).reshape(-1, 3, 2),
    )


def levels(angles: CobbAngles, first_level: int) -> list[tuple[int, int]]:
    """Levels of the upper and lower end vertebra of each angle.

    Args:
        angles: measured on landmarks.
        first_level: of the uppermost of them.
    """
    ends = [pair for pair in angles.end_vertebrae if pair is not None]
    return [(min(pair) + first_level, max(pair) + first_level) for pair in ends]


def figures_of(pairs: Pairs) -> dict[str, Any]:
    """Error, agreement and shares of end vertebrae of each angle, plain values."""
    found = score(pairs.predicted, pairs.truth)
    angles = {}
    for j, (name, agreement) in enumerate(found.by_angle[:3]):
        squares = mean_squares(np.column_stack([pairs.predicted[:, j], pairs.truth[:, j]]))
        icc = None if squares is None else icc_absolute(squares)
        ends = end_agreement(pairs.found_ends[:, j], pairs.true_ends[:, j], pairs.truth[:, j])
        angles[name] = {
            "mae": agreement.mae,
            "interval": agreement.interval,
            "icc": None if icc is None else icc.value,
            "icc_interval": None if icc is None else icc.interval,
            "bias": agreement.bias,
            "limits": agreement.limits,
            "ends": None if ends is None else asdict(ends),
        }
    return {"films": found.n, "smape": found.smape, "angles": angles}


def main(
    name: Annotated[str, typer.Argument(help="system as the documentation names it")],
    folders: Annotated[list[Path] | None, typer.Argument(help="OOF folder, or run folders of folds")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the data set; else AASCE_DATA")] = None,
    submissions: Annotated[Path, typer.Option(help="folder of oof-NAME")] = Path("submissions"),
    docs: Annotated[Path, typer.Option(help="figures for the documentation")] = Path(
        "docs/data/clinical.json"
    ),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print alone, write nothing")] = False,
) -> None:
    """Prints the figures and puts them into docs/data/clinical.json."""
    held = read_held_films(folders or [submissions / f"oof-{name}"])
    if not any(film.landmarks is not None for film in held.values()):
        typer.echo(f"{name}: its held-out predictions are kept without landmarks; the table is left out")
        return
    films = read_challenge(data_root(data))
    figures = {definition: figures_of(pairs_of(films, held, definition)) for definition in DEFINITIONS}
    for definition, part in figures.items():
        typer.echo(f"{name}, {definition} definition, {part['films']} films, SMAPE {part['smape']:.2f}:")
        for angle, row in part["angles"].items():
            typer.echo(f"  {angle}: {told(row)}")
    if not dry_run:
        add_figures(docs, name, figures)


def told(row: dict[str, Any]) -> str:
    """Figures of one angle in one line."""
    limits: Sequence[float] | None = row["limits"]
    agreed = "" if limits is None else f", limits {limits[0]:.1f} to {limits[1]:.1f}°"
    icc = "" if row["icc"] is None else f", ICC(2,1) {row['icc']:.3f}"
    ends = row["ends"]
    if ends is None:
        return f"MAE {row['mae']:.2f}°{icc}{agreed}"
    shares = ", ".join(
        f"{which} end {100 * ends[which]:.0f} % exact, {100 * ends[f'near_{which}']:.0f} % within one"
        for which in ("upper", "lower")
    )
    return f"MAE {row['mae']:.2f}°{icc}{agreed}; {shares} of {ends['count']} curves"


if __name__ == "__main__":
    typer.run(main)
