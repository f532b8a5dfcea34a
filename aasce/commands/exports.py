"""What a call of `predict` leaves besides tables and overlays, as its options ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from aasce.ensemble import Measurement
from aasce.types import FilmFacts, Radiograph
from aasce.writers.dicom import DicomExport, StatedStudy
from aasce.writers.landmarks import check_formats, write_landmarks
from aasce.writers.report import Report


class Export(Protocol):
    """One kind of output."""

    def add(self, folder: Path, film: Radiograph, measurement: Measurement) -> None:
        """Writes what needs the film's pixels, or its file, right after it was measured.

        Args:
            folder: where the results go; each kind of output has a folder or a file name of its own in it.
            film: as read.
            measurement: of this film; it may have failed.

        Raises:
            AasceError: this film's output cannot be made; the others are made all the same.
        """
        ...

    def close(self, folder: Path, measured: Sequence[tuple[FilmFacts, Measurement]]) -> None:
        """Writes what tells of all films, once all are measured.

        Args:
            folder: as for `add`.
            measured: every film of the call in the order of the tables, those that failed or that an earlier,
                interrupted call measured included.
        """
        ...


class Landmarks:
    """Landmarks in the formats of annotation programs (`--format`)."""

    def __init__(self, formats: tuple[str, ...]) -> None:
        check_formats(formats)
        self.formats = formats

    def add(self, folder: Path, film: Radiograph, measurement: Measurement) -> None:
        """Nothing: landmarks need no pixels."""

    def close(self, folder: Path, measured: Sequence[tuple[FilmFacts, Measurement]]) -> None:
        """Writes every film in every format."""
        write_landmarks(folder, measured, self.formats)


def exports_of(
    formats: Sequence[str] = (),
    dicom: Sequence[str] = (),
    report: bool = False,
    identify: bool = False,
    stated: StatedStudy | None = None,
) -> list[Export]:
    """The outputs that the options of `predict` ask for.

    Args:
        formats: of landmarks.
        dicom: kinds of DICOM objects.
        report: whether the page of the batch is written.
        identify: whether outputs other than DICOM may carry what identifies the patient.
        stated: patient and study of films that are no DICOM, for DICOM objects of theirs.

    Raises:
        AasceError: a name is unknown.
    """
    found: list[Export] = []
    if formats:
        found.append(Landmarks(tuple(formats)))
    if dicom:
        found.append(DicomExport(tuple(dicom), stated or StatedStudy()))
    if report:
        found.append(Report(identify))
    return found
