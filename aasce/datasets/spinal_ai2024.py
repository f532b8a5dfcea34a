"""Spinal-AI2024: films drawn by a generator that learned from hospital films, vertebrae labelled but not named.

The films of the CurvNet paper (arXiv 2411.12604), 512 px high, in a folder with `films/` and `corners.csv`: columns
name, width, height, vertebrae, corners (x y of TL, TR, BL, BR of each vertebra from the top, px). Between 14 and 20
vertebrae are labelled, and the first one may be C6, C7, T1 or T2: no label says which.

Labels are loose. Boxes are about 0.83 times as wide as the bodies, a vertebra may be left out in the middle, and all
lie lower on the film and farther right than the bodies by the same few px (`OFFSET`). Their tilts follow the endplates.

File names are numbers and say nothing of patients: each film is a study of its own. Every second film by name is
the fixed part to measure on; see `held_out`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aasce.datasets.challenge import FilmSet, LabelledFilm
from aasce.datasets.folds import study_id
from aasce.geometry.spine import centres, corners_agree, order_vertebrae, repair_corners, spine_directions
from aasce.readers.films import film_name, film_size
from aasce.types import AasceError

Floats = NDArray[np.float64]
Part: TypeAlias = Literal["other", "held_out", "all"]
"""Which films: every second one by name ("held_out"), the others ("other"), or all."""

FOLDER = "spinal_ai2024"
FEWEST, MOST = 14, 20
"""Labelled vertebrae of a film; a row with fewer or more is damaged."""

OFFSET = (4.4, 5.4)
"""px (x, y) from a body to its label: medians over 266 vertebrae of 16 films, between vertebrae found by the released
`vertebra_field` and their labels; down the spine 4.3, 4.5, 4.0, 4.7 and 5.3, 4.9, 5.8, 6.1 by quarters, the same on
films of any curve."""

COLUMNS = ("name", "width", "height", "vertebrae", "corners")


@dataclass(frozen=True, slots=True)
class UnnamedFilm(LabelledFilm):
    """A film whose vertebrae are labelled from the top, (V, 4, 2) px, without their levels; it has no angles."""


def names_levels(film: LabelledFilm) -> bool:
    """Whether a film's label says which vertebra is which: 17 of them, T1 to L5."""
    return film.landmarks is not None and not isinstance(film, UnnamedFilm)


@dataclass(frozen=True, slots=True)
class SpinalAi:
    """The data set.

    Attributes:
        films: whose labels can be used, in the order of their names; their vertebrae are not named.
        left_out: name of each other film -> what is wrong with it.
    """

    films: FilmSet
    left_out: dict[str, str]


def held_out(names: list[str]) -> set[str]:
    """Every second film: the 2nd, 4th, 6th, ... of all names in the order of text, damaged ones counted too."""
    return set(sorted(names)[1::2])


def spinal_ai_folder(root: Path | str) -> Path:
    """The folder that holds films/ and corners.csv: `root` itself or its spinal_ai2024/.

    Raises:
        AasceError: neither does.
    """
    for folder in (Path(root), Path(root) / FOLDER):
        if (folder / "films").is_dir() and (folder / "corners.csv").is_file():
            return folder
    raise AasceError(
        f"{root}: holds neither films/ and corners.csv nor {FOLDER}/; name the folder of Spinal-AI2024 or the one "
        "above it"
    )


def read_spinal_ai2024(root: Path | str, part: Part = "all", aligned: bool = False) -> SpinalAi:
    """Reads the labels of a part; the pixels stay on disk until asked for.

    Vertebrae are put in order from the top and corners renamed where they disagree with the spine's direction. Films
    with damaged, empty or impossible labels are left out, each with its reason.

    Args:
        root: folder of the set, or the one above it.
        part: see `Part`.
        aligned: move every label by `OFFSET` onto the bodies; else labels are as released.

    Raises:
        AasceError: the folder is another one, or corners.csv cannot be read, lacks a column or names a film twice.
    """
    folder = spinal_ai_folder(root)
    rows = _rows(folder / "corners.csv")
    second = held_out(list(rows))
    films, left_out = [], {}
    for name in sorted(rows):
        if part != "all" and (name in second) != (part == "held_out"):
            continue
        film = _film(folder / "films" / name, rows[name], OFFSET if aligned else (0.0, 0.0))
        if isinstance(film, str):
            left_out[name] = film
        else:
            films.append(film)
    title = FOLDER if part == "all" else f"{FOLDER}, {part.replace('_', ' ')}"
    return SpinalAi(FilmSet(films, title, "official"), left_out)


def _rows(path: Path) -> dict[str, Mapping[str, str]]:
    """Name -> row as text."""
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise AasceError(f"{path}: cannot be read ({type(error).__name__}); restore the file") from error
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise AasceError(f"{path}: has no column {missing[0]!r}; restore the file")
    twice = table["name"][table["name"].duplicated()]
    if len(twice):
        raise AasceError(f"{path}: lists {twice.iloc[0]!r} twice; remove one of its lines")
    records: list[dict[str, str]] = table[list(COLUMNS)].to_dict("records")  # type: ignore[assignment]
    return {row["name"]: row for row in records}


def _film(path: Path, row: Mapping[str, str], offset: tuple[float, float]) -> UnnamedFilm | str:
    """The film with its label set right, or what is wrong with it."""
    if not path.is_file():
        return "the film is missing"
    try:
        size = (int(row["height"]), int(row["width"]))
        count = int(row["vertebrae"])
        numbers = np.array(row["corners"].split(), dtype=np.float64)
    except ValueError:
        return "its row holds text where a number belongs"
    try:
        actual = film_size(path)
    except AasceError:
        return "the film cannot be read"
    if actual != size:
        return f"the film is {actual[1]} x {actual[0]} px, its label says {size[1]} x {size[0]}"
    fault = _count_fault(numbers, count)
    if fault is not None:
        return fault
    landmarks = repair_corners(order_vertebrae(numbers.reshape(-1, 4, 2) - np.array(offset)))
    return _shape_fault(landmarks, size) or UnnamedFilm(film_name(path), path, study_id(path.name), landmarks)


def _count_fault(numbers: Floats, count: int) -> str | None:
    if not len(numbers):
        return "its label is empty"
    if len(numbers) != 8 * count:
        return f"{len(numbers)} numbers for {count} vertebrae, not {8 * count}"
    if not np.isfinite(numbers).all():
        return "a corner is not a finite number"
    if not FEWEST <= count <= MOST:
        return f"{count} vertebrae, not {FEWEST} to {MOST}"
    return None


def _shape_fault(landmarks: Floats, size: tuple[int, int]) -> str | None:
    """What is impossible about corners in order; vertebrae are counted from 1 at the top."""
    wrong = np.flatnonzero(~corners_agree(landmarks, spine_directions(landmarks)))
    if len(wrong):
        return f"the corners of vertebra {wrong[0] + 1} cross or lie across the spine"
    middle = centres(landmarks)
    off = np.flatnonzero(((middle < 0) | (middle > [size[1] - 1, size[0] - 1])).any(axis=1))
    if len(off):
        return f"vertebra {off[0] + 1} lies off the film"
    steps = np.linalg.norm(np.diff(middle, axis=0), axis=1)
    near = np.flatnonzero(steps < 0.4 * np.median(steps))
    if len(near):
        return f"vertebrae {near[0] + 1} and {near[0] + 2} lie on each other"
    return None
