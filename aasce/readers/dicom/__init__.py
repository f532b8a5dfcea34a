"""DICOM to films: display values, bone bright, square pixels, the spacing with the tag it came from."""

from aasce.readers.dicom.film import is_dicom, read_dicom, read_frames

__all__ = ["is_dicom", "read_dicom", "read_frames"]
