"""The constant predictor: medians by hand, weights refused when they are not its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aasce.datasets import FilmSet, LabelledFilm
from aasce.solvers.base import RunFolder
from aasce.solvers.constant.solver import ConstantConfig, ConstantSolver
from aasce.types import AasceError, Radiograph

FILM = Radiograph("film", np.zeros((40, 50), np.uint8))


def films(*angles: tuple[float, float, float] | None) -> FilmSet:
    rows = [None if a is None else np.array(a) for a in angles]
    return FilmSet(
        [LabelledFilm(f"f{k}", Path(f"f{k}.png"), f"s{k}", None, row) for k, row in enumerate(rows)],
        "few",
        "official",
    )


FEW = films((10, 4, 0), (40, 8, 6), (13, 9, 3))


def fitted(train: FilmSet = FEW, statistic: str = "median") -> ConstantSolver:
    solver = ConstantSolver(ConstantConfig.model_validate({"statistic": statistic}))
    solver.fit(train, None, RunFolder(Path("unused")))
    return solver


def test_median_of_each_angle() -> None:
    found = fitted().predict([FILM])[0]
    assert found.angles is not None
    assert found.angles.degrees.tolist() == [13, 8, 3]
    assert found.angles.definition == "challenge"
    assert found.size == (40, 50)
    assert found.flags == ("not_measured",)
    assert found.landmarks is None


def test_mean_of_each_angle() -> None:
    found = fitted(statistic="mean").predict([FILM])[0]
    assert found.angles is not None
    assert found.angles.degrees.tolist() == [21, 7, 3]


def test_confidence_is_the_share_of_films_it_is_right_on() -> None:
    # Of 10, 40 and 13 degrees, two lie within 5 of the median 13.
    assert fitted().predict([FILM])[0].confidence == 2 / 3


def test_validation_score_by_hand() -> None:
    # Found (13, 8, 3), sum 24; truth (13, 6, 0) differs by 5 of 43; truth (0, 0, 0) by 24 of 24.
    report = ConstantSolver().fit(FEW, films((13, 6, 0), (0, 0, 0)), RunFolder(Path("unused")))
    assert report.best_score == pytest.approx(100 * (5 / 43 + 1) / 2)


def test_save_and_load(tmp_path: Path) -> None:
    solver = fitted()
    solver.save(tmp_path)
    again = ConstantSolver.load(tmp_path)
    assert again.angles is not None
    assert np.array_equal(again.angles, np.array([13.0, 8.0, 3.0]))
    assert again.confidence == solver.confidence
    assert again.config == solver.config
    assert again.learned == solver.learned
    assert again.training == solver.training


def test_films_without_angles_are_named() -> None:
    with pytest.raises(AasceError, match="f1: has no angles"):
        fitted(films((1, 1, 1), None))
    with pytest.raises(AasceError, match="few: has no angles"):
        fitted(films())


def test_needs_training() -> None:
    with pytest.raises(AasceError, match="neither trained nor loaded"):
        ConstantSolver().predict([FILM])
    with pytest.raises(AasceError, match="nothing to save"):
        ConstantSolver().save(Path("unused"))


@pytest.mark.parametrize("content", [b"", b"garbage that is no safetensors file"])
def test_damaged_weights_are_one_line(tmp_path: Path, content: bytes) -> None:
    fitted().save(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(AasceError, match=r"weights\.safetensors: is damaged") as caught:
        ConstantSolver.load(tmp_path)
    assert "\n" not in str(caught.value)
