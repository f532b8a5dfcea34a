"""The trunk's outline, for whatever lies on the skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.types import Array

# Level, half width, reach to the front and to the back from the bodies' middles, mm at scale 1: the skin of a slim
# patient, for whoever has no skin at hand.
_OUTLINE: tuple[tuple[str, float, float, float], ...] = (
    ("C4", 58, 56, 66), ("C7", 66, 56, 62), ("T2", 150, 72, 66), ("T5", 150, 118, 64), ("T9", 138, 132, 72),
    ("T12", 126, 122, 80), ("L3", 124, 108, 90), ("S1", 150, 110, 96),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trunk:
    """The skin, for whatever lies on it: of a mesh where there is one, else of a slim average patient."""

    pose: SpinePose
    spine: Array
    skin: Array | None = None

    def middle(self, height: Array | float) -> Array:
        """(..., 2) x and y mm of the body's middle line at heights z mm."""
        order = np.argsort(self.spine[:, 2])
        z = self.spine[order, 2]
        return np.stack(
            [0.6 * np.interp(height, z, self.spine[order, 0]), np.interp(height, z, self.spine[order, 1])], -1
        )

    def reach(self, height: Array | float) -> Array:
        """(..., 3) half width and reach to front and back, in mm."""
        z = np.array([self.spine[LEVELS.index(row[0]), 2] for row in _OUTLINE])[::-1]
        rows = np.array([row[1:] for row in _OUTLINE])[::-1] * self.pose.scale
        return np.stack([np.interp(height, z, rows[:, k]) for k in range(3)], -1)

    def surface(self, x: float, z: float, front: bool = True) -> Array:
        """The point (3,) of the skin in front of or behind (x, z) mm."""
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
        """The skin's distance (A,) mm from the middle in directions of the horizontal plane."""
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
