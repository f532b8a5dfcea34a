"""Vertebrae of known planes as voxels: an elliptical body, pedicles, and an arch behind the canal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aasce.volume import Volume

Floats = NDArray[np.float64]
HALF = (20.0, 14.0, 11.2)
"""Half width, depth and height of a body in mm."""


def turned(coronal: float, sagittal: float = 0.0, axial: float = 0.0) -> Floats:
    """(3, 3) rows right, front, up of a vertebra.

    Args:
        coronal: degrees, positive leans to the patient's right.
        sagittal: degrees, positive leans forward.
        axial: degrees about its axis, counter-clockwise seen from above.
    """
    c, s, a = np.radians([coronal, sagittal, axial])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(s), np.sin(s)], [0, -np.sin(s), np.cos(s)]])
    about_y = np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    return np.asarray((about_y @ about_x @ about_z).T)


def inside(points: Floats, centre: Floats, axes: Floats, wedge: tuple[float, float] = (0.0, 0.0)) -> Floats:
    """(...) bool whether world points lie in a vertebra.

    Args:
        points: (..., 3) world mm.
        centre: (3,) world mm, middle of the body.
        axes: (3, 3) rows right, front, up.
        wedge: degrees, sagittal and coronal, by which the upper endplate falls to the front and to the right.
    """
    right, front, up = np.moveaxis((points - centre) @ axes.T, -1, 0)
    top = HALF[2] - np.tan(np.radians(wedge[0])) * front - np.tan(np.radians(wedge[1])) * right
    body = ((right / HALF[0]) ** 2 + (front / HALF[1]) ** 2 <= 1) & (up >= -HALF[2]) & (up <= top)
    pedicle = (np.abs(np.abs(right) - 12) <= 3) & (front < 0) & (front > -28) & (np.abs(up - 3) <= 4)
    arch = (np.abs(right) <= 15) & (front <= -26) & (front >= -32) & (np.abs(up) <= 8)
    spine = (np.abs(right) <= 3) & (front <= -30) & (front >= -50) & (np.abs(up + 4) <= 6)
    return np.asarray(body | pedicle | arch | spine)


def grid(low: tuple[float, ...], high: tuple[float, ...], spacing: tuple[float, ...] = (1, 1, 1)) -> Volume:
    """An empty label map over a box of the world."""
    shape = np.ceil((np.array(high) - np.array(low)) / spacing).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    return Volume(np.zeros(shape, np.uint8), affine, "label")


def world_of(volume: Volume) -> Floats:
    """(X, Y, Z, 3) world mm of every voxel."""
    return volume.to_world(np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), -1))


def column(
    tilts: dict[int, float], spacing: tuple[float, ...] = (1, 1, 1), step: float = 32.0
) -> tuple[Volume, dict[int, Floats]]:
    """A label map of vertebrae above one another, each with its coronal tilt in degrees, and their centroids.

    Args:
        tilts: by label, from the head.
        spacing: mm.
        step: mm between the middles of two.
    """
    volume = grid((-45, -58, -25), (45, 25, step * len(tilts)), spacing)
    points = world_of(volume)
    places = {label: np.array([0.0, 0.0, step * (len(tilts) - 1 - k)]) for k, label in enumerate(tilts)}
    for label, tilt in tilts.items():
        volume.data[inside(points, places[label], turned(tilt))] = label
    return volume, places
