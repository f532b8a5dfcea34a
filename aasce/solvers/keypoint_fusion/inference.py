"""From a canvas to the results of Method 1 and Method 2."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.models.detection import RetinaNet
from torchvision.ops import nms

from aasce.geometry.column import Bools, complete_column, unique_detections, usual_spacing
from aasce.geometry.spine import centres
from aasce.preprocess.crop import View, letterbox, undo_all
from aasce.preprocess.intensity import Bytes
from aasce.solvers.keypoint_fusion.network import KeypointFusionNet
from aasce.solvers.keypoint_fusion.patches import (
    ENDPLATES,
    both_ways,
    box_view,
    cut,
    patch_windows,
    two_passes,
    window_boxes,
)
from aasce.solvers.keypoint_fusion.postprocess import boxes_on_spine, place_column, summarize, traced
from aasce.solvers.keypoint_fusion.settings import (
    BoxesSettings,
    CornersSettings,
    KeypointFusionConfig,
    PatchesSettings,
    RoughSettings,
)
from aasce.solvers.shared.detection import detections_of
from aasce.solvers.shared.samples import to_input
from aasce.solvers.shared.tta import with_mirror
from aasce.targets.heatmap import from_map, highest_peaks, peaks
from aasce.types import CORNERS, VERTEBRAE, Array

Floats = NDArray[np.float64]

LARGEST_PATCH = 6.0
"""Multiple of the distance between vertebrae; a longer patch comes from a rough point that is far off."""


@dataclass(frozen=True, slots=True)
class Column:
    """A whole column as one method finds it.

    Attributes:
        landmarks: (17, 4, 2) px of the canvas.
        confidence: (17, 4) in [0, 1], 0 for vertebrae that were filled in.
    """

    landmarks: Floats
    confidence: Floats


@torch.inference_mode()
def detect_boxes(net: RetinaNet, canvas: Bytes, settings: BoxesSettings) -> tuple[Floats, Floats]:
    """Boxes of vertebrae, of the canvas and of its mirror image together.

    Args:
        net: the RetinaNet.
        canvas: (H, W).
        settings: of the detector.

    Returns:
        (N, 4) x0, y0, x1, y1 px, and (N,) scores, best first.
    """
    device = next(net.parameters()).device
    found = [detections_of(part) for part in net(to_input(with_mirror(canvas)).to(device))]
    mirrored = found[1][0].copy()
    mirrored[:, [2, 0]] = canvas.shape[1] - 1 - mirrored[:, [0, 2]]
    boxes = np.concatenate([found[0][0], mirrored])
    scores = np.concatenate([found[0][2], found[1][2]])
    kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), settings.nms).numpy()
    kept = kept[scores[kept] >= settings.score]
    return boxes[kept], scores[kept]


def box_corners(
    net: nn.Module, canvas: Bytes, boxes: Floats, settings: CornersSettings
) -> tuple[Floats, Floats]:
    """The four corners in each box: (N, 4, 2) px of the canvas, and (N, 4) confidences.

    Args:
        net: the HRNet.
        canvas: (H, W).
        boxes: (N, 4) x0, y0, x1, y1 px.
        settings: of the network.
    """
    if not len(boxes):
        return np.zeros((0, len(CORNERS), 2)), np.zeros((0, len(CORNERS)))
    views = [box_view(box, settings.size, settings.grow) for box in boxes]
    maps = both_ways(net, cut(canvas, views))
    points, values = highest_peaks(maps.reshape(-1, *maps.shape[2:]))
    corners = from_map(points, settings.size[0] / maps.shape[2]).reshape(-1, len(CORNERS), 2)
    return undo_all(views, corners), values.reshape(-1, len(CORNERS))


def rough_points(net: nn.Module, canvas: Bytes, settings: RoughSettings) -> tuple[Floats, Floats]:
    """All 68 keypoints in their fixed order: (17, 4, 2) px of the canvas, and (17, 4) confidences.

    Args:
        net: Simple Baseline I.
        canvas: (H, W).
        settings: of the network.
    """
    points, values = highest_peaks(both_ways(net, canvas[None])[0])
    found = from_map(points, settings.baseline.stride).reshape(len(VERTEBRAE), len(CORNERS), 2)
    return found, values.reshape(len(VERTEBRAE), len(CORNERS))


@functools.lru_cache(maxsize=8)
def spread_windows(count: int) -> tuple[tuple[int, int], ...]:
    """`count` of all patches, from the top; all where there are no more.

    The sizes take turns; of each, the patch is taken whose endplates were shown least so far, since of all patches only
    five show the first or the last endplate, whose corners need as many votes as the others.
    """
    left, chosen, shown = set(patch_windows()), list[tuple[int, int]](), np.zeros(2 * len(VERTEBRAE))
    for plates in itertools.cycle(ENDPLATES[::-1]):
        if not left or len(chosen) >= count:
            break
        same = sorted(window for window in left if window[1] - window[0] == plates)
        if same:
            best = min(same, key=lambda window: float(shown[slice(*window)].mean()))
            left.remove(best)
            chosen.append(best)
            shown[slice(*best)] += 1
    return tuple(sorted(chosen))


def dense_points(net: nn.Module, canvas: Bytes, rough: Floats, settings: PatchesSettings) -> list[Floats]:
    """Points of each corner tag, (N, 2) px of the canvas, found on patches along the rough points.

    Args:
        net: Simple Baseline II.
        canvas: (H, W).
        rough: (17, 4, 2) px.
        settings: of the network.
    """
    boxes = window_boxes(rough, spread_windows(settings.count))
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    boxes = boxes[sides <= LARGEST_PATCH * usual_spacing(rough.mean(axis=1))]
    views = [box_view(box, settings.size, settings.grow) for box in boxes]
    if not views:
        return [np.zeros((0, 2))] * len(CORNERS)
    # Both passes give points of their own: twice the votes for a cluster.
    plain, mirrored = two_passes(net, cut(canvas, views))
    maps = np.concatenate([plain, mirrored])
    return [_tag_points(maps[:, tag], [*views, *views], settings) for tag in range(len(CORNERS))]


def _tag_points(maps: Array, views: Sequence[View], settings: PatchesSettings) -> Floats:
    index, points, _ = peaks(maps, settings.level)
    points = from_map(points, settings.baseline.stride)
    found = [view.undo(points[index == k]) for k, view in enumerate(views)]
    return np.concatenate([np.zeros((0, 2)), *found])


def reduced(canvas: Bytes, size: tuple[int, int]) -> tuple[Bytes, View]:
    """A canvas letterboxed to another size, and the view from it."""
    view = letterbox((canvas.shape[0], canvas.shape[1]), size)
    return np.asarray(view.render(canvas), np.uint8), view


def method1(net: KeypointFusionNet, canvas: Bytes, config: KeypointFusionConfig) -> Column | None:
    """Boxes, their filters, corners in the boxes kept; None if fewer than two vertebrae are found."""
    small, view = reduced(canvas, config.boxes.size)
    boxes, scores = detect_boxes(net.boxes, small, config.boxes)
    kept = boxes_on_spine(boxes, config.boxes.overlap, config.boxes.step)
    on_canvas = view.undo(boxes[kept].reshape(-1, 2)).reshape(-1, 4)
    landmarks, values = box_corners(net.corners, canvas, on_canvas, config.corners)
    order = unique_detections(landmarks, scores[kept])
    if len(order) < 2:
        return None
    column, present = complete_column(landmarks[order])
    return Column(column, _confidence(column, present, landmarks[order], values[order]))


def method2(net: KeypointFusionNet, canvas: Bytes, config: KeypointFusionConfig) -> dict[bool, Column]:
    """Rough points, patches, dense points, clusters; without (False) and with (True) the squeezed-vertebra test.

    A result with fewer than two vertebrae is left out.
    """
    small, view = reduced(canvas, config.rough.size)
    points, values = rough_points(net.rough, small, config.rough)
    rough = view.undo(traced(points, values))
    dense = dense_points(net.patches, canvas, rough, config.patches)
    spacing = usual_spacing(rough.mean(axis=1))
    found = {}
    for squeezed in (False, True):
        landmarks, sizes = summarize(dense, spacing, config.clusters, squeezed)
        if len(landmarks) < 2:
            continue
        column, present = place_column(landmarks, rough[0].mean(axis=0))
        values = (sizes / float(np.median(sizes))).clip(0, 1)
        found[squeezed] = Column(column, _confidence(column, present, landmarks, values))
    return found


def _confidence(column: Floats, present: Bools, found: Floats, values: Floats) -> Floats:
    """(17, 4) confidences of a column, those of the vertebrae that it is made of; 0 where one was filled in."""
    apart = np.linalg.norm(centres(column)[:, None] - centres(found)[None], axis=-1)
    return np.where(present[:, None], values[apart.argmin(axis=1)], 0.0)
