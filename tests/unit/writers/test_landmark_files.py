"""COCO, LabelMe, Slicer markups and the table of corners: written for the programs that read them, and read back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import slicerio
from PIL import Image
from pycocotools.coco import COCO
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from aasce.ensemble.combine import Measurement, with_angles
from aasce.readers.landmarks import read_landmarks
from aasce.types import AasceError, FilmFacts
from aasce.writers.landmarks import FORMATS, write_landmarks
from aasce.writers.landmarks.placing import placing_of
from tests.marked import Row, boxes, films, row, with_path

DX, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.7"


def written(folder: Path, name: str, rows: list[Row]) -> list[Path]:
    """The files of one format."""
    write_landmarks(folder, rows, [name])
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".png")


def read(paths: list[Path]) -> dict[str, tuple[FilmFacts, Measurement]]:
    found = [film for path in paths for film in read_landmarks(path)]
    return {facts.film_id: (facts, with_angles(prediction)) for facts, prediction in found}


@pytest.mark.parametrize("name", FORMATS)
def test_landmarks_come_back_and_measure_the_same(name: str, tmp_path: Path) -> None:
    rows = films()
    found = read(written(tmp_path, name, rows))
    for facts, measurement in rows[:-1]:
        back, again = found[facts.film_id]
        given, got = measurement.prediction, again.prediction
        assert got.landmarks is not None
        assert given.landmarks is not None
        assert measurement.angles is not None
        assert again.angles is not None
        np.testing.assert_allclose(got.landmarks, given.landmarks, rtol=0, atol=1e-9)
        np.testing.assert_allclose(again.angles.degrees, measurement.angles.degrees, rtol=0, atol=1e-6)
        assert again.angles.end_vertebrae == measurement.angles.end_vertebrae
        assert (got.first_level, got.orientation, got.size) == (
            given.first_level,
            given.orientation,
            given.size,
        )
        if name != "labelme":
            np.testing.assert_array_equal(got.landmark_confidence, given.landmark_confidence)
        if name != "corners":
            assert back == facts


@pytest.mark.parametrize("name", ["coco", "labelme", "slicer"])
def test_a_failed_film_has_a_place_to_be_marked_in(name: str, tmp_path: Path) -> None:
    facts, measurement = read(written(tmp_path, name, films()))["failed"]
    assert facts == films()[-1][0]
    assert measurement.failure == "no vertebra is marked; angles need two vertebrae or more"


def test_each_format_has_files_of_its_own(tmp_path: Path) -> None:
    write_landmarks(tmp_path, [row("a"), row("b")], list(FORMATS))
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {
        "corners.csv", "labelme/a.json", "labelme/b.json", "landmarks-coco.json", "slicer/a.mrk.json",
        "slicer/b.mrk.json",
    }  # fmt: skip


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(AasceError, match="'cvat' is not known; give coco, labelme, slicer, corners"):
        write_landmarks(tmp_path, films(), ["coco", "cvat"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_no_folder_of_the_user_and_no_odd_byte_breaks_a_file(name: str, tmp_path: Path) -> None:
    rows = [with_path(row("film"), Path("ward/Doe/Wirbels\udce4ule.png"))]
    for path in written(tmp_path, name, rows):
        assert "Doe" not in path.read_text("utf-8")


@pytest.mark.parametrize("name", FORMATS)
def test_a_vertebra_without_a_corner_is_written_and_named_when_read(name: str, tmp_path: Path) -> None:
    landmarks = boxes(10, 0, -10)
    landmarks[1, 3] = np.nan
    found = read(written(tmp_path, name, [row("film", landmarks)]))["film"][1]
    missing = "" if name == "labelme" else " (BR missing)"
    assert found.failure == f"T2 has 3 corners of 4{missing}; mark all four once"


def test_a_file_that_could_not_be_read_has_nothing_to_be_marked_on(tmp_path: Path) -> None:
    facts, measurement = row("unread", failure="is empty; copy or export the film again")
    unread = (
        replace(facts, size=(0, 0)),
        replace(measurement, prediction=replace(measurement.prediction, size=(0, 0))),
    )
    write_landmarks(tmp_path, [unread, row("film")], list(FORMATS))
    assert not list(tmp_path.rglob("unread*"))
    assert list(read([tmp_path / "landmarks-coco.json"])) == ["film"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_name_as_long_as_a_file_system_takes_comes_back_whole(name: str, tmp_path: Path) -> None:
    long = "ü" * 125  # 250 bytes, to which no ".json" can be added
    assert list(read(written(tmp_path, name, [row(long)]))) == [long]


def test_a_name_that_a_spreadsheet_would_compute_is_kept_from_it(tmp_path: Path) -> None:
    path = written(tmp_path, "corners", [row("=1+1")])[0]
    assert path.read_text("utf-8").splitlines()[1].startswith("'=1+1,T1,TL,")
    assert list(read([path])) == ["=1+1"]


# --- COCO ------------------------------------------------------------------------------------------------


def test_coco_is_read_by_its_own_tools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A body of 40 x 20 px, its centre at (100, 60): the keypoints are indices of pixels, the box begins half a px on.
    rows = [row("film", boxes(0, 0, 0), first=2), row("failed", failure="no spine was found")]
    path = written(tmp_path, "coco", rows)[0]
    coco = COCO(str(path))
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == ["film.png", "failed.png"]
    assert len(coco.getAnnIds(imgIds=[1])) == 3
    assert coco.getAnnIds(imgIds=[2]) == []
    annotation = coco.loadAnns(coco.getAnnIds(imgIds=[1], catIds=coco.getCatIds(catNms=["T3"])))[0]
    assert annotation["keypoints"] == [80, 50, 2, 120, 50, 2, 80, 70, 2, 120, 70, 2]
    assert annotation["bbox"] == [80.5, 50.5, 40, 20]
    assert (annotation["area"], annotation["num_keypoints"], annotation["iscrowd"]) == (800, 4, 0)
    category = coco.loadCats(annotation["category_id"])[0]
    assert category["keypoints"] == ["TL", "TR", "BL", "BR"]
    assert category["skeleton"] == [[1, 2], [2, 4], [4, 3], [3, 1]]  # the outline
    assert category["supercategory"] == "vertebra"


# --- LabelMe ---------------------------------------------------------------------------------------------


def test_labelme_has_a_polygon_a_vertebra_on_a_plane_that_begins_at_the_pixels_edge(tmp_path: Path) -> None:
    content = json.loads(written(tmp_path, "labelme", [row("film", boxes(0, 0))])[0].read_text("utf-8"))
    shape = content["shapes"][0]
    assert shape["points"] == [[80.5, 50.5], [120.5, 50.5], [120.5, 70.5], [80.5, 70.5]]
    assert (shape["label"], shape["shape_type"]) == ("T1", "polygon")
    assert (content["imagePath"], content["imageData"]) == ("film.png", None)
    assert (content["imageHeight"], content["imageWidth"]) == (448, 192)
    assert content["version"].split(".")[0] == "5"


# --- Slicer ----------------------------------------------------------------------------------------------


def test_slicer_markups_are_laid_out_as_slicerio_lays_them_out(tmp_path: Path) -> None:
    path = written(tmp_path, "slicer", [row("film", boxes(10, -10), spacing=(0.14, 0.15))])[0]
    ours = json.loads(path.read_text("utf-8"))
    points = ours["markups"][0]["controlPoints"]
    legacy = tmp_path / "film.fcsv"
    lines = [
        f"{p['id']},{p['position'][0]!r},{p['position'][1]!r},0,0,0,0,1,1,1,0,{p['label']},," for p in points
    ]
    head = "# CoordinateSystem = LPS\n# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
    legacy.write_text(head + "\n".join(lines) + "\n", "utf-8")
    theirs = slicerio.read_markups_fcsv(str(legacy))
    assert ours["@schema"] == theirs["@schema"]
    for key in ("type", "coordinateSystem"):
        assert ours["markups"][0][key] == theirs["markups"][0][key]
    for mine, its in zip(points, theirs["markups"][0]["controlPoints"], strict=True):
        assert {key: mine[key] for key in its} == its


def test_markups_that_slicerio_wrote_are_measured(tmp_path: Path) -> None:
    # Tilts of 20 and -10 degrees, in px, without any description of the kit's.
    legacy = tmp_path / "film.fcsv"
    points = [
        f"{3 * v + c},{x!r},{y!r},0,0,0,0,1,1,1,0,{level} {corner},,"
        for v, (level, body) in enumerate(zip(("T1", "T2"), boxes(20, -10).tolist(), strict=True))
        for c, (corner, (x, y)) in enumerate(zip(("TL", "TR", "BL", "BR"), body, strict=True))
    ]
    head = "# CoordinateSystem = LPS\n# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
    legacy.write_text(head + "\n".join(points) + "\n", "utf-8")
    path = slicerio.fcsv_to_markups_json(legacy, tmp_path / "film.mrk.json")
    facts, prediction = read_landmarks(path, height=400)[0]
    angles = with_angles(prediction).angles
    assert facts.film_id == "film"
    assert angles is not None
    assert angles.degrees[0] == pytest.approx(30, abs=1e-5)


def test_slicer_keeps_what_is_needed_when_it_saves_a_file(tmp_path: Path) -> None:
    """Slicer drops keys it does not know, and may save in RAS: x and y change their sign."""
    given = row("film", spacing=(0.14, 0.15))
    path = written(tmp_path, "slicer", [given])[0]
    content = json.loads(path.read_text("utf-8"))
    del content["film"]
    content["markups"][0]["coordinateSystem"] = "RAS"
    for point in content["markups"][0]["controlPoints"]:
        point["position"] = [-point["position"][0], -point["position"][1], point["position"][2]]
    saved = tmp_path / "saved elsewhere.mrk.json"
    saved.write_text(json.dumps(content), "utf-8")
    facts, prediction = read_landmarks(saved)[0]
    assert facts == given[0]
    np.testing.assert_allclose(prediction.landmarks, given[1].prediction.landmarks, rtol=0, atol=1e-9)


def dicom(path: Path, sop_class: str, rows: int, columns: int, **header: Any) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = sop_class, "1.2.3", "DX"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for key, value in header.items():
        setattr(dataset, key, value)
    frames = int(header.get("NumberOfFrames", 1))
    dataset.PixelData = bytes(rows * columns * frames)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


@pytest.mark.parametrize(
    ("sop_class", "header"),
    [
        (DX, {"ImagerPixelSpacing": [0.14, 0.15]}),
        (DX, {"PixelSpacing": [0.2, 0.3]}),
        (DX, {"PixelSpacing": [0.2, 0.3], "ImagerPixelSpacing": [0.14, 0.15]}),
        (SECONDARY_CAPTURE, {"PixelSpacing": [0.2, 0.3]}),
        (SECONDARY_CAPTURE, {"NominalScannedPixelSpacing": [0.17, 0.18]}),
        (SECONDARY_CAPTURE, {}),
        (
            DX,
            {
                "ImagerPixelSpacing": [0.14, 0.14],
                "ImageOrientationPatient": [1, 0, 0, 0, 0, -1],
                "ImagePositionPatient": [10, 20, 30],
            },
        ),
        (SECONDARY_CAPTURE, {"PixelSpacing": [0.2, 0.2], "NumberOfFrames": 2}),
    ],
)
def test_points_lie_where_itk_shows_the_pixels_of_a_dicom(
    sop_class: str, header: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "film.dcm"
    dicom(path, sop_class, 40, 30, **header)
    frame = 2 if "NumberOfFrames" in header else None
    shown = sitk.ReadImage(str(path))
    # The kit reads a film of 40 x 30 pixels that are not square as one of 40 x 32, say: stored columns are wider there.
    for size in ((40, 30), (40, 32)):
        facts = FilmFacts("film", path, frame, size, None, None, None, None)
        placing = placing_of(facts)
        for x, y in ((0.0, 0.0), (29.0, 7.5), (3.25, 39.0)):
            stored = ((x + 0.5) * 30 / size[1] - 0.5, y, float((frame or 1) - 1))
            expected = shown.TransformContinuousIndexToPhysicalPoint(stored)
            assert placing.position(x, y) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["film.png", "film.jpg", "film.tif"])
def test_points_lie_where_itk_shows_the_pixels_of_a_picture(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    Image.new("L", (30, 40)).save(path, dpi=(300, 150))
    shown = sitk.ReadImage(str(path))
    placing = placing_of(FilmFacts("film", path, None, (40, 30), None, None, None, None))
    expected = (*shown.TransformContinuousIndexToPhysicalPoint((12.5, 7.0)), 0.0)
    assert placing.position(12.5, 7.0) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("turned", range(1, 9))
def test_points_lie_on_the_stored_pixels_of_a_picture_that_exif_turns(turned: int, tmp_path: Path) -> None:
    """One bright pixel: where Pillow turns it to, the film has it; where ITK leaves it, Slicer shows it."""
    from PIL import ImageOps

    stored = np.zeros((40, 30), np.uint8)
    stored[9, 4] = 255
    exif = Image.Exif()
    exif[0x0112] = turned
    path = tmp_path / "film.png"
    Image.fromarray(stored).save(path, exif=exif)
    with Image.open(path) as image:
        film = np.asarray(ImageOps.exif_transpose(image))
    y, x = (int(k) for k in np.argwhere(film == 255)[0])
    placing = placing_of(FilmFacts("film", path, None, film.shape, None, None, None, None))
    assert placing.position(x, y) == [4.0, 9.0, 0.0]
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[9, 4] == 255


def test_a_film_whose_file_is_gone_is_placed_by_its_spacing(tmp_path: Path) -> None:
    facts = row("film", spacing=(0.2, 0.3))[0]
    assert placing_of(facts).position(10, 100) == [3.0, 20.0, 0.0]
    broken = tmp_path / "film.png"
    broken.write_bytes(b"no picture")
    assert placing_of(replace(facts, path=broken)).position(10, 100) == [3.0, 20.0, 0.0]
    assert placing_of(replace(facts, spacing=None)).position(10, 100) == [10.0, 100.0, 0.0]
