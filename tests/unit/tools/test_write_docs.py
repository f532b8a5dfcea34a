"""The documentation's tables: scores from predictions, blocks filled, and what is out of date named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from tools import write_docs
from tools.docs_scores import FIRST_FOLD, alike, digest, medians, score_angles, stale
from tools.docs_tables import Sources, log_table, table

ROOT = Path(__file__).parents[3]
FOLDS = [[f"film {2 * k}", f"film {2 * k + 1}"] for k in range(5)]
TRUTH = {name: np.array([30.0, 20.0, 10.0]) for fold in FOLDS for name in fold}
LOG = {
    "about": "Two films",
    "command": "make",
    "commit": "abc",
    "date": "2026-01-01",
    "columns": ["a", "b"],
    "rows": [["x", 1.5]],
}


def answers(folds: list[int]) -> dict[str, Any]:
    """In fold k the major angle is k degrees too large."""
    return {name: np.array([30.0 + k, 20.0, 10.0]) for k in folds for name in FOLDS[k]}


@pytest.mark.parametrize("folds", [[0, 1, 2, 3, 4], [0, 2, 3, 4], [3]])
def test_each_fold_has_the_scores_of_its_own_films(folds: list[int]) -> None:
    found = score_angles(answers(folds), TRUTH, FOLDS)
    # A film k degrees off in one angle of 60 in all: 100 k / (60 + 60 + k).
    assert found["folds"] == [
        {"fold": k, "smape": pytest.approx(100 * k / (120 + k), abs=1e-4), "mae_an1": float(k)} for k in folds
    ]
    assert found["all"]["films"] == 2 * len(folds)
    assert found["all"]["angles"]["an1"]["mae"] == np.mean(folds)
    assert (FIRST_FOLD in found) == (0 in folds)


def test_a_film_that_the_data_set_lacks() -> None:
    with pytest.raises(KeyError, match="strange"):
        score_angles({"strange": np.zeros(3)}, TRUTH, FOLDS)


def test_medians_of_the_other_folds() -> None:
    truth = {name: np.array([k, 2.0 * k, 0.0]) for k, fold in enumerate(FOLDS) for name in fold}
    outside, same = medians(truth, FOLDS)
    # Without fold 0 the angles are 1, 2, 3, 4 twice each; without fold 4 they are 0, 1, 2, 3.
    assert outside[FOLDS[0][0]].tolist() == [2.5, 5.0, 0.0]
    assert outside[FOLDS[4][1]].tolist() == [1.5, 3.0, 0.0]
    assert {tuple(median) for median in same.values()} == {(2.0, 4.0, 0.0)}


def test_scores_agree_but_for_the_last_bits() -> None:
    one = {"a": [1.0, {"b": None}], "films": 3}
    assert alike(one, {"a": [1.0009, {"b": None}], "films": 3})
    assert not alike(one, {"a": [1.002, {"b": None}], "films": 3})
    assert not alike(one, {"a": [1.0, {"b": None}], "films": 4})
    assert not alike(one, {"a": [1.0], "films": 3})


def test_changed_new_and_lost_predictions_are_stale(tmp_path: Path) -> None:
    for name in ("kept", "changed", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "preds.csv").write_text(name)
    scores = {
        "kept": {"preds": digest(tmp_path / "kept" / "preds.csv")},
        "changed": {"preds": "other"},
        "lost": {"preds": "other"},
        "constant": {},
    }
    assert stale(scores, tmp_path) == ["changed", "lost", "new"]


def test_a_log_names_its_command_and_commit() -> None:
    assert log_table(LOG) == (
        "Two films:\n\n| a | b |\n|---|---|\n| x | 1.5 |\n\nMeasured by `make`. State of 2026-01-01, commit abc."
    )


def test_unknown_table_is_named() -> None:
    with pytest.raises(KeyError, match="no table 'papers/none'"):
        table("papers/none", Sources({"papers": {}}, {}, Path()))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one table and no submissions."""
    monkeypatch.delenv("AASCE_DATA", raising=False)
    (tmp_path / "docs" / "data").mkdir(parents=True)
    (tmp_path / "docs" / "data" / "logs.json").write_text(json.dumps({"two": LOG}))
    (tmp_path / "README.md").write_text("Before\n<!-- table: logs/two -->\nold\n<!-- end -->\nafter\n")
    return tmp_path


def test_only_blocks_are_written_and_then_nothing_is_out_of_date(project: Path) -> None:
    assert list(write_docs.faults(project)) == [f"{project / 'README.md'}: tables out of date"]
    with pytest.raises(typer.Exit):
        write_docs.main(check=True, root=project)
    assert write_docs.write(project) == [project / "README.md"]
    text = (project / "README.md").read_text()
    assert text == f"Before\n<!-- table: logs/two -->\n\n{log_table(LOG)}\n\n<!-- end -->\nafter\n"
    assert list(write_docs.faults(project)) == []
    assert write_docs.write(project) == []


def test_new_predictions_need_the_labels(project: Path) -> None:
    (project / "submissions" / "oof-new").mkdir(parents=True)
    (project / "submissions" / "oof-new" / "preds.csv").write_text("name,an1,an2,an3\n")
    assert [fault.split(": ")[1] for fault in write_docs.faults(project)] == ["not the scores of oof-new"]
    with pytest.raises(typer.BadParameter, match="AASCE_DATA"):
        write_docs.write(project)


def test_tables_of_this_project_are_up_to_date() -> None:
    assert list(write_docs.faults(ROOT)) == []


def test_every_block_is_closed() -> None:
    for path in write_docs.documents(ROOT):
        text = path.read_text("utf-8")
        assert text.count("<!-- table: ") == len(write_docs.BLOCK.findall(text)), path
