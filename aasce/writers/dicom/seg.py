"""Segmentation of the vertebrae on the pixel grid of the source: the solver's mask, else the landmarks filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from aasce import __version__
from aasce.ensemble.combine import Measurement
from aasce.geometry.description import level_name
from aasce.types import AasceError, Array, SpinePrediction
from aasce.writers.dicom import codes as terms
from aasce.writers.dicom.lines import outlines
from aasce.writers.dicom.source import Source, finish
from aasce.writers.dicom.sr import MAKER, NAME

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

FILLED = "filled from the four corners of each vertebra"
SUBPIXEL = 4
"""Binary digits of a fraction of a pixel that OpenCV's drawing keeps."""


def make_segmentation(source: Source, measurement: Measurement) -> Dataset:
    """The segmentation of one film.

    Args:
        source: of the film.
        measurement: of the film.

    Raises:
        AasceError: the solver gives neither a mask nor landmarks.
    """
    import highdicom as hd

    prediction = measurement.prediction
    planes, descriptions, how = _segments(source, prediction)
    series, number = source.series("seg")
    made = hd.seg.Segmentation(
        source_images=[source.evidence()],
        pixel_array=planes[None],
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        series_instance_uid=series,
        series_number=9104,
        sop_instance_uid=source.uid("seg"),
        instance_number=number,
        manufacturer=MAKER,
        manufacturer_model_name=NAME,
        software_versions=__version__,
        device_serial_number=__version__,
        content_label="VERTEBRAE",
        content_description=f"Vertebrae, {how}",
    )
    made.PatientOrientation = []
    made.ContentCreatorName = ""
    return finish(made, source, series="Vertebrae, segmentation")


def _segments(source: Source, prediction: SpinePrediction) -> tuple[Array, list[Any], str]:
    """(rows, columns, S) uint8 planes, their descriptions, and how they were made."""
    rows, columns = source.grid
    algorithm = prediction.solver or NAME
    if prediction.mask is not None and prediction.mask.any():
        mask = (prediction.mask > 0).astype(np.uint8)
        if mask.shape != (rows, columns):
            mask = np.asarray(cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT))
        return mask[..., None], [_description(1, "Vertebrae", None, algorithm)], f"mask of {algorithm}"[:40]
    rings = outlines(source, prediction)
    planes = [filled(ring, (rows, columns)) for ring in rings]
    names = [level_name(prediction.first_level, v) for v in range(len(planes))]
    seen = [(name, plane) for name, plane in zip(names, planes, strict=True) if plane.any()]
    if not seen:
        raise AasceError(
            f"{source.film_id}: the solver gives neither mask nor landmarks; choose one that does for seg"
        )
    described = [
        _description(k, name, name, f"{algorithm}, {FILLED}"[:64])
        for k, (name, _) in enumerate(seen, start=1)
    ]
    return np.stack([plane for _, plane in seen], axis=-1), described, FILLED


def filled(ring: Array, size: tuple[int, int]) -> Array:
    """(rows, columns) uint8, 1 inside an outline.

    Args:
        ring: (N, 2) column and row, the image's top left corner at (0, 0).
        size: (rows, columns).
    """
    plane = np.zeros(size, np.uint8)
    centred = np.asarray(ring) - 0.5  # OpenCV counts from the centre of the first pixel
    cv2.fillPoly(plane, [np.round(centred * 2**SUBPIXEL).astype(np.int32)], 1, cv2.LINE_8, SUBPIXEL)
    return plane


def _description(number: int, label: str, level: str | None, algorithm: str) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    kind = (terms.vertebra(level) if level is not None else None) or codes.SCT.Vertebra
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=kind,
        algorithm_type="AUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=algorithm, version=__version__, family=codes.DCM.ArtificialIntelligence
        ),
    )
