"""Crops, scalings and rotations of a film with their exact inverse.

A `View` is an affine map from a film to a canvas, the image that a network reads. Points found on the canvas go back
to the film through the same matrix, so that nothing after the solver needs to know about the crop.

Views are chained with `then`, never by multiplying matrices:

    crop_view(box).then(letterbox(part, canvas))     # a rectangle of a film, letterboxed
    view.then(similarity(middle, 1.1, 5.0, size))    # the canvas of a view, enlarged and rotated
    view.scaled(0.5)                                 # the same view on a map of half the canvas's size
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.geometry.spine import turned_size
from aasce.types import Array, as_float

Floats = NDArray[np.float64]
Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 px of a rectangle of a film, the last two exclusive."""


@dataclass(frozen=True, slots=True)
class View:
    """An affine map from film px to the px of a canvas.

    Attributes:
        matrix: (2, 3) float64, film px to canvas px (x, y); pixel centres are at integers.
        size: (H, W) of the canvas.
    """

    matrix: Floats
    size: tuple[int, int]

    @classmethod
    def identity(cls, size: tuple[int, int]) -> View:
        """The film itself as a canvas.

        Args:
            size: (H, W) of the film.
        """
        return cls(np.eye(2, 3), size)

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
        """This view followed by a view of its canvas: film px to the px of the second canvas.

        Args:
            canvas: maps px of this view's canvas.
        """
        linear = canvas.matrix[:, :2] @ self.matrix[:, :2]
        return View(np.column_stack([linear, canvas.apply(self.matrix[:, 2])]), canvas.size)

    def scaled(self, factor: float, size: tuple[int, int] | None = None) -> View:
        """The same view on a canvas, or on a network's map, `factor` times the size.

        Outer edges of pixels coincide, not their centres: px' = (px + 0.5) * factor - 0.5.

        Args:
            factor: new px per px of this canvas; 0.5 for a map of half the canvas's height and width.
            size: (H, W) of the new canvas; this canvas's size times `factor`, rounded, at least 1, when None.
        """
        height, width = self.size
        rounded = (max(1, round(height * factor)), max(1, round(width * factor)))
        matrix = factor * self.matrix
        matrix[:, 2] += (factor - 1) / 2
        return View(matrix, rounded if size is None else size)

    def to_film(self, canvas: Array, size: tuple[int, int]) -> Array:
        """Resamples an image of the canvas to the film, linearly; film px outside the canvas become 0.

        Args:
            canvas: (H, W) image or map of this view's canvas.
            size: (H, W) of the film.

        Returns:
            (H, W) in the dtype of `canvas`.
        """
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        back = cv2.warpAffine(np.ascontiguousarray(canvas), self.matrix, (size[1], size[0]), flags=flags)
        return np.asarray(back)

    def render(self, pixels: Array, border: int = 0) -> Array:
        """Resamples an (H, W) film to the canvas; px outside the film take the value `border`.

        A view that shrinks the film averages over areas first: interpolation alone would alias.
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


def render_all(views: Sequence[View], pixels: Array) -> Array:
    """(N, h, w) a film on the canvases of several views of one size.

    Args:
        views: N of them, at least 1.
        pixels: (H, W).
    """
    return np.stack([view.render(pixels) for view in views])


def undo_all(views: Sequence[View], points: Array) -> Floats:
    """(N, ..., 2) px of the film, of points (N, ..., 2) px of the canvases of N views."""
    return np.stack([view.undo(part) for view, part in zip(views, points, strict=True)])


def similarity(
    centre: Array, scale: float, degrees: float, size: tuple[int, int], target: Array | None = None
) -> View:
    """View that rotates and scales a film about one point.

    Args:
        centre: (2,) film px.
        scale: canvas px per film px.
        degrees: rotation of the film, positive clockwise as seen on the screen.
        size: (H, W) of the canvas.
        target: (2,) canvas px where `centre` comes to lie; the canvas's middle when None.
    """
    turn = np.radians(degrees)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return linear_view(linear, centre, size, target)


def linear_view(linear: Array, centre: Array, size: tuple[int, int], target: Array | None = None) -> View:
    """View that applies a linear map about one point, for example a stretch or a shear.

    Args:
        linear: (2, 2), acts on (x, y).
        centre: (2,) film px.
        size: (H, W) of the canvas.
        target: (2,) canvas px where `centre` comes to lie; the canvas's middle when None.
    """
    middle = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2]) if target is None else as_float(target)
    matrix = as_float(linear)
    return View(np.column_stack([matrix, middle - matrix @ as_float(centre)]), size)


def crop_view(box: Box) -> View:
    """View of a rectangle of a film, pixel for pixel.

    Args:
        box: see `Box`; at least one pixel wide and high.
    """
    x0, y0, x1, y1 = box
    return View(np.array([[1.0, 0.0, -x0], [0.0, 1.0, -y0]]), (y1 - y0, x1 - x0))


def letterbox(film: tuple[int, int], canvas: tuple[int, int], turns: int = 0) -> View:
    """View of the whole film, centred on the canvas and as large as it fits with its aspect ratio kept.

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
    """View with the spine upright in the middle of the canvas, at a fixed distance between vertebrae.

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
