"""Landmarks in the formats of the programs in which films are annotated."""

from aasce.writers.landmarks.formats import FORMATS, check_formats, write_landmarks

__all__ = ["FORMATS", "check_formats", "write_landmarks"]
