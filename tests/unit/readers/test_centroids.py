"""Centroids from and to VerSe's and Slicer's files: the world position of a marker does not move."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aasce.ct.base import vertebra_set
from aasce.readers.centroids import read_centroids, slicer_form, verse_form
from aasce.readers.scans import read_scan
from aasce.scoring.segmentation import mask_middles
from aasce.types import AasceError
from aasce.volume import Volume

PLACES = {20: np.array([3.0, -4.0, 50.0]), 19: np.array([1.0, -2.0, 80.0]), 28: np.array([2.0, -3.0, 65.0])}


@pytest.fixture
def grid() -> Volume:
    """An oblique, mirrored and anisotropic grid."""
    affine = np.array([[-0.7, 0.1, 0, 60], [0.1, 0.69, -0.5, -70], [0, 0.1, 2.4, -10], [0, 0, 0, 1.0]])
    return Volume(np.zeros((30, 40, 50), np.float32), affine, "ct")


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_verse_round_trip(tmp_path: Path, grid: Volume) -> None:
    found = read_centroids(written(tmp_path / "ctd.json", verse_form(PLACES, grid)), grid)
    assert list(found) == [19, 28, 20]  # from the head: T12, T13, L1
    for label, place in PLACES.items():
        # Voxels are written with two decimals: half a hundredth of 2.4 mm and less.
        assert np.abs(found[label] - place).max() < 0.02


def test_verse_counts_voxels_from_the_first_ones_centre(tmp_path: Path, grid: Volume) -> None:
    form = [{"direction": list(grid.axcodes)}, {"label": 20, "X": 0, "Y": 0, "Z": 0}]
    place = read_centroids(written(tmp_path / "ctd.json", form), grid)[20]
    assert place == pytest.approx(grid.affine[:3, 3])


@pytest.mark.parametrize("direction", ["PIR", "RAS", "SRA", "LPI"])
def test_verse_in_another_direction_than_the_scans(tmp_path: Path, grid: Volume, direction: str) -> None:
    """What `verse_form` says of the scan turned to a direction is read with the scan as it is."""
    form = verse_form(PLACES, grid.reorient(direction))
    assert form[0] == {"direction": list(direction)}
    found = read_centroids(written(tmp_path / "ctd.json", form), grid)
    assert all(np.abs(found[label] - place).max() < 0.02 for label, place in PLACES.items())


@pytest.mark.parametrize(("system", "sign"), [("LPS", (-1, -1, 1)), ("RAS", (1, 1, 1))])
def test_slicer_in_either_frame(tmp_path: Path, system: str, sign: tuple[int, int, int]) -> None:
    point = {"label": "t12 ", "position": [5.0, 7.0, -9.0]}
    empty = {"label": "L1", "position": [0, 0, 0], "positionStatus": "undefined"}
    form = {"markups": [{"coordinateSystem": system, "controlPoints": [point, empty]}]}
    found = read_centroids(written(tmp_path / "a.mrk.json", form))
    assert list(found) == [19]
    assert found[19] == pytest.approx(np.array([5.0, 7.0, -9.0]) * sign)


def test_slicer_round_trip_needs_no_grid(tmp_path: Path) -> None:
    form = slicer_form(PLACES)
    assert form["markups"][0]["coordinateSystem"] == "LPS"
    points = form["markups"][0]["controlPoints"]
    assert [point["label"] for point in points] == ["T12", "T13", "L1"]
    assert points[2]["position"] == [-3.0, 4.0, 50.0]
    found = read_centroids(written(tmp_path / "a.mrk.json", form))
    assert all(found[label] == pytest.approx(place) for label, place in PLACES.items())


def test_centroids_make_a_set_of_vertebrae(tmp_path: Path) -> None:
    found = vertebra_set("scan", read_centroids(written(tmp_path / "a.mrk.json", slicer_form(PLACES))))
    assert found.labels.tolist() == [19, 28, 20]
    assert found.centroid(20) == pytest.approx(PLACES[20])


SPOT = {"label": 20, "X": 1, "Y": 2, "Z": 3}
AXES = {"direction": ["R", "A", "S"]}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ([SPOT], "names no direction"),
        ([AXES], "holds no centroid"),
        ([{"direction": ["R", "L", "S"]}, SPOT], "is none; give one of R/L"),
        ([AXES, {"label": 20, "X": 1}], "lacks its label, X, Y or Z"),
        ([AXES, {**SPOT, "label": 77}], r"labels \[77\] are no vertebrae"),
        ([AXES, SPOT, SPOT], "L1 stands twice"),
        ([AXES, {**SPOT, "X": float("nan")}], "not finite"),
        ({"points": []}, "neither VerSe's centroids nor Slicer's"),
        ({"markups": [{"coordinateSystem": "1", "controlPoints": [1]}]}, "coordinateSystem is 1"),
        (
            {"markups": [{"coordinateSystem": "LPS", "coordinateUnits": "m", "controlPoints": [1]}]},
            "save the point list in mm",
        ),
        ({"markups": [{"coordinateSystem": "LPS", "controlPoints": [{"label": "L1"}]}]}, "damaged markups"),
        (
            {
                "markups": [
                    {"coordinateSystem": "LPS", "controlPoints": [{"label": "F-1", "position": [0] * 3}]}
                ]
            },
            "'F-1' is no level",
        ),
    ],
)
def test_one_line_that_names_file_and_remedy(tmp_path: Path, grid: Volume, content: Any, line: str) -> None:
    path = written(tmp_path / "bad.json", content)
    with pytest.raises(AasceError, match=line) as fault:
        read_centroids(path, grid)
    assert str(fault.value).startswith(f"{path}: ")
    assert "\n" not in str(fault.value)


def test_verse_without_its_scan(tmp_path: Path) -> None:
    with pytest.raises(AasceError, match="name the scan that they belong to"):
        read_centroids(written(tmp_path / "ctd.json", [AXES, SPOT]))


@pytest.mark.parametrize("content", ["", "{", "\x00\x01"])
def test_no_json(tmp_path: Path, content: str) -> None:
    (tmp_path / "ctd.json").write_text(content)
    with pytest.raises(AasceError, match="no JSON"):
        read_centroids(tmp_path / "ctd.json")
    with pytest.raises(AasceError, match="No such file"):
        read_centroids(tmp_path / "none.json")


def test_verses_own_file_lies_in_its_masks() -> None:
    folder = Path(os.environ.get("AASCE_DATA") or "nowhere") / "ct" / "verse014"
    if not folder.is_dir():
        pytest.skip("AASCE_DATA does not name the folder that holds ct/verse014/")
    labels = read_scan(folder / "sub-verse014_seg-vert_msk.nii.gz", "label")
    found = read_centroids(folder / "sub-verse014_seg-vb_ctd.json", labels)
    assert list(found) == [20, 21, 22, 23, 24]
    middles = mask_middles(labels.data, labels.affine)
    for label, place in found.items():
        index = tuple(np.rint(labels.to_index(place)).astype(int))
        assert labels.data[index] == label
        assert place[1] > middles[label][1]  # the body is in front of the whole vertebra's middle
