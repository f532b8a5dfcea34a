"""The chain of methods, and the checks and flags of a scan."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from aasce.ct.base import VertebraSet, vertebra_set
from aasce.ct.pipeline import (
    CUT,
    LEVELS_UNSURE,
    METAL,
    THICK,
    UPSIDE_DOWN,
    check_scan,
    cut_vertebrae,
    from_places,
    read,
    scan_id,
)
from aasce.readers.scans import read_scan
from aasce.types import AasceError
from aasce.volume import Volume
from tests.unit.ct.known import Known
from tests.unit.ct.solids import column

TILTS = {19: 0.0, 20: 0.0, 21: 0.0}


def ct_of(masks: Volume) -> Volume:
    """Bone of 400 HU in flesh of 40."""
    return Volume(np.where(masks.data > 0, 400, 40).astype(np.float32), masks.affine, "ct")


@pytest.fixture(scope="module")
def masks() -> Volume:
    return column(TILTS, (2.0, 2.0, 2.0))[0]


@pytest.fixture(scope="module")
def places() -> dict[int, np.ndarray]:
    return column(TILTS, (2.0, 2.0, 2.0))[1]


@pytest.fixture(scope="module")
def scan(masks: Volume) -> Volume:
    return ct_of(masks)


def labelled(places: dict[int, np.ndarray]) -> dict[str, object]:
    made = vertebra_set("", places)
    return {"labels": made.labels, "centroids": made.centroids, "confidence": made.confidence}


# --- chain -----------------------------------------------------------------------------------------------


def test_each_method_starts_from_what_the_one_before_found(
    scan: Volume, masks: Volume, places: dict[int, np.ndarray]
) -> None:
    line = np.array([[0, 0, 70.0], [0, 0, -10.0]])
    first = Known(centerline=line, flags=("first",))
    second, third = Known(**labelled(places)), Known(masks=masks)
    found = read(scan, "folder/spine.nii.gz", (first, second, third))
    assert first.asked[0][1] is not None
    assert first.asked[0][1].scan_id == "spine"
    assert second.asked[0][1] is not None
    assert second.asked[0][1].centerline is line
    assert third.asked[0][1] is not None
    assert third.asked[0][1].labels.tolist() == [19, 20, 21]
    assert found.masks is masks
    assert found.flags == ("first",)


def test_given_centroids_skip_the_location(scan: Volume, places: dict[int, np.ndarray]) -> None:
    method = Known()
    found = read(scan, "a.mha", (method,), from_places("a.mha", places))
    assert found.labels.tolist() == [19, 20, 21]
    assert (found.scan_id, method.asked[0][1].scan_id) == ("a", "a")  # type: ignore[union-attr]


def test_a_method_that_finds_nothing_ends_the_chain(scan: Volume) -> None:
    last = Known()
    found = read(scan, "a.nii", (Known(failure="no spine seen"), last))
    assert found.failure == "no spine seen"
    assert not last.asked


def test_no_vertebra_in_view(scan: Volume) -> None:
    assert read(scan, "a.nii", (Known(),)).failure == "no vertebra in view"


def test_centroids_of_another_scan(scan: Volume) -> None:
    with pytest.raises(AasceError, match=r"a\.nii: the centroids of L1 lie outside the scan"):
        read(scan, "a.nii", (), from_places("a.nii", {20: np.array([500.0, 0, 0])}))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("x/y.nii.gz", "y"), ("y.z.NRRD", "y.z"), ("x/series/", "series"), ("series", "series")],
)
def test_names_of_scans(name: str, expected: str) -> None:
    assert scan_id(name) == expected


# --- flags -----------------------------------------------------------------------------------------------


def test_labels_that_run_upwards(scan: Volume, places: dict[int, np.ndarray]) -> None:
    order = list(places)
    upside = {label: places[other] for label, other in zip(order, order[::-1], strict=True)}
    assert UPSIDE_DOWN in read(scan, "a.nii", (), from_places("a", upside)).flags
    assert UPSIDE_DOWN not in read(scan, "a.nii", (), from_places("a", places)).flags


class Upright(Known):
    """Sees a spine in scans whose third axis runs to the feet alone."""

    def predict(self, scan: Volume, start: VertebraSet | None = None) -> VertebraSet:
        if scan.affine[2, 2] > 0:
            assert start is not None
            return start.with_(failure="no spine seen")
        return super().predict(scan, start)


def test_an_upside_down_affine_is_named_where_nothing_is_found(
    scan: Volume, places: dict[int, np.ndarray]
) -> None:
    found = read(scan, "a.nii", (Upright(**labelled(places)),))
    assert found.failure == "no spine seen"
    assert UPSIDE_DOWN in found.flags
    method = Upright()
    method.answer = {"failure": "no spine seen"}
    assert UPSIDE_DOWN not in read(scan, "a.nii", (method,)).flags


def test_little_confidence_is_flagged_and_proves_no_fault_of_the_affine(
    scan: Volume, places: dict[int, np.ndarray]
) -> None:
    doubtful = labelled(places) | {"confidence": np.full(len(places), 0.2)}
    assert LEVELS_UNSURE in read(scan, "a.nii", (Known(**doubtful),)).flags
    assert LEVELS_UNSURE not in read(scan, "a.nii", (Known(**labelled(places)),)).flags
    assert UPSIDE_DOWN not in read(scan, "a.nii", (Upright(**doubtful),)).flags


def test_a_mirrored_affine_is_no_fault(scan: Volume, places: dict[int, np.ndarray]) -> None:
    mirrored = scan.reorient("LAS")
    assert np.linalg.det(mirrored.affine) < 0
    assert read(mirrored, "a.nii", (), from_places("a", places)).flags == ()


def test_metal_at_the_spine_and_elsewhere(scan: Volume, places: dict[int, np.ndarray]) -> None:
    start = from_places("a", places)
    screw, tooth = scan.data.copy(), scan.data.copy()
    index = np.rint(scan.to_index(places[20])).astype(int)
    screw[index[0] : index[0] + 4, index[1] - 4 : index[1], index[2]] = 3000  # 16 voxels of 8 mm3: 0.13 ml
    assert METAL not in read(Volume(screw, scan.affine, "ct"), "a", (), start).flags
    screw[index[0] : index[0] + 4, index[1] - 6 : index[1], index[2] : index[2] + 2] = 3000  # 48: 0.38 ml
    assert METAL in read(Volume(screw, scan.affine, "ct"), "a", (), start).flags
    tooth[:4, :8, :4] = 3000  # over 1 ml, more than 35 mm away
    assert METAL not in read(Volume(tooth, scan.affine, "ct"), "a", (), start).flags


def test_thick_slices() -> None:
    masks, _ = column(TILTS, (1.5, 1.5, 5.0))
    assert check_scan(ct_of(masks), "a") == (THICK,)
    assert check_scan(ct_of(column(TILTS, (1.5, 1.5, 4.0))[0]), "a") == ()


def test_vertebrae_that_the_border_cuts(scan: Volume, masks: Volume, places: dict[int, np.ndarray]) -> None:
    start = from_places("a", places)
    assert cut_vertebrae(scan, start) == ()
    # Voxels below index 15 are cut off: z from 5 mm upwards, through the lowest body (-11.2 to 11.2 mm).
    top = scan.crop((0, 0, 15), scan.shape)
    kept = start.with_(masks=masks.crop((0, 0, 15), masks.shape))
    assert cut_vertebrae(top, kept) == (21,)
    inside = from_places("a", {label: places[label] for label in (19, 20)})
    lower = scan.crop((0, 0, 0), (*scan.shape[:2], 46))  # up to z = 66, 2 mm above the middle of T12
    assert cut_vertebrae(lower, inside) == (19,)
    assert CUT in read(lower, "a", (), inside).flags


# --- refused ---------------------------------------------------------------------------------------------


def refusal(volume: Volume) -> str:
    with pytest.raises(AasceError) as fault:
        check_scan(volume, "a.nii")
    line = str(fault.value)
    assert line.startswith("a.nii: ")
    assert "\n" not in line
    return line


def test_a_scan_without_bone(scan: Volume) -> None:
    flesh = Volume(np.minimum(scan.data, 150), scan.affine, "ct")
    assert "holds no bone (0.0 ml above 200 HU)" in refusal(flesh)


def test_an_mr_scan(scan: Volume) -> None:
    line = refusal(Volume(scan.data, scan.affine, "mr"))
    assert "numbers from 40 to 400 are no HU" in line
    assert "--hu" in line


def test_a_label_map_given_as_scan(masks: Volume) -> None:
    assert "is a label map, not a scan" in refusal(masks)


def test_a_single_slice(scan: Volume) -> None:
    assert "1 slice of 2.0 mm hold no whole vertebra" in refusal(scan.crop((0, 0, 20), (*scan.shape[:2], 21)))
    assert "5 slices of 2.0 mm" in refusal(scan.crop((0, 0, 20), (*scan.shape[:2], 25)))


# --- as files --------------------------------------------------------------------------------------------


def nifti(path: Path, data: np.ndarray, affine: np.ndarray, dtype: type = np.int16) -> Path:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    header["sform_code"] = 1
    header["srow_x"], header["srow_y"], header["srow_z"] = affine[:3]
    image = nibabel.Nifti1Image(data.astype(dtype), None, header)
    path.write_bytes(image.to_bytes())
    return path


def test_a_label_map_is_known_by_its_numbers(tmp_path: Path, masks: Volume) -> None:
    for dtype in (np.int16, np.float32):
        path = nifti(tmp_path / "seg.nii", masks.data, masks.affine, dtype)
        assert "is a label map" in refusal(read_scan(path))


def test_4d_data_and_spacing_of_0_name_file_and_remedy(tmp_path: Path, scan: Volume) -> None:
    moving = nifti(tmp_path / "a.nii", np.stack([scan.data, scan.data], -1), scan.affine)
    with pytest.raises(AasceError, match=r"a\.nii: 4D; give one 3D scan a file"):
        read_scan(moving)
    flat = nifti(tmp_path / "b.nii", scan.data, scan.affine * np.array([1, 1, 0, 1.0]))
    with pytest.raises(AasceError, match=r"b\.nii: .*write the scan's true axes into it"):
        read_scan(flat)


def test_spacing_of_0_beside_a_qform(tmp_path: Path, scan: Volume) -> None:
    """nibabel alone would read 1 mm."""
    path = nifti(tmp_path / "c.nii", scan.data, scan.affine)
    header = bytearray(path.read_bytes())
    header[252:256] = (1).to_bytes(2, "little") + (0).to_bytes(2, "little")  # qform_code, sform_code
    header[88:92] = np.float32(0).tobytes()  # the third spacing
    path.write_bytes(bytes(header))
    with pytest.raises(AasceError, match=r"c\.nii: spacing of 1, 1, 0 mm; convert it from DICOM again"):
        read_scan(path)
