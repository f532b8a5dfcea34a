"""How much two labellings of one exposure differ, and how much predictions differ from either.

Some exposures are in the challenge's data twice, exported and labelled anew under another name
(`aasce.datasets.exposures`). What their labels differ by is what no measurement can be blamed for. Where the two names
are two studies, folds grouped by study may separate the films of one patient: the figures without them are printed.

    python -m tools.label_noise submissions/oof-vertebra_field/preds.csv --data $AASCE_DATA
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from aasce.datasets import FilmSet, data_root, read_challenge
from aasce.datasets.exposures import Repeated, repeated_exposures
from aasce.geometry.cobb import tilts
from aasce.geometry.spine import order_vertebrae, repair_corners
from aasce.scoring import read_angles_csv
from aasce.scoring.metrics import film_smape

Floats = NDArray[np.float64]
Table = dict[str, Floats]


def differences(ones: Sequence[Floats], others: Sequence[Floats]) -> str:
    """SMAPE (mean and median over films) and mean absolute error of the major angle of two lists of angles."""
    if not ones:
        return "no films"
    a, b = np.array(ones), np.array(others)
    ratios = film_smape(a, b)
    major = np.abs(a - b)[:, 0].mean()
    return f"SMAPE {ratios.mean():.2f}, median {np.median(ratios):.2f}; an1 {major:.2f} degrees; {len(a)} comparisons"


def tilt_differences(films: FilmSet, pairs: Sequence[Repeated]) -> str:
    """Mean absolute and root mean square difference of a vertebra's tilt between two labellings."""
    labels = [[films[i].landmarks for i in (pair.first, pair.second)] for pair in pairs]
    measured = [[tilts(repair_corners(order_vertebrae(p))) for p in two if p is not None] for two in labels]
    if not measured:
        return "no films"
    off = np.array([one - other for one, other in measured])
    return f"{np.abs(off).mean():.2f} degrees, root mean square {np.sqrt((off**2).mean()):.2f}; {off.size} vertebrae"


def joined_studies(films: FilmSet, pairs: Sequence[Repeated]) -> set[str]:
    """Studies that share an exposure with another study, so a patient too."""
    met = [(films[pair.first].study, films[pair.second].study) for pair in pairs]
    return {study for two in met for study in two if two[0] != two[1]}


def main(
    preds: Annotated[Path, typer.Argument(help="held-out predictions")],
    data: Annotated[Path | None, typer.Option(help="folder of the data set; else AASCE_DATA")] = None,
) -> None:
    """Prints the label's own noise beside the error of predictions on the same films."""
    films = read_challenge(data_root(data))
    pairs = repeated_exposures(films)
    truth = {film.film_id: np.asarray(film.angles, np.float64) for film in films if film.angles is not None}
    found = dict(zip(*read_angles_csv(preds), strict=True))
    names = [(films[pair.first].film_id, films[pair.second].film_id) for pair in pairs]
    both = [two for two in names if two[0] in found and two[1] in found]
    each, other = [name for two in both for name in two], [name for two in both for name in two[::-1]]
    shared = joined_studies(films, pairs)
    rest = [film.film_id for film in films if film.study not in shared and film.film_id in found]

    def compared(a: Table, names: Sequence[str], b: Table, others: Sequence[str]) -> str:
        return differences([a[name] for name in names], [b[name] for name in others])

    first, second = [a for a, _ in both], [b for _, b in both]
    lines = {
        "label against label": compared(truth, first, truth, second),
        "tilt, label against label": tilt_differences(films, pairs),
        "prediction against its own": compared(found, each, truth, each),
        "against the other label": compared(found, each, truth, other),
        "prediction against its pair": compared(found, first, found, second),
        "all predictions": compared(found, list(found), truth, list(found)),
        f"without {len(shared)} joined studies": compared(found, rest, truth, rest),
    }
    typer.echo(f"{len(pairs)} pairs of films show one exposure; {len(both)} of them are predicted")
    for about, figures in lines.items():
        typer.echo(f"{about + ':':<29}{figures}")


if __name__ == "__main__":
    typer.run(main)
