"""`aasce compare` as a user meets it: two files of landmarks, and a film against itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from aasce.commands.compare import compared
from aasce.ensemble import with_angles
from aasce.types import FilmFacts, Orientation, Radiograph, Side, SpinePrediction
from aasce.writers.comparison import Side as Reading
from aasce.writers.records import write_records
from tests.commandline import Run
from tests.synthetic import bent_spine, drawn_film


def prediction(
    name: str, bend: float, flags: tuple[str, ...] = (), confidence: float = 0.9
) -> SpinePrediction:
    return SpinePrediction(
        name, (448, 192), landmarks=bent_spine(bend), flags=flags, confidence=confidence, solver="made"
    )


def facts(name: str, left: Side | None = None) -> FilmFacts:
    return FilmFacts(
        name, Path(f"{name}.png"), None, (448, 192), None, None, left, None if left is None else "marker"
    )


def reading(found: SpinePrediction, left: Side | None = None) -> Reading:
    return Reading(facts(found.film_id, left), with_angles(found, "clinical"), None)


def write(path: str, *films: SpinePrediction) -> str:
    write_records(path, [(facts(film.film_id), with_angles(film)) for film in films])
    return path


def test_a_change_over_the_threshold_is_told(run: Run) -> None:
    write("old.json", prediction("jan", 20))
    write("new.json", prediction("dec", 34))
    done = run("compare", "old.json", "new.json", "--out", "pair")
    assert (done.code, done.err) == (0, "")
    assert "change: a change counts from over 7.5°" in done.out
    found = json.loads(Path("pair/comparison.json").read_text())
    (curve,) = found["curves"]
    # The spine's tilts run from +10 to -10 and from +17 to -17 degrees; corners are whole pixels.
    assert curve["change_deg"] == pytest.approx(14, abs=2)
    assert (curve["verdict"], found["verdict"], found["remarks"]) == ("increase", "change", [])
    assert not Path("pair/comparison.jpg").exists()  # no film beside the landmarks
    backwards = json.loads(run("compare", "new.json", "old.json", "--json").out)
    assert backwards["curves"][0]["verdict"] == "decrease"
    assert (
        json.loads(run("compare", "old.json", "new.json", "--json", "--threshold", "20").out)["verdict"]
        == "no change"
    )


def test_films_beside_their_landmarks_are_drawn_side_by_side(run: Run) -> None:
    for name, bend in (("jan", 20.0), ("dec", 22.0)):
        Image.fromarray(drawn_film(bent_spine(bend))).save(f"{name}.png")
        write(f"{name}.json", prediction(name, bend))
    assert run("compare", "jan.json", "dec.json", "--out", "pair").code == 0
    assert json.loads(Path("pair/comparison.json").read_text())["verdict"] == "no change"
    with Image.open("pair/comparison.jpg") as picture:
        assert picture.width > picture.height / 2
        grey = np.asarray(picture.convert("L"))
    assert (grey.min(axis=0) > 240).sum() in range(8, 24)  # the white gap between the two


def test_a_film_of_several_is_named_behind_a_hash(run: Run) -> None:
    write("all.json", prediction("jan", 20), prediction("dec", 21))
    line = run("compare", "all.json", "all.json").one_line()
    assert line == "all.json: holds 2 films (jan, dec); name one as 'all.json#NAME'"
    assert "no change" in run("compare", "all.json#jan", "all.json#dec").out
    assert "holds 2 films" in run("compare", "all.json#may", "all.json#dec").one_line()


def test_what_makes_a_comparison_unsafe_is_said() -> None:
    turned = replace(prediction("dec", 20, ("film_upside_down",)), orientation=Orientation(2))
    turned = replace(turned, landmarks=np.array([191.0, 447.0]) - bent_spine(20))
    found = compared(reading(prediction("jan", 20, ("levels_unsure",), 0.3)), reading(turned))
    assert found.verdict == "no change"
    assert found.remarks == (
        "earlier film: levels unsure",
        "earlier film: confidence only 0.30",
        "the films lay differently and were set upright: make sure that both are frontal views",
    )


def test_films_that_show_the_patient_from_other_sides_are_compared_by_the_patients() -> None:
    found = compared(reading(prediction("jan", 20), "right"), reading(prediction("dec", -20), "left"))
    assert found.verdict == "no change"
    assert found.remarks[0].startswith("one film shows the patient from the other side")
    assert found.remarks[0].endswith("as the films say")
    same = compared(reading(prediction("jan", 20), "right"), reading(prediction("dec", -20), "right"))
    assert same.verdict == "change"
    assert same.curves[0].later is not None
    assert same.curves[0].later < -15


def test_what_cannot_be_compared_is_one_line(run: Run) -> None:
    write("old.json", prediction("jan", 20))
    write("lost.json", SpinePrediction("dec", (448, 192), failure="no spine is found"))
    assert "no spine is found" in run("compare", "old.json", "lost.json").one_line()
    assert run("compare", "old.json", "none.json").one_line().startswith("none.json: no such file")
    Image.fromarray(drawn_film(bent_spine(20))).save("film.png")
    line = run("compare", "old.json", "film.png", "--solver", "constant").one_line()
    assert line.startswith("film.png: has no landmarks to compare by")


def test_headers_that_speak_against_a_comparison_are_told_without_their_content(tmp_path: Path) -> None:
    sides = []
    for name, patient, date in (("jan", "4711", "20260301"), ("dec", "4712", "20260102")):
        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.SOPClassUID, header.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
        header.PatientID, header.StudyDate = patient, date
        path = tmp_path / f"{name}.dcm"
        header.save_as(path, enforce_file_format=True)
        film = Radiograph(name, drawn_film(bent_spine(20)), path=path)
        sides.append(Reading(film.facts, with_angles(prediction(name, 20), "clinical"), film))
    assert compared(*sides).remarks == (
        "the headers of the files name two patients",
        "the headers date the later film before the earlier one",
    )
    assert compared(*sides[::-1]).remarks == ("the headers of the files name two patients",)
    assert compared(sides[0], sides[0]).remarks == ()
