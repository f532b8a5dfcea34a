"""Scans written and read back in every format, and each kind of scan whose place in the world is unknown."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from aasce.readers import read_scan, write_scan
from aasce.types import AasceError
from aasce.volume import Volume

SHAPE = (7, 9, 6)
FORMATS = ["ct.nii", "ct.nii.gz", "ct.mha", "ct.nrrd", "series"]


def affine(seed: int = 3, shear: float = 0.0) -> NDArray[np.float64]:
    """An oblique affine of 0.8 x 1.1 x 2.5 mm; `shear` leans the third axis as a tilted gantry does."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(random_state=seed).as_matrix() * np.array([0.8, 1.1, 2.5])
    matrix[:3, 2] += shear * matrix[:3, 1]
    matrix[:3, 3] = (-120.25, 33.5, 871.0)
    return matrix


def ct(seed: int = 3, shear: float = 0.0) -> Volume:
    hu = np.random.default_rng(seed).integers(-1024, 3000, SHAPE).astype(np.float32)
    return Volume(hu, affine(seed, shear), "ct")


def same(first: Volume, second: Volume, atol: float = 1e-4) -> bool:
    """Equal value at equal world position, however the grids are numbered."""
    index = np.stack(np.meshgrid(*map(np.arange, first.shape), indexing="ij"), -1).reshape(-1, 3)
    there = second.to_index(first.to_world(index))
    whole = np.rint(there).astype(int)
    return bool(
        np.abs(there - whole).max() < 1e-3
        and np.abs(first.data[tuple(index.T)] - second.data[tuple(whole.T)]).max() <= atol
        and first.kind == second.kind
    )


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_round_trip_of_an_oblique_ct(tmp_path: Path, name: str, seed: int) -> None:
    volume = ct(seed)
    write_scan(volume, tmp_path / name)
    assert same(volume, read_scan(tmp_path / name))


@pytest.mark.parametrize("name", ["seg.nii.gz", "seg.mha", "seg.nrrd"])
def test_round_trip_of_labels(tmp_path: Path, name: str) -> None:
    labels = Volume(np.random.default_rng(0).integers(0, 400, SHAPE), affine(), "label")
    write_scan(labels, tmp_path / name)
    back = read_scan(tmp_path / name)
    assert same(labels, back, atol=0)
    assert back.data.dtype == np.uint16


@pytest.mark.parametrize("name", ["ct.nii", "series"])
def test_tilted_gantry_keeps_its_shear(tmp_path: Path, name: str) -> None:
    volume = ct(shear=0.4)
    write_scan(volume, tmp_path / name)
    back = read_scan(tmp_path / name)
    assert same(volume, back)
    with pytest.raises(AasceError, match=r"right angles.*use \.nii"):
        write_scan(volume, tmp_path / "ct.mha")


def test_itk_and_nibabel_agree_on_the_world(tmp_path: Path) -> None:
    """An independent reader: ITK's LPS point of a voxel, x and y turned, is the volume's."""
    volume = ct()
    for name in ("ct.nii.gz", "ct.mha", "ct.nrrd"):
        write_scan(volume, tmp_path / name)
        image = sitk.ReadImage(str(tmp_path / name))
        point = image.TransformIndexToPhysicalPoint((2, 5, 3))
        assert np.allclose([-point[0], -point[1], point[2]], volume.to_world([2, 5, 3]), atol=1e-3)
        assert image[2, 5, 3] == volume.data[2, 5, 3]


def test_kind_is_told_or_guessed(tmp_path: Path) -> None:
    cases = {
        "ct": np.full(SHAPE, -1000, np.int16),
        "mr": (np.arange(378).reshape(SHAPE) * 3).astype(np.int16),
        "label": (np.arange(378).reshape(SHAPE) % 26).astype(np.uint8),
    }
    for kind, data in cases.items():
        nibabel.save(nibabel.Nifti1Image(data, affine()), tmp_path / f"{kind}.nii")
        assert read_scan(tmp_path / f"{kind}.nii").kind == kind
    assert read_scan(tmp_path / "label.nii", kind="mr").data.dtype == np.float32
    with pytest.raises(AasceError, match="none of ct, mr, label"):
        read_scan(tmp_path / "ct.nii", kind="pet")  # type: ignore[arg-type]


def test_scale_and_units_of_a_nifti_are_applied(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.full(SHAPE, 30, np.int16), np.diag([0.001, 0.001, 0.002, 1]))
    image.header.set_xyzt_units("meter")
    image.header.set_slope_inter(2.0, -1024.0)
    nibabel.save(image, tmp_path / "metres.nii")
    volume = read_scan(tmp_path / "metres.nii")
    assert np.allclose(volume.spacing, [1, 1, 2])
    assert volume.data[0, 0, 0] == 30 * 2 - 1024


def test_nifti_without_affine_is_refused(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), None)
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    nibabel.save(image, tmp_path / "lost.nii")
    message = refusal(tmp_path / "lost.nii")
    assert "lost.nii" in message
    assert "sform and qform codes are 0" in message
    assert "dcm2niix" in message


def test_headers_without_orientation_are_refused(tmp_path: Path) -> None:
    raw = np.zeros(8, np.uint8).tobytes()
    nrrd = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n\n"
    (tmp_path / "lost.nrrd").write_bytes(nrrd.encode() + raw)
    mha = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    (tmp_path / "lost.mha").write_bytes(mha.encode() + raw)
    for name in ("lost.nrrd", "lost.mha"):
        assert "names no orientation" in refusal(tmp_path / name)


def refusal(path: Path) -> str:
    """The one line a scan is refused with."""
    with pytest.raises(AasceError) as caught:
        read_scan(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message


def series(tmp_path: Path) -> tuple[Path, list[Path]]:
    folder = tmp_path / "series"
    write_scan(ct(), folder)
    return folder, sorted(folder.iterdir())


def change(file: Path, **tags: Any) -> None:
    """Sets tags of a slice, or removes those given as None."""
    item = pydicom.dcmread(file)
    for name, value in tags.items():
        if value is None:
            delattr(item, name)
        else:
            setattr(item, name, value)
    item.save_as(file)


def moved(file: Path, mm: float, first: Path) -> None:
    """Moves a slice away from the first one, along the series."""
    item = pydicom.dcmread(file)
    there = np.array(item.ImagePositionPatient, dtype=float)
    way = there - np.array(pydicom.dcmread(first).ImagePositionPatient, dtype=float)
    change(file, ImagePositionPatient=[f"{v:.8f}" for v in there + mm * way / np.linalg.norm(way)])


BROKEN: dict[str, tuple[Callable[[list[Path]], Any], str]] = {
    "a slice is missing": (lambda f: f[2].unlink(), r"1 slice missing after .*copy the whole series"),
    "two slices are missing": (lambda f: (f[2].unlink(), f[3].unlink()), "2 slices missing"),
    "spacing is uneven": (lambda f: moved(f[3], 0.4, f[0]), r"uneven spacing, 2\.10 to 2\.90 mm"),
    "a slice is there twice": (lambda f: moved(f[3], 2.5, f[0]), "two slices at one place"),
    "series are mixed": (lambda f: change(f[3], SeriesInstanceUID="1.2.3"), "2 series mixed.*name one file"),
    "orientation is missing": (lambda f: change(f[1], ImageOrientationPatient=None), "without orientation or position"),
    "position is missing": (lambda f: change(f[1], ImagePositionPatient=None), "without orientation or position"),
    "spacing is missing": (lambda f: change(f[1], PixelSpacing=None), "without PixelSpacing"),
    "HU scale is missing": (lambda f: change(f[1], RescaleIntercept=None), "no HU"),
    "a scout is among them": (lambda f: change(f[1], ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), "scouts"),
    "only one is left": (lambda f: [p.unlink() for p in f[1:]], "only one slice"),
    "it is no CT": (lambda f: [change(p, Modality="US") for p in f], "modality US"),
    "it is multi-frame": (lambda f: [change(p, NumberOfFrames=3) for p in f], "dcm2niix"),
    "sizes differ": (lambda f: change(f[1], Rows=8), "2 sizes or spacings"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_series_that_cannot_be_measured_is_refused(tmp_path: Path, fault: str) -> None:
    folder, files = series(tmp_path)
    damage, message = BROKEN[fault]
    damage(files)
    assert re.search(message, refusal(folder))


def test_series_is_sorted_by_position_not_by_name(tmp_path: Path) -> None:
    folder, files = series(tmp_path)
    for number, file in enumerate(files):
        change(file, InstanceNumber=100 - number)
        file.rename(folder / f"{(number * 5) % 7}.ima")
    assert same(ct(), read_scan(folder))


def test_one_file_stands_for_its_series(tmp_path: Path) -> None:
    folder, files = series(tmp_path)
    for file in files:
        change(file, SOPInstanceUID=pydicom.uid.generate_uid(), SeriesInstanceUID="1.2.3")
        file.rename(file.with_suffix(".other"))
    write_scan(Volume(np.zeros(SHAPE, np.float32), affine(), "ct"), tmp_path / "second")
    for file in (tmp_path / "second").iterdir():
        file.rename(folder / file.name)
    assert "2 series mixed" in refusal(folder)
    assert same(ct(), read_scan(folder / "0002.other"))


def test_rescale_slope_of_a_slice_counts(tmp_path: Path) -> None:
    folder, files = series(tmp_path)
    for file in files:
        change(file, RescaleSlope="0.5", RescaleIntercept="-1000")
    # Stored numbers are HU + 1024.
    assert np.array_equal(
        np.sort(read_scan(folder).data.ravel()), np.sort((ct().data.ravel() + 1024) * 0.5 - 1000)
    )


def test_wrong_paths_and_damage_are_told(tmp_path: Path) -> None:
    assert "no such scan" in refusal(tmp_path / "none.nii")
    (tmp_path / "empty").mkdir()
    assert "without DICOM slices" in refusal(tmp_path / "empty")
    for name in ("bad.nii.gz", "bad.nii", "bad.txt"):
        (tmp_path / name).write_bytes(b"no scan" * 100)
        refusal(tmp_path / name)
    write_scan(ct(), tmp_path / "cut.nii.gz")
    content = (tmp_path / "cut.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(content[: len(content) // 2])
    assert "damaged" in refusal(tmp_path / "cut.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3, 2), np.float32), affine()), tmp_path / "time.nii")
    assert "4D" in refusal(tmp_path / "time.nii")


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    labels = Volume(np.ones(SHAPE, np.uint8), affine(), "label")
    with pytest.raises(AasceError, match="only a CT is written as DICOM"):
        write_scan(labels, tmp_path / "seg")
    with pytest.raises(AasceError, match="end it in"):
        write_scan(labels, tmp_path / "seg.png")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("here")
    with pytest.raises(AasceError, match="not empty"):
        write_scan(ct(), tmp_path / "full")


def test_a_real_scan_and_its_labels_share_the_world(aasce_data: Path) -> None:
    folder = aasce_data / "ct" / "verse014"
    files = sorted(folder.glob("*.nii.gz"))
    if len(files) < 2:
        pytest.skip("ct/verse014 is not there")
    volumes = [read_scan(file) for file in files]
    labels = next(v for v in volumes if v.kind == "label")
    scan = next(v for v in volumes if v.kind == "ct")
    assert scan.axcodes == ("P", "I", "R")
    assert np.allclose(scan.affine, labels.affine, atol=1e-3)
    bone = scan.data[labels.data > 0].mean()
    assert bone > scan.data[labels.data == 0].mean() + 150
