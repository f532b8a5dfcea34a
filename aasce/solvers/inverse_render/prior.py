"""The prior of the spine's shape: principal components of randomly drawn spines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from aasce.phantom.spine.curves import draw_spine
from aasce.phantom.spine.statistics import SEGMENTS
from aasce.types import Array

DRAWN = 800
SEED = 20190
SEVEREST = 90.0
"""Degrees: Cobb angles are drawn uniformly from 0 to this; a prior of common curves would make severe ones smaller."""

OWN = (0.7, 1.5, 2.0)
"""Degrees (sd) of the tilt and rotation of a level and of the lean of a step beside the components of all spines."""

PITCH, DIVERGENCE = 4.0, 8.0
"""Degrees (sd) between the ray and the frontal direction of all vertebrae, and of the first and the last one."""

READ = 1.5
"""Degrees (sd) of error in a tilt read from landmarks."""

TILTS, TURNS, LEANS = slice(0, 25), slice(25, 50), slice(50, 74)


@dataclass(frozen=True, slots=True)
class Shapes:
    """Shape as a point z of 74 numbers, each in units of its own spread; float32.

    The 74 angles in degrees are the coronal tilt and the axial rotation of each level and the sagittal lean of each
    step (see `aasce.phantom.spine.curves.SpineRecord`).

    Attributes:
        mean: (74,) angles of z = 0: no curve, no rotation, the mean of the leans.
        basis: (74, 74) principal components in columns, the strongest first, each one standard deviation long.
    """

    mean: Tensor
    basis: Tensor

    def angles(self, z: Tensor) -> Tensor:
        """(74,) degrees."""
        return self.mean + self.basis @ z

    def of_angles(self, angles: Tensor) -> Tensor:
        """The z of given angles."""
        z: Tensor = torch.linalg.solve(self.basis.double(), (angles - self.mean).double())
        return z.float()

    def of_tilts(self, tilts: Array, levels: Array) -> Tensor:
        """The most likely z of a spine of which some coronal tilts are known.

        Args:
            tilts: (N,) degrees.
            levels: (N,) indices of LEVELS.
        """
        known = self.basis[torch.as_tensor(levels)].double()
        own = known @ known.T + READ**2 * torch.eye(len(levels), dtype=torch.float64)
        z: Tensor = known.T @ torch.linalg.solve(own, torch.as_tensor(tilts, dtype=torch.float64))
        return z.float()


@lru_cache(maxsize=1)
def shapes() -> Shapes:
    """The prior of random spines with all kinds of curves, each with its mirror image."""
    rng = np.random.default_rng(SEED)
    drawn = []
    for _ in range(DRAWN):
        record = draw_spine(rng, float(rng.uniform(0, SEVEREST)))
        for side in (1, -1):
            drawn.append(
                np.concatenate(
                    [side * np.array(record.coronal), side * np.array(record.axial), record.sagittal]
                )
            )
    angles = np.array(drawn)
    spread = np.cov(angles, rowvar=False) + np.diag(np.repeat(np.square(OWN), (25, 25, SEGMENTS)))
    askew = np.zeros((2, len(spread)))
    askew[0, LEANS], askew[1, LEANS] = PITCH, DIVERGENCE * np.linspace(-1, 1, SEGMENTS)
    values, vectors = np.linalg.eigh(spread + askew.T @ askew)
    basis = (vectors * np.sqrt(values))[:, ::-1].copy()
    return Shapes(torch.from_numpy(angles.mean(axis=0)).float(), torch.from_numpy(basis).float())
