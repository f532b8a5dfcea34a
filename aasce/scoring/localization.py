"""Measures of labelled centroids: identification rate and localisation distance. Plain numpy.

Glocker, Feulner, Criminisi, Haynor, Konukoglu: Automatic Localization and Identification of Vertebrae in Arbitrary
Field-of-View CT Scans, MICCAI 2012; Bayat et al., CSI 2019, report them in their tables 1 and 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aasce.types import Array, as_float

Floats = NDArray[np.float64]

RADIUS_MM = 20.0
"""A centroid farther than this from the labelled one of its level is not identified."""

TRUNK_MM = 380.0
"""Length of the line through the centroids of T1 to L5: mean of 300 drawn patients of `aasce.phantom`, of all ages (410
of the adults among them); see `assumed_pixel_mm`."""


@dataclass(frozen=True, slots=True)
class LocalizationScore:
    """Measures over a set of films.

    Attributes:
        films: number of films.
        vertebrae: number of labelled vertebrae.
        missed: how many of them have no predicted centroid; they count as not identified and have no distance.
        identified: identification rate, percent of `vertebrae`.
        mean_px, sd_px: localisation distance, px; its standard deviation has n in the denominator. NaN if all are
            missed.
        mean_mm, sd_mm: the same in mm; None if a film has no scale.
    """

    films: int
    vertebrae: int
    missed: int
    identified: float
    mean_px: float
    sd_px: float
    mean_mm: float | None
    sd_mm: float | None


def distances(predicted: Array, truth: Array) -> Floats:
    """(V,) px or mm from each predicted to the labelled centroid of the same level; NaN where either is unknown.

    Args:
        predicted: (V, 2) px of a film or (V, 3) mm in a scan, NaN where a level was not found.
        truth: the same for the labels, NaN where a level is not labelled.

    Raises:
        ValueError: the shapes are not one (V, 2) or (V, 3).
    """
    found, wanted = _pair(predicted, truth)
    return np.asarray(np.linalg.norm(found - wanted, axis=1), np.float64)


def identified(predicted: Array, truth: Array, radius: float) -> NDArray[np.bool_]:
    """(V,) whether the labelled centroid nearest to a predicted one is of its level, and no farther than `radius`.

    Args:
        predicted, truth: see `distances`.
        radius: px of a film, mm in a scan.

    Raises:
        ValueError: the shapes are not one (V, 2) or (V, 3).
    """
    found, wanted = _pair(predicted, truth)
    apart = np.linalg.norm(found[:, None] - wanted[None], axis=-1)
    apart = np.where(np.isnan(apart), np.inf, apart)
    own = np.diagonal(apart)
    return np.asarray((own <= apart.min(axis=1)) & (own <= radius), np.bool_)


def localization_score(
    predicted: Sequence[Array],
    truth: Sequence[Array],
    pixel_mm: Sequence[float | None],
    radius_mm: float = RADIUS_MM,
) -> LocalizationScore:
    """Identification rate and localisation distance of a set of films.

    Args:
        predicted: of each film, (V, 2) px, NaN where a level was not found.
        truth: of each film, (V, 2) px, NaN where a level is not labelled.
        pixel_mm: of each film, mm that a px shows; None where unknown. The radius of such a film is in px by
            `assumed_pixel_mm`, and its distances have no mm.
        radius_mm: mm, see `identified`.

    Raises:
        ValueError: no film, lists of different lengths, or wrong shapes.
    """
    if not truth or not len(predicted) == len(truth) == len(pixel_mm):
        raise ValueError("score one predicted and one true set of centroids and one scale a film")
    right, off, scale, known = [], [], [], []
    for found, wanted, mm in zip(predicted, truth, pixel_mm, strict=True):
        right.append(identified(found, wanted, radius_mm / (assumed_pixel_mm(wanted) if mm is None else mm)))
        off.append(distances(found, wanted))
        scale.append(np.full(len(wanted), np.nan if mm is None else mm))
        known.append(np.isfinite(as_float(wanted)).all(axis=1))
    labelled = np.concatenate(known)
    if not labelled.any():
        raise ValueError("no vertebra is labelled")
    px = np.concatenate(off)
    met = np.isfinite(px)
    mm_each = (px * np.concatenate(scale))[met]
    with_mm = None not in pixel_mm and met.any()
    return LocalizationScore(
        films=len(truth),
        vertebrae=int(labelled.sum()),
        missed=int((labelled & ~met).sum()),
        identified=100 * float(np.concatenate(right)[labelled].mean()),
        mean_px=float(px[met].mean()) if met.any() else float("nan"),
        sd_px=float(px[met].std()) if met.any() else float("nan"),
        mean_mm=float(mm_each.mean()) if with_mm else None,
        sd_mm=float(mm_each.std()) if with_mm else None,
    )


def assumed_pixel_mm(centroids: Array) -> float:
    """Mm that a px shows if the spine is as long as that of an average patient.

    Args:
        centroids: (V, 2) px of consecutive levels, the last 17 of which are T1 to L5; NaN where unknown. Levels in
            between that are unknown are skipped, missing ends shorten the spine in proportion.

    Raises:
        ValueError: fewer than two of T1 to L5 are known, or all lie in one place.
    """
    trunk = as_float(centroids)[-17:]
    at = np.flatnonzero(np.isfinite(trunk).all(axis=1))
    length = float(np.linalg.norm(np.diff(trunk[at], axis=0), axis=1).sum())
    if length == 0:
        raise ValueError("a scale takes two centroids of T1 to L5 in different places")
    return TRUNK_MM * float(at[-1] - at[0]) / 16 / length


def _pair(predicted: Array, truth: Array) -> tuple[Floats, Floats]:
    found, wanted = as_float(predicted), as_float(truth)
    if found.shape != wanted.shape or found.ndim != 2 or found.shape[1] not in (2, 3):
        raise ValueError(
            f"centroids have one shape (V, 2), or (V, 3) in scans, not {found.shape} and {wanted.shape}"
        )
    return found, wanted
