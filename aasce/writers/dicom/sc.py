"""Secondary captures: the overlay in colour, and the film itself where it came from no DICOM file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aasce import __version__
from aasce.ensemble.combine import Measurement
from aasce.types import Radiograph
from aasce.writers.dicom.source import Source, Stamp, StatedStudy, context_of, finish
from aasce.writers.dicom.sr import MAKER, NAME
from aasce.writers.overlay import draw_measured

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


def make_capture(source: Source, film: Radiograph, measurement: Measurement) -> Dataset:
    """The overlay of one film as an RGB secondary capture that names its source.

    Args:
        source: of the film.
        film: as read.
        measurement: of the film.
    """
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes

    series, number = source.series("sc")
    overlay = draw_measured(film, measurement)
    made = _image(overlay, "RGB", source.header.StudyInstanceUID, series, 9103, source.uid("sc"), number)
    made.ConversionType = "WSD"
    made.DerivationDescription = f"Cobb angles drawn by {NAME} {__version__}"
    origin, purpose = Dataset(), Dataset()
    origin.ReferencedSOPClassUID = source.header.SOPClassUID
    origin.ReferencedSOPInstanceUID = source.header.SOPInstanceUID
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = code[:3]
    origin.PurposeOfReferenceCodeSequence = [purpose]
    made.SourceImageSequence = [origin]
    for keyword in LOSSY:  # once lossy, always said (PS3.3 C.7.6.1.1.5)
        if source.header.get(keyword):
            made[keyword] = source.header[keyword]
    # The film's name is written in the picture, and what was burned in the film is there too.
    made.BurnedInAnnotation = "YES"
    return finish(made, source, series="Cobb angles, overlay")


def make_film(film: Radiograph, stated: StatedStudy, stamp: Stamp, numbers: dict[str, int]) -> Source:
    """A study with the film itself, for a film that came from no DICOM file.

    Args:
        film: as read.
        stated: what the user says of patient and study.
        stamp: UIDs and time of this call.
        numbers: of the objects in each series of this call.

    Returns:
        The source whose header is the whole image, to be written too.
    """
    study = stamp.uid("study", film.film_id)
    made = _image(
        film.pixels, "MONOCHROME2", study, stamp.uid(study, "film"), 1, stamp.uid(study, "film", "1"), 1
    )
    made.PatientID, made.PatientName = stated.patient_id, stated.patient_name
    made.StudyDate, made.StudyID = stated.study_date, "1"
    made.SpecificCharacterSet = "ISO_IR 192"
    made.ConversionType = "DF"
    source = Source(made, context_of(made), None, film.size, True, stamp, film.film_id, None, numbers)
    finish(made, source, series="Film")
    return source


def _image(
    pixels: Any, photometric: str, study: str, series: str, series_number: int, uid: str, number: int
) -> Any:
    import highdicom as hd

    made = hd.sc.SCImage(
        pixel_array=np.ascontiguousarray(pixels),
        photometric_interpretation=photometric,
        bits_allocated=8 * pixels.dtype.itemsize,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        study_instance_uid=study,
        series_instance_uid=series,
        series_number=series_number,
        sop_instance_uid=uid,
        instance_number=number,
        manufacturer=MAKER,
        manufacturer_model_name=NAME,
        software_versions=__version__,
        device_serial_number=__version__,
        patient_id="",
        patient_name="",
        patient_birth_date="",
        patient_sex="",
        accession_number="",
        study_id="",
    )
    made.PatientOrientation = []  # unknown; highdicom wants one
    made.BodyPartExamined = "SPINE"  # not paired, so that the series needs no laterality
    return made
