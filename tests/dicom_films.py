"""DICOM films made in tests: a body with a column of vertebrae, and the header tags to go with it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid


def spine(height: int = 256, width: int = 192, seed: int = 3) -> NDArray[np.uint16]:
    """A frontal film of 12 bit: air near 60, soft tissue near 900, lungs near 500, vertebrae from 1,500 to 2,600."""
    rows, columns = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    values = np.full((height, width), 60.0)
    values[np.abs(columns - 0.5) < 0.36] = 900
    for side in (0.33, 0.67):
        values[((rows - 0.3) / 0.22) ** 2 + ((columns - side) / 0.1) ** 2 < 1] = 500
    middle = 0.5 + 0.06 * np.sin(2 * np.pi * rows)
    bone = (np.abs(columns - middle) < 0.055) & (rows * 17 % 1 < 0.75)
    values[bone] = (1500 + 1100 * rows)[bone]
    noise = np.random.default_rng(seed).normal(0, 25, values.shape)
    return np.clip(np.rint(values + noise), 0, 4095).astype(np.uint16)


def film(pixels: NDArray[Any], bits: int = 12, **tags: Any) -> FileDataset:
    """A CR film of these stored values; further tags by keyword."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "CR", "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def packed(dataset: FileDataset, syntax: Any, *streams: bytes) -> FileDataset:
    """The same film with compressed frames in place of its pixels."""
    dataset.PixelData = encapsulate(list(streams))
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def encoded(pixels: NDArray[Any], codec: str, **options: Any) -> bytes:
    """Pixels as a JPEG or JPEG 2000 stream."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, codec, **options)
    return buffer.getvalue()


def write(tmp_path: Path, dataset: FileDataset, name: str = "film.dcm") -> Path:
    dataset.save_as(tmp_path / name)
    return tmp_path / name


def likeness(shown: NDArray[Any], original: NDArray[Any]) -> float:
    """Correlation of grey values with those that the film was made of."""
    return float(np.corrcoef(shown.ravel().astype(float), original.ravel().astype(float))[0, 1])
