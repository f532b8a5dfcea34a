"""Every object of small films in eight forms, as validators, viewers' code and pydicom read it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from aasce.geometry.spine import turn_points
from aasce.writers import overlay as overlay_module
from aasce.writers.dicom import DicomExport, Stamp, StatedStudy
from aasce.writers.overlay import draw_overlay
from tests.dicom.films import Case, cases
from tests.dicom.standard import validator_errors

KINDS = ("sr", "gsps", "sc", "seg")
ADAPTERS = Path(__file__).parent / "adapters"
PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientComments",
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
    "StudyDescription", "SpecificCharacterSet",
)  # fmt: skip
UNREGISTERED = "99AASCE"  # the kit's own coding scheme, which dciodvfy does not know and warns of


@dataclass(frozen=True)
class Written:
    folder: Path
    cases: dict[str, Case]

    def path(self, name: str, kind: str) -> Path:
        return self.folder / "dicom" / f"{self.cases[name].film.film_id}-{kind}.dcm"

    def read(self, name: str, kind: str) -> Dataset:
        return dcmread(self.path(name, kind))

    def files(self) -> list[Path]:
        return sorted((self.folder / "dicom").iterdir())

    def sources(self) -> list[Path]:
        return [case.path for case in self.cases.values() if case.path.suffix == ".dcm"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("dicom")
    made = cases(folder)
    export = DicomExport(KINDS, StatedStudy("77", "Made^Png", "20260101"), Stamp.of(1))
    for case in made.values():
        export.add(folder, case.film, case.measurement)
    return Written(folder, made)


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a program of dicom3tools, DCMTK or Node; the test is skipped where it is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed; .ci/setup installs it")
    command = [program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=120)


def test_every_film_has_every_object_and_a_png_itself_too(written: Written) -> None:
    assert len(written.files()) == 8 * 4 + 1
    assert written.path("png", "film").is_file()


def test_dciodvfy_finds_no_error_and_no_warning_but_of_the_own_codes(written: Written) -> None:
    found = {}
    for path in written.files():
        said = run("dciodvfy", "-new", path)
        lines = [
            line for line in (said.stdout + said.stderr).splitlines() if re.match("Error|Warning|Abort", line)
        ]
        # A study whose time nobody stated has none, and cannot go on a DICOMDIR.
        odd = [line for line in lines if UNREGISTERED not in line and "DICOMDIR" not in line]
        found.update({path.name: odd} if odd else {})
    assert found == {}


def test_dcentvfy_finds_patients_studies_and_series_consistent(written: Written) -> None:
    said = run("dcentvfy", *written.sources(), *written.files())
    lines = (said.stdout + said.stderr).splitlines()
    # It counts the accession number, which every object has, to the series of a report and to the study of an image.
    assert [line for line in lines if "AccessionNumber" not in line] == []


def test_dicom_validator_finds_no_error_and_would_find_one(written: Written, tmp_path: Path) -> None:
    assert {p.name: errors for p in written.files() if (errors := validator_errors(p))} == {}
    for kind, keyword in (
        ("sr", "CompletionFlag"),
        ("gsps", "ContentLabel"),
        ("seg", "SegmentSequence"),
        ("sc", "Rows"),
    ):
        spoilt = written.read("plain", kind)
        del spoilt[keyword]
        spoilt.save_as(tmp_path / kind)
        assert validator_errors(tmp_path / kind), kind


def test_dsrdump_reads_reports_and_dcmpschk_presentation_states(written: Written) -> None:
    for name in written.cases:
        report = run("dsrdump", written.path(name, "sr"))
        assert report.returncode == 0
        assert 'NUM:(,,"Cobb angle")=' in report.stdout
        state = run("dcmpschk", written.path(name, "gsps"))
        assert "Test passed." in state.stdout + state.stderr, name


def test_adapters_of_cornerstone3d_find_the_angles_on_the_endplates(written: Written) -> None:
    if not (ADAPTERS / "node_modules").is_dir():
        pytest.skip("the adapters are not installed; .ci/setup installs them")
    paths = {name: written.path(name, "sr") for name in written.cases}
    said = run("node", ADAPTERS / "read_sr.mjs", *paths.values())
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    for name, case in written.cases.items():
        annotations = found[str(paths[name])]
        wanted = drawn_angles(case)
        assert [a["degrees"] for a in annotations] == pytest.approx([d for _, d in wanted], abs=0.1), name
        image = written.read(name, "film") if name == "png" else dcmread(case.path)
        for annotation, (ends, _) in zip(annotations, wanted, strict=True):
            assert annotation["image"] == f"image:{image.SOPInstanceUID}:{case.film.frame or 1}"
            # The adapters give positions of pixel centres, on the pixels of the file.
            rows, columns = image.Rows, image.Columns
            scale = np.array([columns, rows]) / np.array(case.film.size[::-1])
            plates = case.measurement.prediction.landmarks[list(ends)][[0, 0, 1, 1], [0, 1, 3, 2]]
            assert np.asarray(annotation["points"]) == pytest.approx((plates + 0.5) * scale - 0.5, abs=1e-4)
    sites = [annotation["sites"] for annotation in found[str(paths["plain"])]]
    assert sites[0] == ["T5 vertebra", "L1 vertebra"]  # where the tilt is least and greatest


def drawn_angles(case: Case) -> list[tuple[tuple[int, int], float]]:
    angles = case.measurement.angles
    assert angles is not None
    pairs = zip(angles.end_vertebrae, angles.degrees, strict=True)
    return [(ends, float(degrees)) for ends, degrees in pairs if ends is not None and ends[0] != ends[1]]


def content(report: Dataset, *names: str) -> list[Dataset]:
    """Items of a report's tree by the meanings of their names, from the root down."""
    items = [report]
    for name in names:
        inner = [item for parent in items for item in parent.get("ContentSequence", ())]
        items = [item for item in inner if item.ConceptNameCodeSequence[0].CodeMeaning == name]
    return items


def code(item: Dataset, keyword: str = "ConceptCodeSequence") -> tuple[str, str, str]:
    found = item[keyword].value[0]
    return found.CodeValue, found.CodingSchemeDesignator, found.CodeMeaning


def test_report_names_angle_sites_method_severity_and_device(written: Written) -> None:
    report = written.read("plain", "sr")
    group = ("Imaging Measurements", "Measurement Group")
    numbers = content(report, *group, "Cobb angle")
    assert code(numbers[0], "ConceptNameCodeSequence") == ("285285000", "SCT", "Cobb angle")
    assert code(numbers[0].MeasuredValueSequence[0], "MeasurementUnitsCodeSequence")[:2] == ("deg", "UCUM")
    assert float(numbers[0].MeasuredValueSequence[0].NumericValue) == pytest.approx(41, abs=0.001)  # 22 + 19
    assert [code(site) for site in content(report, *group, "Finding Site")[:2]] == [
        ("56401006", "SCT", "T5 vertebra"),
        ("66794005", "SCT", "L1 vertebra"),
    ]
    assert code(content(report, *group, "Cobb angle", "Measurement Method")[0])[0] == "DEF-CHALLENGE"
    severities = [code(item) for item in content(report, *group, "Severity")]
    assert severities[0] == ("24484000", "SCT", "Severe")  # 40 degrees or more
    assert content(report, "Device Observer Name")[0].TextValue.startswith("aasce ")
    assert content(report, "Qualitative Evaluations", "Comment")


def test_a_flag_is_said_and_an_angle_of_one_vertebra_is_not(written: Written) -> None:
    report = written.read("flat_pixels", "sr")
    texts = [item.TextValue for item in content(report, "Qualitative Evaluations", "Comment")]
    assert "flag: anisotropic_pixels_corrected" in texts
    group = ("Imaging Measurements", "Measurement Group")
    tracking = [item.TextValue for item in content(report, *group, "Tracking Identifier")]
    assert tracking == ["Cornerstone3DTools@^0.1.0:CobbAngle:an1"]


def test_patient_study_and_character_set_are_those_of_the_film(written: Written) -> None:
    for name, case in written.cases.items():
        source = written.read(name, "film") if name == "png" else dcmread(case.path)
        for kind in KINDS:
            made = written.read(name, kind)
            for keyword in PATIENT_AND_STUDY:
                assert made.get(keyword) == source.get(keyword), (name, kind, keyword)
            assert made.SeriesInstanceUID != source.SeriesInstanceUID
            assert made.SOPInstanceUID != source.SOPInstanceUID
    assert written.read("png", "sr").PatientName == "Made^Png"
    assert written.read("plain", "sr").PatientName == "Müller^Änne"


def test_presentation_state_shows_the_greys_of_the_reader(written: Written, tmp_path: Path) -> None:
    for name in ("plain", "no_spacing", "monochrome1", "turned"):
        case, shown = written.cases[name], tmp_path / f"{name}.pgm"
        said = run("dcmp2pgm", "-p", written.path(name, "gsps"), case.path, shown)
        assert said.returncode == 0, said.stderr
        rendered = cv2.imread(str(shown), cv2.IMREAD_UNCHANGED).astype(float)
        read = case.film.pixels.astype(float)
        if rendered.shape != read.shape:  # DCMTK renders to the size of a screen
            read = cv2.resize(read, rendered.shape[::-1], interpolation=cv2.INTER_AREA)
        assert np.corrcoef(rendered.ravel(), read.ravel())[0, 1] > 0.99, name


def test_lines_of_the_presentation_state_lie_on_the_endplates_and_on_the_overlays_lines(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = []
    lay_out = overlay_module.lay_out
    monkeypatch.setattr(overlay_module, "lay_out", lambda *a: pages.append(lay_out(*a)) or pages[-1])
    for name, case in written.cases.items():
        state = written.read(name, "gsps")
        prediction, film = case.measurement.prediction, case.film
        rows, columns = (state.DisplayedAreaSelectionSequence[0].DisplayedAreaBottomRightHandCorner)[::-1]
        picture = draw_overlay(film, prediction, case.measurement.angles)
        for j, ends in enumerate(case.measurement.angles.end_vertebrae):
            if ends[0] == ends[1]:
                continue
            shown = rendered_lines(state, f"ANGLE{j + 1}", (rows, columns))
            corners = prediction.landmarks[list(ends)]
            for plate in (corners[0][[0, 1]], corners[1][[2, 3]]):
                along = plate[0] + np.linspace(0, 1, 9)[:, None] * (plate[1] - plate[0])
                on_file = (along + 0.5) * [columns / film.width, rows / film.height] - 0.5
                assert distance(shown, on_file).max() <= 1, name
                turns = prediction.orientation.turns
                on_page = pages[-1].place(turn_points(along, film.size, turns))
                drawn = np.abs(picture.astype(int) - overlay_module.COLOURS[j]).sum(axis=-1) < 60
                assert distance(drawn, on_page).max() <= 1, name


def rendered_lines(state: Dataset, layer: str, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(rows, columns): the polylines of a layer drawn one pixel wide, as PS3.3 C.10.5 places them."""
    plane = np.zeros(size, np.uint8)
    for annotation in state.GraphicAnnotationSequence:
        for graphic in annotation.GraphicObjectSequence if annotation.GraphicLayer == layer else ():
            assert graphic.GraphicAnnotationUnits == "PIXEL"
            points = np.reshape(graphic.GraphicData, (-1, 2)).astype(float)
            assert (points >= 0).all()
            assert (points <= size[::-1]).all()
            # The centre of the first pixel is at 0.5, and at 0 for OpenCV, which keeps four binary digits of a pixel.
            cv2.polylines(plane, [np.round((points - 0.5) * 16).astype(np.int32)], False, 1, 1, cv2.LINE_8, 4)
    return plane > 0


def distance(drawn: NDArray[np.bool_], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels from each point to the nearest drawn one; the point may lie half a pixel off its own pixel's centre."""
    away = cv2.distanceTransform((~drawn).astype(np.uint8), cv2.DIST_L2, 5)
    at = np.clip(np.round(points).astype(int), 0, np.array(drawn.shape[::-1]) - 1)
    return away[at[:, 1], at[:, 0]]


def test_presentation_state_of_one_frame_names_it(written: Written) -> None:
    state = written.read("frames", "gsps")
    for annotation in state.GraphicAnnotationSequence:
        assert annotation.ReferencedImageSequence[0].ReferencedFrameNumber == 2
    origin = written.read("frames", "seg").PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0]
    assert origin.SourceImageSequence[0].ReferencedFrameNumber == 2


def test_text_names_angle_and_end_vertebrae(written: Written) -> None:
    state = written.read("plain", "gsps")
    texts = [
        t.UnformattedTextValue
        for a in state.GraphicAnnotationSequence
        for t in a.get("TextObjectSequence", ())
    ]
    assert texts[0] == "an1 41.0 deg, T5-L1"


def test_secondary_capture_is_the_overlay(written: Written) -> None:
    case, made = written.cases["plain"], written.read("plain", "sc")
    assert np.array_equal(
        made.pixel_array, draw_overlay(case.film, case.measurement.prediction, case.measurement.angles)
    )
    source = dcmread(case.path)
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert made.BurnedInAnnotation == "YES"


def test_segmentation_is_the_mask_on_the_pixels_of_the_file(written: Written) -> None:
    case, made = written.cases["plain"], written.read("plain", "seg")
    assert np.array_equal(made.pixel_array.squeeze() > 0, case.measurement.prediction.mask > 0)
    # The reader doubled the rows of this film, so that every second row of the mask is the file's.
    case, made = written.cases["flat_pixels"], written.read("flat_pixels", "seg")
    mask = case.measurement.prediction.mask > 0
    assert made.pixel_array.shape == (mask.shape[0] // 2, mask.shape[1])
    assert abs(2 * int(made.pixel_array.sum()) - int(mask.sum())) < 0.02 * mask.sum()


def test_segmentation_of_landmarks_has_a_segment_a_vertebra_and_says_so(written: Written) -> None:
    made = written.read("monochrome1", "seg")
    assert [s.SegmentLabel for s in made.SegmentSequence][::16] == ["T1", "L5"]
    assert code(made.SegmentSequence[0], "SegmentedPropertyTypeCodeSequence") == (
        "64864005",
        "SCT",
        "T1 vertebra",
    )
    assert "corners" in made.ContentDescription
    corners = written.cases["monochrome1"].measurement.prediction.landmarks
    for plane, vertebra in zip(made.pixel_array, corners, strict=True):
        x, y = np.round(vertebra.mean(axis=0)).astype(int)
        ring = vertebra[[0, 1, 3, 2]]
        area = cv2.contourArea(ring.astype(np.float32))
        assert plane[y, x] == 1
        # Pixels whose centre lies on the outline count whole: half of the outline's length more than the area.
        assert plane.sum() == pytest.approx(area + cv2.arcLength(ring.astype(np.float32), True) / 2, rel=0.12)


def test_one_seed_gives_the_same_bytes_and_none_gives_new_uids(written: Written, tmp_path: Path) -> None:
    case = written.cases["turned"]
    for number, stamp in enumerate((Stamp.of(3), Stamp.of(3), Stamp.of())):
        DicomExport(KINDS, stamp=stamp).add(tmp_path / str(number), case.film, case.measurement)
    for kind in KINDS:
        first, second, other = (tmp_path / str(k) / "dicom" / f"turned-{kind}.dcm" for k in range(3))
        assert first.read_bytes() == second.read_bytes(), kind
        assert dcmread(first).SOPInstanceUID != dcmread(other).SOPInstanceUID
