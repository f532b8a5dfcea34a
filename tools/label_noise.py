"""How far two labellings of one exposure lie apart, and how far predictions lie from either.

Some exposures stand in the challenge's data twice, exported and labelled anew under another name
(`preprocess.exposures`). What their labels differ by is what no measurement can be blamed for. Where the two names
are two studies, folds grouped by study may part the films of one patient: the figures without them are printed.

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


def apart(ones: Sequence[Floats], others: Sequence[Floats]) -> str:
    """SMAPE (mean and median over films) and mean absolute error of the major angle of two lists of angles."""
    if not ones:
        return "no films"
    a, b = np.array(ones), np.array(others)
    ratios = film_smape(a, b)
    major = np.abs(a - b)[:, 0].mean()
    return f"SMAPE {ratios.mean():.2f}, median {np.median(ratios):.2f}; an1 {major:.2f} degrees; {len(a)} comparisons"


def tilts_apart(films: FilmSet, pairs: Sequence[Repeated]) -> str:
    """Mean absolute and root mean square difference of a vertebra's tilt between two labellings."""
    marked = [[films[i].landmarks for i in (pair.first, pair.second)] for pair in pairs]
    put_right = [[tilts(repair_corners(order_vertebrae(m))) for m in two if m is not None] for two in marked]
    if not put_right:
        return "no films"
    off = np.array([one - other for one, other in put_right])
    return f"{np.abs(off).mean():.2f} degrees, root mean square {np.sqrt((off**2).mean()):.2f}; {off.size} vertebrae"


def joined_studies(films: FilmSet, pairs: Sequence[Repeated]) -> set[str]:
    """Studies that share an exposure with another study, so a patient too."""
    met = [(films[pair.first].study, films[pair.second].study) for pair in pairs]
    return {study for two in met for study in two if two[0] != two[1]}


def main(
    preds: Path,
    data: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Prints the label's own noise beside the error of predictions on the same films."""
    films = read_challenge(data_root(data))
    pairs = repeated_exposures(films)
    told = {film.film_id: np.asarray(film.angles, np.float64) for film in films if film.angles is not None}
    said = dict(zip(*read_angles_csv(preds), strict=True))
    names = [(films[pair.first].film_id, films[pair.second].film_id) for pair in pairs]
    both = [two for two in names if two[0] in said and two[1] in said]
    print(f"{len(pairs)} pairs of films show one exposure; {len(both)} of them are predicted")
    print("label against label:       ", apart([told[a] for a, _ in both], [told[b] for _, b in both]))
    print("tilt, label against label: ", tilts_apart(films, pairs))
    print(
        "prediction against its own:",
        apart([said[n] for two in both for n in two], [told[n] for two in both for n in two]),
    )
    print(
        "against the other label:   ",
        apart([said[n] for two in both for n in two], [told[n] for two in both for n in two[::-1]]),
    )
    print("prediction against its pair:", apart([said[a] for a, _ in both], [said[b] for _, b in both]))
    shared = joined_studies(films, pairs)
    rest = [film.film_id for film in films if film.study not in shared and film.film_id in said]
    print("all predictions:           ", apart(list(said.values()), [told[n] for n in said]))
    print(f"without {len(shared)} joined studies: ", apart([said[n] for n in rest], [told[n] for n in rest]))


if __name__ == "__main__":
    typer.run(main)
