"""Small films in the forms that a PACS holds them, each with the spine drawn on it by formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from aasce.ensemble.combine import Measurement, with_angles
from aasce.geometry.spine import turn_points
from aasce.readers import read_film
from aasce.readers.dicom import read_frames
from aasce.types import Orientation, Radiograph, SpinePrediction
from tests.synthetic import SIZE, bent_spine, drawn_film

CR, DX = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1"
BYTES = "1.2.840.10008.5.1.4.1.1.7.2"  # multi-frame grayscale byte secondary capture
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A film as read, what is measured on it, and its file."""

    film: Radiograph
    measurement: Measurement
    path: Path


def cases(folder: Path) -> dict[str, Case]:
    """Every form of film, by name."""
    return {name: make(folder) for name, make in MAKERS.items()}


def header(path: Path, sop_class: str, modality: str, name: str) -> FileDataset:
    """Patient, study, series and equipment of a made film; UIDs follow from its name."""
    number = str(1 + sorted(MAKERS).index(name))
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    film.SpecificCharacterSet = "ISO_IR 100"
    film.SOPClassUID, film.SOPInstanceUID = sop_class, f"2.25.1001{number}"
    film.StudyInstanceUID, film.SeriesInstanceUID = f"2.25.1002{number}", f"2.25.1003{number}"
    film.PatientName, film.PatientID = "Müller^Änne", f"P-{number}"
    film.PatientBirthDate, film.PatientSex = "20100203", "F"
    film.PatientAge, film.PatientComments = "016Y", "made by formula"
    film.StudyDate, film.StudyTime, film.StudyID = "20260102", "101112", number
    film.AccessionNumber, film.ReferringPhysicianName = f"A{number}", "Weiß^Dr"
    film.StudyDescription = "Wirbelsäule stehend"
    film.Modality, film.SeriesNumber, film.InstanceNumber = modality, "1", "1"
    film.Manufacturer, film.BodyPartExamined = "Formula", "TSPINE"
    film.PatientOrientation, film.ImageType = ["L", "F"], ["ORIGINAL", "PRIMARY", ""]
    film.ContentDate, film.ContentTime = film.StudyDate, film.StudyTime
    film.AcquisitionNumber = "1"
    return film


def put_pixels(film: FileDataset, pixels: NDArray[Any], bits: int, photometric: str) -> None:
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, photometric
    film.Rows, film.Columns = pixels.shape[-2:]
    film.BitsAllocated = 8 * pixels.dtype.itemsize
    film.BitsStored, film.HighBit, film.PixelRepresentation = bits, bits - 1, 0
    film.PixelData = pixels.tobytes()
    film["PixelData"].VR = "OW" if pixels.dtype.itemsize == 2 else "OB"


def make_dx(film: FileDataset) -> None:
    """What a digital radiograph must say besides (PS3.3 A.26)."""
    film.PresentationIntentType, film.ImageLaterality = "FOR PRESENTATION", "U"
    film.PixelIntensityRelationship, film.PixelIntensityRelationshipSign = "LOG", -1
    film.RescaleIntercept, film.RescaleSlope, film.RescaleType = "0", "1", "US"
    film.PresentationLUTShape = "IDENTITY"
    film.LossyImageCompression, film.BurnedInAnnotation = "00", "NO"
    film.WindowCenter, film.WindowWidth = "2048", "4096"
    film.ImagerPixelSpacing, film.DetectorType = ["0.8", "0.8"], "SCINTILLATOR"
    film.PositionerType, film.ViewPosition = "NONE", "AP"
    region, view = Dataset(), Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "421060004", "SCT", "Spine"
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "399348003", "SCT", "antero-posterior"
    view.ViewModifierCodeSequence = []
    film.AnatomicRegionSequence, film.ViewCodeSequence = [region], [view]
    film.PatientOrientation = ["L", "F"]
    film.AcquisitionContextSequence = []
    film.AcquisitionDate, film.AcquisitionTime = film.StudyDate, film.StudyTime


def double_curve() -> Floats:
    """(17, 4, 2) px: thoracic and lumbar curve of opposite sides; tilts run 10, -19, 22, 2 degrees from T1 to L5."""
    tilts = np.radians(np.interp(np.arange(17), [0, 4, 12, 16], [10, -19, 22, 2]))
    step = 0.85 * SIZE[0] / 17
    along = step * np.stack([-np.sin(tilts), np.cos(tilts)], axis=-1)
    centres = np.cumsum(along, axis=0) + np.array([SIZE[1] / 2, step])
    half = np.stack([np.linspace(0.5, 1.1, 17) * step, np.full(17, 0.34 * step)], axis=-1)
    signs = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]])
    turn = np.stack([np.cos(tilts), -np.sin(tilts), np.sin(tilts), np.cos(tilts)], axis=-1).reshape(-1, 2, 2)
    return np.einsum("vij,vkj->vki", turn, signs[None] * half[:, None]) + centres[:, None]


def deep(pixels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """8 bit to 12."""
    return pixels.astype(np.uint16) * 16


def measured(film: Radiograph, landmarks: Floats, turns: int = 0, mask: bool = False) -> Measurement:
    """What a solver that sees the spine as it was drawn would say."""
    filled = None
    if mask:
        filled = np.zeros(film.size, np.uint8)
        for corners in landmarks:
            cv2.fillConvexPoly(filled, np.int32(np.round(corners[[0, 1, 3, 2]])), 1)
    prediction = SpinePrediction(
        film.film_id, film.size, landmarks, mask=filled, orientation=Orientation(turns), confidence=0.8,
        flags=film.flags, solver="formula",
    )  # fmt: skip
    return with_angles(prediction)


def _case(path: Path, landmarks: Floats, turns: int = 0, mask: bool = False) -> Case:
    film = read_film(path)
    return Case(film, measured(film, landmarks, turns, mask), path)


def plain(folder: Path) -> Case:
    """A digital radiograph of 12 bit."""
    path, spine = folder / "plain.dcm", double_curve()
    film = header(path, DX, "DX", "plain")
    put_pixels(film, deep(drawn_film(spine)), 12, "MONOCHROME2")
    make_dx(film)
    film.save_as(path, enforce_file_format=True)
    return _case(path, spine, mask=True)


def no_spacing(folder: Path) -> Case:
    """A CR film that says nothing of its spacing."""
    path, spine = folder / "no_spacing.dcm", bent_spine(25)
    film = header(path, CR, "CR", "no_spacing")
    film.ViewPosition = "AP"
    put_pixels(film, deep(drawn_film(spine)), 12, "MONOCHROME2")
    film.save_as(path, enforce_file_format=True)
    return _case(path, spine)


def monochrome1(folder: Path) -> Case:
    """Bone dark in the file, in one byte."""
    path, spine = folder / "monochrome1.dcm", bent_spine(30)
    film = header(path, CR, "CR", "monochrome1")
    film.ViewPosition, film.PixelSpacing = "AP", ["0.5", "0.5"]
    put_pixels(film, 255 - drawn_film(spine), 8, "MONOCHROME1")
    film.save_as(path, enforce_file_format=True)
    return _case(path, spine)


def turned(folder: Path) -> Case:
    """A film on its side: one clockwise quarter turn sets it upright."""
    path, upright = folder / "turned.dcm", bent_spine(50)
    film = header(path, CR, "CR", "turned")
    film.ViewPosition, film.PixelSpacing = "AP", ["0.5", "0.5"]
    put_pixels(film, np.ascontiguousarray(np.rot90(drawn_film(upright), 1)), 8, "MONOCHROME2")
    film.save_as(path, enforce_file_format=True)
    return _case(path, turn_points(upright, SIZE, -1), turns=1)


def jpeg2000(folder: Path) -> Case:
    """Compressed without loss."""
    path, spine = folder / "jpeg2000.dcm", bent_spine(20)
    film = header(path, CR, "CR", "jpeg2000")
    film.ViewPosition, film.PixelSpacing = "AP", ["0.5", "0.5"]
    pixels = drawn_film(spine)
    put_pixels(film, pixels, 8, "MONOCHROME2")
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG2000", irreversible=False, no_jp2=True)
    film.PixelData = encapsulate([stream.getvalue()])
    film["PixelData"].is_undefined_length = True
    film.file_meta.TransferSyntaxUID = JPEG2000Lossless
    film.save_as(path, enforce_file_format=True)
    return _case(path, spine)


def flat_pixels(folder: Path) -> Case:
    """Pixels twice as high as wide: the reader doubles the rows."""
    path, spine = folder / "flat_pixels.dcm", bent_spine(35)
    film = header(path, CR, "CR", "flat_pixels")
    film.ViewPosition, film.PixelSpacing = "AP", ["1.0", "0.5"]
    put_pixels(film, np.ascontiguousarray(drawn_film(spine)[::2]), 8, "MONOCHROME2")
    film.save_as(path, enforce_file_format=True)
    return _case(path, spine, mask=True)


def frames(folder: Path) -> Case:
    """The second frame of two."""
    path, spine = folder / "frames.dcm", bent_spine(45)
    film = header(path, BYTES, "OT", "frames")
    film.ConversionType, film.BurnedInAnnotation = "WSD", "NO"
    film.ImageType = ["DERIVED", "SECONDARY"]
    put_pixels(film, np.stack([drawn_film(bent_spine(10)), drawn_film(spine)]), 8, "MONOCHROME2")
    film.NumberOfFrames = 2
    film.PresentationLUTShape, film.RescaleIntercept, film.RescaleSlope = "IDENTITY", "0", "1"
    film.RescaleType = "US"
    film.PageNumberVector = [1, 2]
    film.FrameIncrementPointer = (0x0018, 0x2001)
    film.save_as(path, enforce_file_format=True)
    second = read_frames(path, "frames", path.read_bytes())[1]
    return Case(second, measured(second, spine), path)


def png(folder: Path) -> Case:
    """No DICOM at all."""
    path, spine = folder / "png.png", bent_spine(28)
    Image.fromarray(drawn_film(spine)).save(path)
    return _case(path, spine)


MAKERS: dict[str, Callable[[Path], Case]] = {
    "plain": plain,
    "no_spacing": no_spacing,
    "monochrome1": monochrome1,
    "turned": turned,
    "jpeg2000": jpeg2000,
    "flat_pixels": flat_pixels,
    "frames": frames,
    "png": png,
}
