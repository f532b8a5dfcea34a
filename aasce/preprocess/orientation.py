"""Orientation of films: rotation upright with bone bright, and the way back for points and maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.spine import turn_points, turned_size
from aasce.preprocess.intensity import to_uint8
from aasce.types import Array, Orientation, Radiograph


def upright_film(film: Radiograph, orientation: Orientation) -> Radiograph:
    """The film rotated upright, bone bright; the same object if it is so already."""
    pixels = film.pixels
    if orientation.negative:
        pixels = ~to_uint8(pixels)
    if orientation.turns:
        pixels = np.ascontiguousarray(np.rot90(pixels, -orientation.turns))
    if pixels is film.pixels:
        return film
    spacing = film.spacing if orientation.turns % 2 == 0 or film.spacing is None else film.spacing[::-1]
    return replace(film, pixels=pixels, spacing=spacing)


def points_as_read(points: Array, size: tuple[int, int], orientation: Orientation) -> NDArray[np.float64]:
    """(..., 2) px of the upright film to px of the film as read, which has (H, W) `size`."""
    return turn_points(points, turned_size(size, orientation.turns), -orientation.turns)


def map_as_read(pixels: Array, orientation: Orientation) -> Array:
    """An (H, W) map of the upright film, rotated back to the film as read."""
    turns = orientation.turns
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels
