"""Passes of the two networks: boxes on a canvas, corners in boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from aasce.preprocess.augment import mirror_landmarks
from aasce.preprocess.intensity import Bytes
from aasce.solvers.corner_regression.network import CornerNet
from aasce.solvers.corner_regression.postprocess import Detections, merge_detections
from aasce.solvers.corner_regression.settings import CornerSettings
from aasce.solvers.corner_regression.targets import cut_patches
from aasce.solvers.shared.detection import detections_of
from aasce.solvers.shared.samples import Floats
from aasce.solvers.shared.tta import network_pass, with_mirror
from aasce.targets.boxes import mirrored_boxes


def detect(net: Any, canvas: Bytes, nms: float, mirror: bool = True) -> Detections:
    """Vertebrae on a canvas.

    Args:
        net: the detector.
        canvas: (H, W) uint8.
        nms: overlap from which two boxes of different passes are one.
        mirror: passes the mirror image, too.

    Returns:
        Boxes in px of the canvas.
    """
    outputs = network_pass(net, with_mirror(canvas) if mirror else canvas[None])
    passes = []
    for mirrored, output in enumerate(outputs):
        boxes, _, scores = detections_of(output)
        if mirrored:
            boxes = mirrored_boxes(boxes, canvas.shape[1])
        passes.append(Detections(boxes, scores))
    return merge_detections(passes, nms)


def patch_corners(
    net: CornerNet,
    canvas: Bytes,
    boxes: Floats,
    settings: CornerSettings,
    zoom: float = 1.0,
    mirror: bool = False,
) -> Floats:
    """(N, 4, 2) px of the canvas, the corners found in each box.

    Args:
        net: the corner network.
        canvas: (H, W) uint8.
        boxes: (N, 4) px, N at least 1.
        settings: of the network.
        zoom: by how much more than usual a patch shows.
        mirror: reads the mirror image of each patch.
    """
    patches = cut_patches(canvas, boxes, settings, zoom)
    images = np.ascontiguousarray(patches.images[..., ::-1]) if mirror else patches.images
    corners = network_pass(net, images)[0].cpu().numpy().astype(np.float64)
    return patches.undo(mirror_landmarks(corners, settings.size[1]) if mirror else corners)


def corner_passes(
    net: CornerNet, canvas: Bytes, boxes: Floats, settings: CornerSettings, zooms: tuple[float, ...]
) -> Floats:
    """(2, Z, N, 4, 2) px of the canvas: corners from plain, then from mirrored patches, at each of Z zooms."""
    return np.stack([
        [patch_corners(net, canvas, boxes, settings, zoom, mirror) for zoom in zooms] for mirror in (False, True)
    ])  # fmt: skip
