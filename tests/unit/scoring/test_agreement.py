"""A score of two films by hand; files matched by name; outputs; no network loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import aasce
from aasce.scoring import Score, save_score_figure, score, score_json, score_table
from aasce.types import AasceError

HEAD = "name,an1,an2,an3\n"
TRUTH = np.array([[40.0, 20.0, 10.0], [30.0, 0.0, 0.0]])
PREDICTED = np.array([[38.0, 22.0, 10.0], [30.0, 6.0, 0.0]])


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    predicted, truth = tmp_path / "preds.csv", tmp_path / "gt.csv"
    predicted.write_text("name,an1,an2,an3,solver\nb,30,6,0,x\na,38,22,10,x\n")
    truth.write_text(HEAD + "a.jpg,40,20,10\nb.jpg,30,0,0\n")
    return predicted, truth


def rendered(result: Score, width: int = 80) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(score_table(result))
    return console.export_text()


def check_worked_example(result: Score) -> None:
    """Absolute errors 2, 2, 0 and 0, 6, 0 in degrees."""
    assert round(result.smape, 6) == 5.974026
    assert result.n == 2
    assert result.an1.mae == 1.0
    assert result.an1.sd == pytest.approx(2**0.5)
    assert result.an2.mae == 4.0
    assert result.an2.within == 0.5
    assert result.an2.bias == 4.0
    assert result.an2.limits == pytest.approx((4 - 1.96 * 8**0.5, 4 + 1.96 * 8**0.5))
    assert (result.an3.mae, result.an3.sd, result.an3.within) == (0.0, 0.0, 1.0)
    assert result.mae == result.overall.mae == pytest.approx(10 / 6)
    # squares 4 + 4 + 36 = 44, minus 6 * (10/6)^2, over 5
    assert result.overall.sd == pytest.approx(((44 - 100 / 6) / 5) ** 0.5)
    assert result.overall.within == pytest.approx(5 / 6)
    assert result.smape_interval is None  # two films give no spread


def test_worked_example_from_arrays_and_from_files(files: tuple[Path, Path]) -> None:
    check_worked_example(score(PREDICTED, TRUTH))
    result = score(*files)
    check_worked_example(result)
    assert result.ignored_columns == ("solver",)
    assert [film.name for film in result.worst] == ["b", "a"]
    assert result.worst[0].smape == pytest.approx(600 / 66)
    assert result.worst[0].predicted == (30.0, 6.0, 0.0)
    assert result.worst[0].truth == (30.0, 0.0, 0.0)


def test_an_array_beside_a_file_is_matched_by_row(files: tuple[Path, Path]) -> None:
    check_worked_example(score(PREDICTED, str(files[1])))
    result = score(files[0], TRUTH[::-1])
    check_worked_example(result)
    assert {film.name for film in result.worst} == {"a", "b"}
    with pytest.raises(ValueError, match="predicted has 1 films and truth 2"):
        score(PREDICTED[:1], files[1])


def test_frames_files_and_arrays_are_scored_alike(files: tuple[Path, Path]) -> None:
    frames = pd.read_csv(files[0]), pd.read_csv(files[1])
    for predicted in (frames[0], files[0]):
        for truth in (frames[1], files[1]):
            result = aasce.score(predicted, truth)
            check_worked_example(result)
            assert result.ignored_columns == ("solver",)
    check_worked_example(aasce.score(PREDICTED, frames[1]))
    with pytest.raises(AasceError, match=r"predicted: lacks 1 film \('a'\)"):
        aasce.score(frames[0].iloc[:1], frames[1])
    assert aasce.score(frames[0].iloc[:1], frames[1], partial=True).smape == pytest.approx(600 / 66)


def test_constant_predictor_is_the_median_of_the_truth_on_every_film() -> None:
    """Truth (10,0,0), (20,0,0), (60,0,0): median 20; ratios 10/30, 0, 40/80; 100/3 * 5/6 = 250/9."""
    truth = np.array([[10.0, 0, 0], [20.0, 0, 0], [60.0, 0, 0]])
    assert score(truth, truth).truth_median_smape == pytest.approx(250 / 9)


def test_five_degrees_count_as_within() -> None:
    result = score([[25.1, 5.0, 0.0]], [[20.1, 0.0, 5.01]])
    assert (result.an1.within, result.an2.within, result.an3.within) == (1.0, 1.0, 0.0)


def test_one_film_is_scored_without_spread() -> None:
    result = score([[2.0, 1.0, 1.0]], [[1.0, 1.0, 1.0]])
    assert result.smape == pytest.approx(100 / 7)
    assert (result.an1.sd, result.an1.limits, result.an1.icc, result.an1.interval) == (None,) * 4
    assert "over 1 film" in rendered(result)


def test_worst_films_are_ten_the_worst_first() -> None:
    truth = np.full((12, 3), 10.0)
    predicted = truth + np.arange(12.0)[:, None]
    result = score(predicted, truth)
    assert [film.name for film in result.worst] == [f"row {i}" for i in range(11, 1, -1)]


def test_interval_holds_the_score_and_is_the_same_each_time() -> None:
    generator = np.random.default_rng(0)
    truth = generator.uniform(5, 60, (60, 3))
    predicted = np.abs(truth + generator.normal(0, 3, truth.shape))
    first, second = score(predicted, truth), score(predicted, truth)
    assert first == second
    assert first.smape_interval is not None
    assert first.overall.interval is not None
    assert first.smape_interval[0] < first.smape < first.smape_interval[1]
    assert first.overall.interval[0] < first.mae < first.overall.interval[1]


@pytest.mark.parametrize(
    ("predicted", "message"),
    [
        ("a,1,1,1\n", r"preds\.csv: lacks 1 film \('b'\), predict every film"),
        ("a,1,1,1\nb,1,1,1\nc,1,1,1\n", r"holds 1 film \('c'\) that .*gt\.csv does not have"),
        ("a,1,1,1\nc,1,1,1\n", r"lacks 1 film \('b'\).*; holds 1 film \('c'\)"),
        (
            "".join(f"x{i},1,1,1\n" for i in range(7)),
            r"holds 7 films \('x0', 'x1', 'x2', 'x3', 'x4', \.\.\.\)",
        ),
    ],
)
def test_missing_and_surplus_films_are_named(files: tuple[Path, Path], predicted: str, message: str) -> None:
    files[0].write_text(HEAD + predicted)
    with pytest.raises(AasceError, match=message) as caught:
        score(*files)
    assert "\n" not in str(caught.value)


def test_json_holds_everything_without_nan(files: tuple[Path, Path]) -> None:
    content = json.loads(score_json(score(*files)), parse_constant=lambda text: pytest.fail(f"holds {text}"))
    assert round(content["smape"], 6) == 5.974026
    assert content["n"] == 2
    assert list(content["angles"]) == ["an1", "an2", "an3", "all"]
    assert content["angles"]["an2"]["mae"] == 4.0
    assert content["worst"][0]["name"] == "b"
    assert content["smape_interval"] is None
    # medians (35, 10, 5): |5| + |10| + |5| = 20 of 120, and 20 of 80
    assert content["truth_median_smape"] == pytest.approx(100 / 2 * (20 / 120 + 20 / 80))


def test_table_fits_a_terminal_and_takes_brackets_in_names(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(HEAD + "".join(f"[red]film {i},{40 + i},20,10\n" for i in range(12)))
    text = rendered(score(table, table))
    assert "SMAPE 0.000000" in text
    assert "constant predictor" in text
    assert "[red]film 0" in text
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_table_names_the_columns_it_left_out(files: tuple[Path, Path]) -> None:
    text = rendered(score(*files))
    assert "SMAPE 5.974026" in text
    assert "columns not scored: solver" in text


@pytest.mark.parametrize(("name", "start"), [("f.png", b"\x89PNG"), ("f.svg", b"<?xml"), ("f.pdf", b"%PDF")])
def test_figure_is_written(tmp_path: Path, files: tuple[Path, Path], name: str, start: bytes) -> None:
    save_score_figure(score(*files), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_figure_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AasceError, match=r"f\.doc: is no figure format"):
        save_score_figure(score(PREDICTED, TRUTH), tmp_path / "f.doc")


def test_scoring_loads_nothing_slow(files: tuple[Path, Path]) -> None:
    program = (
        "import sys; from aasce.scoring import score, score_json, score_table; s = score(*sys.argv[1:]); "
        "score_table(s); score_json(s); "
        "print([m for m in ('torch', 'scipy', 'pandas', 'matplotlib', 'cv2', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, files)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_partial_scores_the_predicted_films_alone(tmp_path: Path) -> None:
    truth, predicted = tmp_path / "gt.csv", tmp_path / "preds.csv"
    truth.write_text("name,an1,an2,an3\na,40,20,10\nb,30,0,0\nc,99,99,99\n")
    predicted.write_text("name,an1,an2,an3\nb,30,6,0\na,38,22,10\n")
    with pytest.raises(AasceError, match="lacks 1 film"):
        score(predicted, truth)
    # The worked example of the challenge's rule: 100 / 2 * (4 / 140 + 6 / 66).
    assert score(predicted, truth, partial=True).smape == pytest.approx(5.974026, abs=5e-7)
    predicted.write_text("name,an1,an2,an3\nz,30,6,0\n")
    with pytest.raises(AasceError, match="'z'"):
        score(predicted, truth, partial=True)
