"""Films set upright, bone bright, and what was found on them led back to the film as read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.spine import turn_points, turned_size
from aasce.preprocess.intensity import to_uint8
from aasce.types import Array, Orientation, Radiograph


def upright_film(film: Radiograph, orientation: Orientation) -> Radiograph:
    """The film turned upright, bone bright; the very same film where it lies so already."""
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
    """(..., 2) px of the film set upright to px of the film as read, which has (H, W) `size`."""
    return turn_points(points, turned_size(size, orientation.turns), -orientation.turns)


def map_as_read(pixels: Array, orientation: Orientation) -> Array:
    """An (H, W) map on the film set upright, turned back."""
    turns = orientation.turns
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels
