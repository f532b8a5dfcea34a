"""From the tangents of a curve to the tilts of vertebrae, for solvers that find a curve."""

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
"""Degrees: with a larger error of any tilt, the label or the curve of a film is wrong, and it is not used for
fitting."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Linear map from the tangents of a smoothed curve to the tilts of vertebrae, fitted to training films.

    Tangents are less tilted than the vertebrae next to them, the more so the smoother the curve; by how much is similar
    on all films.

    Attributes:
        matrix: (17, levels) tilts in degrees per degree of each tangent.
        places: (17,) positions of the vertebrae, as shares of the curve's length.
    """

    matrix: Floats
    places: Floats

    @classmethod
    def plain(cls, levels: int) -> Self:
        """Interpolation of the tangents at the usual positions of the vertebrae, without any fit.

        Args:
            levels: number of tangents, evenly along the curve.
        """
        grid, places = np.linspace(0, 1, levels), np.array(VERTEBRA_PLACES)
        return cls(np.stack([np.interp(places, grid, unit) for unit in np.eye(levels)], axis=1), places)

    @classmethod
    def fitted(
        cls, tangents: Array, tilts: Array, places: Array, ridge: float, start: Self | None = None
    ) -> Self:
        """Least squares with a penalty on the difference from plain interpolation; films with gross errors are left
        out.

        Least squares make noisy tilts too small, and so the major angle, which is their largest difference. Therefore
        the matrix is then multiplied by the factor with which major angles fit the labels best.

        Args:
            tangents: (N, levels) degrees.
            tilts: (N, 17) degrees, as labelled.
            places: (N, 17) positions of the vertebrae as shares of the curve's length.
            ridge: weight of the squared change of the matrix, square degrees per film.
            start: what the matrix is held to in place of plain interpolation.
        """
        plain = cls.plain(tangents.shape[1]) if start is None else start
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
    """(V,) positions of the vertebrae's centres along a curve, as shares of its length.

    Args:
        curve: (N, 2) px, with N large.
        landmarks: (V, 4, 2) px.
    """
    points, along = as_float(curve), arc_lengths(curve)
    centres = as_float(landmarks).mean(axis=1)
    nearest = np.linalg.norm(centres[:, None] - points[None], axis=-1).argmin(axis=1)
    return np.asarray(along[nearest] / along[-1], np.float64)


def sliced_angles(
    curve: Array, tilts: Array, positions: Array, height: int, tilt_sd_deg: float = 0.0
) -> CobbAngles:
    """The challenge's angles of boxes like vertebrae along a curve.

    The challenge's rule is discontinuous, and tilts found on a film are uncertain: given their standard deviation, each
    angle is the median over random tilts, see `geometry.expectation`.

    Args:
        curve: (N, 2) px, from the top.
        tilts: (V,) degrees.
        positions: (V,) px along the curve.
        height: rows of the film.
        tilt_sd_deg: standard deviation of a tilt, degrees; 0 measures the tilts as they are.
    """
    width = 0.1 * float(arc_lengths(curve)[-1])
    boxes = slice_landmarks(curve, tilts, positions, width)
    if tilt_sd_deg == 0:
        return cobb_angles(boxes, height)
    # A midline joins the means of two corners on each side, so its tilt's deviation is a corner's over the width.
    return expected_angles(boxes, np.full(boxes.shape[:2], width * np.radians(tilt_sd_deg)), height)


def reaches_edge(curve: Floats, size: tuple[int, int]) -> bool:
    """Whether a curve ends within 0.5 % of the film's height from its upper or lower edge.

    Args:
        curve: (N, 2) px, from the top.
        size: (H, W) of the film.
    """
    edge = 0.005 * size[0]
    return bool(curve[0, 1] < edge or curve[-1, 1] > size[0] - 1 - edge)
