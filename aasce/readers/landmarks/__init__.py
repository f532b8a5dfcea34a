"""Landmarks that the kit, a person or another program marked on films."""

from aasce.readers.landmarks.files import read_landmarks

__all__ = ["read_landmarks"]
