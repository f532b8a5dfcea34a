"""What the two networks are taught and fed: boxes of vertebrae, and patches of a film around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aasce.geometry.column import usual_spacing
from aasce.preprocess.crop import View, render_all, undo_all
from aasce.preprocess.intensity import Bytes
from aasce.solvers.corner_regression.settings import CornerSettings
from aasce.solvers.shared.samples import Floats
from aasce.targets.boxes import encode_boxes

SPACING = 111.0
"""px between vertebra centres on a film of 2,000 rows, the median of the challenge's films, on which the boxes grow by
`DetectorSettings.grow`; elsewhere by as much more or less as vertebrae are farther apart or nearer."""


def grown_boxes(landmarks: Floats, grow: tuple[float, float]) -> Floats:
    """(V, 4) boxes x0, y0, x1, y1 around four corners each, made larger.

    Args:
        landmarks: (V, 4, 2) px, V at least 2, from the top.
        grow: px on a film whose vertebrae are `SPACING` apart.
    """
    share = usual_spacing(landmarks.mean(axis=1)) / SPACING
    return encode_boxes(landmarks, (grow[0] * share, grow[1] * share))


@dataclass(frozen=True, slots=True)
class Patches:
    """Parts of a canvas.

    Attributes:
        images: (N, h, w) uint8.
        views: canvas px to patch px, one a patch.
    """

    images: Bytes
    views: list[View]

    def undo(self, corners: Floats) -> Floats:
        """(N, 4, 2) patch px to canvas px."""
        return undo_all(self.views, corners)

    def apply(self, landmarks: Floats) -> Floats:
        """(N, 4, 2) canvas px to patch px."""
        return np.stack([view.apply(points) for view, points in zip(self.views, landmarks, strict=True)])


def patch_view(box: Floats, settings: CornerSettings, zoom: float = 1.0) -> View:
    """View from a canvas to the patch of a box.

    Args:
        box: (4,) x0, y0, x1, y1 px.
        settings: margin, size and aspect of a patch.
        zoom: by how much more of the canvas a patch shows.
    """
    rows, columns = settings.size
    middle = (box[:2] + box[2:]) / 2
    shown = np.maximum(box[2:] - box[:2], 1.0) * (1 + np.array(settings.margin)) * zoom
    scale = np.array([columns, rows]) / shown
    if settings.keep_aspect:
        scale[:] = scale.min()
    target = (np.array([columns, rows]) - 1) / 2
    return View(np.column_stack([np.diag(scale), target - scale * middle]), settings.size)


def cut_patches(canvas: Bytes, boxes: Floats, settings: CornerSettings, zoom: float = 1.0) -> Patches:
    """The patches of boxes.

    Args:
        canvas: (H, W) uint8.
        boxes: (N, 4) px, N at least 1.
        settings, zoom: see `patch_view`.
    """
    views = [patch_view(box, settings, zoom) for box in boxes]
    return Patches(render_all(views, canvas), views)


def jittered(boxes: Floats, share: float, rng: np.random.Generator) -> Floats:
    """(N, 4) boxes as a detector might find them, every side moved at random.

    Args:
        boxes: (N, 4) px.
        share: standard deviation of a side, as a share of the box's height.
        rng: source of the draw.
    """
    height = boxes[:, 3:] - boxes[:, 1:2]
    return boxes + share * height * rng.standard_normal(boxes.shape)
