"""Identification rate and localisation distance of a trained `labelling`, by its U-net alone and with the corrector.

This is the comparison of tables 1 and 2 of Bayat et al. (CSI 2019). One run gives both columns: the soft-argmax of its
maps, and these coordinates corrected. The paper's U-net was trained alone, which is another run (`--set
corrector=false` in training), whose first column is the paper's.

    python -m tools.label_scores runs/labelling --data $AASCE_DATA --fold 0
    python -m tools.label_scores runs/labelling --data films

The first line measures the films that the run of a fold has not seen, the second one all films of a folder that
`aasce synth` wrote. Rendered films know how large a pixel is in the plane of the spine. Films of the challenge do not:
there the 20 mm of an identified vertebra are those of a spine of average length, and distances are in px.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from aasce.datasets import FilmSet, data_root, read_challenge
from aasce.datasets.challenge import LabelledFilm
from aasce.evaluation.split import Split
from aasce.geometry.spine import order_vertebrae
from aasce.phantom.record import read_centres, read_pixel_mm
from aasce.scoring.localization import LocalizationScore, localization_score
from aasce.solvers.base import read_state
from aasce.solvers.labelling.settings import NECK
from aasce.solvers.labelling.solver import LabellingSolver
from aasce.types import AasceError, Array
from aasce.weights import UNSEEN_LOCALIZER, load_solver

COLUMNS = {"U-net": False, "U-net + corrector": True}
"""Columns of the table, and whether coordinates are corrected."""


def labelled_centres(film: LabelledFilm, levels: int, size: tuple[int, int]) -> Array:
    """(levels, 2) px, C1 (or T1) to L5: the means of the labelled corners, and of a rendered film the neck.

    Args:
        film: with landmarks.
        levels: 17 or 24.
        size: (H, W) of the film; levels off the film are NaN, as are those that no label names.
    """
    assert film.landmarks is not None
    trunk = order_vertebrae(film.landmarks).mean(axis=1)
    every = read_centres(film.path)
    neck = np.full((NECK, 2), np.nan) if every is None else every[:NECK]
    points = np.concatenate([neck, trunk])[-levels:]
    inside = ((points >= 0) & (points <= np.array([size[1], size[0]]) - 1)).all(axis=1, keepdims=True)
    return np.where(inside, points, np.nan)


def label_scores(solver: LabellingSolver, films: FilmSet) -> dict[str, LocalizationScore]:
    """Measures of each column of the table.

    Args:
        solver: trained, with its localizer.
        films: with landmarks, not trained on.
    """
    given, scores = solver.config, {}
    radiographs = [films.radiograph(index) for index in range(len(films))]
    truth = [
        labelled_centres(film, given.level_count, shown.size)
        for film, shown in zip(films, radiographs, strict=True)
    ]
    scale = [read_pixel_mm(film.path) for film in films]
    for name, corrector in COLUMNS.items():
        solver.config = given.model_copy(update={"corrector": corrector})
        scores[name] = localization_score([solver.centroids(film) for film in radiographs], truth, scale)
    solver.config = given
    return scores


def table(scores: dict[str, LocalizationScore]) -> list[str]:
    """Lines of a Markdown table, a measure a line as in the paper."""
    columns = list(scores.values())
    mm = all(score.mean_mm is not None for score in columns)
    unit = "mm" if mm else "px"
    rows = {
        "identification rate": [f"{s.identified:.1f} %" for s in columns],
        "localisation distance, mean": [f"{(s.mean_mm if mm else s.mean_px):.2f} {unit}" for s in columns],
        "localisation distance, sd": [f"{(s.sd_mm if mm else s.sd_px):.2f} {unit}" for s in columns],
        "vertebrae (films)": [f"{s.vertebrae} ({s.films})" for s in columns],
    }
    lines = [("measure", *scores), ("---", *(["---:"] * len(scores))), *((k, *v) for k, v in rows.items())]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def chosen_films(run: Path, films: FilmSet, fold: int | None) -> FilmSet:
    """The films of a fold, by the split of the run; all for None.

    Raises:
        AasceError: there is no such fold.
    """
    if fold is None:
        return films
    training = read_state(run).training
    folds = Split(int(training.get("folds", 5)), seed=int(training.get("split_seed", 0))).fold_indices(films)
    if not 0 <= fold < len(folds):
        raise AasceError(f"--fold {fold}: is from 0 to {len(folds) - 1}")
    return films.subset(folds[fold])


def main(
    run: Annotated[Path, typer.Argument(help="run folder of labelling")],
    data: Annotated[Path | None, typer.Option(help="folder of films; else AASCE_DATA")] = None,
    fold: Annotated[int | None, typer.Option(help="of the run; all films without it")] = None,
    films: Annotated[int | None, typer.Option(help="the first so many films alone")] = None,
) -> None:
    """Prints the table of identification rate and localisation distance."""
    solver = load_solver(run, localizer=UNSEEN_LOCALIZER)
    if not isinstance(solver, LabellingSolver):
        raise typer.BadParameter(f"{run}: holds a {solver.name}, not a labelling")
    chosen = chosen_films(run, read_challenge(data_root(data)), fold)
    for line in table(label_scores(solver, chosen[:films])):
        typer.echo(line)


if __name__ == "__main__":
    typer.run(main)
