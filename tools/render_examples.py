"""Renders the kit's example films: a dozen spines of the phantom whose landmarks are known.

python -m tools.render_examples aasce/examples
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from aasce.files import atomic_write, write_text
from aasce.phantom.films import Frame, RenderedFilm, render_film

ROWS = 1280
QUALITY = 88


@dataclass(frozen=True, slots=True)
class Example:
    """One film: the arguments of `render_film`."""

    seed: int
    frame: Frame
    curve: str
    cobb: float
    population: str = "patients"


EXAMPLES: dict[str, Example] = {
    "example-01": Example(101, "whole", "single thoracic", 46.0),
    "example-02": Example(102, "whole", "double major", 52.0),
    "example-03": Example(103, "trunk", "double thoracic", 38.0),
    "example-04": Example(104, "whole", "thoracolumbar", 34.0),
    "example-05": Example(105, "trunk", "lumbar", 28.0),
    "example-06": Example(106, "whole", "triple major", 60.0),
    "example-07": Example(207, "trunk", "S", 33.0),
    "example-08": Example(108, "whole", "C", 24.0),
    "example-09": Example(109, "trunk", "long thoracic", 71.0),
    "example-10": Example(110, "whole", "lumbar major", 41.0),
    "example-11": Example(111, "whole", "straight", 2.0, "adults"),
    "example-12": Example(112, "whole", "lumbar", 22.0, "elderly"),
}


def render(name: str, rows: int = ROWS) -> RenderedFilm:
    """The film of an example, at its own size or smaller."""
    e = EXAMPLES[name]
    return render_film(e.seed, rows, e.population, e.frame, e.cobb, e.curve)


def main(folder: Annotated[Path, typer.Argument(help="where the films go")]) -> None:
    """Writes the films, truth.csv and landmarks.json."""
    landmarks = {}
    rows = []
    for name in EXAMPLES:
        film = render(name)
        with atomic_write(folder / f"{name}.jpg") as path:
            cv2.imwrite(str(path), film.pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        landmarks[name] = {
            "size": list(film.truth.size),
            "landmarks": np.round(film.truth.landmarks, 2).tolist(),
        }
        rows.append([name, *(f"{angle:.3f}" for angle in film.truth.challenge.degrees)])
    write_text(folder / "landmarks.json", json.dumps(landmarks) + "\n")
    with atomic_write(folder / "truth.csv") as path, path.open("w", newline="") as file:
        csv.writer(file).writerows([["name", "an1", "an2", "an3"], *rows])


if __name__ == "__main__":
    typer.run(main)
