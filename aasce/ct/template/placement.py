"""First place of every template: on the line through the centroids, facing forward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aasce.ct.template.meshes import template_level
from aasce.phantom.spine.pose import LEVELS
from aasce.phantom.spine.statistics import scan_statistics
from aasce.readers.vertebrae import VERSE

_SCALES = (0.6, 1.4)
_FORWARD = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """One frame per vertebra.

    Attributes:
        rotation: (N, 3, 3), from the template's frame to the world; columns are right, front and up.
        centre: (N, 3) world mm, the middles of the bodies.
        scale: size relative to the average adult.
    """

    rotation: NDArray[np.float64]
    centre: NDArray[np.float64]
    scale: float


def place(labels: NDArray[np.int64], centroids: NDArray[np.float64]) -> Placement:
    """Places templates at centroids.

    Up is the tangent of the line through the centroids (the world's up for a single one), front the world's, as far as
    it is at right angles to the tangent. The size is the median of the spacings against the mean adult's.

    Args:
        labels: (N,) of VerSe, from the head.
        centroids: (N, 3) world mm.
    """
    up = _tangents(centroids)
    # Where the spine itself lies along the world's front (a head tilted back) the world's down takes its place.
    ahead = np.where(np.abs(up[:, 1:2]) > 0.95, np.array([0.0, 0.0, -1.0]) * np.sign(up[:, 1:2]), _FORWARD)
    front = ahead - (ahead * up).sum(1, keepdims=True) * up
    front /= np.linalg.norm(front, axis=1, keepdims=True)
    return Placement(np.stack([np.cross(front, up), front, up], -1), centroids, _scale(labels, centroids))


def with_neighbours(
    labels: NDArray[np.int64], centroids: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Adds the vertebra above the first and the one below the last, where the line through the centroids leads.

    Without them the bone next to the last given vertebra would be taken for a part of it. Above C1 and below the sacrum
    there is none.

    Args:
        labels: (N,) of VerSe, from the head.
        centroids: (N, 3) world mm.

    Returns:
        (M,) labels and (M, 3) centroids, from the head.
    """
    scale, up = _scale(labels, centroids), _tangents(centroids)
    level = [LEVELS.index(template_level(label)) for label in labels.tolist()]
    numbers, places = labels.tolist(), list(centroids)
    spacing = scan_statistics().spacing_mean * scale
    if level[0] > 0:
        numbers.insert(0, VERSE[LEVELS[level[0] - 1]])
        places.insert(0, centroids[0] + up[0] * spacing[level[0] - 1])
    if level[-1] < len(LEVELS) - 1:
        numbers.append(VERSE[LEVELS[level[-1] + 1]])
        places.append(centroids[-1] - up[-1] * spacing[level[-1]])
    return np.array(numbers), np.array(places)


def _tangents(centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) unit vectors towards the head."""
    if len(centroids) < 2:
        return np.tile([0.0, 0.0, 1.0], (len(centroids), 1))
    steps = centroids[:-1] - centroids[1:]
    steps /= np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-9)
    tangents = np.concatenate([steps[:1], steps]) + np.concatenate([steps, steps[-1:]])
    return np.asarray(tangents / np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-9))


def _scale(labels: NDArray[np.int64], centroids: NDArray[np.float64]) -> float:
    """Median of the spacings of neighbouring levels over the mean adult's; 1 without neighbours."""
    level = np.array([LEVELS.index(template_level(label)) for label in labels.tolist()])
    found = np.flatnonzero(np.diff(level) == 1)
    if not len(found):
        return 1.0
    spacing = np.linalg.norm(centroids[found] - centroids[found + 1], axis=1)
    return float(np.clip(np.median(spacing / scan_statistics().spacing_mean[level[found]]), *_SCALES))
