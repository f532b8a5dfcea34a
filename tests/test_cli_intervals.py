"""`aasce predict --coverage`: intervals in every output, and none where none are kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aasce.scoring.conformal import IntervalRule, SeverityGroup
from aasce.solvers.constant.solver import ConstantSolver
from tests.commandline import CONSTANT, Run, rows

OUT = Path("aasce-out")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A solver of 42, 9 and 5 degrees; an1 and an2 were off by 1 to 9 degrees on nine films, an3 is not known."""
    scores = (tuple(range(1, 10)), tuple(range(1, 10)), ())
    group = SeverityGroup.model_validate_json(json.dumps({"below": None, "scores": scores}))
    scale = (0.0, 0.0, 0.0)
    rule = IntervalRule(definition="challenge", films=9, scales=(scale, scale, scale), groups=(group,))
    solver = ConstantSolver()
    solver.angles = np.array([42.0, 9.0, 5.0])
    solver.learned = solver.learned.model_copy(update={"intervals": (rule,)})
    solver.save(tmp_path / "run")
    return tmp_path / "run"


def test_intervals_are_in_every_output(run: Run, film: Path, weights: Path) -> None:
    done = run("predict", film, "--solver", weights, "--coverage", "0.8", "--overlay", "--report")
    assert done.code == 0
    (row,) = rows(OUT / "predictions.csv")
    ends = [row[f"an{j}_{end}"] for j in (1, 2, 3) for end in ("low", "high")]
    assert ends == ["34.0000", "50.0000", "1.0000", "17.0000", "", ""]  # the 8th of nine errors
    (record,) = json.loads((OUT / "predictions.json").read_text())["films"]
    assert record["interval"] == [[34.0, 50.0], [1.0, 17.0], None]
    assert record["coverage"] == 0.8
    assert "34.0 to 50.0" in (OUT / "report.html").read_text()
    assert len(list((OUT / "overlays").iterdir())) == 1


def test_nine_in_ten_unless_another_share_is_asked_for(run: Run, film: Path, weights: Path) -> None:
    assert run("predict", film, "--solver", weights).code == 0
    (row,) = rows(OUT / "predictions.csv")
    assert [row[key] for key in ("an1_low", "an1_high", "coverage")] == ["33.0000", "51.0000", "0.9000"]


def test_without_calibration_the_columns_are_empty(run: Run, film: Path) -> None:
    assert run("predict", film, *CONSTANT).code == 0
    (row,) = rows(OUT / "predictions.csv")
    assert {row[key] for key in ("an1_low", "an1_high", "an3_high", "coverage")} == {""}
    (record,) = json.loads((OUT / "predictions.json").read_text())["films"]
    assert record["interval"] is record["coverage"] is None


@pytest.mark.parametrize("wrong", ["0.3", "0.999", "90", "nan"])
def test_a_share_that_cannot_be_met(run: Run, film: Path, wrong: str) -> None:
    line = run("predict", film, *CONSTANT, "--coverage", wrong).one_line()
    assert line == f"--coverage {wrong}: is from 0.5 to 0.99; give 0.9 for intervals of 90 %"
    assert not OUT.exists()
