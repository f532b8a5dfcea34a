"""The challenge's data set, read in the organisers' own layout, and folders of films without labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from aasce.datasets import labels as files
from aasce.datasets.folds import study_id
from aasce.geometry.audit import fix_landmarks
from aasce.geometry.cobb import cobb_angles
from aasce.readers.films import film_name, film_size, read_film
from aasce.readers.listing import find_films
from aasce.types import AasceError, Radiograph

Floats = NDArray[np.float64]
Labels: TypeAlias = Literal["official", "fixed", "none"]
Source: TypeAlias = Literal["mat", "csv"]


@dataclass(frozen=True, slots=True)
class LabelledFilm:
    """One film of a data set and what is known of it; its pixels are read when asked for.

    Attributes:
        film_id: file name without extension.
        path: of the film.
        study: films of one study are films of one patient.
        landmarks: (17, 4, 2) float64 px of the film as read, None without labels.
        angles: (3,) float64 degrees, an1, an2, an3 by the challenge's definition, None without labels.
    """

    film_id: str
    path: Path
    study: str
    landmarks: Floats | None = None
    angles: Floats | None = None


class FilmSet(Sequence[LabelledFilm]):
    """An ordered, unchangeable set of films.

    Attributes:
        name: of the set, for run folders and reports ("training", a folder's name).
        labels: "official" as released, "fixed" by the geometric audit, or "none".
    """

    def __init__(self, films: Iterable[LabelledFilm], name: str, labels: Labels) -> None:
        self._films = tuple(films)
        self.name = name
        self.labels = labels

    @overload
    def __getitem__(self, index: int) -> LabelledFilm: ...
    @overload
    def __getitem__(self, index: slice) -> FilmSet: ...
    def __getitem__(self, index: int | slice) -> LabelledFilm | FilmSet:
        if isinstance(index, slice):
            return FilmSet(self._films[index], self.name, self.labels)
        return self._films[index]

    def __len__(self) -> int:
        return len(self._films)

    def __iter__(self) -> Iterator[LabelledFilm]:
        return iter(self._films)

    def __repr__(self) -> str:
        return f"FilmSet({self.name!r}, {len(self)} films, labels={self.labels!r})"

    def subset(self, indices: Iterable[int]) -> FilmSet:
        """The films at `indices`, in that order."""
        return FilmSet((self._films[i] for i in indices), self.name, self.labels)

    @property
    def studies(self) -> list[str]:
        """Study id of each film, for grouped splits."""
        return [film.study for film in self._films]

    def radiograph(self, index: int) -> Radiograph:
        """Reads film `index` from its file."""
        return read_film(self._films[index].path)


def data_root(path: Path | None = None) -> Path:
    """Folder of the data: the argument, else what AASCE_DATA names.

    Raises:
        AasceError: neither is given, or it is no folder.
    """
    value = path if path is not None else os.environ.get("AASCE_DATA")
    if not value:
        raise AasceError("no data set named; pass its folder with --data, or set AASCE_DATA to it")
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise AasceError(
            f"{folder}: no such folder; pass the data set's with --data, or set AASCE_DATA to it"
        )
    return folder


def challenge_folder(root: Path) -> Path:
    """The folder that holds data/ and labels/: `root` itself or its aasce19/.

    Raises:
        AasceError: neither has that layout.
    """
    for folder in (root, root / "aasce19"):
        if (folder / "data").is_dir() and (folder / "labels").is_dir():
            return folder
    raise AasceError(f"{root}: holds neither data/ and labels/ nor aasce19/; name the folder of the release")


def read_challenge(
    root: Path | str, part: str = "training", labels: Labels = "official", source: Source = "mat"
) -> FilmSet:
    """Reads a part of the AASCE 2019 data set; the pixels stay on disk until asked for.

    Args:
        root: folder that holds data/ and labels/, or the one above that holds aasce19/.
        part: "training" or "test" (the folder of the 128 validation films).
        labels: "official", as released; "fixed", landmarks repaired by `aasce.geometry.audit.fix_landmarks`
            and angles computed anew from them; "none", the films alone.
        source: "mat" reads landmarks in whole pixels, the ones angles.csv was computed from; "csv" reads
            landmarks.csv (5 significant digits of the film's width and height).

    Raises:
        AasceError: a file is missing or unreadable, or two label files disagree in length.
    """
    if labels not in ("official", "fixed", "none"):
        raise AasceError(f"labels are 'official', 'fixed' or 'none', not {labels!r}")
    folder = challenge_folder(Path(root))
    label_folder = folder / "labels" / part
    if not label_folder.is_dir():
        parts = ", ".join(sorted(p.name for p in (folder / "labels").iterdir() if p.is_dir()))
        raise AasceError(f"{label_folder}: no such part of the data set; it has {parts or 'none'}")
    names = files.read_names(label_folder / "filenames.csv")
    films = [_film(folder / "data" / part / name) for name in names]
    if labels == "none":
        return FilmSet(films, part, labels)
    angles = files.read_table(label_folder / "angles.csv", 3)
    files.check_rows(label_folder / "angles.csv", angles, names)
    landmarks = _landmarks(label_folder, films, names, source)
    labelled = (replace(f, landmarks=p, angles=a) for f, p, a in zip(films, landmarks, angles, strict=True))
    official = FilmSet(labelled, part, "official")
    return official if labels == "official" else fixed(official)


def fixed(film_set: FilmSet) -> FilmSet:
    """The same films with their landmarks repaired and their angles computed anew where a repair was made."""
    return FilmSet((_fixed(film) for film in film_set), film_set.name, "fixed")


def _fixed(film: LabelledFilm) -> LabelledFilm:
    if film.landmarks is None:
        return film
    size = film_size(film.path)
    repaired = fix_landmarks(film.landmarks, size)
    if np.array_equal(repaired, film.landmarks):
        return film
    return replace(film, landmarks=repaired, angles=cobb_angles(repaired, size[0]).degrees)


def unlabelled_films(folder: Path | str) -> FilmSet:
    """Every film of a folder, without labels, sorted by name as text."""
    return FilmSet([_film(path) for path in find_films([folder])], Path(folder).name, "none")


def _film(path: Path) -> LabelledFilm:
    if not path.is_file():
        raise AasceError(f"{path}: no such film; restore it, or remove its line from every label file")
    return LabelledFilm(film_name(path), path, study_id(path.name))


def _landmarks(folder: Path, films: list[LabelledFilm], names: list[str], source: Source) -> list[Floats]:
    if source == "mat":
        return [files.read_mat(folder / f"{name}.mat") for name in names]
    if source != "csv":
        raise AasceError(f"landmarks are read from 'mat' or 'csv', not {source!r}")
    table = files.read_table(folder / "landmarks.csv", 2 * files.POINTS)
    files.check_rows(folder / "landmarks.csv", table, names)
    sizes = [film_size(film.path) for film in films]
    return [files.landmarks_from_csv(row, size) for row, size in zip(table, sizes, strict=True)]
