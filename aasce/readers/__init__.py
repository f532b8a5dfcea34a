"""File to film or volume, and folder to data set."""

from aasce.readers.audit import audit_dataset, film_faults, repeated_films
from aasce.readers.dataset import (
    FilmSet,
    LabelledFilm,
    data_root,
    read_challenge,
    unlabelled_films,
)
from aasce.readers.films import film_name, film_size, find_films, read_film
from aasce.readers.scans import read_scan, write_scan
from aasce.readers.splits import grouped_folds, grouped_holdout, study_id

__all__ = [
    "FilmSet",
    "LabelledFilm",
    "audit_dataset",
    "data_root",
    "film_faults",
    "film_name",
    "film_size",
    "find_films",
    "grouped_folds",
    "grouped_holdout",
    "read_challenge",
    "read_film",
    "read_scan",
    "repeated_films",
    "study_id",
    "unlabelled_films",
    "write_scan",
]
