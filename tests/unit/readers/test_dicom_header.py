"""What a DICOM header says of a film: sides, view, part of the body, letters, spacing, names; and files without it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEGBaseline8Bit

from aasce.readers import read_film
from aasce.types import AasceError
from tests.dicom_films import encoded, film, likeness, packed, spine, write

SPINE = spine(64, 48)


def coded(meaning: str) -> list[pydicom.Dataset]:
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "SCT", meaning
    return [item]


@pytest.mark.parametrize(
    ("tags", "side", "source"),
    [
        ({"PatientOrientation": ["L", "F"]}, "right", "PatientOrientation"),
        ({"PatientOrientation": ["R", "F"]}, "left", "PatientOrientation"),
        ({"PatientOrientation": ["R", "H"]}, "left", "PatientOrientation"),  # upside down
        ({"PatientOrientation": ["RF", "FL"]}, "left", "PatientOrientation"),
        # A flipped film says where its own rows run to.
        (
            {"PatientOrientation": ["L", "F"], "FieldOfViewHorizontalFlip": "YES", "ViewPosition": "AP"},
            "right",
            "PatientOrientation",
        ),
        ({"PatientOrientation": ["F", "R"]}, None, None),  # on its side
        ({"PatientOrientation": ["A", "F"], "FieldOfViewHorizontalFlip": "YES"}, None, None),
        # The tube sees a PA patient from behind, left on the left, until the film is flipped.
        (
            {"FieldOfViewHorizontalFlip": "YES", "ViewPosition": "PA"},
            "right",
            "ViewPosition/FieldOfViewHorizontalFlip",
        ),
        (
            {"FieldOfViewHorizontalFlip": "YES", "ViewPosition": "AP", "PatientOrientation": ""},
            "left",
            "ViewPosition/FieldOfViewHorizontalFlip",
        ),
        (
            {"FieldOfViewHorizontalFlip": "YES", "ViewPosition": "AP", "FieldOfViewRotation": 180},
            None,
            None,
        ),
        ({"FieldOfViewHorizontalFlip": "YES"}, None, None),
        ({"FieldOfViewHorizontalFlip": "NO", "ViewPosition": "AP"}, None, None),
        ({}, None, None),
    ],
)
def test_the_side_of_the_patients_left(
    tmp_path: Path, tags: dict[str, Any], side: str | None, source: str | None
) -> None:
    read = read_film(write(tmp_path, film(SPINE, **tags)))
    assert (read.patient_left, read.patient_left_source) == (side, source)


@pytest.mark.parametrize(
    ("tags", "flags"),
    [
        ({"ViewPosition": "LL"}, ("lateral_view",)),
        ({"ViewPosition": "RL"}, ("lateral_view",)),
        ({"ViewPosition": "LATERAL"}, ("lateral_view",)),
        ({"ViewPosition": "LLD"}, ()),  # lying on the left side, seen from the front
        ({"ViewPosition": "PA"}, ()),
        ({"ViewCodeSequence": coded("left lateral")}, ("lateral_view",)),
        ({"ViewCodeSequence": coded("postero-anterior")}, ()),
        ({"ViewCodeSequence": coded("left lateral decubitus")}, ()),
        ({"PatientOrientation": ["P", "F"]}, ("lateral_view",)),
        ({"BodyPartExamined": "HAND"}, ("other_body_part",)),
        ({"BodyPartExamined": "SKULL"}, ("other_body_part",)),
        ({"AnatomicRegionSequence": coded("Knee joint")}, ("other_body_part",)),
        ({"BodyPartExamined": "HAND", "AnatomicRegionSequence": coded("Entire spine")}, ()),
        ({"BurnedInAnnotation": "YES"}, ("burned_in_annotation",)),
        ({"BurnedInAnnotation": "NO"}, ()),
    ],
)
def test_what_a_reader_of_the_angle_must_know(
    tmp_path: Path, tags: dict[str, Any], flags: tuple[str, ...]
) -> None:
    assert read_film(write(tmp_path, film(SPINE, **tags))).flags == flags


@pytest.mark.parametrize(
    "part",
    [
        "SPINE", "CSPINE", "TSPINE", "LSPINE", "WHOLESPINE", "Full Spine", "SCOLIOSIS", "Scoliosis PA", "CHEST",
        "THORAX", "Tórax", "ABDOMEN", "TRUNK", "TORSO", "WHOLEBODY", "Whole Body", "T-SPINE", "LWS", "BWS AP",
        "Wirbelsäule", "Rachis entier", "COLUMNA", "Colonna", "DORSAL", "LUMBAR", "UNKNOWN", "",
    ],
)  # fmt: skip
def test_names_of_the_trunk_are_no_other_part(tmp_path: Path, part: str) -> None:
    dataset = film(SPINE, SpecificCharacterSet="ISO_IR 192")
    with pydicom.config.disable_value_validation():
        dataset.add_new("BodyPartExamined", "LO", part)
    assert read_film(write(tmp_path, dataset)).flags == ()


def test_spacing_of_nought_is_none_and_magnification_is_divided_out(tmp_path: Path) -> None:
    read = read_film(write(tmp_path, film(SPINE, PixelSpacing=[0, 0])))
    assert (read.spacing, read.spacing_source) == (None, None)
    factor = {"EstimatedRadiographicMagnificationFactor": 1.25}
    read = read_film(
        write(tmp_path, film(SPINE, PixelSpacing=[0, 0], ImagerPixelSpacing=[0.5, 0.5], **factor))
    )
    assert read.spacing == pytest.approx((0.4, 0.4))
    assert read.spacing_source == "ImagerPixelSpacing/EstimatedRadiographicMagnificationFactor"


def test_names_of_any_script(tmp_path: Path) -> None:
    dataset = film(SPINE, SpecificCharacterSet="ISO_IR 192", PatientName="山田^太郎")
    folder = tmp_path / "Röntgen Ü"
    folder.mkdir()
    read = read_film(write(folder, dataset, "Wirbelsäule 脊柱.dcm"))
    assert read.film_id == "Wirbelsäule 脊柱"
    assert likeness(read.pixels, SPINE) > 0.9999
    content = write(tmp_path, film(SPINE, PatientName="Muller"), "a.dcm").read_bytes()
    (tmp_path / "b.dcm").write_bytes(content.replace(b"Muller", b"M\xfcller"))
    assert likeness(read_film(tmp_path / "b.dcm").pixels, SPINE) > 0.9999


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize("head", [b"", b"\0" * 128 + b"DICM"])
def test_a_file_without_meta_is_read_with_the_default_syntaxes(
    tmp_path: Path, implicit: bool, little: bool, head: bytes
) -> None:
    bare = pydicom.Dataset({element.tag: element for element in film(SPINE)})
    bare.PixelData = SPINE.tobytes() if little else SPINE.byteswap().tobytes()
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, bare, implicit_vr=implicit, little_endian=little)
    (tmp_path / "bare.dcm").write_bytes(head + buffer.getvalue())
    assert likeness(read_film(tmp_path / "bare.dcm").pixels, SPINE) > 0.9999


def test_compressed_pixels_without_meta_are_known_by_their_stream(tmp_path: Path) -> None:
    flat = (SPINE >> 4).astype(np.uint8)
    streams = [encoded(flat, "JPEG", quality=95), encoded(flat, "JPEG2000", no_jp2=True)]
    for stream in streams:
        dataset = packed(film(flat, 8), JPEGBaseline8Bit, stream)
        del dataset.file_meta.TransferSyntaxUID
        dataset.file_meta.ImplementationVersionName = "old"
        path = tmp_path / "bare.dcm"
        pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=True)
        assert likeness(read_film(path).pixels, flat) > 0.99


def test_what_is_no_picture_says_so(tmp_path: Path) -> None:
    directory = film(SPINE, DirectoryRecordSequence=[pydicom.Dataset()])
    with pytest.raises(AasceError, match=r"a DICOMDIR, .*name the folder"):
        read_film(write(tmp_path, directory))
    for tags, words in (({"Modality": "RTDOSE"}, "a dose"), ({"Modality": "SEG"}, "a segmentation")):
        with pytest.raises(AasceError, match=words):
            read_film(write(tmp_path, film(SPINE, **tags)))


def test_tags_that_a_film_needs_have_defaults(tmp_path: Path) -> None:
    dataset = film(SPINE, 16)
    for keyword in (
        "PhotometricInterpretation",
        "BitsStored",
        "HighBit",
        "SamplesPerPixel",
        "PixelRepresentation",
    ):
        delattr(dataset, keyword)
    assert likeness(read_film(write(tmp_path, dataset)).pixels, SPINE) > 0.9999
