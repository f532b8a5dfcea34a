"""What solvers make of films as users have them: negatives, turned, pale, wide, lateral, whole.

    python -m tools.as_they_come FOLDER         films of a folder, shown in each of these ways
    python -m tools.as_they_come --lateral 12   that many rendered lateral films, which are no film to measure
    python -m tools.as_they_come FOLDER --whole how far the other systems lie from `vertebra_field` on whole films

Truth are the angles of the film as it is, or those of `vertebra_field`, so no labels are needed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
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
from aasce.ensemble import measure
from aasce.phantom.films import draw_framing, expose
from aasce.phantom.person import build_person, draw_person
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.base import Solver
from aasce.solvers.registry import DEFAULT_SOLVER, SOLVERS
from aasce.solvers.shared.regressor import RegressingSolver
from aasce.types import Radiograph

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
        seen = expose(phantom, aside.camera(), aside.kilovolts, aside.aluminium)
    return Radiograph(f"lateral-{seed:06d}", (255 * (1 - seen.clamp(0, 1).numpy())).astype(np.uint8))


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
    "as a negative": (lambda film: 255 - film, "film_negative"),
    "upside down": (lambda film: film[::-1, ::-1], "film_upside_down"),
    "on its side": (lambda film: np.rot90(film), "film_on_its_side"),
    "pale": (lambda film: film // 5, ""),
    "on a square": (on_a_square, ""),
    "beside a lateral view": (lambda film: np.hstack([film, lateral_view(len(film))]), ""),
}
"""How a film is shown, and the flag that ought to say so."""


def compare_systems(folder: Path) -> None:
    """Prints the difference to `vertebra_field`'s major angles of each system, led by its first look and by itself."""
    found = unlabelled_films(folder)
    films = [found.radiograph(index) for index in range(len(found))]
    given = major_angles(aasce.load(DEFAULT_SOLVER), films)
    for name in SOLVERS:
        solver = aasce.load(name)
        if not isinstance(solver, RegressingSolver):
            continue
        for way, finder in (("led", solver.finder), ("by itself", None)):
            solver.finder = finder
            off = np.abs(major_angles(solver, films) - given)
            told = f"median {np.nanmedian(off):.1f}, most {np.nanmax(off):.1f}"
            failed = int(np.isnan(off).sum())
            typer.echo(f"{name}, {way}: {told}, beyond 10 degrees {(off > 10).sum()}, failed {failed}")


def major_angles(solver: Solver | Ensemble, films: list[Radiograph]) -> NDArray[np.float64]:
    """(N,) degrees, NaN where a film failed."""
    said = [measure(prediction) for prediction in solver.predict(films)]
    return np.array([np.nan if m.angles is None else m.angles.degrees[0] for m in said])


def main(
    folder: Annotated[Path | None, typer.Argument()] = None,
    solver: str = "vertebra_field",
    lateral: int = 0,
    seed: int = 0,
    whole: bool = False,
) -> None:
    """Prints of how many films the flag tells the way, and of how many each angle stays within a degree."""
    if whole and folder is not None:
        return compare_systems(folder)
    measurer = aasce.load(solver)
    found = None if folder is None else unlabelled_films(folder)
    films = [] if found is None else [found.radiograph(index) for index in range(len(found))]
    given = measurer.predict(films)
    for name, (show, flag) in WAYS.items() if films else ():
        shown = [replace(f, pixels=np.ascontiguousarray(show(to_uint8(f.pixels)))) for f in films]
        said = measurer.predict(shown)
        off = np.array([
            np.inf if a.angles is None or b.angles is None else np.abs(a.angles.degrees - b.angles.degrees).max()
            for a, b in zip(said, given, strict=True)
        ])  # fmt: skip
        told = f"told {sum(flag in p.flags for p in said)} of {len(films)}, " if flag else ""
        typer.echo(f"{name}: {told}within 1 degree {(off < 1).sum()}, median {np.median(off):.2f}")
    if films:
        wrong = sum(any(f and f in p.flags for _, f in WAYS.values()) for p in given)
        typer.echo(f"as it is: taken for one of these {wrong} of {len(films)}")
    seen = measurer.predict([lateral_film(seed + k) for k in range(lateral)])
    if seen:
        told = sum(p.failure is not None or "spine_unclear" in p.flags for p in seen)
        typer.echo(
            f"lateral: told {told} of {lateral}, confidence at most {max(p.confidence for p in seen):.2f}"
        )


if __name__ == "__main__":
    typer.run(main)
