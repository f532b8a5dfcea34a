"""A file to a film or a volume."""

from aasce.readers.films import film_name, film_size, find_films, read_film
from aasce.readers.scans import read_scan, write_scan

__all__ = ["film_name", "film_size", "find_films", "read_film", "read_scan", "write_scan"]
