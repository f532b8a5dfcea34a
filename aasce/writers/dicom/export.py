"""`--dicom sr,gsps,sc,seg`: the objects of each film, as one output of `predict`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aasce.ensemble.combine import Measurement
from aasce.files import atomic_write
from aasce.types import AasceError, FilmFacts, Radiograph
from aasce.writers.describe import description_of
from aasce.writers.dicom.gsps import make_presentation
from aasce.writers.dicom.sc import make_capture, make_film
from aasce.writers.dicom.seg import make_segmentation
from aasce.writers.dicom.source import Source, Stamp, StatedStudy, read_source
from aasce.writers.dicom.sr import make_report

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Make = Callable[[Source, Radiograph, Measurement], "Dataset"]


def _report(source: Source, film: Radiograph, measurement: Measurement) -> Dataset:
    description = description_of(film.facts, measurement)
    assert description is not None
    return make_report(source, measurement, description, measurement.intervals)


def _presentation(source: Source, film: Radiograph, measurement: Measurement) -> Dataset:
    description = description_of(film.facts, measurement)
    assert description is not None
    return make_presentation(source, measurement, description)


def _segmentation(source: Source, film: Radiograph, measurement: Measurement) -> Dataset:
    return make_segmentation(source, measurement)


KINDS: Mapping[str, Make] = {
    "sr": _report,
    "gsps": _presentation,
    "sc": make_capture,
    "seg": _segmentation,
}
"""Kinds of objects that `--dicom` names."""


@dataclass
class DicomExport:
    """Writes `dicom/<film>-<kind>.dcm` of each measured film; a film that failed has no objects.

    A film from a PNG, JPEG or TIFF gets a study of its own, with `dicom/<film>-film.dcm`, the film itself.

    Attributes:
        kinds: names in `KINDS`.
        stated: what the user says of films that are no DICOM.
        stamp: UIDs and time of this call; `Stamp.of(seed)` makes them repeatable.
    """

    kinds: Sequence[str]
    stated: StatedStudy = field(default_factory=StatedStudy)
    stamp: Stamp = field(default_factory=Stamp.of)
    numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise AasceError(f"--dicom {kind}: no such kind; there are {', '.join(KINDS)}")

    def add(self, folder: Path, film: Radiograph, measurement: Measurement) -> None:
        """Makes all objects of a film, then writes them.

        Raises:
            AasceError: the source lacks what identifies it, or an object cannot be made of this film; the others
                are written all the same.
        """
        if measurement.angles is None:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values in the source's header that break a rule
            objects, faults = self._made(film, measurement)
        for kind, made in objects.items():
            _write(folder / "dicom" / f"{film.film_id}-{kind}.dcm", made)
        if faults:
            raise AasceError("; ".join(faults))

    def _made(self, film: Radiograph, measurement: Measurement) -> tuple[dict[str, Dataset], list[str]]:
        """The objects of a film by kind, and why others cannot be made."""
        source = read_source(film, self.stamp, self.numbers)
        source = source or make_film(film, self.stated, self.stamp, self.numbers)
        objects = {"film": source.header} if source.made else {}
        faults = []
        for kind in dict.fromkeys(self.kinds):
            try:
                objects[kind] = KINDS[kind](source, film, measurement)
            except AasceError as error:
                faults.append(str(error))
        return objects, faults

    def close(self, folder: Path, measured: Sequence[tuple[FilmFacts, Measurement]]) -> None:
        """Nothing is left to write."""


def _write(path: Path, made: Dataset) -> None:
    from pydicom import dcmwrite
    from pydicom.config import disable_value_validation

    with disable_value_validation(), warnings.catch_warnings(), atomic_write(path) as temporary:
        warnings.simplefilter("ignore")
        dcmwrite(temporary, made, enforce_file_format=True)
