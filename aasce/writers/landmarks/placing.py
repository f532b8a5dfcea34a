"""Where 3D Slicer shows the pixels of a film's file, so that points written for it lie on them.

Slicer reads DICOM through GDCM and other images through ITK. Of a DICOM without position and orientation, as
radiographs are, the first pixel lies at the origin, x and y run along rows and columns (LPS), and the size of a pixel
is ImagerPixelSpacing for CR and DX (PixelSpacing is left out of account there), PixelSpacing or
NominalScannedPixelSpacing for others. Of a JPEG or TIFF it follows from the resolution in dots an inch, of a PNG it is
1 mm, as wherever nothing is told. Slicer does not turn a picture that EXIF tells to turn, and shows pixels that are not
square as they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aasce.readers.dicom import is_dicom
from aasce.types import FilmFacts

Floats = NDArray[np.float64]

DETECTOR_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1.1",
)
"""SOP classes of CR and DX (for presentation, for processing), whose pixels GDCM measures on the detector."""

EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Placing:
    """From px of the film as read to mm, LPS.

    Attributes:
        origin: mm of the centre of the first pixel.
        column: mm from a pixel to the next one to the right.
        row: mm from a pixel to the next one below.
    """

    origin: tuple[float, ...] = (0.0, 0.0, 0.0)
    column: tuple[float, ...] = (1.0, 0.0, 0.0)
    row: tuple[float, ...] = (0.0, 1.0, 0.0)

    def position(self, x: float, y: float) -> list[float]:
        """mm of a point given in px."""
        return [o + x * c + y * r for o, c, r in zip(self.origin, self.column, self.row, strict=True)]

    def to_json(self) -> dict[str, list[float]]:
        return {"origin": list(self.origin), "column": list(self.column), "row": list(self.row)}


def placing_of(facts: FilmFacts) -> Placing:
    """Where Slicer shows a film; by its spacing alone where its file is gone or cannot be opened by ITK."""
    path = facts.path
    if path is not None and path.is_file():
        with path.open("rb") as stream:
            dicom = is_dicom(stream.read(132))
        found = _of_dicom(path, facts) if dicom else _of_picture(path, facts)
        if found is not None:
            return found
    row, column = facts.spacing or (1.0, 1.0)
    return Placing(column=(column, 0.0, 0.0), row=(0.0, row, 0.0))


def _of_picture(path: Path, facts: FilmFacts) -> Placing | None:
    import SimpleITK as sitk
    from PIL import Image

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        with Image.open(path) as image:
            turned = int(image.getexif().get(EXIF_ORIENTATION, 1))
    except (RuntimeError, OSError, ValueError, SyntaxError):
        return None
    across, down = reader.GetSpacing()[:2]
    height, width = facts.size

    def position(x: float, y: float) -> Floats:
        """mm of a point of the film, by where it is stored (EXIF 2.32, 4.6.5, Orientation)."""
        x = width - 1 - x if turned in (2, 3, 6, 7) else x
        y = height - 1 - y if turned in (3, 4, 7, 8) else y
        return np.array([y * across, x * down, 0.0] if turned >= 5 else [x * across, y * down, 0.0])

    return _placing(position(0, 0), position(1, 0), position(0, 1))


def _of_dicom(path: Path, facts: FilmFacts) -> Placing | None:
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        rows, columns = int(header.Rows), int(header.Columns)
        down, across = _pixel_size(header)
        axes = np.array(
            header.get("ImageOrientationPatient") or (1, 0, 0, 0, 1, 0), dtype=np.float64
        ).reshape(2, 3)
        first = np.array(header.get("ImagePositionPatient") or (0, 0, 0), dtype=np.float64).reshape(3)
    except (pydicom.errors.InvalidDicomError, AttributeError, OSError, TypeError, ValueError):
        return None
    first = first + ((facts.frame or 1) - 1) * np.cross(*axes)  # frames are shown 1 mm apart
    height, width = facts.size

    def position(x: float, y: float) -> Floats:
        """mm of a point of the film; one whose pixels were not square was resampled."""
        column, row = (x + 0.5) * columns / width - 0.5, (y + 0.5) * rows / height - 0.5
        return np.asarray(first + column * across * axes[0] + row * down * axes[1])

    return _placing(position(0, 0), position(1, 0), position(0, 1))


def _pixel_size(header: Any) -> tuple[float, float]:
    """(row, column) mm as GDCM has it."""
    detector = str(header.get("SOPClassUID", "")) in DETECTOR_CLASSES
    tags = ("ImagerPixelSpacing",) if detector else ("PixelSpacing", "NominalScannedPixelSpacing")
    for tag in tags:
        value = header.get(tag)
        if value is not None and len(value) == 2 and all(float(mm) > 0 for mm in value):
            return float(value[0]), float(value[1])
    return 1.0, 1.0


def _placing(origin: Floats, right: Floats, below: Floats) -> Placing:
    vectors = (origin, right - origin, below - origin)
    return Placing(*(tuple(float(mm) for mm in vector) for vector in vectors))
