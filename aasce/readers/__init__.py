"""File to film, and folder to data set."""

from aasce.readers.dataset import (
    FilmSet,
    LabelledFilm,
    data_root,
    read_challenge,
    unlabelled_films,
)
from aasce.readers.films import film_name, film_size, find_films, read_film
from aasce.readers.splits import grouped_folds, grouped_holdout, study_id

__all__ = [
    "FilmSet",
    "LabelledFilm",
    "data_root",
    "film_name",
    "film_size",
    "find_films",
    "grouped_folds",
    "grouped_holdout",
    "read_challenge",
    "read_film",
    "study_id",
    "unlabelled_films",
]
