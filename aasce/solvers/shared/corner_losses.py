"""Losses of the four corners of vertebrae that several networks are taught by."""

from __future__ import annotations

import torch
from torch import Tensor


def midline(corners: Tensor) -> Tensor:
    """(B, 2) px from the middle of the left to that of the right side, doubled, of (B, 4, 2) TL, TR, BL, BR."""
    return corners[:, 1] + corners[:, 3] - corners[:, 0] - corners[:, 2]


def tilt_loss(found: Tensor, truth: Tensor) -> Tensor:
    """(B,) size of the sine of the angle between the midlines found and labelled: about the tilt's error in radians.

    The angles of a spine are differences of tilts, so that an error that moves a whole vertebra costs nothing and one
    that rotates it costs all.

    Args:
        found, truth: (B, 4, 2) px, TL, TR, BL, BR.
    """
    u, v = midline(found), midline(truth)
    lengths = u.norm(dim=1).clamp(min=1e-3) * v.norm(dim=1).clamp(min=1e-3)
    sine: Tensor = (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / lengths
    return sine.abs()


def expected_places(shares: Tensor) -> Tensor:
    """(B, K, 2) px of the maps (x, y): centres of mass of (B, K, h, w) shares in [0, 1]."""
    mass = shares + 1e-6
    total = mass.sum(dim=(2, 3))
    y = (mass.sum(dim=3) * torch.arange(mass.shape[2], device=mass.device)).sum(dim=2) / total
    x = (mass.sum(dim=2) * torch.arange(mass.shape[3], device=mass.device)).sum(dim=2) / total
    return torch.stack([x, y], dim=2)
