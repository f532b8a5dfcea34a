"""predictions.json: complete, documented, and read back to the same bits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aasce.ensemble.combine import Measurement, combine, with_angles
from aasce.types import VERTEBRAE, CobbAngles, FilmFacts, SpinePrediction
from aasce.writers.records import film_record, read_record, write_records
from tests.marked import Row, boxes, films, row

PAGE = Path(__file__).parents[3] / "docs" / "pages" / "files.md"


def there_and_back(film: Row, **options: bool) -> Row:
    return read_record(json.loads(json.dumps(film_record(*film, **options), allow_nan=False)))


def assert_same(found: Any, expected: Any) -> None:
    """Field by field, arrays to the bit."""
    if isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, SpinePrediction | CobbAngles | Measurement):
        for field in fields(expected):
            assert_same(getattr(found, field.name), getattr(expected, field.name))
    else:
        assert found == expected


def regressed(degrees: tuple[float, float, float] = (31.25, 10.5, 4.125)) -> SpinePrediction:
    """A solver that gives angles of its own beside landmarks."""
    prediction = row("film")[1].prediction
    return replace(prediction, angles=CobbAngles(np.array(degrees), "challenge"), solver="regresses")


def ensemble() -> Measurement:
    """Of a solver with landmarks and one that failed."""
    failed = SpinePrediction("film", (448, 192), solver="other", failure="no spine was found")
    measured = combine([regressed(), failed], [0.75, 0.25])
    return replace(measured, intervals=((29.0, 100 / 3), (0.0, 12.5), None), coverage=0.8)


def facts() -> FilmFacts:
    return FilmFacts(
        "film", Path("ward/Doe/film.dcm"), 2, (448, 192), (0.14, 0.15), "ImagerPixelSpacing",
        "right", "PatientOrientation",
    )  # fmt: skip


@pytest.mark.parametrize("film", films(), ids=lambda film: film[0].film_id)
def test_a_film_comes_back_to_the_bit(film: Row) -> None:
    found, measurement = there_and_back(film)
    assert found == film[0]
    assert_same(measurement, film[1])


@pytest.mark.parametrize(
    "measurement", [ensemble(), with_angles(regressed()), with_angles(regressed((-0.5, 0, 0)))]
)
def test_angles_that_are_not_those_of_the_landmarks_come_back(measurement: Measurement) -> None:
    assert_same(there_and_back((facts(), measurement))[1], measurement)


def test_a_file_that_could_not_be_read_has_no_size_and_comes_back() -> None:
    facts, measurement = row("film", failure="is empty; copy or export the film again")
    unread = (
        replace(facts, size=(0, 0)),
        replace(measurement, prediction=replace(measurement.prediction, size=(0, 0))),
    )
    found, back = there_and_back(unread)
    assert found == unread[0]
    assert_same(back, unread[1])


def test_numbers_that_are_not_finite_come_back_though_json_has_none() -> None:
    landmarks = boxes(10, 0, -10)
    landmarks[1, 2, 0] = np.nan
    facts, measurement = row("film", landmarks)
    assert measurement.failure is not None
    assert_same(there_and_back((facts, measurement))[1], measurement)


def test_no_folder_of_the_user_is_written_unless_asked() -> None:
    film = facts(), with_angles(regressed())
    assert film_record(*film)["file"] == "film.dcm"
    assert "Doe" not in json.dumps(film_record(*film))
    assert there_and_back(film, whole_path=True)[0] == film[0]


def test_a_record_names_levels_and_gives_both_definitions() -> None:
    # T3, T4, T5 tilted by 15, 0 and -10 degrees: 25 between T3 and T5. Challenge and clinical rule agree on it.
    record = film_record(*row("film", boxes(15, 0, -10), first=2))
    assert [entry["level"] for entry in record["landmarks"]] == ["T3", "T4", "T5"]
    assert record["definition"] == "challenge"
    for definition in ("challenge", "clinical"):
        angles = record["angles"][definition]
        major = angles["curves"][0]
        assert (major["upper"], major["apex"], major["lower"]) == ("T3", "T4", "T5")
        assert major["degrees"] == pytest.approx(25, abs=1e-5)
        assert (angles["definition"], angles["source"]) == (definition, "landmarks")
    assert (record["interval"], record["coverage"]) == (None, None)
    assert record["description"]["curves"][0]["severity"] == "moderate"
    assert record["description"]["wedging_deg"] == {"T3": 0.0, "T4": 0.0, "T5": 0.0}


def test_a_record_says_what_the_degrees_are_from() -> None:
    def sources(measurement: Measurement) -> list[str]:
        angles = film_record(facts(), measurement)["angles"]
        return [angles["challenge"]["source"], angles["clinical"]["source"]]

    assert sources(row("film")[1]) == ["landmarks", "landmarks"]
    assert sources(with_angles(regressed())) == ["regression", "landmarks"]
    assert sources(ensemble()) == ["members", "landmarks"]
    assert sources(with_angles(regressed(), "clinical")) == ["landmarks", "landmarks"]


def test_a_failed_film_has_its_reason_and_no_angles() -> None:
    record = film_record(*films()[-1])
    assert record["failure"] == "no spine was found"
    assert record["angles"] == {"challenge": None, "clinical": None}
    assert record["landmarks"] is record["description"] is record["definition"] is None


def keys_of(value: Any, path: str = "") -> Iterator[str]:
    """The keys of the leaves, as the documentation writes them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            key = "LEVEL" if path.endswith("wedging_deg") and key in VERTEBRAE else key
            key = "DEFINITION" if path.endswith("angles") else key
            yield from keys_of(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from keys_of(inner, f"{path}[]")
    else:
        yield path


def test_every_key_is_documented_and_every_documented_key_is_written(tmp_path: Path) -> None:
    film = facts()
    patient = {"patient_id": "7", "patient_name": "", "study_date": ""}
    write_records(tmp_path / "predictions.json", [(film, ensemble())], {film.film_id: patient})
    content = json.loads((tmp_path / "predictions.json").read_text("utf-8"))
    assert content["films"][0].pop("patient") == patient  # with --identify alone
    written = {key for key in keys_of(content) if not key.startswith("films[].regressed.")} | {
        "films[].patient"
    }
    section = PAGE.read_text("utf-8").split("## predictions.json")[1]
    documented = set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)) - {"films[].regressed"}
    assert written == documented
    assert content["version"] == 1


def test_the_file_holds_the_films_in_order_with_points_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    write_records(path, films())
    text = path.read_text("utf-8")
    assert [film["film"] for film in json.loads(text)["films"]] == [facts.film_id for facts, _ in films()]
    assert json.loads(text)["films"] == [json.loads(json.dumps(film_record(*film))) for film in films()]
    assert re.search(r'"TL": \[[\d.]+, [\d.]+\],\n', text)


def test_odd_names_and_brackets_in_texts_survive(tmp_path: Path) -> None:
    # A byte of a file's name that is no UTF-8 stands as a lone surrogate in Python.
    facts, measurement = row("film", failure='[\n 1,\n 2 ] is no "spine"')
    odd = replace(facts, film_id="Wirbelsäule [ 1 ]", path=Path("Wirbels\udce4ule.png"))
    write_records(tmp_path / "predictions.json", [(odd, measurement)])
    record = json.loads((tmp_path / "predictions.json").read_text("utf-8"))["films"][0]
    found, back = read_record(record)
    assert (found, back.failure) == (odd, measurement.failure)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("size", [448], "'size' is a list of 2, not [448]"),
        ("size", [448, 0.5], "'size' is a whole number of 1 or more, not 0.5"),
        ("landmarks", 3, "'landmarks' is a list, not 3"),
        ("patient_left", "up", "'patient_left' is 'left' or 'right', not 'up'"),
        ("first_level", "C7", "'C7' is no level; levels are T1 to T12 and L1 to L5"),
        ("orientation", {"turns": 4, "negative": False}, "'turns' is 0, 1, 2 or 3, not 4"),
        ("centreline", [[1, "2"]], "'centreline' holds '2', which is no number"),
    ],
)
def test_a_record_of_another_kind_is_refused_in_a_line(key: str, value: Any, fault: str) -> None:
    record = {**film_record(*films()[0]), key: value}
    with pytest.raises(ValueError, match=re.escape(fault)):
        read_record(record)


@pytest.mark.parametrize("key", ["film", "angles", "flags", "members", "landmarks", "orientation"])
def test_a_missing_key_is_named(key: str) -> None:
    record = film_record(*films()[0])
    del record[key]
    with pytest.raises(ValueError, match=f"'{key}'"):
        read_record(record)
