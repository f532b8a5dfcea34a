"""A file to a film or a volume."""

from aasce.readers.films import film_name, film_size, read_film, read_films
from aasce.readers.listing import FilmFile, find_films, list_films
from aasce.readers.scans import read_scan, write_scan

__all__ = [
    "FilmFile",
    "film_name",
    "film_size",
    "find_films",
    "list_films",
    "read_film",
    "read_films",
    "read_scan",
    "write_scan",
]
