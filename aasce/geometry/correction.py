"""From the tangents of a curve to the tilts of vertebrae: shared by the solvers that read a curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.centerline import VERTEBRA_PLACES, arc_lengths, slice_landmarks
from aasce.geometry.cobb import cobb_angles
from aasce.geometry.expectation import expected_angles
from aasce.types import Array, CobbAngles, as_float

Floats = NDArray[np.float64]

_WRONG = 30.0
"""Degrees: a film with a tilt that far off its label tells of the label or a lost curve, not of tangents."""


@dataclass(frozen=True, slots=True)
class Correction:
    """From the tangents of a smoothed curve to the tilts of vertebrae, linear and fitted to training films.

    A tangent is flatter than the vertebrae beside it, the more so the smoother the curve; how much is much the
    same from film to film.

    Attributes:
        matrix: (17, levels).
        places: (17,) where vertebrae stand, as shares of the curve's length.
    """

    matrix: Floats
    places: Floats

    @classmethod
    def plain(cls, levels: int) -> Self:
        """Tangents interpolated at the usual places, nothing else."""
        grid, places = np.linspace(0, 1, levels), np.array(VERTEBRA_PLACES)
        return cls(np.stack([np.interp(places, grid, unit) for unit in np.eye(levels)], axis=1), places)

    @classmethod
    def fitted(cls, tangents: Array, tilts: Array, places: Array, ridge: float) -> Self:
        """Least squares, held to plain interpolation; a film far off its label has no say.

        Least squares flatten what is noisy, so that the major angle, the largest difference of all, comes out
        too small: the whole is then stretched by the factor that brings major angles nearest to the labels'.

        Args:
            tangents: (N, levels) degrees. tilts: (N, 17) degrees. places: (N, 17) shares.
            ridge: weight of the squared change of the matrix, square degrees per film.
        """
        plain = cls.plain(tangents.shape[1])
        off = tilts - tangents @ plain.matrix.T
        good = np.abs(off).max(axis=1) < _WRONG
        if not good.any():
            return plain
        x, y = tangents[good], off[good]
        change = np.linalg.solve(x.T @ x + ridge * len(x) * np.eye(x.shape[1]), x.T @ y).T
        matrix = plain.matrix + change
        matrix *= _stretch(np.ptp(x @ matrix.T, axis=1), np.ptp(tilts[good], axis=1))
        return cls(np.round(matrix, 5), np.round(places[good].mean(axis=0), 5))

    def apply(self, tangents: Array) -> Floats:
        """(..., levels) degrees to (..., 17) degrees."""
        return np.asarray(as_float(tangents) @ self.matrix.T, np.float64)


def _stretch(found: Floats, wanted: Floats) -> float:
    """The factor g with the least sum of |g found - wanted|: the median of the ratios, weighted by `found`."""
    kept = found > 1e-6
    if not kept.any():
        return 1.0
    ratios = wanted[kept] / found[kept]
    order = np.argsort(ratios)
    share = np.cumsum(found[kept][order])
    return float(ratios[order][np.searchsorted(share, share[-1] / 2)])


def places_on(curve: Array, landmarks: Array) -> Floats:
    """(V,) where the vertebrae's centres lie along a curve, as shares of its length.

    Args:
        curve: (N, 2) px, N large. landmarks: (V, 4, 2) px.
    """
    points, along = as_float(curve), arc_lengths(curve)
    centres = as_float(landmarks).mean(axis=1)
    nearest = np.linalg.norm(centres[:, None] - points[None], axis=-1).argmin(axis=1)
    return np.asarray(along[nearest] / along[-1], np.float64)


def sliced_angles(
    curve: Array, tilts: Array, positions: Array, height: int, doubt: float = 0.0
) -> CobbAngles:
    """The challenge's angles of boxes like vertebrae along a curve.

    The challenge's rule is discontinuous, and tilts read from a curve are not certain: with a doubt, each angle is
    the median over the tilts that are possible, see `geometry.expectation`.

    Args:
        curve: (N, 2) px, from the top.
        tilts: (V,) degrees. positions: (V,) px along the curve.
        height: rows of the film.
        doubt: standard deviation of a tilt, degrees; 0 measures the tilts as they are.
    """
    width = 0.1 * float(arc_lengths(curve)[-1])
    boxes = slice_landmarks(curve, tilts, positions, width)
    if doubt == 0:
        return cobb_angles(boxes, height)
    # A midline lies between the means of two corners each: its ends, and so its tilt, vary as a corner / width.
    return expected_angles(boxes, np.full(boxes.shape[:2], width * np.radians(doubt)), height)


def leaves(curve: Floats, size: tuple[int, int]) -> bool:
    """Whether a curve (N, 2) ends within half a hundredth of the upper or lower edge of an (H, W) film."""
    edge = 0.005 * size[0]
    return bool(curve[0, 1] < edge or curve[-1, 1] > size[0] - 1 - edge)
