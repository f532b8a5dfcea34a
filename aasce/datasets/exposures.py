"""One exposure that is in a data set twice, under two names and with two sets of labels.

Such films are not copies of a file: they were exported, cropped and labelled anew. They belong to one patient
even where their study ids differ, and their labels show how much two labellings of one film differ.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.datasets.challenge import FilmSet
from aasce.geometry.spine import centres, order_vertebrae, repair_corners
from aasce.preprocess.crop import spine_view
from aasce.preprocess.intensity import to_uint8
from aasce.types import Array

Floats = NDArray[np.float64]
Image = NDArray[np.float32]

SHAPE_DISTANCE = 0.035
"""Distance of two midlines of unit size beyond which films are not compared; two labellings differ by at most 0.026."""

SMALL = ((448, 192), 24.0)
"""Canvas, and px between vertebrae on it, of the first comparison."""

SMALL_CORRELATION = 0.5
"""Least correlation of the small images; of one exposure's, 0.67 was the least."""

SPACING = 60.0
"""px between vertebrae at which films are registered."""

LARGE_CORRELATION = 0.8
"""Correlation from which two films are one exposure: the challenge's pairs have 0.91 and more, or 0.70 and less."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """Two films of one exposure: places in the set, the earlier first, and how well they agree (at most 1)."""

    first: int
    second: int
    correlation: float


def repeated_exposures(films: FilmSet) -> list[Repeated]:
    """Finds films that show one exposure, among those with 17 labelled vertebrae; the highest correlation first.

    Labels choose the pairs, the pixels decide: the fine structure of two films is registered (affine, by the enhanced
    correlation coefficient of Evangelidis and Psarakis 2008) and correlated where both films are. Two exposures of one
    patient do not pass: breathing and posture differ.

    Raises:
        AasceError: a film cannot be read.
    """
    labelled = [i for i, film in enumerate(films) if film.landmarks is not None and len(film.landmarks) == 17]
    shapes = np.array([_shape(_landmarks(films, i)) for i in labelled]).reshape(len(labelled), 34)
    distance = np.sqrt(np.maximum(2 - 2 * shapes @ shapes.T, 0))
    pairs = [
        (labelled[a], labelled[b]) for a, b in np.argwhere(np.triu(distance < SHAPE_DISTANCE, 1)).tolist()
    ]

    @functools.cache
    def small(index: int) -> Image:
        view = spine_view(_landmarks(films, index), *SMALL)
        return _structure(view.render(to_uint8(films.radiograph(index).pixels)), 5.0)

    @functools.cache
    def large(index: int) -> tuple[Image, NDArray[np.float32]]:
        landmarks, pixels = _landmarks(films, index), to_uint8(films.radiograph(index).pixels)
        steps = np.linalg.norm(np.diff(centres(landmarks), axis=0), axis=1)
        scale = SPACING / float(steps.mean())
        shrunk = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return _structure(shrunk, 8.0), (centres(landmarks) * scale).astype(np.float32)

    found = []
    for first, second in pairs:
        if _shifted_correlation(small(first), small(second)) > SMALL_CORRELATION:
            correlation = _registered_correlation(*large(first), *large(second))
            if correlation > LARGE_CORRELATION:
                found.append(Repeated(first, second, correlation))
    return sorted(found, key=lambda pair: -pair.correlation)


def _landmarks(films: FilmSet, index: int) -> Floats:
    landmarks = films[index].landmarks
    assert landmarks is not None
    return repair_corners(order_vertebrae(landmarks))


def _shape(landmarks: Floats) -> Floats:
    """(34,) the midline without its place and size."""
    line = centres(landmarks)
    line = line - line.mean(axis=0)
    return np.asarray(line / np.linalg.norm(line), np.float64).ravel()


def _structure(pixels: Array, wide: float) -> Image:
    """Edges and texture, evened out: exposure and windowing of two exports differ."""
    grey = np.asarray(pixels, np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), wide)
    strength = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 2 * wide)) + 2
    return np.asarray(fine / strength, np.float32)


def _shifted_correlation(one: Image, other: Image) -> float:
    """Correlation of two images after the shift that phase correlation finds, without 40 px at each edge."""
    rows, columns = one.shape
    shift, _ = cv2.phaseCorrelate(one, other, cv2.createHanningWindow((columns, rows), cv2.CV_32F))
    if max(np.abs(shift)) > 20:
        shift = (0.0, 0.0)
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    moved = cv2.warpAffine(other, move, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    inner = (slice(40, -40), slice(40, -40))
    with np.errstate(invalid="ignore"):  # a blank film correlates with nothing: NaN, which is over no limit
        return float(np.corrcoef(one[inner].ravel(), moved[inner].ravel())[0, 1])


def _registered_correlation(
    one: Image, here: NDArray[np.float32], other: Image, there: NDArray[np.float32]
) -> float:
    """Correlation of two films after registration that starts at their vertebrae; -1 where it does not converge."""
    warp = np.asarray(cv2.estimateAffinePartial2D(here, there)[0], np.float32)
    correlation = -1.0
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)
    for scale in (0.5, 1.0):
        images = [cv2.resize(p, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for p in (one, other)]
        resized = np.array([1, 1, scale], np.float32)
        try:
            correlation, begun = cv2.findTransformECC(
                images[0], images[1], warp * resized, cv2.MOTION_AFFINE, stop, np.empty(0, np.uint8), 5
            )
        except cv2.error:  # the registration does not converge
            return -1.0
        warp = np.asarray(begun / resized, np.float32)
    return float(correlation)
