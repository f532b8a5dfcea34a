"""Rotated ROI align: maps resampled in the frame of rotated boxes, so that every box lies upright.

At theta = 0 it is torchvision's `roi_align` with `aligned=True`. Boxes are those of `rotated`, with pixel centres at
integers; torchvision counts the same px from the outer edge, so that its boxes are larger by 0.5 in all coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from aasce.solvers.shared.rotated import from_box_frame


def rotated_roi_align(
    features: Tensor, boxes: Sequence[Tensor], size: tuple[int, int], stride: float, sampling: int = 1
) -> Tensor:
    """Maps of boxes, by bilinear interpolation at regular points of each box.

    Args:
        features: (B, C, H, W), a map of the canvas.
        boxes: of each film (n, 5) canvas px.
        size: (h, w) of the result.
        stride: canvas px per px of `features`.
        sampling: points along each axis of a cell, whose values are averaged.

    Returns:
        (N, C, h, w), N the boxes of all films together; differentiable in `features`. Points more than a px outside
        the map count as 0.
    """
    parts = [
        _film_align(features[film : film + 1], part, size, stride, sampling)
        for film, part in enumerate(boxes)
        if len(part)
    ]
    return torch.cat(parts) if parts else features.new_zeros(0, features.shape[1], *size)


def _film_align(
    features: Tensor, boxes: Tensor, size: tuple[int, int], stride: float, sampling: int
) -> Tensor:
    rows, columns = size[0] * sampling, size[1] * sampling
    points = (sample_points(boxes, (rows, columns)) + 0.5) / stride - 0.5  # (n, rows * columns, 2)
    height, width = features.shape[-2:]
    limit = points.new_tensor([width, height])
    inside = ((points >= -1) & (points <= limit)).all(dim=-1)
    # Coordinates from -1 to 1 between the outer edges of the map.
    grid = ((2 * points + 1) / limit - 1).to(features.dtype)
    found = F.grid_sample(features, grid[None], "bilinear", "border", align_corners=False)
    found = found[0] * inside.to(features.dtype)  # (C, n, rows * columns)
    found = found.transpose(0, 1).reshape(len(boxes), -1, rows, columns)
    return found if sampling == 1 else F.avg_pool2d(found, sampling)


def sample_points(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, h * w, 2) canvas px of the centres of h by w cells that divide each box (N, 5), row by row."""
    down, along = ((torch.arange(n, device=boxes.device) + 0.5) / n - 0.5 for n in size)
    cells = torch.stack([along.expand(size), down[:, None].expand(size)], dim=-1).reshape(1, -1, 2)
    return from_box_frame(cells.to(boxes.dtype) * boxes[:, None, 2:4], boxes)
