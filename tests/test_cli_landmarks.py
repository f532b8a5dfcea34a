"""`aasce predict --format` and `aasce measure-landmarks`, as a research assistant meets them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from aasce.writers.landmarks import FORMATS, write_landmarks
from aasce.writers.records import write_records
from tests.commandline import CONSTANT, Run, rows
from tests.marked import boxes, films, row

PAGE = (Path(__file__).parents[1] / "docs" / "pages" / "files.md").read_text("utf-8")
TILTS = (15.0, 0.0, -10.0)
"""Degrees of T1, T2 and T3: 25 between the first and the last."""


def exported(folder: Path) -> Path:
    """What predict leaves of the films of `films`, in every format."""
    write_records(folder / "predictions.json", films())
    write_landmarks(folder, films(), list(FORMATS))
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ["predictions.json"],
        ["landmarks-coco.json"],
        ["labelme/plain.json", "labelme/turned.json"],
        ["slicer/plain.mrk.json"],
        ["corners.csv"],
    ],
)
def test_any_format_is_measured_as_predict_measured_it(names: list[str], run: Run, tmp_path: Path) -> None:
    folder = exported(tmp_path / "aasce-out")
    done = run("measure-landmarks", *(folder / name for name in names))
    expected = {facts.film_id: measurement for facts, measurement in films()}
    found = {cells["name"]: cells for cells in rows(Path("aasce-measured/predictions.csv"))}
    assert "plain" in found
    for name, cells in found.items():
        angles = expected[name].angles
        if angles is None:
            assert cells["failure"]
        else:
            assert [cells["an1"], cells["an2"], cells["an3"]] == [
                f"{degrees:.4f}" for degrees in angles.degrees
            ]
    assert done.code == (2 if "failed" in found else 0)
    again = json.loads(Path("aasce-measured/predictions.json").read_text("utf-8"))
    assert {film["film"] for film in again["films"]} == set(found)
    assert "aasce-measured/predictions.csv: " in done.out


def test_height_and_definition_are_taken_and_the_table_is_shown(run: Run, tmp_path: Path) -> None:
    lines = [
        f"film,T{v + 1},{corner},{x},{y}"
        for v, body in enumerate(boxes(*TILTS).tolist())
        for corner, (x, y) in zip(("TL", "TR", "BL", "BR"), body, strict=True)
    ]
    table = tmp_path / "corners.csv"
    table.write_text("\n".join(["film,vertebra,corner,x,y", *lines]), "utf-8")
    done = run("measure-landmarks", table)
    assert done.code == 2
    assert "--height" in rows(Path("aasce-measured/predictions.csv"))[0]["failure"]
    done = run(
        "measure-landmarks", table, "--height", "400", "--definition", "clinical", "--out", "corrected"
    )
    assert (done.code, done.err) == (0, "")
    assert "25.0°" in done.out
    cells = rows(Path("corrected/predictions.csv"))[0]
    assert (cells["an1"], cells["definition"], cells["solver"]) == ("25.0000", "clinical", "landmarks")
    assert (cells["upper1"], cells["lower1"]) == ("T1", "T3")


def test_a_file_that_cannot_be_read_gets_a_line_and_the_others_are_measured(run: Run, tmp_path: Path) -> None:
    write_landmarks(tmp_path, [row("film")], ["labelme"])
    broken = tmp_path / "labelme" / "broken.json"
    broken.write_text("{", "utf-8")
    done = run("measure-landmarks", broken, tmp_path / "labelme" / "film.json")
    assert done.one_line().startswith(f"{broken}: damaged JSON")
    assert [cells["failure"] for cells in rows(Path("aasce-measured/predictions.csv"))] == [""]


def test_where_nothing_can_be_read_nothing_is_written(run: Run, tmp_path: Path) -> None:
    assert "no such file" in run("measure-landmarks", tmp_path / "none.json").one_line()
    assert not Path("aasce-measured").exists()


def test_a_film_that_is_in_two_files_is_refused(run: Run, tmp_path: Path) -> None:
    folder = exported(tmp_path / "aasce-out")
    done = run("measure-landmarks", folder / "labelme/plain.json", folder / "slicer/plain.mrk.json")
    assert "film 'plain' is in" in done.one_line()
    assert not Path("aasce-measured").exists()


def test_the_file_that_is_read_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    folder = exported(tmp_path / "aasce-out")
    before = (folder / "predictions.json").read_bytes()
    done = run("measure-landmarks", folder / "predictions.json", "--out", folder)
    assert "would be overwritten; choose another folder with --out" in done.one_line()
    assert (folder / "predictions.json").read_bytes() == before


def test_predict_leaves_predictions_json_and_the_formats_asked_for(run: Run, film: Path) -> None:
    done = run("predict", film, *CONSTANT, "--format", "coco", "--format", "labelme")
    assert done.code == 0, done.err
    record = json.loads(Path("aasce-out/predictions.json").read_text("utf-8"))["films"][0]
    assert (record["film"], record["file"], record["size"]) == ("good", "good.png", [448, 192])
    # The constant solver gives the training medians and no landmarks.
    assert [curve["degrees"] for curve in record["angles"]["challenge"]["curves"]] == [
        pytest.approx(36.881, abs=1e-3), pytest.approx(18.734, abs=1e-3), pytest.approx(15.793, abs=1e-3)
    ]  # fmt: skip
    assert record["angles"]["challenge"]["source"] == "regression"
    assert Path("aasce-out/labelme/good.json").is_file()
    assert len(json.loads(Path("aasce-out/landmarks-coco.json").read_text("utf-8"))["images"]) == 1
    assert not Path("aasce-out/corners.csv").exists()


def test_an_unknown_format_is_refused_with_those_there_are(run: Run, film: Path) -> None:
    line = run("predict", film, *CONSTANT, "--format", "cvat").one_line()
    assert line == "--format 'cvat' is not known; give coco, labelme, slicer, corners"
    assert not Path("aasce-out").exists()


def test_the_commands_of_the_page_do_what_it_says(run: Run, film: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    predict, table, labelme = (line for block in blocks for line in block.splitlines())
    (tmp_path / "films").mkdir()
    shutil.move(film, tmp_path / "films" / film.name)
    assert run(*shlex.split(predict)[1:], *CONSTANT).code == 0
    write_landmarks(Path("aasce-out"), [row("good")], ["corners", "labelme"])
    assert run(*shlex.split(table)[1:]).code == 0
    words = shlex.split(labelme)[1:]
    files = sorted(Path().glob(words[1]))  # a shell's work
    assert run(words[0], *files, *words[2:]).code == 0
    assert rows(Path("corrected/predictions.csv"))[0]["definition"] == "clinical"
