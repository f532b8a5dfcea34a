"""Two tables of angles to SMAPE and agreement. Knows angles and film names, never a network."""

from aasce.scoring.agreement import Agreement, FilmError, Score, score
from aasce.scoring.metrics import film_smape, smape
from aasce.scoring.present import save_score_figure, score_json, score_table
from aasce.scoring.tables import HEADER, film_name, read_angles_csv

__all__ = [
    "HEADER",
    "Agreement",
    "FilmError",
    "Score",
    "film_name",
    "film_smape",
    "read_angles_csv",
    "save_score_figure",
    "score",
    "score_json",
    "score_table",
    "smape",
]
