"""DICOM objects of odd films: made whole, or refused in a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import ImplicitVRLittleEndian

from aasce.ensemble.combine import Measurement, with_angles
from aasce.geometry.description import describe
from aasce.readers import read_film
from aasce.types import VERTEBRAE, AasceError, CobbAngles, Radiograph, SpinePrediction
from aasce.writers.dicom import DicomExport, Stamp, StatedStudy
from aasce.writers.dicom import codes as terms
from aasce.writers.dicom.seg import filled
from aasce.writers.dicom.source import clipped, read_source
from aasce.writers.dicom.sr import make_report
from tests.dicom.films import CR, double_curve, header, measured, put_pixels
from tests.synthetic import drawn_film

Change = Callable[[Dataset], None]


def film_of(path: Path, change: Change) -> tuple[Radiograph, Measurement]:
    """A CR film, changed before it is written, and what is measured on it."""
    made = header(path, CR, "CR", "plain")
    put_pixels(made, drawn_film(double_curve()).astype(np.uint16) * 16, 12, "MONOCHROME2")
    change(made)
    made.save_as(path, enforce_file_format=True)
    film = read_film(path)
    return film, measured(film, double_curve())


def written(path: Path, kind: str, change: Change) -> Dataset:
    film, measurement = film_of(path, change)
    DicomExport((kind,), stamp=Stamp.of(1)).add(path.parent, film, measurement)
    return dcmread(path.parent / "dicom" / f"{film.film_id}-{kind}.dcm")


def test_every_level_has_its_own_code_of_the_standards_list() -> None:
    found = [terms.vertebra(level) for level in VERTEBRAE]
    assert [code.meaning for code in found if code] == [f"{level} vertebra" for level in VERTEBRAE]
    assert len({code.value for code in found if code}) == 17
    assert {code.scheme_designator for code in found if code} == {"SCT"}
    assert terms.vertebra("#18") is None


def test_apices_are_vertebrae_or_discs() -> None:
    assert terms.apex("T8") == codes.SCT.T8Vertebra
    assert terms.apex("T11-12") == codes.cid7602.T11T12Disc
    assert terms.apex("L1-2") == codes.cid7602.L1L2Disc
    assert terms.apex("T12-L1") == codes.cid7602.T12L1Disc
    assert terms.apex("") is None


def test_a_segment_is_cut_at_the_borders_without_turning() -> None:
    # From (-2, 1) by (4, 1): it enters a 4 x 6 image at x = 0, half way to y = 1.5 ... (rows, columns) = (4, 6).
    assert clipped(np.array([[-2.0, 1.0], [6.0, 3.0]]), (4, 6)) == pytest.approx(np.array([[0, 1.5], [6, 3]]))
    assert clipped(np.array([[1.0, 1.0], [2.0, 1.0]]), (4, 6)) == pytest.approx(np.array([[1, 1], [2, 1]]))
    assert clipped(np.array([[1.0, -1.0], [5.0, -1.0]]), (4, 6)) is None
    assert clipped(np.array([[7.0, 1.0], [9.0, 1.0]]), (4, 6)) is None


def test_positions_count_from_the_corner_of_the_first_pixel_on_the_files_own_grid(tmp_path: Path) -> None:
    def flat(made: Dataset) -> None:
        made.PixelSpacing = ["1.0", "0.5"]  # the reader doubles the 448 rows

    film, _ = film_of(tmp_path / "film.dcm", flat)
    source = read_source(film, Stamp.of(1), {})
    assert source is not None
    assert film.size == (896, 192)
    assert source.to_image(np.array([[0, 0], [191, 895]])) == pytest.approx(
        np.array([[0.5, 0.25], [191.5, 447.75]])
    )


def test_an_outline_fills_the_pixels_whose_centres_it_holds() -> None:
    plane = filled(np.array([[1.0, 1.0], [4.0, 1.0], [4.0, 3.0], [1.0, 3.0]]), (5, 6))
    assert plane[1:3, 1:4].all()
    assert not plane[[0, 4]].any()
    assert not plane[:, [0, 5]].any()


def test_elements_that_must_be_there_are_empty_where_the_film_lacks_them(tmp_path: Path) -> None:
    missing = ("PatientID", "PatientName", "PatientSex", "StudyID", "ReferringPhysicianName", "StudyTime")

    def strip(made: Dataset) -> None:
        for keyword in missing:
            del made[keyword]

    report = written(tmp_path / "film.dcm", "sr", strip)
    assert all(keyword in report and not report[keyword].value for keyword in missing)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_film_that_nothing_can_refer_to_gets_no_objects(tmp_path: Path, keyword: str) -> None:
    film, measurement = film_of(tmp_path / "film.dcm", lambda made: None)
    bare = dcmread(tmp_path / "film.dcm")
    del bare[keyword]
    bare.save_as(tmp_path / "film.dcm")
    with pytest.raises(AasceError, match=f"has no {keyword}.*export it from the PACS"):
        DicomExport(("sr", "sc")).add(tmp_path, film, measurement)
    assert not (tmp_path / "dicom").exists()


@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # where the test sets them
def test_values_that_break_a_rule_are_copied_as_they_stand(tmp_path: Path) -> None:
    def odd(made: Dataset) -> None:
        made.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        made.PatientName = "Yamada^Tarou=山田^太郎"
        made.PatientSex = "f"
        made.StudyDate = "2026.01.02"

    for kind in ("sr", "gsps", "sc", "seg"):
        made = written(tmp_path / "film.dcm", kind, odd)
        assert made.PatientName == "Yamada^Tarou=山田^太郎"
        assert (made.PatientSex, made.StudyDate) == ("f", "2026.01.02")
        assert list(made.SpecificCharacterSet) == ["", "ISO 2022 IR 87"]


def test_look_up_tables_of_an_implicit_file_are_copied(tmp_path: Path) -> None:
    def tables(made: Dataset) -> None:
        made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        table = Dataset()
        table.LUTDescriptor, table.LUTExplanation = [4096, 0, 16], "steep"
        table.add_new("LUTData", "OW", np.arange(4096, dtype="<u2").tobytes())
        made.VOILUTSequence = [table]

    state = written(tmp_path / "film.dcm", "gsps", tables)
    table = state.SoftcopyVOILUTSequence[0].VOILUTSequence[0]
    assert list(table.LUTDescriptor) == [4096, 0, 16]
    assert len(table["LUTData"].value) in (4096, 8192)


def test_a_window_that_the_reader_left_out_gives_way_to_the_range_it_used(tmp_path: Path) -> None:
    def narrow(made: Dataset) -> None:
        made.WindowCenter, made.WindowWidth = "60000", "1000"

    film, measurement = film_of(tmp_path / "film.dcm", narrow)
    assert "window_ignored" in film.flags
    DicomExport(("gsps",)).add(tmp_path, film, measurement)
    shown = dcmread(tmp_path / "dicom" / "film-gsps.dcm").SoftcopyVOILUTSequence[0]
    stored = dcmread(tmp_path / "film.dcm").pixel_array
    low, high = shown.WindowCenter - shown.WindowWidth / 2, shown.WindowCenter + shown.WindowWidth / 2
    assert stored.min() - 1 <= low < high <= stored.max() + 1
    assert high - low > 0.5 * (int(stored.max()) - int(stored.min()))


def test_a_colour_image_has_no_grayscale_state_but_the_rest(tmp_path: Path) -> None:
    def colour(made: Dataset) -> None:
        grey = drawn_film(double_curve())
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
        made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
        made.PixelData = np.stack([grey] * 3, axis=-1).tobytes()

    film, measurement = film_of(tmp_path / "film.dcm", colour)
    with pytest.raises(AasceError, match="film: a colour image has no grayscale presentation state"):
        DicomExport(("gsps", "sr")).add(tmp_path, film, measurement)
    assert [path.name for path in (tmp_path / "dicom").iterdir()] == ["film-sr.dcm"]


def test_regressed_angles_are_reported_without_lines(tmp_path: Path) -> None:
    film, _ = film_of(tmp_path / "film.dcm", lambda made: None)
    angles = CobbAngles(np.array([30.0, 20.0, 12.0]), "challenge")
    found = with_angles(SpinePrediction("film", film.size, angles=angles, solver="regression"))
    with pytest.raises(AasceError, match="neither mask nor landmarks"):
        DicomExport(("sr", "gsps", "seg")).add(tmp_path, film, found)
    groups = dcmread(tmp_path / "dicom" / "film-sr.dcm").ContentSequence[-2].ContentSequence
    assert [group.ContentSequence[0].TextValue for group in groups] == [
        f"aasce:CobbAngle:an{number}" for number in (1, 2, 3)
    ]
    numbers = [item for group in groups for item in group.ContentSequence if item.ValueType == "NUM"]
    assert [float(item.MeasuredValueSequence[0].NumericValue) for item in numbers] == [30, 20, 12]
    assert not any(part.ValueType == "SCOORD" for item in numbers for part in item.ContentSequence)
    state = dcmread(tmp_path / "dicom" / "film-gsps.dcm")
    assert not state.get("GraphicAnnotationSequence")


def test_an_interval_is_an_uncertainty_to_either_side(tmp_path: Path) -> None:
    film, measurement = film_of(tmp_path / "film.dcm", lambda made: None)
    source = read_source(film, Stamp.of(1), {})
    assert source is not None
    assert measurement.angles is not None
    description = describe(measurement.angles, measurement.prediction.landmarks)
    major = float(measurement.angles.degrees[0])
    report = make_report(source, measurement, description, ((major - 4, major + 6), None, None))
    groups = report.ContentSequence[-2].ContentSequence
    values = [
        (item.ConceptNameCodeSequence[0].CodeMeaning, float(item.MeasuredValueSequence[0].NumericValue))
        for group in groups
        for number in group.ContentSequence
        if number.ValueType == "NUM"
        for item in number.ContentSequence
        if item.ValueType == "NUM"
    ]
    assert values == [
        ("+, range of upper measurement uncertainty", pytest.approx(6)),
        ("-, range of lower measurement uncertainty", pytest.approx(4)),
    ]


def test_a_failed_film_has_no_objects(tmp_path: Path) -> None:
    film, measurement = film_of(tmp_path / "film.dcm", lambda made: None)
    failed = Measurement(replace(measurement.prediction, failure="no spine"), None)
    DicomExport(("sr", "sc")).add(tmp_path, film, failed)
    assert not (tmp_path / "dicom").exists()


def test_two_films_of_one_study_share_the_series_of_each_kind(tmp_path: Path) -> None:
    export = DicomExport(("sr",), stamp=Stamp.of(1))
    for name in ("a", "b"):

        def named(made: Dataset, name: str = name) -> None:
            made.SOPInstanceUID = f"2.25.{ord(name)}"

        export.add(tmp_path, *film_of(tmp_path / f"{name}.dcm", named))
    first, second = (dcmread(tmp_path / "dicom" / f"{name}-sr.dcm") for name in "ab")
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_what_is_stated_must_fit_its_element() -> None:
    assert StatedStudy("4711", "Doe^Jane", "20240229").study_date == "20240229"
    for wrong in ({"study_date": "20230229"}, {"patient_id": "4" * 65}, {"patient_name": "a\nb"}):
        with pytest.raises(AasceError):
            StatedStudy(**wrong)
