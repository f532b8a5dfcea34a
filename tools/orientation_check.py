"""How solvers do on films shown otherwise: as negatives, turned, pale, on a square, beside a lateral view, whole.

    python -m tools.orientation_check FOLDER         films of a folder, shown in each of these ways
    python -m tools.orientation_check --lateral 12   rendered lateral films, on which no Cobb angle can be measured
    python -m tools.orientation_check FOLDER --whole the other systems against `vertebra_field`

Angles are compared with those of the film as it is, or with those of `vertebra_field`, so no labels are needed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray

import aasce
from aasce.api import Ensemble
from aasce.datasets import unlabelled_films
from aasce.ensemble import with_angles
from aasce.phantom.films import draw_framing, expose
from aasce.phantom.person import build_person, draw_person
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import UNCLEAR_FLAG, Solver
from aasce.solvers.registry import DEFAULT_SOLVER, SOLVERS
from aasce.types import NEGATIVE_FLAG, TURNED_FLAGS, Radiograph, SpinePrediction
from aasce.weights import load_solver

VIEW = 720
"""Seed of the lateral view that is put beside films."""


def lateral_film(seed: int, rows: int = 768) -> Radiograph:
    """A person of the phantom from the side, from head to hips."""
    phantom = build_person(draw_person(seed))
    framing = draw_framing(np.random.default_rng((seed, 1)), phantom, rows, "whole")
    left, right, bottom, top = framing.box
    middle = (left + right) / 2
    box = (middle - 230.0, middle + 230.0, bottom, top)
    aside = framing.model_copy(update={"turn": (0.0, 0.0, 90.0), "box": box, "kilovolts": 100.0})
    with torch.no_grad():
        signal = expose(phantom, aside.camera(), aside.kilovolts, aside.aluminium)
    return Radiograph(f"lateral-{seed:06d}", (255 * (1 - signal.clamp(0, 1).numpy())).astype(np.uint8))


@functools.cache
def lateral_view(height: int) -> Bytes:
    """A lateral film of that many rows."""
    film = lateral_film(VIEW).pixels
    return np.asarray(cv2.resize(film, (round(film.shape[1] * height / len(film)), height)), np.uint8)


def on_a_square(film: Bytes) -> Bytes:
    """A film in the middle of a square, dark around it."""
    room = max(0, film.shape[0] - film.shape[1])
    return np.pad(film, ((0, 0), (room // 2, room - room // 2)))


WAYS: dict[str, tuple[Callable[[Bytes], Bytes], str]] = {
    "as a negative": (lambda film: 255 - film, NEGATIVE_FLAG),
    "upside down": (lambda film: film[::-1, ::-1], TURNED_FLAGS[2]),
    "on its side": (lambda film: np.rot90(film), TURNED_FLAGS[1]),
    "pale": (lambda film: film // 5, ""),
    "on a square": (on_a_square, ""),
    "beside a lateral view": (lambda film: np.hstack([film, lateral_view(len(film))]), ""),
}
"""How a film is shown, and the flag that it should get."""


def compare_systems(films: list[Radiograph]) -> None:
    """Prints the difference to `vertebra_field`'s major angles of each system, with its localizer and without."""
    expected = major_angles(aasce.load(DEFAULT_SOLVER), films)
    for name in SOLVERS:
        solver = load_solver(name)
        if not solver.needs_localizer or name == "inverse_render":  # which has no angles without a localizer
            continue
        for way, localizer in (("with its localizer", solver.localizer), ("without", None)):
            solver.localizer = localizer
            off = np.abs(major_angles(solver, films) - expected)
            spread = f"median {np.nanmedian(off):.1f}, at most {np.nanmax(off):.1f}"
            failed = int(np.isnan(off).sum())
            typer.echo(f"{name}, {way}: {spread}, over 10 degrees {(off > 10).sum()}, failed {failed}")


def major_angles(solver: Solver | Ensemble, films: list[Radiograph]) -> NDArray[np.float64]:
    """(N,) degrees, NaN where a film failed."""
    measured = [with_angles(prediction) for prediction in solver.predict(films)]
    return np.array([np.nan if m.angles is None else m.angles.degrees[0] for m in measured])


def compare_ways(solver: Solver | Ensemble, films: list[Radiograph]) -> None:
    """Prints for each way how many films get its flag, and on how many each angle stays within a degree."""
    plain = solver.predict(films)
    for name, (show, flag) in WAYS.items():
        shown = [replace(f, pixels=np.ascontiguousarray(show(to_uint8(f.pixels)))) for f in films]
        found = solver.predict(shown)
        off = largest_differences(found, plain)
        flagged = f"flagged {sum(flag in p.flags for p in found)} of {len(films)}, " if flag else ""
        typer.echo(f"{name}: {flagged}within 1 degree {(off < 1).sum()}, median {np.median(off):.2f}")
    wrong = sum(any(f and f in p.flags for _, f in WAYS.values()) for p in plain)
    typer.echo(f"as it is: flagged as one of these {wrong} of {len(films)}")


def largest_differences(
    ones: Sequence[SpinePrediction], others: Sequence[SpinePrediction]
) -> NDArray[np.float64]:
    """(N,) largest difference of the three angles, degrees; infinite where one of the two has none."""
    pairs = [(with_angles(a).angles, with_angles(b).angles) for a, b in zip(ones, others, strict=True)]
    return np.array(
        [np.inf if a is None or b is None else np.abs(a.degrees - b.degrees).max() for a, b in pairs]
    )


def check_lateral(solver: Solver | Ensemble, count: int, seed: int) -> None:
    """Prints how many rendered lateral films are refused or flagged, and how far they are trusted."""
    found = solver.predict([lateral_film(seed + k) for k in range(count)])
    flagged = sum(p.failure is not None or UNCLEAR_FLAG in p.flags for p in found)
    most = max(p.confidence for p in found)
    typer.echo(f"lateral: flagged {flagged} of {count}, confidence at most {most:.2f}")


def main(
    folder: Annotated[Path | None, typer.Argument(help="films")] = None,
    solver: str = DEFAULT_SOLVER,
    lateral: Annotated[int, typer.Option(help="number of rendered lateral films")] = 0,
    seed: Annotated[int, typer.Option(help="of the first lateral film")] = 0,
    whole: Annotated[bool, typer.Option("--whole", help="compare the systems with vertebra_field")] = False,
) -> None:
    """Prints how a solver does on films shown otherwise."""
    found = None if folder is None else unlabelled_films(folder)
    films = [] if found is None else [found.radiograph(index) for index in range(len(found))]
    if whole:
        return compare_systems(films)
    measurer = aasce.load(solver)
    if films:
        compare_ways(measurer, films)
    if lateral:
        check_lateral(measurer, lateral, seed)


if __name__ == "__main__":
    typer.run(main)
