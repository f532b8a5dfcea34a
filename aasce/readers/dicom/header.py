"""What a DICOM header says besides the pixels: what is no film, which side is which, and what must be flagged."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aasce.readers.dicom.pixels import fragments, frame_count
from aasce.readers.limits import MAX_PIXELS, check_size
from aasce.types import AasceError, Side

LATERAL_VIEW = "lateral_view"
OTHER_BODY_PART = "other_body_part"
BURNED_IN = "burned_in_annotation"
OTHERS = {
    "CT": "a CT slice",
    "MR": "an MR slice",
    "PT": "a PET slice",
    "NM": "a nuclear image",
    "US": "an ultrasound image",
    "RTDOSE": "a dose distribution",
    "SEG": "a segmentation",
}
_OTHER_CLASSES = {  # SOP class UIDs, PS3.4 annex B.5
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.4.4": "MR",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
    "1.2.840.10008.5.1.4.1.1.6.1": "US",
    "1.2.840.10008.5.1.4.1.1.481.2": "RTDOSE",
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
}
_PIXELS = ("PixelData", "Rows", "Columns", "BitsAllocated")
_LATERAL = frozenset(("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LTLAT", "RTLAT", "LM", "ML"))
# Parts of names in English, German, French, Spanish and Italian, of what a film of the trunk may be called.
_TRUNK = re.compile(
    "SPINE|SPINAL|SCOLIO|SKOLIO|ESCOLIO|VERTEB|LUMB|DORSAL|SACR|COCCYX|CHEST|THORA|TORAX|TORACI|ABDOM|TRUNK|TORSO"
    "|BODY|RACHIS|COLUMNA|COLONNA|COLONNE|WIRBEL|^[HBL]WS|^[CTL]+SP|^BACK|RUECKEN|^RIB"
)
_NO_PART = frozenset(("", "NA", "NONE", "UNKNOWN", "OTHER", "UNDEFINED", "NOTSPECIFIED", "UNSPECIFIED"))
_STREAMS = (  # of compressed pixels in a file that does not name its compression: start, transfer syntax
    (b"\xff\x4f\xff\x51", "1.2.840.10008.1.2.4.90"),
    (b"\xff\xd8\xff", None),
)
_JPEG_KINDS = {
    0xC0: "1.2.840.10008.1.2.4.50",
    0xC1: "1.2.840.10008.1.2.4.51",
    0xC2: "1.2.840.10008.1.2.4.50",
    0xC3: "1.2.840.10008.1.2.4.70",
    0xF7: "1.2.840.10008.1.2.4.80",
}


def parsed(content: bytes) -> Any:
    """The dataset of a file, with a transfer syntax: where the file names none, the one it was read with.

    Raises:
        Exception: pydicom's, of every kind, for a damaged header.
    """
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    dataset = pydicom.dcmread(io.BytesIO(content), force=True)
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    named = dataset.file_meta.get("TransferSyntaxUID")
    packed = "PixelData" in dataset and dataset["PixelData"].is_undefined_length
    if named and (not packed or UID(named).is_encapsulated):
        return dataset
    implicit, little = dataset.original_encoding
    plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = (_compression(dataset.PixelData) if packed else None) or plain
    return dataset


def _compression(pixel_data: bytes) -> Any:
    """Transfer syntax of encapsulated pixels by their first bytes, None for unknown ones."""
    from pydicom.uid import UID

    stream = next(fragments(pixel_data), b"")
    for start, syntax in _STREAMS:
        if stream.startswith(start):
            kinds = re.findall(rb"\xff([\xc0-\xc3\xf7])\x00", stream[:65536])
            return UID(syntax or _JPEG_KINDS[kinds[0][0]]) if syntax or kinds else None
    return UID("1.2.840.10008.1.2.5") if len(stream) > 64 and stream[0] in (1, 2, 3, 6) else None


def refuse(path: Path, dataset: Any) -> None:
    """Refuses what is no film, before its pixels are decoded.

    Raises:
        AasceError: slices, other objects and files without an image; a size that is no film's; too many frames.
    """
    stated = str(dataset.get("Modality", "")).upper()
    modality = _OTHER_CLASSES.get(str(dataset.get("SOPClassUID", "")), stated)
    if modality in OTHERS:
        raise AasceError(f"{path}: {OTHERS[modality]}, not a radiograph; give a film (DX, CR, RF or a scan)")
    if "DirectoryRecordSequence" in dataset:
        raise AasceError(f"{path}: a DICOMDIR, the list of a medium's files; name the folder with the films")
    if any(not dataset.get(keyword) for keyword in _PIXELS):
        raise AasceError(f"{path}: DICOM without an image; export the film itself")
    size, frames = (int(dataset.Rows), int(dataset.Columns)), frame_count(dataset)
    check_size(path, size)
    if frames * size[0] * size[1] > MAX_PIXELS:
        raise AasceError(
            f"{path}: {frames} frames of {size[1]}x{size[0]} px are too many; export those to measure"
        )


def complete(dataset: Any) -> None:
    """Gives a dataset the tags of the image that it lacks, as plain grey pixels have them."""
    plain = {
        "SamplesPerPixel": 1,
        "PixelRepresentation": 0,
        "BitsStored": dataset.BitsAllocated,
        "PhotometricInterpretation": "RGB" if dataset.get("SamplesPerPixel") == 3 else "MONOCHROME2",
    }
    for keyword, value in plain.items():
        if dataset.get(keyword) in (None, ""):
            setattr(dataset, keyword, value)
    if dataset.get("HighBit") is None:
        dataset.HighBit = dataset.BitsStored - 1


def patient_left(dataset: Any) -> tuple[Side | None, str | None]:
    """Side of the film on which the patient's left lies, and the tag that says so (PS3.3 C.7.6.1.1.1).

    PatientOrientation names where the rows run to. Without it, the view and a flip that was applied say it: a
    detector sees the patient as the tube does, so that a PA film shows the left on the left until it is flipped.
    """
    named = dataset.get("PatientOrientation")
    if isinstance(named, Sequence) and not isinstance(named, str) and len(named) == 2:
        row = str(named[0]).upper()[:1]
        if row in ("L", "R"):
            return ("right" if row == "L" else "left"), "PatientOrientation"
        if row:
            return None, None
    flipped = str(dataset.get("FieldOfViewHorizontalFlip", "")).upper() == "YES"
    view = str(dataset.get("ViewPosition", "")).upper()
    if flipped and view in ("AP", "PA") and not float(dataset.get("FieldOfViewRotation") or 0):
        return ("right" if view == "PA" else "left"), "ViewPosition/FieldOfViewHorizontalFlip"
    return None, None


def header_flags(dataset: Any) -> list[str]:
    """What the header says that a reader of the angle must know."""
    flags = []
    if _lateral(dataset):
        flags.append(LATERAL_VIEW)
    if _other_part(dataset):
        flags.append(OTHER_BODY_PART)
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        flags.append(BURNED_IN)
    return flags


def _lateral(dataset: Any) -> bool:
    """By view, by its code (CID 4010) or by what the rows run along."""
    if _letters(dataset.get("ViewPosition")) in _LATERAL:
        return True
    view = _meanings(dataset, "ViewCodeSequence").lower()
    if "lateral" in view and "oblique" not in view and "decubitus" not in view:
        return True
    named = dataset.get("PatientOrientation")
    rows = (
        str(named[0]).upper() if isinstance(named, Sequence) and named and not isinstance(named, str) else ""
    )
    return rows[:1] in ("A", "P")


def _other_part(dataset: Any) -> bool:
    named = (
        _letters(dataset.get("BodyPartExamined")),
        _letters(_meanings(dataset, "AnatomicRegionSequence")),
    )
    parts = [part for part in named if part not in _NO_PART]
    return bool(parts) and not any(_TRUNK.search(part) for part in parts)


def _meanings(dataset: Any, keyword: str) -> str:
    items = dataset.get(keyword) or ()
    return " ".join(str(item.get("CodeMeaning", "")) for item in items)


def _letters(value: Any) -> str:
    """Letters alone, upper case, without accents."""
    plain = unicodedata.normalize("NFKD", str(value or "")).encode("ascii", "ignore").decode()
    return re.sub("[^A-Z]", "", plain.upper())
