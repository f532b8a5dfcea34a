"""Faults of a labelled data set: of each film's geometry, and films or labels that stand there twice."""

from __future__ import annotations

import hashlib

from aasce.datasets.challenge import FilmSet, LabelledFilm
from aasce.geometry.audit import Fault, audit_landmarks
from aasce.readers.films import film_size


def audit_dataset(film_set: FilmSet) -> dict[str, list[Fault]]:
    """Finds the label faults of a data set by geometry, and its repetitions.

    Args:
        film_set: with labels, as a rule the official ones.

    Returns:
        Film id -> faults, for the films that have any, in the order of the set.
    """
    repeated = repeated_films(film_set)
    found = {film.film_id: film_faults(film) + repeated.get(film.film_id, []) for film in film_set}
    return {film_id: faults for film_id, faults in found.items() if faults}


def film_faults(film: LabelledFilm) -> list[Fault]:
    """Faults of one film by geometry; none where it has no landmarks."""
    return [] if film.landmarks is None else audit_landmarks(film.landmarks, film_size(film.path))


def repeated_films(film_set: FilmSet) -> dict[str, list[Fault]]:
    """Film id -> "same_film" or "same_labels", for films whose file or landmarks equal an earlier film's."""
    faults: dict[str, list[Fault]] = {}
    for kind, what, key in (
        ("same_film", "the picture of", _picture),
        ("same_labels", "the labels of", _labels),
    ):
        first: dict[bytes, str] = {}
        for film in film_set:
            mark = key(film)
            if mark is not None and first.setdefault(mark, film.film_id) != film.film_id:
                faults.setdefault(film.film_id, []).append(Fault(None, kind, f"{what} {first[mark]} again"))
    return faults


def _picture(film: LabelledFilm) -> bytes | None:
    return hashlib.sha256(film.path.read_bytes()).digest()


def _labels(film: LabelledFilm) -> bytes | None:
    return None if film.landmarks is None else film.landmarks.tobytes()
