"""Losses of the four corners of vertebrae that several networks are taught by."""

from __future__ import annotations

import torch
from torch import Tensor


def midline(corners: Tensor) -> Tensor:
    """(B, 2) px from the middle of the left to that of the right side, doubled, of (B, 4, 2) TL, TR, BL, BR."""
    return corners[:, 1] + corners[:, 3] - corners[:, 0] - corners[:, 2]


def tilt_loss(found: Tensor, truth: Tensor) -> Tensor:
    """(B,) how far the midline found turns from the labelled one: about the tilt's error in radians.

    The angles of a spine are differences of tilts, so that an error that moves a whole vertebra costs nothing and one
    that rotates it costs all. It is the sine of the angle between the midlines, times the ratio of their lengths:
    divided by the length found instead, corners that all begin in one place would have gradients without limit.

    Args:
        found, truth: (B, 4, 2) px, TL, TR, BL, BR.
    """
    u, v = midline(found), midline(truth)
    sine: Tensor = (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / (v**2).sum(dim=1).clamp(min=1e-6)
    return sine.abs()


def expected_places(shares: Tensor) -> Tensor:
    """(B, K, 2) px of the maps (x, y): centres of mass of (B, K, h, w) shares in [0, 1]."""
    mass = shares + 1e-6
    total = mass.sum(dim=(2, 3))
    y = (mass.sum(dim=3) * torch.arange(mass.shape[2], device=mass.device)).sum(dim=2) / total
    x = (mass.sum(dim=2) * torch.arange(mass.shape[3], device=mass.device)).sum(dim=2) / total
    return torch.stack([x, y], dim=2)


def place_entropy(logits: Tensor, places: Tensor, sigma: float) -> Tensor:
    """(N,) cross entropy of the softmax of maps with a Gaussian at each place, mean of the K maps.

    Args:
        logits: (N, K, h, w).
        places: (N, K, 2) px of the maps.
        sigma: px of the maps.
    """
    rows, columns = logits.shape[-2:]
    across = torch.arange(columns, device=places.device) - places[..., :1]
    down = torch.arange(rows, device=places.device) - places[..., 1:]
    power = (down[..., :, None] ** 2 + across[..., None, :] ** 2) / (-2 * sigma**2)
    target = power.flatten(-2).softmax(dim=-1)
    return -(target * logits.flatten(-2).log_softmax(dim=-1)).sum(dim=-1).mean(dim=-1)
