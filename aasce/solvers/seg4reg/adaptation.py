"""Domain adaptation by a reversed gradient (Ganin & Lempitsky 2015), as Seg4Reg uses it (Lin et al., eq. 1).

A discriminator tells films of the training set from unlabelled target films by their features; the gradient
that reaches the features is reversed, so that they learn to look alike. Loss = L_y + lambda L_d.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.datasets import FilmSet, data_root, unlabelled_films
from aasce.solvers.seg4reg.settings import AdaptationSettings
from aasce.types import AasceError


class GradientReversal(torch.autograd.Function):
    """The identity, whose gradient is multiplied by -`weight`."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradient, None


def reverse_gradient(features: Tensor, weight: float) -> Tensor:
    """Passes features on and turns their gradient round."""
    reversed_: Tensor = GradientReversal.apply(features, weight)
    return reversed_


class Discriminator(nn.Module):
    """Tells the domain of a film from its features; maps are averaged over the film first."""

    def __init__(self, width: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.layers = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        """Cross entropy of the domains.

        Args:
            features: (B, F) or (B, F, h, w).
            target: (B,) 1 for a target film, 0 for a training film.
        """
        flat = features.float() if features.ndim == 2 else features.float().mean(dim=(2, 3))
        logits = self.layers(reverse_gradient(flat, self.weight))[:, 0]
        return F.binary_cross_entropy_with_logits(logits.float(), target.float())


def target_films(settings: AdaptationSettings | None, data: Path | None = None) -> FilmSet | None:
    """The unlabelled films to adapt to, None when adaptation is off.

    Args:
        settings: names their folder, or leaves it to the data set.
        data: folder of the data set; None takes the one that AASCE_DATA names.

    Raises:
        AasceError: the folder is missing or holds no film.
    """
    if settings is None:
        return None
    folder = Path(settings.films).expanduser() if settings.films else data_root(data) / "aasce19_wide"
    if not folder.is_dir():
        remedy = "set adaptation.films, or adaptation to null"
        raise AasceError(f"{folder}: no such folder of unlabelled films; {remedy}")
    return unlabelled_films(folder)
