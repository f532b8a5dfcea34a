"""What DICOM outputs refer to: the image a film came from, or one made for a film that is no DICOM.

Frames: predictions are px of the film as read, the centre of the first pixel at (0, 0). Coordinates of SCOORD
(PS3.3 C.18.6.1) and of graphic annotations in PIXEL units (PS3.3 C.10.5) are column\\row with the top left corner
of the top left pixel at 0.0\\0.0 and the bottom right corner of the last one at Columns\\Rows, so that the centre
of the first pixel is at 0.5\\0.5. The reader resamples pixels that are not square about the same corner, so that
the way back is one factor an axis.
"""

from __future__ import annotations

import secrets
import uuid
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aasce.readers import raster
from aasce.readers.dicom.functional import with_frame
from aasce.types import AasceError, Array, Radiograph, as_float

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Floats = NDArray[np.float64]

TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
"""Elements that must be there, empty where unknown."""

TYPE_1 = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
"""Without these nothing can refer to an image."""

FRAMED = ("ReferencedImageSequence", "SourceImageSequence")
"""References that name a frame; those of a report are made with it, and lists of evidence name whole images."""

_SPACE = uuid.UUID("5cf1c34e-2b0f-5d0b-9a53-0b6f4f2c5a61")
_SEEDED = datetime(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class StatedStudy:
    """What the user says of films that are no DICOM; "" where unknown.

    Attributes:
        patient_id, patient_name: as the PACS knows them; the name as "Family^Given".
        study_date: YYYYMMDD.
    """

    patient_id: str = ""
    patient_name: str = ""
    study_date: str = ""

    def __post_init__(self) -> None:
        if self.study_date:
            try:
                datetime.strptime(self.study_date, "%Y%m%d")
            except ValueError:
                raise AasceError(f"study date {self.study_date!r}: give YYYYMMDD, as 20261127") from None
        for value in (self.patient_id, self.patient_name):
            if len(value) > 64 or "\\" in value or not value.isprintable():
                raise AasceError(
                    f"{value!r}: a patient's ID or name has at most 64 characters and no backslash"
                )


@dataclass(frozen=True, slots=True)
class Stamp:
    """Makes UIDs of one call, and says when it is.

    Attributes:
        token: from which all UIDs follow; equal tokens give equal UIDs.
        now: written into the objects.
    """

    token: str
    now: datetime

    @classmethod
    def of(cls, seed: int | None = None) -> Stamp:
        """With a seed, UIDs that follow from it and a fixed time, so that two runs write the same bytes."""
        if seed is not None:
            return cls(f"seed {seed}", _SEEDED)
        return cls(secrets.token_hex(16), datetime.now())

    def uid(self, *parts: str) -> str:
        """A UID under 2.25 (PS3.5 B.2) for what `parts` name."""
        return f"2.25.{uuid.uuid5(_SPACE, '/'.join((self.token, *parts))).int}"


@dataclass(frozen=True, slots=True)
class Source:
    """The image that the outputs of a film refer to.

    Attributes:
        header: of the image, without pixels unless it was made here.
        context: see `context_of`.
        frame: number of the frame from 1, None for an image of one frame.
        size: (H, W) px of the film as read.
        made: whether the image was made here, so that it must be written too.
        stamp: UIDs and time of this call.
        film_id, path: of the film.
        numbers: of the objects in each series of this call.
    """

    header: Dataset
    context: Dataset
    frame: int | None
    size: tuple[int, int]
    made: bool
    stamp: Stamp
    film_id: str
    path: Path | None = None
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the image."""
        return int(self.header.Rows), int(self.header.Columns)

    def to_image(self, points: Array) -> Floats:
        """(..., 2) px of the film as read to column and row, the image's top left corner at (0, 0)."""
        (rows, columns), (height, width) = self.grid, self.size
        return np.asarray((as_float(points) + 0.5) * [columns / width, rows / height])

    def uid(self, *parts: str) -> str:
        """A UID for this image, frame and what `parts` name."""
        return self.stamp.uid(str(self.header.SOPInstanceUID), str(self.frame or 1), *parts)

    def series(self, kind: str) -> tuple[str, int]:
        """UID of the series of this kind in the study, and the number of the next object in it."""
        uid = self.stamp.uid(str(self.header.StudyInstanceUID), kind)
        self.numbers[uid] = self.numbers.get(uid, 0) + 1
        return uid, self.numbers[uid]

    def evidence(self) -> Dataset:
        """A plain header of the same image for highdicom, which refuses values that other makers write.

        It is that of an image of one frame: highdicom expects functional groups in every other.
        """
        from pydicom.dataset import Dataset
        from pydicom.uid import SecondaryCaptureImageStorage

        plain = Dataset()
        for keyword in (*TYPE_1, "Rows", "Columns"):
            setattr(plain, keyword, self.header[keyword].value)
        for keyword in TYPE_2:
            setattr(plain, keyword, "")
        plain.SOPClassUID = SecondaryCaptureImageStorage
        plain.SamplesPerPixel = 1
        plain.Modality = str(self.header.get("Modality", "OT"))
        return plain


def read_source(film: Radiograph, stamp: Stamp, numbers: dict[str, int]) -> Source | None:
    """The header of the DICOM file a film came from; None for a film from another format or from memory.

    Raises:
        AasceError: the file is gone, or lacks what identifies an image.
    """
    path = film.path
    if path is None or _is_raster(path):
        return None
    import pydicom

    try:
        header = with_frame(pydicom.dcmread(path, stop_before_pixels=True, force=True), film.frame or 1)
        missing = [keyword for keyword in (*TYPE_1, "Rows", "Columns") if not header.get(keyword)]
        context = context_of(header)
    except Exception as error:  # pydicom lets every kind of exception out of a damaged header
        raise AasceError(
            f"{path}: its header cannot be read again ({error}); export the film again"
        ) from error
    if missing:
        raise AasceError(
            f"{path}: has no {', '.join(missing)}, so that no DICOM object can refer to it; export it from the PACS"
        )
    return Source(header, context, film.frame, film.size, False, stamp, film.film_id, path, numbers)


def _is_raster(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return raster.kind(stream.read(8)) is not None
    except OSError as error:
        raise AasceError(
            f"{path}: cannot be read again ({error.strerror}); keep films until all is written"
        ) from error


def finish(made: Any, source: Source, *, series: str) -> Dataset:
    """Gives an object the patient, the study and the character set of its source, and this call's time and UIDs.

    Args:
        made: by highdicom, from `Source.evidence`.
        source: of the film.
        series: description of the series.
    """
    made.copy_patient_and_study_information(source.context)
    if "SpecificCharacterSet" in source.header:
        made.SpecificCharacterSet = source.header.SpecificCharacterSet
    elif "SpecificCharacterSet" in made:
        del made.SpecificCharacterSet
    made.SeriesDescription = series
    _set_time(made, source.stamp.now)
    _settle_uids(made, source)
    _name_image(made, source)
    return made  # type: ignore[no-any-return]


def _set_time(made: Any, now: datetime) -> None:
    """Puts one time wherever highdicom put its own."""
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    pairs = [
        (f"{name}Date", f"{name}Time") for name in ("InstanceCreation", "Content", "PresentationCreation")
    ]
    for date_keyword, time_keyword in (*pairs, ("DateOfSecondaryCapture", "TimeOfSecondaryCapture")):
        if date_keyword in made:
            setattr(made, date_keyword, date)
            setattr(made, time_keyword, time)
    for item in made.get("ContributingEquipmentSequence", ()):
        item.ContributionDateTime = date + time


def context_of(header: Dataset) -> Dataset:
    """The elements of a header that its patient and study modules may hold, as if of a digital radiograph.

    highdicom looks up modules by the class of the object, and knows not every class; those of the patient and the
    study are the same for all images.
    """
    from pydicom.dataset import Dataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation

    groups = (0x0008, 0x0010, 0x0012, 0x0020, 0x0032, 0x0040)
    context = Dataset()
    context.update({tag: deepcopy(header[tag]) for tag, _ in header.items() if tag.group in groups})
    context.SOPClassUID = DigitalXRayImageStorageForPresentation
    return context


def _name_image(item: Any, source: Source) -> None:
    """Puts the image's own class, and the frame, into every reference to it; `Source.evidence` says neither."""
    for element in item:
        for k, inner in enumerate(element.value) if element.VR == "SQ" else ():
            if inner.get("ReferencedSOPInstanceUID") == source.header.SOPInstanceUID:
                inner.ReferencedSOPClassUID = source.header.SOPClassUID
                if source.frame is not None and element.keyword in FRAMED:
                    # highdicom uses one item in several lists, of which some name no frame.
                    element.value[k] = inner = deepcopy(inner)
                    inner.ReferencedFrameNumber = source.frame
            _name_image(inner, source)


def _settle_uids(made: Any, source: Source) -> None:
    """Replaces the UID that highdicom draws at random for the dimensions of a segmentation."""
    for sequence in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in made.get(sequence, ()):
            item.DimensionOrganizationUID = source.uid("dimensions")


def clipped(segment: Array, size: tuple[int, int]) -> Floats | None:
    """The part of a segment on an image, by Liang and Barsky; None for one that lies off it.

    Args:
        segment: (2, 2) column and row.
        size: (rows, columns).
    """
    start, end = as_float(segment)
    way = end - start
    low, high = 0.0, 1.0
    for axis, extent in ((0, size[1]), (1, size[0])):
        for step, room in ((-way[axis], start[axis]), (way[axis], extent - start[axis])):
            if step == 0 and room < 0:
                return None
            if step < 0:
                low = max(low, room / step)
            elif step > 0:
                high = min(high, room / step)
    return None if low >= high else np.clip(np.stack([start + low * way, start + high * way]), 0, size[::-1])
