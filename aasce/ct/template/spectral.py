"""Spectral mesh: the eigenbasis of a template's Laplacian, and the scaling of updates along it.

Kim and Park 2024: a vertebra is its template moved along eigenvectors of the Laplacian, whose eigenvalues order the
movements from coarse to fine; the update of a mode is scaled by (lambda / lambda_0)^-alpha.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import robust_laplacian  # type: ignore[import-untyped]
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse.linalg import eigsh

_SHIFT = -1e-6  # per mm2; just below the eigenvalue 0, where the shifted matrix is still invertible


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Eigenvectors of the Laplacian of a closed surface.

    Attributes:
        values: (K,) eigenvalues, 1/mm2, ascending; the first is 0 (the constant mode).
        modes: (V, K), orthonormal with respect to the mass matrix and scaled by the root of the area, so that a
            coefficient of 1 mm moves the surface by 1 mm in the root of the mean square.
        mass: (V,) mm2, diagonal of the mass matrix.
    """

    values: NDArray[np.float64]
    modes: NDArray[np.float64]
    mass: NDArray[np.float64]

    def coefficients(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(K, D) coefficients of (V, D) functions on the vertices, by projection."""
        return np.asarray(self.modes.T @ (self.mass[:, None] * points) / self.mass.sum())


def eigenbasis(vertices: NDArray[np.float64], faces: NDArray[np.int64], count: int) -> Basis:
    """The smoothest modes of a surface (tufted Laplacian of Sharp and Crane 2020, robust on any triangles).

    Args:
        vertices: (V, 3) mm.
        faces: (F, 3).
        count: of modes, the constant one included; at most V.
    """
    stiffness, mass = robust_laplacian.mesh_laplacian(vertices, faces)
    weights = np.asarray(mass.diagonal())
    count = min(count, len(vertices))
    if count > len(vertices) // 2:  # Lanczos iteration is for few modes of many
        values, modes = eigh(stiffness.toarray(), mass.toarray(), subset_by_index=[0, count - 1])
    else:
        # A fixed start makes the same basis at every call.
        start = np.random.default_rng(0).standard_normal(len(vertices))
        values, modes = eigsh(stiffness, count, mass, sigma=_SHIFT, v0=start)
    order = np.argsort(values)
    values, modes = np.maximum(values[order], 0.0), modes[:, order]
    return Basis(values, modes * np.sqrt(weights.sum()), weights)


def update_scale(values: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """(K,) factor on each mode's update, (lambda / lambda_0)^-alpha.

    Args:
        values: (K,) positive eigenvalues; lambda_0 is the smallest.
        alpha: large for a coarse fit, small for fine control; 0 moves all modes alike.
    """
    return np.asarray((values / values.min()) ** -alpha)
