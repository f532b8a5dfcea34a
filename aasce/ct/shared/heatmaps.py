"""Heatmaps of landmarks: Gaussian targets of learned widths, their loss, and maxima with subvoxel positions.

Payer, Štern, Bischof, Urschler: Integrating Spatial Configuration into Heatmap Regression Based CNNs for Landmark
Localization, Med Image Anal 54, 2019, equations 1 to 3.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from aasce.ct.shared.grids import Floats, Shares

NARROWEST = 0.8
"""Voxels; a narrower Gaussian would fall between voxels."""

SHARPNESS = 20.0
"""By which a heatmap of height 1 is multiplied to logits: a maximum of 1 then outweighs a million voxels of 0."""


def gaussians(points: Tensor, sigmas: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Gaussians of height 1.

    Args:
        points: (B, L, 3) indices; NaN gives a heatmap of zeros.
        sigmas: (L,) voxels.
        shape: (X, Y, Z).

    Returns:
        (B, L, X, Y, Z).
    """
    seen = points.nan_to_num(-1e4)  # far from every voxel; NaN would reach the gradient of the widths
    rows = []
    for axis, size in enumerate(shape):
        place = torch.arange(size, dtype=points.dtype, device=points.device)
        off = (place - seen[..., axis, None]) / sigmas[:, None]
        rows.append(torch.exp(-0.5 * off**2))
    x, y, z = rows
    return x[..., :, None, None] * y[..., None, :, None] * z[..., None, None, :]


class HeatmapLoss(nn.Module):
    """Squared error to Gaussians whose widths are learned.

    As in the paper, a wider Gaussian is a lower one (its integral stays), which the network reproduces with less error,
    and `weight` times the squared width keeps it from growing: wide where a landmark is uncertain, narrow elsewhere.

    Args:
        landmarks: number of heatmaps.
        sigma: voxels, the width at first, and for good when `weight` is 0.
        weight: of the squared widths (alpha of the paper).
        focus: further weight of the squares at a landmark, which falls off as its Gaussian does. Of 150,000 voxels a
            landmark has 50, and maps of zeros are nearly right: with few steps a network stays there. 0 is the paper's.
            The widths follow the plain squares in any case.
        naming: weight of `naming_loss`, which tells levels apart from the first step on. 0 is the paper's.
    """

    def __init__(
        self, landmarks: int, sigma: float, weight: float, focus: float = 0.0, naming: float = 0.0
    ) -> None:
        super().__init__()
        self.first, self.weight, self.focus, self.naming = sigma, weight, focus, naming
        self.sigma = nn.Parameter(torch.full((landmarks,), float(sigma)), requires_grad=weight > 0)

    def widths(self) -> Tensor:
        """(L,) voxels."""
        return self.sigma.clamp(min=NARROWEST)

    def heights(self) -> Tensor:
        """(L,) of the Gaussians; 1 for those of the first width."""
        return (self.first / self.widths()) ** 3

    def forward(self, maps: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of squares over the voxels and mean over landmarks and batch, and all other terms.

        Args:
            maps: (B, L, X, Y, Z).
            points: (B, L, 3) indices of their voxels, NaN for a landmark that is not there.
        """
        x, y, z = maps.shape[2:]
        share = gaussians(points, self.widths(), (x, y, z))
        wanted = share * self.heights()[:, None, None, None]
        known = points.isfinite().all(dim=-1)
        plain = ((maps.detach() - wanted) ** 2).sum(dim=(2, 3, 4)).mean()  # for the widths alone
        off = (1 + self.focus * share.detach()) * (maps - wanted.detach()) ** 2  # for the network alone
        squares = off.sum(dim=(2, 3, 4)).mean() + plain - plain.detach()
        spread = (self.widths() ** 2 * known).sum() / known.numel()
        other: Tensor = self.weight * spread
        if self.naming > 0:
            other = other + self.naming * naming_loss(
                maps / self.heights().detach()[:, None, None, None], points
            )
        return squares, other


def naming_loss(maps: Tensor, points: Tensor) -> Tensor:
    """Cross-entropy of each landmark's place over all voxels of its heatmap, and of its name over all heatmaps there.

    Args:
        maps: (B, L, X, Y, Z) heatmaps, as shares of their targets' heights.
        points: (B, L, 3) indices of their voxels, NaN for a landmark that is not there.

    Returns:
        The mean over the landmarks that are there; 0 without any.
    """
    size = torch.tensor(maps.shape[2:], device=points.device)
    known = points.isfinite().all(dim=-1)
    voxel = torch.minimum(points.nan_to_num(0.0).round().long().clamp(min=0), size - 1)
    flat = (voxel[..., 0] * size[1] + voxel[..., 1]) * size[2] + voxel[..., 2]  # (B, L)
    logits = SHARPNESS * maps.flatten(2)
    place = logits.log_softmax(dim=-1).gather(-1, flat[..., None])[..., 0]
    there = logits.gather(-1, flat[:, None].expand(-1, maps.shape[1], -1))  # (B, heatmap, landmark)
    name = there.log_softmax(dim=1).diagonal(dim1=1, dim2=2)
    loss: Tensor = -((place + name) * known).sum() / known.sum().clamp(min=1)
    return loss


def maxima(heatmap: Shares, threshold: float, most: int) -> tuple[Floats, Floats]:
    """Local maxima of a heatmap, the highest first.

    Args:
        heatmap: (X, Y, Z).
        threshold: lowest value of a maximum.
        most: how many are kept.

    Returns:
        (N, 3) indices with fractions (vertex of the parabola through the logarithms, exact for a Gaussian), and (N,)
        values.
    """
    if not heatmap.size or heatmap.max() < threshold:
        return np.zeros((0, 3)), np.zeros(0)
    peaks = (heatmap >= threshold) & (heatmap == ndimage.maximum_filter(heatmap, 3, mode="nearest"))
    found = np.argwhere(peaks)
    values = heatmap[peaks]
    order = np.argsort(-values, kind="stable")[:most]
    places = np.array([_refined(heatmap, place) for place in found[order]]).reshape(-1, 3)
    return places, np.asarray(values[order], np.float64)


def _refined(heatmap: Shares, place: np.ndarray) -> Floats:
    """(3,) index of a maximum with its fraction; at a face of the grid, the voxel's middle."""
    found = place.astype(np.float64)
    for axis, size in enumerate(heatmap.shape):
        if not 0 < place[axis] < size - 1:
            continue
        step = np.eye(3, dtype=int)[axis]
        low, mid, high = (np.log(max(float(heatmap[tuple(place + k * step)]), 1e-6)) for k in (-1, 0, 1))
        bend = low - 2 * mid + high
        if bend < 0:
            found[axis] += np.clip(0.5 * (low - high) / bend, -0.5, 0.5)
    return found
