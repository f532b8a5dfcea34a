"""The tool counts flags, and films whose angles stay."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from aasce.examples import example_films
from aasce.types import CobbAngles, SpinePrediction
from tools.orientation_check import check_lateral, largest_differences, main


def test_flags_and_angles_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(example_films()[2], tmp_path)
    main(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop(3).startswith("pale: within 1 degree ")
    assert [line.split(", median")[0] for line in lines] == [
        "as a negative: flagged 1 of 1, within 1 degree 1",
        "upside down: flagged 1 of 1, within 1 degree 1",
        "on its side: flagged 1 of 1, within 1 degree 1",
        "on a square: within 1 degree 1",
        "beside a lateral view: within 1 degree 1",
        "as it is: flagged as one of these 0 of 1",
    ]


def found(*degrees: float, failure: str | None = None) -> SpinePrediction:
    angles = CobbAngles(np.array(degrees), "challenge") if degrees else None
    return SpinePrediction("film", (9, 9), angles=angles, failure=failure)


def test_the_largest_difference_counts_and_a_failure_is_infinite() -> None:
    ones = [found(30.0, 20.0, 10.0), found(failure="no spine")]
    others = [found(31.0, 20.0, 13.0), found(30.0, 20.0, 10.0)]
    assert largest_differences(ones, others).tolist() == [3.0, np.inf]


class Refusing:
    """A solver that refuses every film but the first."""

    def predict(self, films: list[object]) -> list[SpinePrediction]:
        first = SpinePrediction("film", (9, 9), confidence=0.25)
        return [first, *(found(failure="no spine") for _ in films[1:])]


def test_lateral_films_are_refused_or_flagged(capsys: pytest.CaptureFixture[str]) -> None:
    check_lateral(Refusing(), 2, 703)  # type: ignore[arg-type]
    assert capsys.readouterr().out == "lateral: flagged 1 of 2, confidence at most 0.25\n"
