"""Domain adaptation by a reversed gradient (Ganin & Lempitsky 2015), as Seg4Reg uses it (Lin et al., eq. 1).

A discriminator learns to classify films, by their features, as training films or unlabelled target films; the gradient
that reaches the features is reversed, so that the features of both become alike. Loss = L_y + lambda L_d.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.datasets import FilmSet, data_root, unlabelled_films
from aasce.preprocess.augment import reseed
from aasce.preprocess.intensity import Bytes
from aasce.solvers.seg4reg.settings import AdaptationSettings, Seg4RegConfig
from aasce.solvers.shared.samples import canvas_of, random_trunk
from aasce.types import AasceError

if TYPE_CHECKING:
    import albumentations as A


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
    """Returns the features, with their gradient reversed and multiplied by `weight`."""
    reversed_: Tensor = GradientReversal.apply(features, weight)
    return reversed_


class Discriminator(nn.Module):
    """Predicts the domain of a film from its features; maps are averaged over the film first."""

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
        settings: names their folder; without one they are aasce19_wide/ of the data set.
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


def draw_target_canvas(
    films: list[Bytes], config: Seg4RegConfig, rng: np.random.Generator, intensity: A.Compose
) -> Bytes:
    """A random trunk of a random target film on the segmenter's canvas, augmented like training films.

    Args:
        films: (H, W) uint8 each.
        config: of the solver.
        rng: source of every draw.
        intensity: grey-value pipeline.

    Returns:
        (H, W) uint8.
    """
    film = films[int(rng.integers(len(films)))]
    box = random_trunk((film.shape[0], film.shape[1]), rng)
    canvas, _ = canvas_of(film, box, config.segmentation.size, config.intensity)
    if rng.random() < config.augment.mirror_share:
        canvas = np.ascontiguousarray(canvas[:, ::-1])
    reseed(intensity, rng)
    return np.asarray(intensity(image=canvas)["image"])
