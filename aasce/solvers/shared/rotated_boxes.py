"""Rotated anchors, and rotated boxes as differences from anchors.

Boxes are those of `rotated`: (cx, cy, w, h, theta), theta in [-pi/2, pi/2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aasce.solvers.shared.rotated import from_box_frame, to_box_frame

LARGEST = math.log(1000 / 16)
"""Limit of the logarithm of a side's change, as torchvision has it."""


def wrapped(theta: Tensor) -> Tensor:
    """Rotations of a rectangle's width, in [-pi/2, pi/2); half a turn changes nothing."""
    return theta - math.pi * torch.floor(theta / math.pi + 0.5)


@dataclass(frozen=True, slots=True)
class RotatedCoder:
    """The difference of a box from an anchor, (dx, dy, dw, dh, dtheta), and back.

    As Ren et al. (Faster R-CNN, 2015, equation 2) have it for upright boxes: the shift in units of the anchor's width
    and height, here along the anchor's own axes, and the logarithms of the sides' ratios; the rotation in radians.

    Attributes:
        weights: factors of the five, so that each has a spread of about one.
    """

    weights: tuple[float, float, float, float, float] = (5.0, 5.0, 5.0, 5.0, 5.0)

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """(N, 5) differences of boxes (N, 5) from anchors (N, 5)."""
        shift = to_box_frame(boxes[:, None, :2], anchors)[:, 0]
        sides = (boxes[:, 2:4] / anchors[:, 2:4]).log()
        turn = wrapped(boxes[:, 4:] - anchors[:, 4:])
        return torch.cat([shift / anchors[:, 2:4], sides, turn], dim=1) * boxes.new_tensor(self.weights)

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """(N, 5) boxes at differences (N, 5) from anchors (N, 5)."""
        d = deltas / deltas.new_tensor(self.weights)
        middle = from_box_frame((d[:, :2] * anchors[:, 2:4])[:, None], anchors)[:, 0]
        sides = anchors[:, 2:4] * d[:, 2:4].clamp(max=LARGEST).exp()
        return torch.cat([middle, sides, wrapped(anchors[:, 4:] + d[:, 4:])], dim=1)


def rotated_anchors(
    shape: tuple[int, int],
    stride: int,
    scales: Sequence[float],
    ratios: Sequence[float],
    angles: Sequence[float],
) -> Tensor:
    """Anchors of every scale, ratio and angle at every cell of a map.

    Args:
        shape: (rows, columns) of the map.
        stride: canvas px per cell.
        scales: px, square roots of the anchors' areas.
        ratios: width over height.
        angles: radians.

    Returns:
        (rows * columns * A, 5) float32 canvas px; the A anchors of a cell follow one another, angles the fastest.
    """
    kinds = [(s * math.sqrt(r), s / math.sqrt(r), t) for s in scales for r in ratios for t in angles]
    y, x = (((torch.arange(n) + 0.5) * stride - 0.5) for n in shape)
    cells = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1).reshape(-1, 1, 2)
    kind = torch.tensor(kinds, dtype=torch.float32).expand(len(cells), -1, -1)
    return torch.cat([cells.expand(-1, len(kinds), -1), kind], dim=-1).reshape(-1, 5)
