"""Errors are grouped by level and by branch of the rule."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aasce.datasets import read_challenge
from aasce.writers import write_submission
from tests.conftest import straight_spine
from tests.synthetic import write_repeated
from tools.error_sources import branch, level_shift, main


@pytest.mark.parametrize("shift", [-2, -1, 0, 1, 2])
def test_a_column_that_begins_elsewhere_is_off_by_so_much(shift: int) -> None:
    label = straight_spine()
    step = label[1] - label[0]
    assert level_shift(label + shift * step, 0, label) == shift
    # A column without its uppermost three vertebrae says so by its first level.
    assert level_shift((label + shift * step)[3:], 3, label) == shift


def test_branches_of_the_rule() -> None:
    along = np.linspace(0, np.pi, 17)
    bow = straight_spine(tilt=-17 * np.cos(along))
    # Leaning: of an upright line from first to last the rule's ratio has no value.
    bow[..., 0] += (80 * np.sin(along) + 40 * along)[:, None]
    assert branch(bow, 960) == "C"
    wave = straight_spine(tilt=10.0 * (np.arange(17) == 4) - 10.0 * (np.arange(17) == 8))
    assert branch(wave, 10_000) == "S, major curve high"
    assert branch(wave, 100) == "S, major curve low"


def test_films_are_grouped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = read_challenge(write_repeated(tmp_path / "data"))
    rows, angles = {}, {}
    for index, film in enumerate(films):
        assert film.landmarks is not None
        lower = film.landmarks + (index == 1) * (film.landmarks[1] - film.landmarks[0])
        angles[film.film_id] = np.asarray(film.angles) + np.array([index, 0, 0])
        rows[film.film_id] = {"landmarks": lower.tolist(), "first_level": 0}
    write_submission(tmp_path / "fold-0" / "preds.csv", angles)
    (tmp_path / "fold-0" / "predictions.json").write_text(json.dumps(rows))
    main([tmp_path / "fold-0"], tmp_path / "data")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("all: 3 films")
    off = 100 / (2 * np.sum(films[1].angles) + 1)
    assert f"one vertebra off: 1 films, SMAPE {off:.2f}" in lines
    assert not any(line.startswith("farther off") for line in lines)
