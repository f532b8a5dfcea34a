"""Angles of uncertain landmarks.

The challenge's rule is discontinuous: a single px can decide between "C" and "S", and between the curve above and the
curve below. Its major angle is a maximum, which noise makes larger in the labels and regression makes smaller in
predictions. For uncertain landmarks the angles of the most likely landmarks are therefore not the best prediction.
The median of each angle over the distribution of the landmarks is better: it minimises the expected absolute error,
of which the challenge's SMAPE is a sum.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.cobb import cobb_angles
from aasce.types import Array, CobbAngles, Definition, as_float

Floats = NDArray[np.float64]


def expected_angles(
    landmarks: Array,
    deviation: Array,
    height: int,
    definition: Definition = "challenge",
    draws: int = 64,
) -> CobbAngles:
    """Median of each angle over landmarks drawn around the given ones.

    Args:
        landmarks: (V, 4, 2) px, TL, TR, BL, BR, from the top.
        deviation: (V, 4) px, standard deviation of each corner's x and y.
        height: rows of the film.
        definition: see `cobb_angles`.
        draws: number of draws; the noise is the same in every call, so that results are repeatable.

    Returns:
        The degrees are medians; end vertebrae, apices, regions and shape are those of `landmarks` themselves.

    Raises:
        ValueError: as `cobb_angles`, or the deviation is negative or has another shape.
    """
    points = as_float(landmarks)
    spread = as_float(deviation)
    measured = cobb_angles(points, height, definition)
    if spread.shape != points.shape[:2] or not (spread >= 0).all():
        raise ValueError(f"deviation has shape {points.shape[:2]} and is not negative, not {spread.shape}")
    half = np.random.default_rng(0).standard_normal((draws // 2, *points.shape))
    # Noise in pairs of opposite sign, so that the median of a linear function of the noise is exact.
    noise = np.concatenate([half, -half]) * spread[None, :, :, None]
    drawn = [cobb_angles(points + step, height, definition).degrees for step in noise]
    return replace(measured, degrees=np.median(drawn, axis=0))
