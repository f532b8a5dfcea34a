"""The reader study against published worked examples, and `aasce agree` as a user meets it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aasce.scoring.metrics import mean_squares
from aasce.scoring.reader_study import read_study, study
from aasce.scoring.reliability import (
    icc_absolute,
    icc_consistency,
    limits_of_agreement,
    measurement_error,
    weighted_kappa,
)
from aasce.types import AasceError
from tests.commandline import Run

JUDGES = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
)
"""Table 2 of Shrout and Fleiss 1979: six targets, four judges."""

WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
"""First peak flow readings of Bland and Altman 1986, l/min."""


def write(path: Path, rows: dict[str, tuple[float, float, float]]) -> Path:
    lines = [f"{name},{','.join(str(v) for v in row)}" for name, row in rows.items()]
    path.write_text("\n".join(["name,an1,an2,an3", *lines]) + "\n")
    return path


def test_intraclass_correlations_of_shrout_and_fleiss() -> None:
    parts = mean_squares(JUDGES)
    assert parts is not None
    assert [round(v, 2) for v in (parts.targets, parts.readers, parts.residual)] == [11.24, 32.49, 1.02]
    absolute, consistent = icc_absolute(parts), icc_consistency(parts)
    assert absolute is not None
    assert consistent is not None
    assert (round(absolute.value, 2), round(consistent.value, 2)) == (0.29, 0.71)
    # As the R packages psych and irr print the intervals of this table.
    assert absolute.interval == pytest.approx((0.019, 0.761), abs=6e-4)
    assert consistent.interval == pytest.approx((0.342, 0.946), abs=6e-4)
    # Variance of judges (32.486 - 1.019) / 6 and of residual 1.019.
    assert measurement_error(parts) == pytest.approx(math.sqrt((32.4861 - 1.0194) / 6 + 1.0194), abs=1e-4)


def test_limits_of_agreement_of_bland_and_altman() -> None:
    limits = limits_of_agreement(MINI, WRIGHT)
    assert limits.bias.value == pytest.approx(-36 / 17)
    assert limits.bias.interval == pytest.approx((-22.0, 17.8), abs=0.1)
    assert limits.lower is not None
    assert limits.upper is not None
    # The paper takes 2 standard deviations of 38.8; here they are 1.96.
    assert limits.lower.value == pytest.approx(-36 / 17 - 1.96 * 38.8, abs=0.1)
    assert limits.upper.value == pytest.approx(-36 / 17 + 1.96 * 38.8, abs=0.1)
    # 2.12 * 38.8 * sqrt(1 / 17 + 1.96^2 / 32) on either side
    assert limits.upper.interval is not None
    assert np.diff(limits.upper.interval) / 2 == pytest.approx(2.12 * 38.77 * math.sqrt(0.17887), abs=0.1)


def test_weighted_kappa_by_hand() -> None:
    # Squared differences 0, 0, 1, 4: observed 5 / 4. Grades 0 to 2 are given 2, 1, 1 and 2, 2, 0 times: expected
    # (2*2*1 + 1*2*1 + 1*2*4 + 1*2*1) / 16 = 1.
    assert weighted_kappa([0, 1, 0, 2], [0, 1, 1, 0], 3) == pytest.approx(1 - (5 / 4) / 1)
    assert weighted_kappa([1, 1], [1, 1], 4) is None


def test_a_constant_difference_counts_for_absolute_agreement_alone() -> None:
    first = np.array([[10.0, 5, 0], [30, 10, 0], [50, 20, 0]])
    found = study(np.stack([first, first + 4], axis=2), ("a", "b"), ("x", "y", "z"))
    major, *_, third = found.angles
    assert (major.measure, third.measure) == ("major", "an3")
    # Between films 800 = 2 * var(10, 30, 50), readers 3 * 2 * 4 = 24, residual 0.
    assert major.icc_3_1 is not None
    assert major.icc_2_1 is not None
    assert (major.icc_3_1.value, major.icc_2_1.value) == pytest.approx((1.0, 800 / (800 + 2 * 24 / 3)))
    assert major.sem == pytest.approx(math.sqrt(24 / 3))
    assert major.mdc95 == pytest.approx(1.96 * math.sqrt(2) * math.sqrt(8))
    assert (major.pairs[0].mae, major.pairs[0].limits.bias.value) == (4.0, 4.0)
    # Severity: mild, moderate, severe beside mild, moderate, severe.
    assert major.pairs[0].kappa == 1.0
    assert third.pairs[0].kappa is None


def test_major_is_the_largest_angle_of_each_reading(tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", {"a": (20, 40, 5), "b": (30, 10, 5)})
    two = write(tmp_path / "two.csv", {"b.png": (28, 10, 5), "a.png": (41, 20, 5)})
    found = read_study([one, two])
    assert found.films == ("a", "b")
    assert found.degrees[0].tolist() == [[40, 41], [30, 28]]
    assert found.angles[0].pairs[0].mae == 1.5
    assert found.angles[1].pairs[0].mae == 11.5


def test_three_readers_are_compared_in_pairs(run: Run) -> None:
    for reader, extra in (("ann", 0.0), ("bob", 1.0), ("eve", 3.0)):
        write(
            Path(f"{reader}.csv"), {f"f{k}": (10.0 * k + extra * (k % 3), 5.0 * k, 2.0) for k in range(1, 7)}
        )
    done = run("agree", "ann.csv", "bob.csv", "eve.csv", "--json", "--out", "study")
    assert (done.code, done.err) == (0, "")
    content = json.loads(done.out)
    assert content == json.loads(Path("study/agreement.json").read_text())
    assert (content["readers"], content["films"]) == (["ann", "bob", "eve"], 6)
    pairs = content["angles"]["an1"]["pairs"]
    assert [(p["first"], p["second"], p["mae"]) for p in pairs] == [
        ("ann", "bob", 1.0), ("ann", "eve", 3.0), ("bob", "eve", 2.0),
    ]  # fmt: skip
    with Image.open("study/agreement.png") as picture:
        assert picture.size == (1920, 960)
    table = run("agree", "ann.csv", "eve.csv").out
    assert "ICC(2,1)" in table
    assert "ann, eve" in table


def test_films_that_some_lack_are_named_or_left_out(run: Run) -> None:
    write(Path("one.csv"), {"a": (20, 4, 5), "b": (30, 10, 5), "c": (9, 1, 0)})
    write(Path("two.csv"), {"a": (21, 4, 5), "b": (28, 10, 5), "d": (9, 1, 0)})
    line = run("agree", "one.csv", "two.csv").one_line()
    assert "'c'" in line
    assert "'d'" in line
    done = run("agree", "one.csv", "two.csv", "--partial", "--json")
    assert json.loads(done.out)["films"] == 2
    write(Path("other.csv"), {"z": (1, 1, 1)})
    assert "shares no film" in run("agree", "one.csv", "other.csv", "--partial").one_line()


def test_one_reader_alone_is_refused(run: Run) -> None:
    write(Path("one.csv"), {"a": (20, 4, 5)})
    assert run("agree", "one.csv").one_line().startswith("one.csv: one table has nothing to agree with")
    assert "named twice" in run("agree", "one.csv", "./one.csv").one_line()
    write(Path("two.csv"), {"a": (22, 4, 5)})
    assert "no figure format" in run("agree", "one.csv", "two.csv", "--figure", "x.doc").one_line()
    # One film: differences, but no spread.
    major = json.loads(run("agree", "one.csv", "two.csv", "--json").out)["angles"]["major"]
    assert (major["sem"], major["icc_2_1"], major["pairs"][0]["mae"]) == (None, None, 2.0)


def test_readers_of_one_file_name_are_told_apart_by_folder(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
    paths = [write(tmp_path / f / "r.csv", {"a": (20, 4, 5), "b": (30, 4, 5)}) for f in ("x", "y")]
    assert read_study(paths).readers == tuple(str(path) for path in paths)
    with pytest.raises(AasceError, match="no such file"):
        read_study([paths[0], tmp_path / "none.csv"])
