"""Segmentation maps of half the canvas: their targets, losses and scores, and the way back to the film."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aasce.preprocess.crop import View
from aasce.preprocess.intensity import Bytes
from aasce.solvers.shared.samples import Floats
from aasce.targets.mask import Shares, encode_mask
from aasce.types import Array


def half_map(landmarks: Floats, size: tuple[int, int]) -> Shares:
    """(3, H/2, W/2) area shares of `targets.mask.CLASSES` on a map of half the canvas.

    Args:
        landmarks: (V, 4, 2) px of the canvas.
        size: (H, W) of the canvas.
    """
    return encode_mask((landmarks + 0.5) / 2 - 0.5, (size[0] // 2, size[1] // 2))


def as_bytes(shares: Array) -> Bytes:
    """Shares in [0, 1] as uint8, 255 for 1."""
    return np.clip(np.round(shares * 255), 0, 255).astype(np.uint8)


def soft_dice(probability: Tensor, shares: Tensor) -> Tensor:
    """Dice loss with squared terms, mean of the classes; 0 where both are equal, soft targets included.

    Args:
        probability, shares: (B, C, h, w); overlap and sums are over batch and map.
    """
    overlap = 2 * (probability * shares).sum(dim=(0, 2, 3))
    total = (probability**2 + shares**2).sum(dim=(0, 2, 3))
    return 1 - ((overlap + 1) / (total + 1)).mean()


def dice_score(found: Array, truth: Array) -> float:
    """Dice overlap of two binary masks of any one shape; 0 if both are empty."""
    from segmentation_models_pytorch import metrics

    counts = _counts(found, truth, mode="binary")
    return float(metrics.f1_score(*counts, reduction="micro-imagewise", zero_division=0.0))


class ClassOverlap:
    """Intersection over union of each class, pixels of all films taken together.

    Args:
        classes: number of classes.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts = [torch.zeros(classes, dtype=torch.long)] * 4

    def add(self, found: Array, truth: Array) -> None:
        """Counts the pixels of one film; both maps hold (h, w) indices of classes."""
        new = _counts(found, truth, mode="multiclass", num_classes=self.classes)
        self.counts = [total + part[0] for total, part in zip(self.counts, new, strict=True)]

    def iou(self) -> NDArray[np.float64]:
        """(classes,) intersection over union; 0 for a class that no pixel has."""
        from segmentation_models_pytorch import metrics

        return np.asarray(metrics.iou_score(*self.counts, reduction="none", zero_division=0.0), np.float64)


def _counts(found: Array, truth: Array, **options: Any) -> tuple[Tensor, ...]:
    """True positives, false positives, false negatives and true negatives of two maps."""
    from segmentation_models_pytorch import metrics  # heavy, and only validation needs it

    pair = (torch.from_numpy(np.asarray(m, np.int64))[None] for m in (found, truth))
    counts: tuple[Tensor, ...] = metrics.get_stats(*pair, **options)
    return counts


def film_mask(probability: NDArray[np.float32], view: View, size: tuple[int, int]) -> Bytes:
    """Mask on the film of a probability map: 1 where it exceeds one half.

    Args:
        probability: (h, w) map of half the canvas.
        view: film px to canvas px.
        size: (H, W) of the film.

    Returns:
        (H, W) uint8, 0 outside the canvas.
    """
    return (view.scaled(0.5).to_film(probability, size) > 0.5).astype(np.uint8)
