"""DICOM series to an array and back: slices sorted along their normal, HU, and what makes a series unfit to measure.

Frame here: DICOM's own, LPS mm. `aasce.readers.scans` turns it to RAS+.
"""

from __future__ import annotations

import secrets
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aasce.readers.dicom.header import parsed
from aasce.readers.dicom.pixels import stored_frame
from aasce.readers.limits import MAX_SIDE
from aasce.types import AasceError, Array
from aasce.volume import Kind

_KINDS: dict[str, Kind] = {"CT": "ct", "MR": "mr"}
_UNEVEN = 0.03  # of the spacing: headers round positions to 0.01 mm, slices are 0.5 mm apart and more
_ASKEW = 0.1  # mm a slice may lie beside the straight line through the series
_AIR = -1024.0


def is_dicom(path: Path) -> bool:
    """True when a file carries DICOM's mark after its 128-byte preamble."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_series(path: Path) -> tuple[Array, NDArray[np.float64], Kind]:
    """One series: (X, Y, Z) float32, (4, 4) voxel to LPS mm, and its kind.

    Slices are sorted by their position along the normal, never by name or instance number. A tilted gantry gives a
    sheared affine, as it lies in the world.

    Args:
        path: folder of a series, or one of its files where the folder holds several.

    Raises:
        AasceError: one line with folder and remedy for a missing slice, uneven spacing, mixed series, missing
            orientation, missing HU scale, multi-frame files and damaged pixels.
    """
    folder, slices = _slices(path)
    _uniform(folder, slices)
    slices, positions, orientation = _sorted(folder, slices)
    _evenly_spaced(folder, positions, orientation)
    row_mm, column_mm = (float(v) for v in slices[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = orientation[0] * column_mm, orientation[1] * row_mm
    affine[:3, 2] = (positions[-1] - positions[0]) / (len(slices) - 1)
    affine[:3, 3] = positions[0]
    data = np.stack([_pixels(folder, header) for header in slices], -1)
    return data, affine, _KINDS[str(slices[0].Modality)]


def _slices(path: Path) -> tuple[Path, list[Any]]:
    """The folder and the headers of one series in it."""
    import pydicom

    folder = path if path.is_dir() else path.parent
    found = []
    for file in sorted(folder.iterdir()):
        if not file.is_file() or not is_dicom(file):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                header = pydicom.dcmread(file, stop_before_pixels=True)
        except Exception as error:  # pydicom lets every kind of exception out of a damaged header
            raise AasceError(f"{file}: damaged DICOM header; export the series again") from error
        if header.get("Rows"):
            found.append(header)
    if not path.is_dir():
        own = [header for header in found if Path(str(header.filename)).name == path.name]
        if not own:
            raise AasceError(f"{path}: DICOM without an image; name a slice of the series")
        found = [header for header in found if _uid(header) == _uid(own[0])]
    if not found:
        raise AasceError(
            f"{folder}: a folder without DICOM slices; name the folder that holds the series itself"
        )
    return folder, found


def _uid(header: Any) -> str:
    return str(header.get("SeriesInstanceUID", ""))


def _uniform(folder: Path, slices: Sequence[Any]) -> None:
    """Refuses several series in one folder, other modalities, and slices that do not fit one another."""
    count = Counter(_uid(header) for header in slices)
    if len(count) > 1:
        names = {_uid(header): str(header.get("SeriesDescription", "") or "unnamed") for header in slices}
        listed = ", ".join(f"{names[uid]!r} with {n} slices" for uid, n in count.most_common(4))
        raise AasceError(
            f"{folder}: {len(count)} series mixed ({listed}); name one file of the series to read"
        )
    modality = str(slices[0].get("Modality", ""))
    if modality not in _KINDS:
        raise AasceError(f"{folder}: a series of modality {modality or 'unknown'}; give CT or MR slices")
    if int(slices[0].get("NumberOfFrames") or 1) > 1:
        raise AasceError(
            f"{folder}: multi-frame DICOM; convert it to NIfTI first, for instance with dcm2niix"
        )
    if any("ImageOrientationPatient" not in i or "ImagePositionPatient" not in i for i in slices):
        raise AasceError(
            f"{folder}: slices without orientation or position (ImageOrientationPatient, ImagePositionPatient), "
            "so that left and right are unknown; export the original series again"
        )
    if any("PixelSpacing" not in i for i in slices):
        raise AasceError(f"{folder}: slices without PixelSpacing; export the original series again")
    if len(slices) < 2:
        raise AasceError(f"{folder}: only one slice, which spans no volume; copy the whole series there")
    sizes = {(int(i.Rows), int(i.Columns), *(round(float(v), 4) for v in i.PixelSpacing)) for i in slices}
    if len(sizes) > 1 or max(max(size[:2]) for size in sizes) > MAX_SIDE:
        raise AasceError(
            f"{folder}: slices of {len(sizes)} sizes or spacings in one series; leave the odd ones out"
        )


def _sorted(folder: Path, slices: list[Any]) -> tuple[list[Any], NDArray[np.float64], NDArray[np.float64]]:
    """Slices along their normal, positions (N, 3) mm, and orientation (2, 3): directions of columns and rows."""
    orientations = np.array([[float(v) for v in header.ImageOrientationPatient] for header in slices])
    orientation = orientations[0].reshape(2, 3)
    if np.abs(orientations - orientations[0]).max() > 1e-3:
        raise AasceError(f"{folder}: slices of different orientation in one series; leave the scouts out")
    if np.abs(orientation @ orientation.T - np.eye(2)).max() > 1e-3:
        raise AasceError(
            f"{folder}: ImageOrientationPatient holds no two directions at right angles; export it again"
        )
    positions = np.array([[float(v) for v in header.ImagePositionPatient] for header in slices])
    order = np.argsort(positions @ np.cross(*orientation), kind="stable")
    return [slices[i] for i in order], positions[order], orientation


def _evenly_spaced(folder: Path, positions: NDArray[np.float64], orientation: NDArray[np.float64]) -> None:
    """Refuses doubled and missing slices, uneven spacing, and slices that leave the straight line."""
    heights = positions @ np.cross(*orientation)
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    if gaps.min() < 1e-3:
        raise AasceError(
            f"{folder}: two slices at one place ({heights[gaps.argmin()]:.1f} mm); keep one of the phases"
        )
    wide = np.flatnonzero(gaps > 1.5 * usual)
    if len(wide):
        missing = int(np.maximum(np.rint(gaps[wide] / usual) - 1, 1).sum())
        first = heights[wide[0]]
        raise AasceError(
            f"{folder}: {missing} slice{'s' * (missing > 1)} missing after {first:.1f} mm (slices are {usual:.2f} mm "
            f"apart, {gaps[wide[0]]:.2f} there); copy the whole series again"
        )
    if np.abs(gaps - usual).max() > _UNEVEN * usual + 0.011:
        raise AasceError(
            f"{folder}: uneven spacing, {gaps.min():.2f} to {gaps.max():.2f} mm between slices; "
            "give a series reconstructed at one spacing"
        )
    line = np.linspace(0, 1, len(positions))[:, None] * (positions[-1] - positions[0]) + positions[0]
    if np.linalg.norm(positions - line, axis=1).max() > _ASKEW + _UNEVEN * usual:
        raise AasceError(
            f"{folder}: slices do not lie on one straight line; give a series of one acquisition"
        )


def _pixels(folder: Path, header: Any) -> Array:
    """(X, Y) float32 of one slice: HU of CT, rescaled numbers of MR."""
    file = Path(str(header.filename))
    if header.Modality == "CT" and ("RescaleSlope" not in header or "RescaleIntercept" not in header):
        raise AasceError(
            f"{folder}: CT without RescaleSlope and RescaleIntercept, so no HU; export the original series"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = stored_frame(file, parsed(file.read_bytes()), 1)
    except AasceError:
        raise
    except Exception as error:  # pydicom lets every kind of exception out of a damaged header
        raise AasceError(f"{file}: damaged DICOM header; export the series again") from error
    if frame.damaged:
        raise AasceError(f"{file}: pixels damaged; export the series again")
    stored = frame.pixels
    if stored.ndim != 2:
        raise AasceError(f"{file}: colour or several frames; give the original slices")
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    values = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    padding = header.get("PixelPaddingValue")
    if isinstance(padding, int) and header.Modality == "CT":
        values[stored == padding] = _AIR
    return np.asarray(values.T)


def write_series(data: Array, affine: NDArray[np.float64], kind: Kind, folder: Path) -> None:
    """Writes a CT series of one file a slice, HU rounded to whole numbers and held to -32,768 to 31,743.

    Args:
        data: (X, Y, Z) HU.
        affine: (4, 4) voxel to LPS mm; the first two axes at right angles.
        kind: "ct".
        folder: new or empty: slices of another series there would mix with these.

    Raises:
        AasceError: no CT, axes that DICOM cannot hold, or a folder that is not empty or cannot be written.
    """
    if kind != "ct":
        raise AasceError(
            f"{folder}: only a CT is written as DICOM, this is of kind {kind!r}; end the name in .nii.gz"
        )
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3] / spacing
    if abs(axes[:, 0] @ axes[:, 1]) > 1e-4 or data.shape[2] < 2:
        raise AasceError(f"{folder}: slices are not rectangular, or only one; end the name in .nii.gz")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise AasceError(f"{folder}: is not empty; name a new folder, else two series would be mixed")
        template = _template(data, spacing, axes)
        for number in range(data.shape[2]):
            origin = affine[:3, 3] + affine[:3, 2] * number
            _write_slice(template, data[:, :, number], origin, number, folder)
    except OSError as error:
        raise AasceError(
            f"{folder}: cannot be written ({error.strerror or error}); choose another place"
        ) from error


def _template(data: Array, spacing: NDArray[np.float64], axes: NDArray[np.float64]) -> Any:
    """What all slices of a series share."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.FrameOfReferenceUID = generate_uid()
    dataset.Modality, dataset.ImageType = "CT", ["DERIVED", "SECONDARY", "AXIAL"]
    dataset.PatientName = dataset.PatientID = dataset.StudyID = f"aasce-{secrets.token_hex(4)}"
    dataset.PatientBirthDate = dataset.PatientSex = dataset.StudyDate = dataset.StudyTime = ""
    dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.Manufacturer = dataset.KVP = ""
    dataset.SeriesNumber, dataset.AcquisitionNumber = 1, 1
    dataset.Columns, dataset.Rows = data.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = "1", "-1024", "HU"
    dataset.PixelSpacing = [_decimal(spacing[1]), _decimal(spacing[0])]
    dataset.SliceThickness = _decimal(spacing[2])
    dataset.ImageOrientationPatient = [_decimal(v) for v in (*axes[:, 0], *axes[:, 1])]
    return dataset


def _write_slice(
    template: Any, pixels: Array, origin: NDArray[np.float64], number: int, folder: Path
) -> None:
    import copy

    from pydicom.uid import generate_uid

    dataset = copy.deepcopy(template)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.InstanceNumber = number + 1
    dataset.ImagePositionPatient = [_decimal(v) for v in origin]
    stored = np.clip(np.rint(pixels.T) + 1024, -32768, 32767).astype("<i2")
    dataset.PixelData = stored.tobytes()
    dataset.save_as(folder / f"{number + 1:04d}.dcm", enforce_file_format=True)


def _decimal(value: float) -> str:
    """A number as DICOM's decimal string, at most 16 characters."""
    text = f"{value:.10f}".rstrip("0").rstrip(".")
    return text if len(text) <= 16 else f"{value:.9e}"[:16]
