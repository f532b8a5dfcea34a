"""Two tables of angles to SMAPE and agreement. Knows angles and film names, never a network."""

from aasce.scoring.agreement import Agreement, FilmError, Score, score
from aasce.scoring.metrics import smape
from aasce.scoring.tables import HEADER, film_name, read_angles_csv

__all__ = ["HEADER", "Agreement", "FilmError", "Score", "film_name", "read_angles_csv", "score", "smape"]
