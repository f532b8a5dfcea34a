"""Crops, scales and turns of a film with their exact inverse.

A `View` is an affine map from film to canvas. A solver looks at the canvas; what it finds there goes back
through the same matrix, so that nothing after the solver knows that a crop existed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.geometry.spine import turned_size
from aasce.types import Array, as_float

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class View:
    """Where a canvas looks on a film.

    Attributes:
        matrix: (2, 3) float64, film px to canvas px (x, y).
        size: (H, W) of the canvas.
    """

    matrix: Floats
    size: tuple[int, int]

    @property
    def scale(self) -> float:
        """Canvas px per film px (square root of the area ratio)."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    def apply(self, points: Array) -> Floats:
        """(..., 2) film px to canvas px."""
        return as_float(points) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def undo(self, points: Array) -> Floats:
        """(..., 2) canvas px to film px; the exact inverse of `apply`."""
        return (as_float(points) - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T

    def then(self, canvas: View) -> View:
        """This view, and of its canvas another view."""
        linear = canvas.matrix[:, :2] @ self.matrix[:, :2]
        return View(np.column_stack([linear, canvas.apply(self.matrix[:, 2])]), canvas.size)

    def render(self, pixels: Array, border: int = 0) -> Array:
        """Resamples an (H, W) film to the canvas; px outside the film take the value `border`.

        A view that shrinks the film averages over areas first: plain interpolation would alias.
        """
        matrix = self.matrix
        if self.scale < 0.7:
            height, width = pixels.shape[:2]
            factor = self.scale * 1.2
            small = (max(1, round(width * factor)), max(1, round(height * factor)))
            ratio = np.array([small[0] / width, small[1] / height])
            pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
            inner = matrix[:, :2] / ratio
            # Pixel centres are integers: small = (x + 0.5) * ratio - 0.5.
            matrix = np.column_stack([inner, matrix[:, 2] - inner @ ((ratio - 1) / 2)])
        size = (self.size[1], self.size[0])
        return np.asarray(cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderValue=border))


def similarity(
    centre: Array, scale: float, degrees: float, size: tuple[int, int], target: Array | None = None
) -> View:
    """View that turns by `degrees` (clockwise on screen), scales, and puts film point `centre` at `target`.

    Args:
        centre: (2,) film px.
        scale: canvas px per film px.
        degrees: turn of the film, positive clockwise as seen.
        size: (H, W) of the canvas.
        target: (2,) canvas px, the canvas's middle by default.
    """
    middle = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2]) if target is None else as_float(target)
    turn = np.radians(degrees)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return View(np.column_stack([linear, middle - linear @ as_float(centre)]), size)


def letterbox(film: tuple[int, int], canvas: tuple[int, int], turns: int = 0) -> View:
    """View of the whole film, as large as fits, its aspect kept, centred.

    Args:
        film: (H, W) of the film.
        canvas: (H, W) of the canvas.
        turns: quarter turns of the film, clockwise as seen.
    """
    height, width = turned_size(film, turns)
    scale = min(canvas[0] / height, canvas[1] / width)
    centre = np.array([(film[1] - 1) / 2, (film[0] - 1) / 2])
    return similarity(centre, scale, 90.0 * turns, canvas)


def spine_view(landmarks: Array, canvas: tuple[int, int], spacing: float) -> View:
    """View in which the spine stands upright in the middle of the canvas at a fixed size.

    Args:
        landmarks: (V, 4, 2) film px, V >= 2, from the top.
        canvas: (H, W).
        spacing: mean distance of neighbouring vertebra centres along the spine, in canvas px.
    """
    centres = as_float(landmarks).mean(axis=1)
    chord = centres[-1] - centres[0]
    lean = np.degrees(np.arctan2(chord[0], chord[1]))
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    upright = similarity((0.0, 0.0), spacing / float(steps.mean()), lean, canvas)  # type: ignore[arg-type]
    box = upright.apply(as_float(landmarks).reshape(-1, 2))
    middle = upright.undo((box.min(axis=0) + box.max(axis=0)) / 2)
    return similarity(middle, upright.scale, lean, canvas)
