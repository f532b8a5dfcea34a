"""Who a file's header says the patient is: for outputs that are asked to say so, and for checks that show no name."""

from __future__ import annotations

from pathlib import Path

from aasce.readers.dicom import is_dicom

Identity = tuple[tuple[str, str], ...]
"""Pairs of a name and its value, in the order of `HEADER`."""

HEADER = (
    ("patient", "PatientName"),
    ("patient ID", "PatientID"),
    ("born", "PatientBirthDate"),
    ("sex", "PatientSex"),
    ("study", "StudyDate"),
    ("accession number", "AccessionNumber"),
)
"""What is read of a DICOM header, and how it is called."""

LOOKED_AT = 4096
"""Bytes that tell a DICOM file."""


def identity_of(path: Path | None) -> Identity:
    """What a DICOM file says of the patient, () for a damaged header, any other file or none."""
    if path is None:
        return ()
    tags = [tag for _, tag in HEADER]
    try:
        with path.open("rb") as stream:
            if not is_dicom(stream.read(LOOKED_AT)):
                return ()
        import pydicom

        header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=tags)
        found = [(name, _line(str(header.get(tag, "") or ""))) for name, tag in HEADER]
    except Exception:  # a file that is gone, or a damaged header: pydicom lets every kind of exception out
        return ()
    return tuple((name, value) for name, value in found if value)


TAGS = {"patient_id": "patient ID", "patient_name": "patient", "study_date": "study"}
"""Columns of a table to names in `HEADER`: what finds the patient and the visit again, and no more."""


def identity(path: Path | None) -> dict[str, str]:
    """The patient and the day of a film, in the keys of `TAGS`; "" where the header does not say, or there is none.

    Args:
        path: the film's file.
    """
    known = dict(identity_of(path))
    return {key: known.get(name, "") for key, name in TAGS.items()}


def _line(text: str) -> str:
    """Without the control characters that a header may hold."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
