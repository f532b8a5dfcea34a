"""The score of the validation films that training watches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from aasce.datasets import FilmSet, LabelledFilm
from aasce.solvers.vertebra_field.task import Scorer
from tests.conftest import straight_spine


def test_a_straight_spine_found_straight_scores_0_and_a_spine_not_found_100(tmp_path: Path) -> None:
    """Six angles of 0 are nothing over nothing, which the challenge counts as 0."""
    path = tmp_path / "film.png"
    Image.fromarray(np.full((1000, 400), 90, np.uint8)).save(path)
    film = LabelledFilm("film", path, "film", straight_spine(), np.zeros(3))
    films = FilmSet([film], "training", "official")
    found = Scorer(films, lambda module, radiograph: straight_spine())(nn.Identity())
    assert (found["score"], found["tilt"], found["missing"]) == (0.0, 0.0, 0.0)
    missed = Scorer(films, lambda module, radiograph: None)(nn.Identity())
    assert (missed["score"], missed["missing"]) == (100.0, 1.0)
