"""`aasce bench`: every solver on the same films, nothing done twice, nothing mixed up."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aasce.commands import bench
from aasce.datasets import grouped_folds, read_challenge
from aasce.scoring import score
from aasce.solvers.constant.solver import ConstantSolver
from aasce.solvers.registry import SOLVERS
from aasce.types import AasceError
from tests.commandline import Run, rows

STUB = """
from dataclasses import replace
from pathlib import Path

from aasce.datasets import data_root
from aasce.solvers.constant.solver import ConstantSolver


class Halting(ConstantSolver):
    # Is interrupted after its first epoch, and goes on from its checkpoint.
    name = "halting"

    def fit(self, train, validation, run):
        checkpoint = run.path / "checkpoint.pt"
        if not (run.resume and checkpoint.exists()):
            checkpoint.write_text("epoch 1")
            raise KeyboardInterrupt
        return replace(super().fit(train, validation, run), epochs=2)


class Blind(ConstantSolver):
    # Finds nothing on films whose name holds "-2 ".
    name = "blind"

    def _prediction(self, film, angles):
        found = super()._prediction(film, angles)
        return replace(found, angles=None, failure="no luck") if "-2 " in film.film_id else found


class Curious(ConstantSolver):
    # Looks for further films of the data set while it trains.
    name = "curious"

    def fit(self, train, validation, run):
        report = super().fit(train, validation, run)
        return replace(report, notes={"root": str(data_root(run.data))})


class Localized(ConstantSolver):
    # Writes down which weights its localizer has.
    name = "localized"
    needs_localizer = True

    def fit(self, train, validation, run):
        report = super().fit(train, validation, run)
        return replace(report, notes={"localizer": self.localizer.training["data"]})

    def _prediction(self, film, angles):
        found = super()._prediction(film, angles)
        return replace(found, flags=(self.localizer.training["data"].split(" ")[1],))
"""


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "bench_stub.py").write_text(STUB)
    sys.path.insert(0, str(tmp_path))
    yield "bench_stub"
    sys.path.remove(str(tmp_path))
    sys.modules.pop("bench_stub", None)


def words(data: Path, *more: str | Path) -> tuple[str | Path, ...]:
    return (
        "bench",
        "--data",
        data,
        "--folds",
        "3",
        "--out",
        "b",
        "--threads",
        "1",
        "--validation",
        "0",
        *more,
    )


def test_one_command_makes_the_board(run: Run, data: Path) -> None:
    done = run(*words(data, "--solvers", "constant", "--fold", "0", "--fold", "1"))
    assert done.code == 0, done.err
    assert "4 films, labels official, folds 0, 1 of 3" in done.out
    films = read_challenge(data)
    for fold in (0, 1):
        train, test = grouped_folds(films.studies, 3, 0)[fold]
        table = rows(Path(f"b/constant/fold-{fold}/preds.csv"))
        assert {row["name"] for row in table} == {films[i].film_id for i in test}
        median = np.median([films[i].angles for i in train], axis=0)
        for row in table:
            assert [float(row[k]) for k in ("an1", "an2", "an3")] == pytest.approx(median, abs=1e-4)
        assert Path(f"b/constant/fold-{fold}/weights.safetensors").is_file()
    merged = json.loads(Path("b/constant/manifest.json").read_text())
    assert (merged["solver"], merged["films"], len(merged["folds"]), merged["threads"]) == (
        "constant",
        4,
        2,
        1,
    )
    (row,) = rows(Path("b/leaderboard.csv"))
    truth = data / "labels" / "training" / "angles.csv"
    again = score("b/constant/preds.csv", truth, partial=True)
    assert float(row["smape"]) == pytest.approx(again.smape, rel=1e-5)
    assert float(row["mae_an1"]) == pytest.approx(again.an1.mae, rel=1e-5)
    assert float(row["seconds"]) > 0
    assert sorted(p.name for p in Path("b").glob("leaderboard.*")) == [
        "leaderboard.csv", "leaderboard.json", "leaderboard.md",
    ]  # fmt: skip


def test_nothing_is_done_twice(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(*words(data, "--solvers", "constant")).code == 0
    monkeypatch.setattr(ConstantSolver, "fit", None)
    before = Path("b/leaderboard.csv").read_text()
    again = run(*words(data, "--solvers", "constant"))
    assert (again.code, again.err) == (0, "")
    assert Path("b/leaderboard.csv").read_text() == before
    # Predictions that were lost are made anew from the run, without training.
    Path("b/constant/fold-0/preds.csv").unlink()
    assert run(*words(data, "--solvers", "constant")).code == 0
    assert Path("b/constant/fold-0/preds.csv").is_file()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (("--set", "constant:statistic=mean"), "(settings.statistic median, now mean)"),
        (("--seed", "7"), "(settings.seed 0, now 7 and 1 more)"),
        (("--labels", "fixed"), "(split.labels official, now fixed)"),
    ],
)
def test_a_change_is_noticed(run: Run, data: Path, more: tuple[str, ...], text: str) -> None:
    assert run(*words(data, "--solvers", "constant")).code == 0
    again = run(*words(data, "--solvers", "constant", *more))
    assert again.code == 2
    assert text in again.one_line()
    assert "fold-0: holds predictions made otherwise" in again.err
    assert "choose another --out" in again.err


def test_an_interrupted_training_goes_on(run: Run, data: Path, stub: str) -> None:
    given = words(data, "--solvers", f"{stub}:Halting")
    assert run(*given).code == 130
    assert not Path("b/Halting/fold-0/manifest.json").exists()
    done = run(*given)
    assert done.code == 0, done.err
    (fold,) = json.loads(Path("b/Halting/fold-0/manifest.json").read_text())["folds"]
    assert fold["training"]["epochs"] == 2
    assert {row["solver"] for row in rows(Path("b/leaderboard.csv"))} == {"constant", "Halting"}


def test_an_interrupted_training_with_other_settings_is_refused(run: Run, data: Path, stub: str) -> None:
    given = words(data, "--solvers", f"{stub}:Halting")
    assert run(*given).code == 130
    done = run(*given, "--set", f"{stub}:Halting:statistic=mean")
    assert done.code == 2
    assert "config.yaml: the run began otherwise" in done.err


def test_a_film_without_an_answer_gets_the_medians_and_counts_as_failed(
    run: Run, data: Path, stub: str
) -> None:
    films = read_challenge(data)
    folds = grouped_folds(films.studies, 3, 0)
    fold = next(k for k, (_, test) in enumerate(folds) if any("-2 " in films[i].film_id for i in test))
    done = run(*words(data, "--solvers", f"{stub}:Blind", "--fold", str(fold)))
    assert done.code == 0, done.err
    blind, constant = sorted(rows(Path("b/leaderboard.csv")), key=lambda row: row["solver"])
    assert (blind["solver"], blind["failed"], blind["films"]) == ("Blind", "1", "2")
    assert (constant["failed"], constant["smape"]) == ("0", blind["smape"])
    facts = json.loads(Path("b/Blind/manifest.json").read_text())
    assert list(facts["failures"].values()) == ["no luck"]


def test_settings_come_from_a_file_or_a_word(run: Run, data: Path) -> None:
    Path("mine.yaml").write_text("statistic: mean\nseed: 5\n")
    assert run(*words(data, "--solvers", "constant", "--config", "constant=mine.yaml")).code == 0
    manifest = json.loads(Path("b/constant/manifest.json").read_text())
    assert manifest["settings"] == {"seed": 0, "statistic": "mean"}


def test_without_names_all_that_learn_are_benched(capsys: pytest.CaptureFixture[str]) -> None:
    names = bench.solver_names([])
    assert names[0] == "constant"
    assert set(names) == set(SOLVERS) - {"inverse_render"}
    assert "inverse_render is left out" in capsys.readouterr().err
    assert bench.solver_names(["seg4reg,constant", "vertebra_field"]) == [
        "constant",
        "seg4reg",
        "vertebra_field",
    ]
    assert bench.solver_names(["inverse_render"]) == ["constant", "inverse_render"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (("--solvers", "constnat"), "constnat: unknown solver (did you mean 'constant'?)"),
        (("--solvers", "no_such_module:Class"), "neither installed nor on PYTHONPATH"),
        (("--solvers", "constant", "--fold", "3"), "--fold 3: is from 0 to 2 for --folds 3"),
        (("--solvers", "constant", "--folds", "9"), "--folds 9: folds is from 2"),
        (("--solvers", "constant", "--validation", "1"), "--validation 1.0: fraction is in [0, 1)"),
        (
            ("--solvers", "constant", "--set", "statistic=mean"),
            "--set statistic=mean: is written solver:key=value",
        ),
        (
            ("--solvers", "constant", "--set", "constnat:seed=1"),
            "'constnat' is not among the solvers (did you mean",
        ),
        (("--solvers", "constant", "--config", "mine.yaml"), "--config mine.yaml: is written solver=path"),
        (("--solvers", "constant", "--config", "constant=none.yaml"), "none.yaml: cannot be read"),
        (("--solvers", "constant", "--data", "nowhere"), "nowhere: no such folder"),
        (("--from-oof", "nowhere"), "manifest.json: cannot be read"),
        (("--from-oof", "nowhere", "--solvers", "constant"), "--from-oof trains nothing"),
        (("--solvers", "constant", "--threads", "0"), "'--threads'"),
    ],
)
def test_bad_input_is_one_line(run: Run, data: Path, more: tuple[str, ...], text: str) -> None:
    assert text in run(*words(data, *more)).one_line()
    assert not Path("b").exists()


def test_no_data_set_named(run: Run) -> None:
    line = run("bench", "--solvers", "constant").one_line()
    assert "--data" in line
    assert "AASCE_DATA" in line


def test_folders_make_a_table_without_training(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, out in (("0", "one"), ("1", "two")):
        given = ("--data", data, "--folds", "3", "--seed", seed, "--out", out, "--threads", "1")
        assert run("bench", "--solvers", "constant", "--fold", "0", "--fold", "1", *given).code == 0
    names = [{row["name"] for row in rows(Path(f"{out}/constant/preds.csv"))} for out in ("one", "two")]
    shared = names[0] & names[1]
    assert 0 < len(shared) < 4
    monkeypatch.setattr(ConstantSolver, "fit", None)
    done = run(
        "bench", "--data", data, "--folds", "3", "--from-oof", "one/constant", "two/constant", "--out", "b"
    )
    assert done.code == 0, done.err
    assert f"{len(shared)} film" in done.out
    assert {row["films"] for row in rows(Path("b/leaderboard.csv"))} == {str(len(shared))}
    assert json.loads(Path("b/leaderboard.json").read_text())["films"] == sorted(shared)


def test_released_weights_are_timed_where_a_folder_tells_no_seconds(run: Run, data: Path) -> None:
    assert run(*words(data, "--solvers", "constant")).code == 0
    path = Path("b/constant/manifest.json")
    facts = json.loads(path.read_text())
    del facts["seconds_a_film"]
    path.write_text(json.dumps(facts))
    given = (
        "bench",
        "--data",
        data,
        "--folds",
        "3",
        "--from-oof",
        "b/constant",
        "--out",
        "c",
        "--threads",
        "1",
    )
    assert run(*given, "--timed", "0").code == 0
    assert rows(Path("c/leaderboard.csv"))[0]["seconds"] == ""
    assert "timing its released weights" in run(*given, "--timed", "2").err
    assert float(rows(Path("c/leaderboard.csv"))[0]["seconds"]) > 0


def test_released_figures_are_those_of_aasce_score(run: Run, aasce_data: Path, tmp_path: Path) -> None:
    folders = sorted((Path(__file__).parents[3] / "submissions").glob("oof-*"))
    done = run("bench", "--data", aasce_data, "--timed", "0", "--out", "b", "--from-oof", *folders)
    assert done.code == 0, done.err
    board = {row["solver"]: row for row in rows(Path("b/leaderboard.csv"))}
    films = set(json.loads(Path("b/leaderboard.json").read_text())["films"])
    truth = aasce_data / "aasce19" / "labels" / "training" / "angles.csv"
    for folder in folders:
        lines = (folder / "preds.csv").read_text().splitlines()
        kept = [lines[0], *(line for line in lines[1:] if line.rsplit(",", 3)[0] in films)]
        Path("kept.csv").write_text("\n".join(kept) + "\n")
        row = board[json.loads((folder / "manifest.json").read_text())["solver"]]
        again = score("kept.csv", truth, partial=True)
        assert float(row["smape"]) == pytest.approx(again.smape, rel=1e-5)
        assert again.smape_interval is not None
        assert float(row["smape_low"]) == pytest.approx(again.smape_interval[0], rel=1e-2)
        assert float(row["smape"]) < float(board["constant"]["smape"])


def test_a_localizer_has_seen_no_film_of_the_data_set(run: Run, data: Path, stub: str) -> None:
    """While training, and while films are predicted."""
    done = run(*words(data, "--solvers", f"{stub}:Localized"))
    assert done.code == 0, done.err
    facts = json.loads(Path("b/Localized/fold-0/manifest.json").read_text())
    assert facts["folds"][0]["training"]["notes"] == {"localizer": "1,720 rendered films alone, no real one"}
    assert all(flags == ["rendered"] for flags in facts["flags"].values())
    assert len(facts["flags"]) == facts["films"]
    text = Path("b/leaderboard.md").read_text()
    assert "`Localized`: films localized by vertebra_field_rendered." in text


def test_solvers_find_the_data_set_that_is_named(run: Run, data: Path, stub: str) -> None:
    done = run(*words(data, "--solvers", f"{stub}:Curious"))
    assert done.code == 0, done.err
    facts = json.loads(Path("b/Curious/fold-0/manifest.json").read_text())
    assert facts["folds"][0]["training"]["notes"] == {"root": str(data)}
    assert "AASCE_DATA" not in os.environ


def test_settings_are_checked_before_anything_is_trained() -> None:
    (candidate,) = bench.candidates_of(["constant"], ["constant:seed=3"], [], seed=0)
    assert candidate.config.seed == 3
    with pytest.raises(AasceError, match="statistic: input should be 'median' or 'mean'"):
        bench.candidates_of(["constant"], ["constant:statistic=mode"], [], seed=0)
