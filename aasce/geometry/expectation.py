"""Angles of landmarks that are not certain.

The challenge's rule is discontinuous: a px decides between "C" and "S", and between the curve above and the
curve below, and its major angle is a maximum, which noise lifts in the labels and regression lowers in
predictions. Measuring the most likely landmarks is therefore not the best answer when landmarks are uncertain;
the median of each angle over the landmarks that are possible is (it minimises the expected absolute error, of
which the challenge's SMAPE is a sum).
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
        draws: number of draws, the same for every call, so that the answer is repeatable.

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
    # Draws in opposite pairs: the median of an angle that depends evenly on the noise is then exact.
    noise = np.concatenate([half, -half]) * spread[None, :, :, None]
    drawn = [cobb_angles(points + step, height, definition).degrees for step in noise]
    return replace(measured, degrees=np.median(drawn, axis=0))
