"""Outline of the trunk, on which devices are placed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.types import Array

# Level, half width, distance to the front and to the back from the middles of the bodies, mm at scale 1: the skin of a
# slim patient, used where there is no mesh of the skin.
_OUTLINE: tuple[tuple[str, float, float, float], ...] = (
    ("C4", 58, 56, 66), ("C7", 66, 56, 62), ("T2", 150, 72, 66), ("T5", 150, 118, 64), ("T9", 138, 132, 72),
    ("T12", 126, 122, 80), ("L3", 124, 108, 90), ("S1", 150, 110, 96),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trunk:
    """Outline of the trunk: from a mesh of the skin, or of a slim average patient if there is none.

    Attributes:
        pose: of the spine.
        spine: (25, 3) mm, middles of the bodies.
        skin: (V, 3) mm, vertices of the skin; None if there is no mesh.
    """

    pose: SpinePose
    spine: Array
    skin: Array | None = None

    def middle(self, height: Array | float) -> Array:
        """(..., 2) mm, x and y of the trunk's middle line at heights z in mm."""
        order = np.argsort(self.spine[:, 2])
        z = self.spine[order, 2]
        return np.stack(
            [0.6 * np.interp(height, z, self.spine[order, 0]), np.interp(height, z, self.spine[order, 1])], -1
        )

    def reach(self, height: Array | float) -> Array:
        """(..., 3) mm, half width and distance to front and back of the slim patient at heights z in mm."""
        z = np.array([self.spine[LEVELS.index(row[0]), 2] for row in _OUTLINE])[::-1]
        rows = np.array([row[1:] for row in _OUTLINE])[::-1] * self.pose.scale
        return np.stack([np.interp(height, z, rows[:, k]) for k in range(3)], -1)

    def surface(self, x: float, z: float, front: bool = True) -> Array:
        """(3,) mm, the point of the skin in front of, or behind, (x, z) mm."""
        sign = 1.0 if front else -1.0
        if self.skin is not None:
            near = (np.abs(self.skin[:, 2] - z) < 16) & (np.abs(self.skin[:, 0] - x) < 22)
            if near.any():
                return np.array([x, sign * (sign * self.skin[near, 1]).max(), z])
        middle, (wide, ahead, behind) = self.middle(z), self.reach(z)
        share = np.clip(abs(x - middle[0]) / wide, 0, 0.98)
        return np.array(
            [x, middle[1] + sign * (ahead if front else behind) * (1 - share**2.4) ** (1 / 2.4), z]
        )

    def section(self, z: float, angles: Array) -> Array:
        """(A,) mm, distance of the skin from the middle line at height z mm, for angles (A,) rad in the horizontal
        plane."""
        wide, ahead, behind = self.reach(z)
        cosine, sine = np.cos(angles), np.sin(angles)
        deep = np.where(sine > 0, ahead, behind)
        fallback = (np.abs(cosine / wide) ** 2.3 + np.abs(sine / deep) ** 2.3) ** (-1 / 2.3)
        if self.skin is None:
            return np.asarray(fallback)
        near = self.skin[np.abs(self.skin[:, 2] - z) < 10 * self.pose.scale]
        away = near[:, :2] - self.middle(z)
        bearing, distance = np.arctan2(away[:, 1], away[:, 0]), np.hypot(*away.T)
        keep = distance < 1.5 * max(wide, ahead)
        if keep.sum() < 12:
            return np.asarray(fallback)
        order = np.argsort(bearing[keep])
        return np.asarray(np.interp(angles, bearing[keep][order], distance[keep][order], period=2 * np.pi))
