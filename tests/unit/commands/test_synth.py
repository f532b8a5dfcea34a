"""`aasce synth`: the challenge's layout, resumed, with all that is known of each film."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from aasce.datasets import read_challenge
from aasce.geometry.cobb import cobb_angles
from aasce.readers import read_scan
from tests.commandline import Run

SMALL = ("--rows", "256", "--workers", "1")


@pytest.fixture
def films(run: Run, tmp_path: Path) -> Path:
    done = run("synth", "--n", "2", "--out", tmp_path / "films", *SMALL)
    assert done.code == 0
    assert "2 films, 2 of them rendered now" in done.out
    return tmp_path / "films"


def test_the_folder_is_read_as_the_challenge_is(films: Path) -> None:
    for source in ("mat", "csv"):
        found = read_challenge(films, source=source)  # type: ignore[arg-type]
        assert [film.film_id for film in found] == ["rendered-000000", "rendered-000001"]
        assert len(set(found.studies)) == 2
        for index, film in enumerate(found):
            known = json.loads((films / "truth" / f"{film.film_id}.json").read_text())
            exact = np.array(known["landmarks"])
            assert film.landmarks is not None
            assert np.abs(film.landmarks - exact).max() <= (0.5 if source == "mat" else 0.01)
            pixels = found.radiograph(index).pixels
            assert list(pixels.shape) == known["size"]
            # 5 significant digits; the record's landmarks are rounded to 0.001 px.
            assert film.angles == pytest.approx(known["angles"]["challenge"]["degrees"], abs=0.005)
            assert cobb_angles(exact, pixels.shape[0]).degrees == pytest.approx(film.angles, abs=0.02)
            of_mat = known["angles_of_whole_pixels"]
            for definition in ("challenge", "clinical"):
                again = cobb_angles(np.rint(exact), pixels.shape[0], definition).degrees  # type: ignore[arg-type]
                assert of_mat[definition]["degrees"] == pytest.approx(again, abs=1e-4)


def test_masks_and_boxes_belong_to_the_landmarks(films: Path) -> None:
    known = json.loads((films / "truth" / "rendered-000001.json").read_text())
    mask = cv2.imread(str(films / "masks" / "rendered-000001.png"), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    assert list(mask.shape) == known["size"]
    for number, (left, top, right, bottom) in enumerate(known["boxes"], start=1):
        assert mask[round((top + bottom) / 2), round((left + right) / 2)] == number


def test_a_second_call_goes_on_where_the_first_ended(run: Run, films: Path) -> None:
    first = (films / "data" / "training" / "rendered-000000.jpg").read_bytes()
    (films / "truth" / "rendered-000001.json").unlink()
    done = run("synth", "--n", "3", "--out", films, *SMALL)
    assert "3 films, 2 of them rendered now" in done.out
    assert (films / "data" / "training" / "rendered-000000.jpg").read_bytes() == first
    assert len(read_challenge(films)) == 3


def test_a_folder_begun_otherwise_is_refused(run: Run, films: Path) -> None:
    done = run("synth", "--n", "2", "--out", films, "--seed", "7", *SMALL)
    assert "synth.json: these films were begun with other settings" in done.one_line()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--n", "0"), "--n 0: render at least one film"),
        (("--n", "1", "--rows", "20"), "--rows 20: a film has 128 to 4096 rows"),
        (
            ("--n", "1", "--population", "martians"),
            "--population martians: is one of patients, adults, elderly",
        ),
    ],
)
def test_impossible_orders_are_refused(run: Run, tmp_path: Path, words: tuple[str, ...], text: str) -> None:
    assert run("synth", "--out", tmp_path / "x", *words).one_line() == text
    assert not (tmp_path / "x").exists()


def test_angle_and_curve_can_be_asked_for(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    done = run("synth", "--n", "1", "--out", folder, "--cobb", "60", "--curve", "double major", *SMALL)
    assert done.code == 0
    known = json.loads((folder / "truth" / "rendered-000000.json").read_text())
    assert known["person"]["spine"]["curve"] == "double major"
    assert known["angles"]["challenge"]["degrees"][0] == pytest.approx(60, abs=12)


def test_a_scan_comes_with_labels_and_centroids(run: Run, tmp_path: Path) -> None:
    assert run("synth", "--n", "1", "--out", tmp_path / "s", "--scans", *SMALL).code == 0
    folder = tmp_path / "s" / "scans"
    ct = read_scan(folder / "rendered-000000_ct.nii.gz", "ct")
    labels = read_scan(folder / "rendered-000000_seg.nii.gz", "label")
    assert ct.shape == labels.shape
    assert np.allclose(ct.affine, labels.affine)
    bone = ct.data[labels.data == 20]
    assert bone.mean() > 150
    places = json.loads((folder / "rendered-000000_centroids.json").read_text())[1:]
    assert [place["label"] for place in places] == list(range(1, 25))
    for place in places[2:]:
        index = tuple(round(place[axis]) for axis in "XYZ")
        assert labels.data[index] == place["label"]


def test_training_without_a_data_set_renders_its_own(run: Run, tmp_path: Path) -> None:
    done = run(
        "train", "--solver", "constant", "--rendered", "3", "--validation", "0", "--out", tmp_path / "r"
    )
    assert done.code == 0
    assert "no data set named: training on 3 films rendered into" in done.err
    assert (tmp_path / "r" / "rendered" / "labels" / "training" / "angles.csv").is_file()
