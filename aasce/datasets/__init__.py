"""A folder to a data set: films, labels, folds, and what is wrong with them."""

from aasce.datasets.audit import audit_dataset, film_faults, repeated_films
from aasce.datasets.challenge import FilmSet, LabelledFilm, data_root, read_challenge, unlabelled_films
from aasce.datasets.folds import grouped_folds, grouped_holdout, study_id
from aasce.datasets.spinal_ai2024 import names_levels, read_spinal_ai2024

__all__ = [
    "FilmSet",
    "LabelledFilm",
    "audit_dataset",
    "data_root",
    "film_faults",
    "grouped_folds",
    "grouped_holdout",
    "names_levels",
    "read_challenge",
    "read_spinal_ai2024",
    "repeated_films",
    "study_id",
    "unlabelled_films",
]
