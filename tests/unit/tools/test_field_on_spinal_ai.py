"""The figures of Spinal-AI2024's second films, on predictions made by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aasce.datasets import read_spinal_ai2024
from aasce.solvers.vertebra_field.solver import VertebraFieldSolver
from aasce.types import SpinePrediction
from tests.conftest import straight_spine
from tests.synthetic import write_unnamed
from tools.field_on_spinal_ai import film_score, scores_of, seen, sizes, summary

TRUTH = straight_spine(18)
"""Bodies 40 px high every 50 px."""


def test_a_step_and_a_height_are_vertebrae_of_50_and_40_px() -> None:
    np.testing.assert_allclose(sizes(TRUTH, "height"), 40.0)
    np.testing.assert_allclose(sizes(TRUTH, "step"), 50.0)


def test_seventeen_of_eighteen_turned_by_four_degrees() -> None:
    score = film_score("film", straight_spine(18, tilt=np.full(18, 4.0))[1:], TRUTH, "height")
    assert (score.labelled, score.predicted, score.matched, score.inner) == (18, 17, 17, 14)
    assert score.tilt_sum == pytest.approx(17 * 4.0)
    assert score.inner_tilt_sum == pytest.approx(14 * 4.0)


@pytest.mark.parametrize(("shift", "by_height", "by_step"), [(19.0, 18, 18), (21.0, 0, 18), (24.0, 0, 18)])
def test_half_a_vertebra_is_the_limit(shift: float, by_height: int, by_step: int) -> None:
    moved = TRUTH - np.array([0.0, shift])
    assert film_score("film", moved, TRUTH, "height").matched == by_height
    assert film_score("film", moved, TRUTH, "step").matched == by_step


def test_what_lies_beyond_the_label_is_no_mistake_and_what_lies_beside_it_is() -> None:
    label = TRUTH[3:15]
    beyond = film_score("film", TRUTH, label, "height")
    assert (beyond.labelled, beyond.predicted, beyond.matched) == (12, 12, 12)
    stray = TRUTH[8:9] + np.array([150.0, 0.0])
    beside = film_score("film", np.concatenate([TRUTH, stray]), label, "height")
    assert (beside.predicted, beside.matched) == (13, 12)


def test_two_predictions_of_one_vertebra_are_one_hit() -> None:
    twice = np.concatenate([TRUTH[5:6], TRUTH[5:6] + np.array([0.0, 8.0])])
    score = film_score("film", twice, TRUTH, "height")
    assert (score.predicted, score.matched) == (2, 1)


def test_figures_are_over_all_vertebrae_and_a_failed_film_counts() -> None:
    """17 of 18 vertebrae found on one film with tilts off by 2 degrees, none of 17 on the other."""
    found = straight_spine(18, tilt=np.full(18, -2.0))[:17]
    scores = [film_score("a", found, TRUTH, unit) for unit in ("height", "step")]
    scores += [film_score("b", None, TRUTH[:17], unit) for unit in ("height", "step")]
    table = summary(scores)
    assert table["unit"].tolist() == ["height", "step"]
    row = table.iloc[0]
    assert (row["films"], row["failed"]) == (2, 1)
    assert row["recall"] == pytest.approx(17 / 35)
    assert row["reachable"] == pytest.approx(34 / 35)
    assert row["recall_17"] == pytest.approx(17 / 34)
    assert row["precision"] == 1.0
    assert row["tilt_mae"] == pytest.approx(2.0)
    assert row["tilt_mae_inner"] == pytest.approx(2.0)


def test_every_film_is_read_predicted_and_scored(tmp_path: Path) -> None:
    spine = straight_spine(14) / 4
    films = read_spinal_ai2024(write_unnamed(tmp_path, [spine] * 4), "held_out").films
    seen_films: list[str] = []

    def predict(radiographs: list[Any]) -> list[SpinePrediction]:
        seen_films.extend(film.film_id for film in radiographs)
        return [SpinePrediction(film.film_id, film.size, landmarks=spine, solver="x") for film in radiographs]

    solver: Any = SimpleNamespace(predict=predict)
    scores = scores_of(solver, films)
    assert seen_films == ["000002", "000004"]
    assert [score.matched for score in scores] == [14] * 4
    assert summary(scores)["tilt_mae"].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


def test_what_training_saw_is_said() -> None:
    plain: Any = SimpleNamespace()
    assert seen(plain) == "trained on no film of the set"
    tiny = VertebraFieldSolver.Config.tiny()
    for part, text in (("other", "the other films"), ("all", "these films too")):
        source = tiny.sources.spinal_ai2024.model_copy(update={"share": 0.2, "part": part})
        sources = tiny.sources.model_copy(update={"spinal_ai2024": source})
        solver: Any = SimpleNamespace(config=tiny.model_copy(update={"sources": sources}))
        assert text in seen(solver)
