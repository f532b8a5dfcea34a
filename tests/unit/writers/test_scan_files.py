"""What is written of a scan: label map, centroids, table, angles."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from aasce.ct.angles import SpineAngles, measure_spine
from aasce.ct.base import VertebraSet, vertebra_set
from aasce.readers.centroids import read_centroids
from aasce.readers.scans import read_scan
from aasce.types import AasceError, CobbAngles
from aasce.volume import Volume
from aasce.writers.scans import (
    angles_record,
    coronal_record,
    table_rows,
    write_angles,
    write_centroids,
    write_label_map,
    write_table,
)
from tests.unit.ct.solids import column


@pytest.fixture(scope="module")
def found() -> VertebraSet:
    """T12 leans 15 degrees to its right; the atlas is an outsider without endplates."""
    masks, places = column({1: 0.0, 19: 15.0, 20: 0.0})
    confidence = {1: 0.5, 19: 0.9}
    return vertebra_set("scan", places, masks=masks, confidence=confidence, method="fake", flags=("metal",))


def turned(found: VertebraSet) -> VertebraSet:
    assert found.masks is not None
    return found.with_(masks=found.masks.reorient("PIR"))


def test_label_map_is_on_the_scans_own_grid(tmp_path: Path, found: VertebraSet) -> None:
    other = turned(found)
    assert other.masks is not None
    scan = Volume(np.zeros(other.masks.shape, np.float32), other.masks.affine, "ct")
    write_label_map(tmp_path / "labels.nii.gz", other, scan)
    image = nibabel.load(tmp_path / "labels.nii.gz")
    assert image.get_data_dtype() == np.uint8
    assert image.affine == pytest.approx(scan.affine, abs=1e-5)
    again = read_scan(tmp_path / "labels.nii.gz")
    assert again.kind == "label"
    assert np.array_equal(again.data, other.masks.data)


def test_masks_of_another_grid_are_refused(tmp_path: Path, found: VertebraSet) -> None:
    assert found.masks is not None
    moved = found.masks.affine.copy()
    moved[0, 3] += 1
    with pytest.raises(AasceError, match="another grid"):
        write_label_map(tmp_path / "a.nii.gz", found, Volume(found.masks.data, moved, "label"))
    with pytest.raises(AasceError, match="no masks"):
        write_label_map(tmp_path / "a.nii.gz", found.with_(masks=None), found.masks)
    assert not list(tmp_path.iterdir())


def test_both_files_of_centroids_say_the_same(tmp_path: Path, found: VertebraSet) -> None:
    grid = turned(found).masks
    assert grid is not None
    write_centroids(tmp_path, found, grid)
    verse = read_centroids(tmp_path / "centroids.json", grid)
    slicer = read_centroids(tmp_path / "centroids.mrk.json")
    assert list(verse) == list(slicer) == found.labels.tolist()
    for label in verse:
        assert verse[label] == pytest.approx(found.centroid(label), abs=0.01)
        assert slicer[label] == pytest.approx(found.centroid(label), abs=0.001)


def test_table_of_vertebrae(tmp_path: Path, found: VertebraSet) -> None:
    rows = table_rows(found, measure_spine(found).vertebrae, {20: ["cut"]})
    write_table(tmp_path / "vertebrae.csv", rows)
    with (tmp_path / "vertebrae.csv").open() as stream:
        atlas, twelfth, first = csv.DictReader(stream)
    assert [row["level"] for row in (atlas, twelfth, first)] == ["C1", "T12", "L1"]
    assert (atlas["anterior_mm"], atlas["wedge_coronal_deg"]) == ("", "")
    assert float(atlas["volume_ml"]) > 10
    assert (twelfth["label"], twelfth["z_mm"], twelfth["confidence"]) == ("19", "32.0", "0.9")
    assert float(first["middle_mm"]) == pytest.approx(22.4, abs=0.7)
    assert (twelfth["flags"], first["flags"]) == ("", "cut")


def test_angles_as_json(tmp_path: Path, found: VertebraSet) -> None:
    write_angles(tmp_path / "angles.json", angles_record(found, measure_spine(found)))
    record = json.loads((tmp_path / "angles.json").read_text())
    assert (record["scan"], record["method"], record["flags"]) == ("scan", "fake", ["metal"])
    assert (record["measured_on"], record["levels"]) == ("masks", ["T12", "L1"])
    major = record["coronal"]["clinical"][0]
    assert major["degrees"] == pytest.approx(15, abs=1)
    assert (major["upper"], major["lower"]) == ("T12", "L1")
    assert record["space"]["degrees"] == pytest.approx(15, abs=1)
    assert np.shape(record["landmarks_mm"]["points"]) == (2, 4, 2)
    assert (
        record["coronal"]["clinical"][1]["upper"] is None or record["coronal"]["clinical"][1]["degrees"] < 1
    )


def test_centroids_alone_have_no_angle_in_space(found: VertebraSet) -> None:
    alone = found.with_(masks=None)
    record = angles_record(alone, measure_spine(alone))
    assert (record["measured_on"], record["space"]) == ("centroids", None)
    assert record["coronal"]["from_centroids"] == record["coronal"]["clinical"]
    row = table_rows(alone, measure_spine(alone).vertebrae, {})[1]
    assert (row["volume_ml"], row["anterior_mm"]) == (None, None)


@pytest.mark.parametrize(
    ("apex", "degrees", "region"),
    [(15, 30.0, "main thoracic"), (19, 30.0, "thoracolumbar"), (28, 30.0, "thoracolumbar"), (19, 9.0, "")],
)
def test_coronal_curves_are_named_by_their_apex(apex: int, degrees: float, region: str) -> None:
    """Labels of VerSe: 15 is T8, 19 T12, 28 T13; the challenge's name of the curve does not count."""
    angles = CobbAngles(
        np.array([degrees, 0, 0]), "clinical", ((0, 2), None, None), (1, None, None), ("TL/L", "", "")
    )
    spine = SpineAngles(
        source="centroids", labels=(8, apex, 24), landmarks=np.zeros((3, 4, 2)), clinical=angles, challenge=None,
        space=None, space_ends=None, centroid_line=None, line_labels=(8, apex, 24), vertebrae=(),
    )  # fmt: skip
    record = coronal_record(spine, angles)
    assert record is not None
    assert [curve["region"] for curve in record] == [region, "", ""]
    assert (record[0]["upper"], record[0]["lower"]) == ("T1", "L5")
