"""The table of identification rate and localisation distance, of centroids that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aasce.datasets import FilmSet, read_challenge
from aasce.phantom.record import read_centres
from aasce.solvers.labelling.settings import LabellingConfig
from aasce.types import Radiograph
from tests.synthetic import SIZE, bent_spine, write_challenge
from tests.unit.phantom.records import write_record
from tools.label_scores import label_scores, labelled_centres, table


@pytest.fixture
def films(tmp_path: Path) -> FilmSet:
    return read_challenge(write_challenge(tmp_path, [bent_spine(b) for b in (-20.0, 30.0)]))


class Shifted:
    """Predicts the labels, 3 px to the right with the corrector and a whole level lower without."""

    def __init__(self, films: FilmSet) -> None:
        self.config = LabellingConfig.tiny()
        self.known: dict[str, Any] = {film.film_id: labelled_centres(film, 17, SIZE) for film in films}

    def centroids(self, film: Radiograph) -> Any:
        truth = self.known[film.film_id]
        if self.config.corrector:
            return truth + np.array([3.0, 0.0])
        return np.concatenate([truth[1:], truth[-1:] + np.array([0.0, 15.0])])


def test_both_columns_are_measured_on_the_same_films(films: FilmSet) -> None:
    solver: Any = Shifted(films)
    scores = label_scores(solver, films)
    assert solver.config.corrector
    alone, corrected = scores["U-net"], scores["U-net + corrector"]
    assert (corrected.identified, corrected.mean_px, corrected.sd_px) == pytest.approx((100, 3, 0), abs=1e-6)
    # Of a level too low, L5 alone has no other label that is nearer; 15 px are less than 20 mm
    # of a spine of 16 steps of 22 px.
    assert alone.identified == pytest.approx(100 / 17)
    lines = table(scores)
    assert lines[0] == "| measure | U-net | U-net + corrector |"
    assert lines[2] == "| identification rate | 5.9 % | 100.0 % |"
    assert lines[3].endswith("| 3.00 px |")
    assert lines[5] == "| vertebrae (films) | 34 (2) | 34 (2) |"


def test_distances_are_in_mm_where_every_film_has_a_scale(films: FilmSet) -> None:
    framing = [write_record(film.path, seed)[0] for film, seed in zip(films, (3, 4), strict=True)]
    solver: Any = Shifted(films)
    mm = [(f.box[3] - f.box[2]) / f.rows for f in framing]
    assert table(label_scores(solver, films))[3].endswith(f"| {3 * np.mean(mm):.2f} mm |")


def test_the_neck_is_labelled_by_the_record_where_the_film_shows_it(films: FilmSet) -> None:
    unknown = labelled_centres(films[0], 24, SIZE)
    assert np.isnan(unknown[:7]).all()
    assert np.isfinite(unknown[7:]).all()
    write_record(films[0].path, 3)
    centres = read_centres(films[0].path)
    assert centres is not None
    found = labelled_centres(films[0], 24, (10_000, 10_000))[:7]
    shown = (centres[:7] >= 0).all(axis=1)
    assert found[shown] == pytest.approx(centres[:7][shown])
    assert np.isnan(found[~shown]).all()
