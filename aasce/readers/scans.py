"""File to volume and back: NIfTI, MHA, NRRD and DICOM series, all in RAS+ mm once they are read.

A scan whose place in the world is unknown is refused: every length and angle measured on it would be a guess. DICOM
and ITK use LPS; the change to RAS+ happens here and nowhere else.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aasce.files import atomic_write
from aasce.readers import series
from aasce.types import AasceError, Array
from aasce.volume import KINDS, Kind, Volume

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns LPS to RAS+ and back."""

_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
_KIND_KEY = "aasce_kind"
_UNITS = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_NRRD_SPACES = {
    "right-anterior-superior",
    "left-anterior-superior",
    "left-posterior-superior",
    "ras",
    "las",
    "lps",
}
_MOST_LABELS = 64  # a label map of a spine has at most 28 (VerSe), of a whole body rarely more than this


def read_scan(path: Path | str, kind: Kind | None = None) -> Volume:
    """Reads a scan or a label map.

    Args:
        path: .nii, .nii.gz, .mha, .mhd, .nrrd, .nhdr, or the folder of a DICOM series. Where a folder holds several
            series, name one file of the series.
        kind: "ct", "mr" or "label"; by default what the file states, else a guess by its numbers (a few whole
            numbers from 0: labels; numbers below -200: CT; else MR).

    Raises:
        AasceError: the file is missing, damaged, not 3D or of a format not listed; its place in the world is unknown;
            a DICOM series lacks a slice, its orientation or its HU scale, is unevenly spaced or mixed with another.
    """
    path = Path(path)
    if kind is not None and kind not in KINDS:
        raise AasceError(f"{path}: kind {kind!r} is none of {', '.join(KINDS)}")
    if not path.exists():
        raise AasceError(f"{path}: no such scan; check its name")
    name = path.name.lower()
    if path.is_dir() or series.is_dicom(path):
        data, affine, stated = series.read_series(path)
        return Volume(data, LPS @ affine, kind or stated)
    if name.endswith(NIFTI_SUFFIXES):
        return _read_nifti(path, kind)
    if name.endswith(ITK_SUFFIXES):
        return _read_itk(path, kind)
    raise AasceError(
        f"{path}: no scan that can be read; give NIfTI, MHA, NRRD or the folder of a DICOM series"
    )


def write_scan(volume: Volume, path: Path | str) -> None:
    """Writes a scan so that `read_scan` gives the same volume back (DICOM: HU rounded to whole numbers).

    Args:
        volume: any for NIfTI; MHA and NRRD need axes at right angles; a CT for DICOM.
        path: ends in .nii, .nii.gz, .mha or .nrrd; without suffix, the folder of a DICOM series, new or empty.

    Raises:
        AasceError: another suffix, a volume that the format cannot hold, or a place that cannot be written.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        _write_nifti(volume, path)
    elif name.endswith((".mha", ".nrrd")):
        _write_itk(volume, path)
    elif path.suffix == "" or path.is_dir():
        series.write_series(volume.data, LPS @ volume.affine, volume.kind, path)
    else:
        raise AasceError(
            f"{path}: end it in .nii, .nii.gz, .mha or .nrrd, or in no suffix for a DICOM folder"
        )


def _read_nifti(path: Path, kind: Kind | None) -> Volume:
    import nibabel

    try:
        _demand_spacing(path)
        image: Any = nibabel.load(path)
        data = np.asanyarray(image.dataobj)
    except (OSError, ValueError, EOFError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
        raise AasceError(f"{path}: damaged or no NIfTI ({_short(error)}); export it again") from error
    header = image.header
    if not int(header["sform_code"]) and not int(header["qform_code"]):
        raise AasceError(
            f"{path}: no affine (sform and qform codes are 0), so that left, right and mm are unknown; "
            "convert it from DICOM again, for instance with dcm2niix"
        )
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= _UNITS.get(header.get_xyzt_units()[0], 1.0)
    stated = bytes(header["descrip"]).decode("latin-1").strip("\0 ").removeprefix(f"{_KIND_KEY}=")
    return _volume(path, data, affine, kind or _known(stated))


def _demand_spacing(path: Path) -> None:
    """Refuses a NIfTI file whose spacing is 0 and that has no sform, for which nibabel would take 1 mm."""
    from nibabel import Nifti1Header
    from nibabel.openers import ImageOpener

    with ImageOpener(str(path)) as stream:
        block = stream.read(348)
    if len(block) < 348 or 348 not in (int.from_bytes(block[:4], order) for order in _ORDERS):
        return  # NIfTI-2, or damage that is told where it is read
    header = Nifti1Header(block, check=False)
    spacing = header["pixdim"][1:4]
    if not int(header["sform_code"]) and int(header["qform_code"]) and not (spacing > 0).all():
        raise AasceError(
            f"{path}: spacing of {', '.join(f'{mm:g}' for mm in spacing)} mm; "
            "convert it from DICOM again, so that its voxels have a size"
        )


def _read_itk(path: Path, kind: Kind | None) -> Volume:
    import SimpleITK as sitk

    _demand_place(path)
    try:
        image = sitk.ReadImage(str(path))
        data = sitk.GetArrayFromImage(image).T
    except RuntimeError as error:
        raise AasceError(f"{path}: damaged or of a rare kind ({_short(error)}); export it again") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise AasceError(
            f"{path}: {image.GetDimension()}D or with channels; give one 3D scan with one number a voxel"
        )
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    stated = image.GetMetaData(_KIND_KEY) if image.HasMetaDataKey(_KIND_KEY) else ""
    return _volume(path, data, LPS @ affine, kind or _known(stated))


def _demand_place(path: Path) -> None:
    """Refuses headers that name no orientation, for which ITK would take the world's axes in silence."""
    lines = path.read_bytes()[:4096].split(b"\n\n")[0].decode("latin-1").lower().splitlines()
    separator = ":" if path.suffix.lower() in (".nrrd", ".nhdr") else "="
    pairs = (line.split(separator, 1) for line in lines if separator in line)
    fields = {key.strip(): value.strip() for key, value in pairs}
    if separator == ":":
        placed = fields.get("space") in _NRRD_SPACES and "space directions" in fields
    else:
        placed = bool({"transformmatrix", "orientation", "rotation"} & fields.keys())
    if not placed:
        raise AasceError(
            f"{path}: its header names no orientation, so that left and right are unknown; "
            "export it again with its affine, for instance from 3D Slicer"
        )


def _volume(path: Path, data: Array, affine: Array, kind: Kind | None) -> Volume:
    """A volume of numbers as read, its kind guessed where nothing names it.

    Raises:
        AasceError: not 3D, not plain numbers, or an affine that is none.
    """
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise AasceError(f"{path}: {data.ndim}D; give one 3D scan a file")
    if data.dtype.kind not in "iufb":
        raise AasceError(f"{path}: holds {data.dtype}, not one number a voxel; export grey values or labels")
    kind = kind or _guessed(data)
    try:
        return Volume(_labels(path, data) if kind == "label" else _numbers(data), affine, kind)
    except AasceError as error:
        raise AasceError(f"{path}: {error}") from None


def _known(stated: str) -> Kind | None:
    return next((kind for kind in KINDS if kind == stated), None)


def _guessed(data: Array) -> Kind:
    low = float(np.nanmin(data))
    if data.dtype.kind in "iub" and low >= 0 and data.max() < 1024 and len(np.unique(data)) <= _MOST_LABELS:
        return "label"
    return "ct" if low < -200 else "mr"


def _labels(path: Path, data: Array) -> Array:
    if data.dtype.kind in "iub":
        return np.ascontiguousarray(data.astype(np.uint8) if data.dtype.kind == "b" else data)
    whole = np.rint(data)
    if not np.array_equal(whole, data):  # programs that resample labels like grey values leave fractions
        raise AasceError(f"{path}: labels with fractions; resample them with nearest neighbours")
    return whole.astype(np.int32)


def _numbers(data: Array) -> Array:
    values = np.ascontiguousarray(data, dtype=np.float32)
    finite = np.isfinite(values)
    if finite.all():
        return values
    return np.where(finite, values, values[finite].min() if finite.any() else np.float32(0))


def _write_nifti(volume: Volume, path: Path) -> None:
    import nibabel

    image = nibabel.nifti1.Nifti1Image(_storable(volume), volume.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, code="scanner")
    image.set_qform(volume.affine, code="scanner", strip_shears=True)
    image.header["descrip"] = f"{_KIND_KEY}={volume.kind}".encode()
    content = image.to_bytes()
    with atomic_write(path) as temporary:
        temporary.write_bytes(gzip.compress(content, 5) if path.name.lower().endswith(".gz") else content)


def _write_itk(volume: Volume, path: Path) -> None:
    import SimpleITK as sitk

    affine = LPS @ volume.affine
    direction = affine[:3, :3] / volume.spacing
    if np.abs(direction.T @ direction - np.eye(3)).max() > 1e-4:
        raise AasceError(
            f"{path}: the volume's axes are not at right angles, which {path.suffix} cannot hold; use .nii"
        )
    image = sitk.GetImageFromArray(np.ascontiguousarray(_storable(volume).T))
    image.SetSpacing(volume.spacing.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection(direction.ravel().tolist())
    image.SetMetaData(_KIND_KEY, volume.kind)
    with atomic_write(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True)


def _storable(volume: Volume) -> Array:
    """float32, or the smallest integers that hold the labels: 64-bit ones break other programs' readers."""
    if volume.kind != "label":
        return np.asarray(volume.data, dtype=np.float32)
    if volume.data.min() < 0:
        return np.asarray(volume.data, dtype=np.int32)
    return np.asarray(volume.data, dtype=np.uint8 if volume.data.max() < 256 else np.uint16)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[-100:] or type(error).__name__
