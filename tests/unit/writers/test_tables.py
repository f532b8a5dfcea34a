"""Submission, full table and manifest: their exact text, and nothing half-written."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aasce import __version__
from aasce.ensemble import Measurement, combine
from aasce.scoring import read_angles_csv, score
from aasce.types import AasceError, CobbAngles, FilmFacts, SpinePrediction
from aasce.writers import (
    Manifest,
    level_name,
    submission_rows,
    write_manifest,
    write_predictions,
    write_submission,
)
from aasce.writers.manifest import git_commit, provenance
from aasce.writers.tables import COLUMNS, predictions_frame

MEDIAN = (35.0, 18.0, 17.5)


def film(name: str, *degrees: float, **about: object) -> Measurement:
    angles = CobbAngles(
        np.array(degrees), "challenge", ((5, 11), (0, 5), (11, 16)), (8, 2, None), ("MT", "PT", "TL/L"), "S"
    )
    prediction = SpinePrediction(name, (100, 50), solver="s", confidence=0.875, **about)  # type: ignore[arg-type]
    return Measurement(prediction, angles)


def lost(name: str, reason: str = "no\n  spine") -> Measurement:
    return Measurement(SpinePrediction(name, (100, 50), solver="s", failure=reason, flags=("blank",)), None)


def test_submission_is_sorted_as_text_with_the_median_for_a_failed_film(tmp_path: Path) -> None:
    rows = submission_rows(
        [film("m-2", 30.0, 20.5, 1 / 3), lost("m-10"), film("m-1", 1.0, -0.0, 0.0)], MEDIAN
    )
    write_submission(tmp_path / "preds.csv", rows)
    assert (tmp_path / "preds.csv").read_bytes() == (
        b"name,an1,an2,an3\n"
        b"m-1,1.0000,0.0000,0.0000\n"
        b"m-10,35.0000,18.0000,17.5000\n"
        b"m-2,30.0000,20.5000,0.3333\n"
    )


def test_submission_is_read_back(tmp_path: Path) -> None:
    write_submission(tmp_path / "p.csv", {"b, 1 A AP": [3.0, 2.0, 1.0], "a": np.array([1.5, 0.0, 0.25])})
    names, degrees = read_angles_csv(tmp_path / "p.csv")
    assert names == ("a", "b, 1 A AP")
    assert degrees.tolist() == [[1.5, 0.0, 0.25], [3.0, 2.0, 1.0]]


@pytest.mark.parametrize("row", [[1.0, np.nan, 1.0], [1.0, -1.0, 1.0], [1.0, 2.0]])
def test_submission_refuses_what_is_no_row_and_leaves_the_old_file(tmp_path: Path, row: list[float]) -> None:
    path = tmp_path / "preds.csv"
    path.write_text("old")
    with pytest.raises(ValueError, match="film 'b': a row is three finite angles"):
        write_submission(path, {"a": [1.0, 1.0, 1.0], "b": row})
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["preds.csv"]


def test_submission_to_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AasceError, match=r"preds\.csv: cannot be written"):
        write_submission(tmp_path / "file" / "preds.csv", {"a": [1.0, 1.0, 1.0]})


def test_one_film_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="film 'a' is measured twice"):
        submission_rows([film("a", 1, 1, 1), lost("a")], MEDIAN)


def test_full_table_names_ends_apex_flags_and_failure(tmp_path: Path) -> None:
    films = [lost("z"), film("b", 43.25, 20, 10, flags=("vertebra_missing", "dark"), first_level=1)]
    films[1] = replace(films[1], intervals=((40.5, 47.0), (0.0, 31.5), None), coverage=0.9)
    write_predictions(tmp_path / "predictions.csv", films)
    with (tmp_path / "predictions.csv").open(newline="") as stream:
        first, second = csv.DictReader(stream)
    assert list(first)[:25] == [
        "name",
        "an1",
        "an2",
        "an3",
        "an1_low",
        "an1_high",
        "an2_low",
        "an2_high",
        "an3_low",
        "an3_high",
        "coverage",
        "confidence",
        "upper1",
        "lower1",
        "apex1",
        "upper2",
        "lower2",
        "apex2",
        "upper3",
        "lower3",
        "apex3",
        "flags",
        "failure",
        "solver",
        "definition",
    ]
    assert first["name"] == "b"
    assert (first["an1"], first["an3"], first["confidence"]) == ("43.2500", "10.0000", "0.875")
    ends = [first[f"an{j}_{end}"] for j in (1, 2, 3) for end in ("low", "high")]
    assert ends == ["40.5000", "47.0000", "0.0000", "31.5000", "", ""]
    assert (first["coverage"], second["coverage"], second["an1_low"]) == ("0.9000", "", "")
    # indices 5, 11 and 8 below T2 are T7, L1 and T10
    assert (first["upper1"], first["lower1"], first["apex1"]) == ("T7", "L1", "T10")
    assert (first["upper3"], first["lower3"], first["apex3"]) == ("L1", "#18", "")
    assert (first["flags"], first["failure"]) == ("vertebra_missing;dark", "")
    assert (first["solver"], first["definition"]) == ("s", "challenge")
    assert [second[c] for c in ("name", "an1", "an2", "an3", "upper1")] == ["z", "", "", "", ""]
    assert second["failure"] == "no spine"
    # apex T10: by the apex, whatever the challenge's column is called; an3 has no apex and so no name
    assert (first["region1"], first["region2"], first["region3"]) == (
        "main thoracic",
        "proximal thoracic",
        "",
    )
    assert (first["severity1"], first["severity2"], second["severity1"]) == ("severe", "mild", "")
    assert {first[c] for c in ("convex1", "t1_shift_mm", "wedging_T5_deg", "sides_from")} == {""}


def test_full_table_can_be_scored_unless_a_film_failed(tmp_path: Path) -> None:
    write_predictions(tmp_path / "good.csv", [film("b", 43.25, 20, 10), film("a", 1, 0, 0)])
    assert read_angles_csv(tmp_path / "good.csv")[1].tolist() == [[1.0, 0.0, 0.0], [43.25, 20.0, 10.0]]
    write_predictions(tmp_path / "bad.csv", [film("b", 43.25, 20, 10), lost("z")])
    with pytest.raises(AasceError, match=r"row 3 \(film 'z'\): has no angles, it failed \('no spine'\)"):
        read_angles_csv(tmp_path / "bad.csv")


def test_the_frame_holds_numbers_in_the_order_given() -> None:
    films = [film("b", 43.25, 20, 10, flags=("vertebra_missing", "dark")), lost("a"), film("c", 1, 0, 0)]
    frame = predictions_frame(films)
    assert tuple(frame.columns) == COLUMNS
    assert frame["name"].tolist() == ["b", "a", "c"]
    assert frame["an1"].tolist()[::2] == [43.25, 1.0]
    assert frame.loc[1, ["an1", "an2", "an3"]].isna().all()
    assert frame["failure"].tolist() == ["", "no spine", ""]
    assert frame.loc[0, "flags"] == "vertebra_missing;dark"
    assert frame["confidence"].tolist() == [0.875, 0.0, 0.875]
    good = frame[frame["failure"] == ""]
    assert score(good, good).smape == 0


def test_the_table_takes_mm_and_sides_from_the_films_facts(tmp_path: Path) -> None:
    y = 100.0 + 40 * np.arange(17)
    box = np.array([[-20, -15], [20, -15], [-20, 15], [20, 15]])
    landmarks = np.stack([np.full(17, 300.0), y], axis=1)[:, None] + box
    landmarks[0, :, 0] += 30  # T1, to the right of L5
    landmarks[4, [1, 3], 1] -= (
        8  # T5: its right side is higher, so that the spine is convex to the right of the film
    )
    prediction = SpinePrediction("a", (900, 600), landmarks, solver="s")
    ends = ((4, 12), (4, 4), (12, 12))
    measured = Measurement(prediction, CobbAngles(np.array([11.3, 0.0, 0.0]), "challenge", ends))
    facts = FilmFacts("a", None, None, (900, 600), (0.5, 0.5), "PixelSpacing", "right", "PatientOrientation")
    write_predictions(tmp_path / "known.csv", [measured], {"a": facts})
    write_predictions(tmp_path / "unknown.csv", [measured])
    known, unknown = (
        next(csv.DictReader((tmp_path / f"{name}.csv").read_text().splitlines()))
        for name in ("known", "unknown")
    )
    assert (known["convex1"], unknown["convex1"]) == ("left", "image right")
    assert (known["sides_from"], unknown["sides_from"]) == ("PatientOrientation", "")
    assert (known["t1_shift_mm"], unknown["t1_shift_mm"]) == ("15.0000", "")
    assert (known["trunk_height_mm"], known["spacing_from"]) == (
        "335.0000",
        "PixelSpacing",
    )  # 16 * 40 + 30 px
    assert (unknown["t1_tilt_deg"], unknown["wedging_T5_deg"]) == ("0.0000", "0.0000")


def test_level_names() -> None:
    assert [level_name(0, 0), level_name(0, 11), level_name(0, 12), level_name(3, 13), level_name(0, 17)] == [
        "T1",
        "T12",
        "L1",
        "L5",
        "#18",
    ]


def manifest(*films: Measurement) -> Manifest:
    return Manifest.of(films, ["a", "b"], [0.75, 0.25], "challenge", MEDIAN, {"seed": 3}, {"folds": 5})


def test_manifest_holds_failures_medians_dropped_members_and_flags(tmp_path: Path) -> None:
    angles = CobbAngles(np.array([1.0, 1.0, 1.0]), "challenge")
    good = SpinePrediction("m", (10, 10), angles=angles, solver="a")
    mixed = combine([good, SpinePrediction("m", (10, 10), solver="b", failure="dark")], [0.75, 0.25])
    write_manifest(tmp_path / "manifest.json", manifest(lost("z"), mixed, film("y", 1, 1, 1)))
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content["solvers"] == ["a", "b"]
    assert content["weights"] == [0.75, 0.25]
    assert (content["definition"], content["films"], content["version"]) == ("challenge", 3, __version__)
    assert content["failures"] == {"z": "no\n  spine"}
    assert content["medians"] == {"z": [35.0, 18.0, 17.5]}
    assert content["dropped"] == {"m": {"b": "dark"}}
    assert content["flags"] == {"m": ["member_failed:b"], "z": ["blank"]}
    assert content["settings"] == {"seed": 3}
    assert content["notes"] == {"folds": 5}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", content["created"])
    assert list(content) == sorted(content)


def test_manifest_is_the_same_text_for_films_in_any_order() -> None:
    films = [lost("z"), lost("y"), film("x", 1, 1, 1, flags=("dark",))]
    texts = {re.sub(r'"created": "[^"]*"', "", manifest(*order).to_json()) for order in (films, films[::-1])}
    assert len(texts) == 1


def test_commit_is_the_checkouts_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git_commit()
    assert commit is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", commit)

    def refuse(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("git", 10)

    monkeypatch.setattr(subprocess, "run", refuse)
    assert git_commit() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() is None


def test_provenance_names_version_commit_and_time() -> None:
    made = provenance()
    assert (made["version"], made["commit"]) == (__version__, git_commit())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", str(made["created"]))


def test_ensemble_loads_no_network() -> None:
    program = (
        "import sys, aasce.ensemble; print([m for m in ('torch', 'scipy.optimize') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
