"""Faults of a labelled data set: of each film's geometry, and films or labels that are in it twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from aasce.datasets.challenge import FilmSet, LabelledFilm
from aasce.datasets.exposures import repeated_exposures
from aasce.geometry.audit import Fault, audit_landmarks
from aasce.readers.films import film_size
from aasce.types import VERTEBRAE

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("film", "vertebra", "fault", "detail", "repair")


def audit_dataset(
    film_set: FilmSet,
    exposures: bool = True,
    watch: Callable[[FilmSet], Iterable[LabelledFilm]] = iter,
) -> pd.DataFrame:
    """Finds the label faults of a data set by geometry, and what is in it twice.

    Args:
        film_set: with labels, as a rule the official ones.
        exposures: also search for exposures that are in the set under two names, which takes the pixels of every film.
        watch: passes the films on while the caller shows progress.

    Returns:
        One row a fault, in the order of the set: the id of the film; the vertebra by its place in the file (T1 to L5,
        "#18" beyond them, "" for the film as a whole); kind, detail and repair of the fault, see
        `aasce.geometry.audit.Fault`.

    Raises:
        AasceError: a film cannot be read.
    """
    import pandas as pd

    repeated = repeated_films(film_set)
    if exposures:
        _add_exposures(film_set, repeated)
    rows = [
        (film.film_id, _vertebra_name(fault.vertebra), fault.kind, fault.detail, fault.repair)
        for film in watch(film_set)
        for fault in film_faults(film) + repeated.get(film.film_id, [])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def film_faults(film: LabelledFilm) -> list[Fault]:
    """Faults of one film by geometry; none where it has no landmarks."""
    return [] if film.landmarks is None else audit_landmarks(film.landmarks, film_size(film.path))


def repeated_films(film_set: FilmSet) -> dict[str, list[Fault]]:
    """Film id -> "same_film" or "same_labels", for films whose file or landmarks equal an earlier film's."""
    faults: dict[str, list[Fault]] = {}
    for kind, what, key in (
        ("same_film", "the file of", _file_digest),
        ("same_labels", "the labels of", _label_bytes),
    ):
        first: dict[bytes, str] = {}
        for film in film_set:
            content = key(film)
            if content is not None and first.setdefault(content, film.film_id) != film.film_id:
                fault = Fault(None, kind, f"{what} {first[content]} again")
                faults.setdefault(film.film_id, []).append(fault)
    return faults


def _file_digest(film: LabelledFilm) -> bytes | None:
    return hashlib.sha256(film.path.read_bytes()).digest()


def _label_bytes(film: LabelledFilm) -> bytes | None:
    return None if film.landmarks is None else film.landmarks.tobytes()


def _add_exposures(film_set: FilmSet, found: dict[str, list[Fault]]) -> None:
    """Adds "same_exposure" for each film whose exposure an earlier film shows, unless its file is the same too."""
    for pair in repeated_exposures(film_set):
        first, second = film_set[pair.first], film_set[pair.second]
        known = found.setdefault(second.film_id, [])
        if any(fault.kind == "same_film" for fault in known):
            continue
        detail = f"the exposure of {first.film_id} again, exported and labelled anew"
        if first.angles is not None and second.angles is not None:
            difference = " ".join(f"{degrees:.1f}" for degrees in np.abs(first.angles - second.angles))
            detail += f"; the labelled angles differ by {difference} degrees"
        known.append(Fault(None, "same_exposure", detail))


def _vertebra_name(vertebra: int | None) -> str:
    if vertebra is None:
        return ""
    return VERTEBRAE[vertebra] if vertebra < len(VERTEBRAE) else f"#{vertebra + 1}"
