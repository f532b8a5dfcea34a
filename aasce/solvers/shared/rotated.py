"""Overlap of rotated boxes and non-maximum suppression by it, on whole tensors at once.

A box is (cx, cy, w, h, theta): px with pixel centres at integers, theta in radians, the rotation of the width against
x, positive clockwise as seen (`targets.boxes`). The overlap is exact. By Green's theorem the area of an intersection is
an integral along its outline, which consists of the parts of either box's outline that lie inside the other one. In
the frame of the other box each side is clipped to an upright rectangle (Liang & Barsky 1984), so that no polygon has
to be built and sorted.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SHRUNK = 1 - 1e-9
"""By this the first box of a pair is shrunk, so that of two sides that coincide always one alone counts."""

BLOCK = 16384
"""Pairs that are computed at once: so few that they stay in a processor's cache."""


def box_axes(boxes: Tensor) -> Tensor:
    """(..., 2, 2) unit vectors along the width and along the height of boxes (..., 5)."""
    cos, sin = boxes[..., 4].cos(), boxes[..., 4].sin()
    return torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)


def to_box_frame(points: Tensor, boxes: Tensor) -> Tensor:
    """(..., K, 2) px along width and height from the middles of boxes (..., 5), of points (..., K, 2) px.

    Written out and not as a matrix product, which autocast would compute in bfloat16, a tenth of a px too coarse.
    """
    shift = (points - boxes[..., None, :2])[..., None, :]
    return (shift * box_axes(boxes)[..., None, :, :]).sum(dim=-1)


def from_box_frame(local: Tensor, boxes: Tensor) -> Tensor:
    """The inverse of `to_box_frame`."""
    return (local[..., None] * box_axes(boxes)[..., None, :, :]).sum(dim=-2) + boxes[..., None, :2]


def box_outline(boxes: Tensor) -> Tensor:
    """(..., 4, 2) px corners of boxes (..., 5), clockwise as seen from the top left one."""
    signs = boxes.new_tensor([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    return from_box_frame(signs * boxes[..., None, 2:4], boxes)


@torch.no_grad()
def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """(P,) intersection over union of boxes (P, 5) with boxes (P, 5), float64."""
    parts = [
        _block_iou(a, b) for a, b in zip(torch.split(first, BLOCK), torch.split(second, BLOCK), strict=True)
    ]
    return torch.cat(parts)


def _block_iou(first: Tensor, second: Tensor) -> Tensor:
    a, b = first.double(), second.double()
    a = torch.cat([a[:, :2], a[:, 2:4] * SHRUNK, a[:, 4:]], dim=1)
    area_a, area_b = a[:, 2] * a[:, 3], b[:, 2] * b[:, 3]
    # Both integrals about the middle of b. Seen from there, each side of b spans a fourth of b's area.
    outline = to_box_frame(box_outline(a), b)
    side = outline.roll(-1, dims=1) - outline
    spanned = outline[..., 0] * side[..., 1] - outline[..., 1] * side[..., 0]
    part_a = (_share_inside(outline, side, b[:, 2:4]) * spanned).sum(dim=1)
    other = to_box_frame(box_outline(b), a)
    part_b = _share_inside(other, other.roll(-1, dims=1) - other, a[:, 2:4]).sum(dim=1) * area_b / 2
    common = ((part_a + part_b) / 2).clamp(min=0)
    return (common / (area_a + area_b - common).clamp(min=1e-12)).clamp(0, 1)


def _share_inside(start: Tensor, side: Tensor, extent: Tensor) -> Tensor:
    """(P, 4) share of each segment (start, start + side), (P, 4, 2), in the rectangle of `extent` (P, 2) about 0."""
    step = torch.where(side.abs() < 1e-30, 1e-30, side)
    half = extent[:, None] / 2
    one, two = (-half - start) / step, (half - start) / step
    enters = torch.minimum(one, two).amax(dim=-1).clamp(min=0)
    leaves = torch.maximum(one, two).amin(dim=-1).clamp(max=1)
    share: Tensor = (leaves - enters).clamp(min=0)
    return share


def _overlapping_pairs(a: Tensor, b: Tensor, least: float, above: bool = False) -> tuple[Tensor, Tensor]:
    """Rows and columns (P,) of the pairs of boxes (N, 5) and (M, 5) that may have an overlap of `least`.

    By circles around the boxes first, then, of what is left, by areas and upright extents. `above`: only pairs whose
    column is larger than their row.
    """
    radius_a, radius_b = a[:, 2:4].norm(dim=1) / 2, b[:, 2:4].norm(dim=1) / 2
    square = sum((a[:, None, axis] - b[:, axis]) ** 2 for axis in (0, 1))
    near = square < (radius_a[:, None] + radius_b) ** 2
    row, column = (near.triu(1) if above else near).nonzero(as_tuple=True)
    if least <= 0:
        return row, column
    half_a, half_b = _upright_half(a)[row], _upright_half(b)[column]
    reach = half_a + half_b - (a[row, :2] - b[column, :2]).abs()
    common = torch.minimum(reach.clamp(min=0), 2 * torch.minimum(half_a, half_b)).prod(dim=1)
    area_a, area_b = a[:, 2:4].prod(dim=1)[row], b[:, 2:4].prod(dim=1)[column]
    # IoU = common / (area_a + area_b - common), which grows with what is common.
    common = torch.minimum(common, torch.minimum(area_a, area_b))
    enough = common >= least * (area_a + area_b - common) * (1 - 1e-5)
    return row[enough], column[enough]


def _upright_half(boxes: Tensor) -> Tensor:
    """(N, 2) half the extent in x and y of the smallest upright box around each rotated one."""
    cos, sin = boxes[:, 4].cos().abs(), boxes[:, 4].sin().abs()
    w, h = boxes[:, 2], boxes[:, 3]
    return torch.stack([w * cos + h * sin, w * sin + h * cos], dim=1) / 2


@torch.no_grad()
def rotated_iou(first: Tensor, second: Tensor, least: float = 0.0) -> Tensor:
    """(N, M) intersection over union of rotated boxes.

    Args:
        first: (N, 5). second: (M, 5).
        least: smaller overlaps are not needed and may be given as 0, which saves time.
    """
    a, b = first.float(), second.float()
    row, column = _overlapping_pairs(a, b, least)
    found = a.new_zeros(len(a), len(b))
    found[row, column] = paired_iou(first[row], second[column]).to(found.dtype)
    return found


@torch.no_grad()
def rotated_nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes: (N, 5).
        scores: (N,).
        threshold: a box is dropped if it overlaps a better one that is kept by more (IoU).

    Returns:
        (K,) int64 indices of the boxes kept, the best score first.
    """
    order = scores.argsort(descending=True, stable=True)
    ranked = boxes[order].float()
    row, column = _overlapping_pairs(ranked, ranked, threshold, above=True)
    hit = paired_iou(boxes[order[row]], boxes[order[column]]) > threshold
    drops = np.zeros((len(boxes), len(boxes)), bool)
    drops[row[hit].cpu().numpy(), column[hit].cpu().numpy()] = True
    dropped = np.zeros(len(boxes), bool)
    for index in range(len(boxes)):  # over boxes, not pairs: whether one is kept depends on all better ones
        if not dropped[index]:
            dropped |= drops[index]
    return order[torch.from_numpy(~dropped).to(order.device)]
