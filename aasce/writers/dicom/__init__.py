"""A measured film as DICOM objects: report, presentation state, secondary capture, segmentation."""

from aasce.writers.dicom.export import KINDS, DicomExport
from aasce.writers.dicom.source import Stamp, StatedStudy

__all__ = ["KINDS", "DicomExport", "Stamp", "StatedStudy"]
