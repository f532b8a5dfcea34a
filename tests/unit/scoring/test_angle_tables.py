"""Tables are read whole or refused with file, row, film and remedy in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aasce.scoring import film_name, read_angles_csv
from aasce.scoring.tables import read_table, table_of_frame
from aasce.types import AasceError

HEAD = "name,an1,an2,an3\n"


def written(tmp_path: Path, text: str, name: str = "preds.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_table_is_read_in_its_order_with_names_without_extension(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "b.1 A AP.jpg,3,2,1\n\na,10.5,0,1e-3\r\n")
    names, degrees = read_angles_csv(path)
    assert names == ("b.1 A AP", "a")
    assert degrees.tolist() == [[3.0, 2.0, 1.0], [10.5, 0.0, 0.001]]
    assert degrees.dtype == np.float64


def test_bom_capitals_spaces_and_further_columns_are_taken(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffName, AN1 ,an2,an3,confidence,flags\na, 3 ,2,1,0.9,\n")
    table = read_table(path)
    assert table.names == ("a",)
    assert table.extra == ("confidence", "flags")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a.JPG", "a"),
        (" 1.2.840.dcm", "1.2.840"),
        ("01-July-2019-1", "01-July-2019-1"),
        ("x.jpg.png", "x.jpg"),
    ],
)
def test_film_name(text: str, name: str) -> None:
    assert film_name(text) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; write the header"),
        ("\n \n", "is empty; write the header"),
        (HEAD, "has a header and no rows"),
        ("a,3,2,1\n", "has no header; put 'name,an1,an2,an3' on the first line"),
        ("3,2,1\n", "three columns and no header; put 'name,an1,an2,an3' on the first line, or"),
        (
            "name,an2,an1,an3\na,2,3,1\n",
            "columns are in the order 'name,an2,an1,an3'; put name,an1,an2,an3",
        ),
        ("an1,an2,an3,name\n3,2,1,a\n", "columns are in the order 'an1,an2,an3,name'"),
        ("name;an1;an2;an3\na;3;2;1\n", "parted by ';'; save it again with commas"),
        (
            "film,MT,PT,TL\na,3,2,1\n",
            "the header is 'film,mt,pt,tl'; the first line must be 'name,an1,an2,an3'",
        ),
        (HEAD + "a,3,2,1\na,3,2,1\n", r"row 3: film 'a' is on row 2 too"),
        (HEAD + "a,3,2,1\na.jpg,3,2,1\n", r"row 3: film 'a' is on row 2 too"),
        (HEAD + "a,3,nan,1\n", r"row 2 \(film 'a'\): an2 is nan; write a finite angle"),
        (HEAD + "a,3,2,inf\n", r"row 2 \(film 'a'\): an3 is inf"),
        (HEAD + "a,3,2,1\nb,-3,2,1\n", r"row 3 \(film 'b'\): an1 is -3, negative"),
        (HEAD + "a,3,2,x\n", r"row 2 \(film 'a'\): an3 is 'x', no number"),
        (HEAD + "a,1_0,2,1\n", r"row 2 \(film 'a'\): an1 is '1_0', no number"),
        (HEAD + "a,3,,1\n", r"row 2 \(film 'a'\): an2 is empty"),
        (HEAD + "a,3,2,361\n", r"row 2 \(film 'a'\): an3 is 361, over a full turn"),
        (HEAD + "a,3,2\n", r"row 2 \(film 'a'\): has 3 cells, the header 4"),
        (HEAD + "a,3,2,1,0\n", r"row 2 \(film 'a'\): has 5 cells, the header 4"),
        (HEAD + ",3,2,1\n", r"row 2: has no film name"),
        (
            "name,an1,an2,an3,failure\na,3,2,1,\nb,,,,no spine\n",
            r"row 3 \(film 'b'\): has no angles, it failed \('no spine'\); score the submission",
        ),
        ("name,an1,an2,an3,failure\nb,,,,\n", r"row 2 \(film 'b'\): an1 is empty"),
    ],
)
def test_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(AasceError, match=message) as caught:
        read_angles_csv(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_text_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AasceError, match="no such file"):
        read_angles_csv(tmp_path / "none.csv")
    with pytest.raises(AasceError, match="Is a directory"):
        read_angles_csv(tmp_path)
    (tmp_path / "film.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(AasceError, match="is no CSV text in UTF-8"):
        read_angles_csv(tmp_path / "film.jpg")
    with pytest.raises(AasceError, match="is no CSV text"):
        read_angles_csv(written(tmp_path, "x" * 200_000))


def test_an_error_about_a_name_over_two_lines_is_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + '"a\nb",3,x,1\n')
    with pytest.raises(AasceError, match=r"row 3 \(film 'a\\nb'\): an2") as caught:
        read_angles_csv(path)
    assert "\n" not in str(caught.value)


def test_the_organisers_pair_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "41.1,14.6,40\r\n59,51.5,3.3\r\n", "angles.csv")
    (tmp_path / "filenames.csv").write_bytes(b"x-162 A AP.jpg\r\nx, 163 B.jpg\r\n")
    names, degrees = read_angles_csv(path)
    assert names == ("x-162 A AP", "x, 163 B")
    assert degrees.tolist() == [[41.1, 14.6, 40.0], [59.0, 51.5, 3.3]]


@pytest.mark.parametrize(
    ("angles", "names", "message"),
    [
        ("1,2,3\n", "a.jpg\nb.jpg\n", r"angles.csv: has 1 rows, filenames.csv 2"),
        ("1,2,3\n1,2\n", "a.jpg\nb.jpg\n", r"angles.csv, row 2 \(film 'b'\): has 2 cells"),
        ("1,2,3\n1,2,-1\n", "a.jpg\nb.jpg\n", r"angles.csv, row 2 \(film 'b'\): an3 is -1, negative"),
        ("1,2,3\n1,2,1\n", "a.jpg\na.jpg\n", r"filenames.csv, row 2: film 'a' is on row 1 too"),
    ],
)
def test_a_pair_that_does_not_fit_is_refused(tmp_path: Path, angles: str, names: str, message: str) -> None:
    path = written(tmp_path, angles, "angles.csv")
    written(tmp_path, names, "filenames.csv")
    with pytest.raises(AasceError, match=message):
        read_angles_csv(path)


def test_the_released_labels_are_read(aasce_data: Path) -> None:
    names, degrees = read_angles_csv(aasce_data / "aasce19" / "labels" / "training" / "angles.csv")
    assert len(names) == 481
    assert degrees.mean(axis=0) == pytest.approx([38.7, 19.7, 18.5], abs=0.05)


FRAME = {"an3": [1, 0], "name": ["a.jpg", "b"], "an1": [3.5, 2.0], "an2": [2.0, 1.0], "flags": ["x", ""]}


def test_a_frame_is_read_by_its_column_names_or_with_names_in_the_index() -> None:
    frame = pd.DataFrame(FRAME)
    for given in (frame, frame.set_index("name")):
        table = table_of_frame(given, "predicted")
        assert table.names == ("a", "b")
        assert table.degrees.tolist() == [[3.5, 2.0, 1.0], [2.0, 1.0, 0.0]]
        assert table.extra == ("flags",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"an2": [2.0, None]}, r"truth, row 1 \(film 'b'\): an2 is empty"),
        ({"an2": ["2", "x"]}, r"truth, row 1 \(film 'b'\): an2 is 'x', no number"),
        ({"an1": [3.0, -1.0]}, r"truth, row 1 \(film 'b'\): an1 is -1.0, negative"),
        ({"name": ["b.png", "b"]}, r"truth, row 1: film 'b' is on row 0 too"),
        ({"name": ["a", None]}, r"truth, row 1: has no film name"),
        (
            {column: [1.0, None] for column in ("an1", "an2", "an3")} | {"failure": [None, "no spine"]},
            "no spine",
        ),
    ],
)
def test_a_row_of_a_frame_is_refused_as_one_of_a_file_is(
    change: dict[str, list[object]], message: str
) -> None:
    with pytest.raises(AasceError, match=message):
        table_of_frame(pd.DataFrame(FRAME | change), "truth")


def test_a_frame_without_the_columns_or_without_rows_is_refused() -> None:
    frame = pd.DataFrame(FRAME)
    for given in (frame.drop(columns="an2"), pd.concat([frame, frame[["an2"]]], axis=1)):
        with pytest.raises(
            AasceError, match=r"truth: has the columns .*; each of name,an1,an2,an3 is needed once"
        ):
            table_of_frame(given, "truth")
    with pytest.raises(AasceError, match="truth: has no rows"):
        table_of_frame(frame.iloc[:0], "truth")
