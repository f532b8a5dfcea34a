"""Similarity of two radiographs, independent of their contrast."""

from __future__ import annotations

import torch
from torch.nn import functional


def normalised_gradient_correlation(
    first: torch.Tensor, second: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean of the normalised cross-correlations of the two images' row and column gradients (Sobel).

    Penney et al., "A comparison of similarity measures for use in 2-D-3-D medical image registration", IEEE TMI 17,
    1998, 586-595 ("gradient correlation"). Invariant to brightness and contrast; differentiable in both images.

    Args:
        first: (..., H, W) with H, W of at least 3.
        second: of a shape that broadcasts against the first.
        weight: (..., H, W) non-negative weight of each pixel; equal weights when None.

    Returns:
        (...) from -1 to 1; 1 for images equal up to brightness and positive contrast, 0 for a constant one.
    """
    if weight is not None:
        weight = weight[..., 1:-1, 1:-1].flatten(-2)
    pairs = zip(_gradients(first), _gradients(second), strict=True)
    return torch.stack([_correlation(one, two, weight) for one, two in pairs]).mean(0)


def multiscale_gradient_correlation(
    first: torch.Tensor, second: torch.Tensor, levels: int = 3, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean of `normalised_gradient_correlation` over `levels` scales, each half the resolution of the one before.

    Coarse scales widen the range from which a registration converges, fine ones make its result exact.
    """
    total, used = normalised_gradient_correlation(first, second, weight), 1
    for _ in range(levels - 1):
        if min(first.shape[-2:]) < 8:
            break
        first, second = _halved(first), _halved(second)
        weight = None if weight is None else _halved(weight)
        total = total + normalised_gradient_correlation(first, second, weight)
        used += 1
    return total / used


def _gradients(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sobel gradients (..., (H-2)(W-2)) along columns and rows."""
    left, right = image[..., :, :-2], image[..., :, 2:]
    across = _smoothed(right - left, -2)
    along = _smoothed(image[..., 2:, :] - image[..., :-2, :], -1)
    return across.flatten(-2), along.flatten(-2)


def _smoothed(image: torch.Tensor, dim: int) -> torch.Tensor:
    """Weighted mean (1, 2, 1) / 4 along a dimension, which becomes two shorter."""
    size = image.shape[dim] - 2
    return (image.narrow(dim, 0, size) + 2 * image.narrow(dim, 1, size) + image.narrow(dim, 2, size)) / 4


def _correlation(first: torch.Tensor, second: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    """Normalised cross-correlation over the last dimension."""
    if weight is None:
        weight = torch.ones_like(first)
    total = weight.sum(-1, keepdim=True).clamp_min(torch.finfo(first.dtype).tiny)
    first = first - (weight * first).sum(-1, keepdim=True) / total
    second = second - (weight * second).sum(-1, keepdim=True) / total
    power = (weight * first * first).sum(-1) * (weight * second * second).sum(-1)
    # For a constant image the power is zero; the lower bound keeps the root's gradient finite there.
    floor = torch.finfo(first.dtype).tiny * 1e6
    return (weight * first * second).sum(-1) / power.clamp_min(floor).sqrt()


def _halved(image: torch.Tensor) -> torch.Tensor:
    height, width = image.shape[-2] // 2 * 2, image.shape[-1] // 2 * 2
    batch = image.shape[:-2]
    pooled = functional.avg_pool2d(image[..., :height, :width].reshape(-1, 1, height, width), 2)
    return pooled.reshape(*batch, height // 2, width // 2)


def local_gradient_correlation(
    first: torch.Tensor,
    second: torch.Tensor,
    window: int,
    levels: int = 2,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean over windows of the gradients' normalised cross-correlation, so that faint and strong parts count equally.

    Args:
        first: (H, W).
        second: (H, W).
        window: px, side of the square windows, which overlap by half; halved with every scale.
        levels: number of scales, each half the resolution of the one before.
        weight: (H, W) non-negative weight of each pixel; a window's weight is the sum of its pixels'.
    """
    weight = torch.ones_like(first) if weight is None else weight
    total = first.new_zeros(())
    for level in range(levels):
        if level:
            first, second, weight = _halved(first), _halved(second), _halved(weight)
        size = max(3, window >> level)
        total = total + _windowed(first, second, weight, size)
    return total / levels


def _windowed(first: torch.Tensor, second: torch.Tensor, weight: torch.Tensor, window: int) -> torch.Tensor:
    height, width = first.shape
    inner = weight[1:-1, 1:-1]
    shape = (1, 1, height - 2, width - 2)

    def pooled(image: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(
            image.reshape(shape), window, max(1, window // 2), window // 2, count_include_pad=True
        ).flatten()

    held = pooled(inner)
    found = []
    for one, two in zip(_gradients(first), _gradients(second), strict=True):
        one, two = one.reshape(height - 2, width - 2), two.reshape(height - 2, width - 2)
        power = pooled(inner * one * one) * pooled(inner * two * two)
        floor = torch.finfo(first.dtype).tiny * 1e6
        found.append(pooled(inner * one * two) / power.clamp_min(floor).sqrt())
    alike = torch.stack(found).mean(0)
    return (alike * held).sum() / held.sum().clamp_min(1e-12)
