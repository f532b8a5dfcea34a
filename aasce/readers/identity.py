"""Who a film is of, as its DICOM header says; read only where a person asks for it (`--identify`)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

TAGS = {"patient_id": "PatientID", "patient_name": "PatientName", "study_date": "StudyDate"}
"""Columns of a table to the tags they come from: what finds the patient and the visit again, and no more."""


def identity(path: Path | None) -> dict[str, str]:
    """The patient and the day of a film, in the keys of `TAGS`; "" where the header does not say, or there is none.

    Args:
        path: the film's file.
    """
    if path is not None and path.is_file():
        import pydicom

        try:
            with warnings.catch_warnings(), path.open("rb") as stream:
                warnings.simplefilter("ignore")
                header: Any = pydicom.dcmread(
                    stream, stop_before_pixels=True, specific_tags=list(TAGS.values())
                )
                return {key: _text(header.get(tag)) for key, tag in TAGS.items()}
        except Exception:  # a picture, or a damaged header, of which pydicom lets every kind of exception out
            pass
    return dict.fromkeys(TAGS, "")


def _text(value: Any) -> str:
    """One line without the control characters that a header may hold."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value or "")).split())
