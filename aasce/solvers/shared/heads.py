"""From features to three angles, and the losses that teach it: shared by every solver that regresses.

Two heads. "direct" is a dense layer with three outputs, as the papers have it. "pairs" predicts the tilts of the
levels first and takes each angle as a learned soft choice among all pairs of them, which is how the labels came
about; it is of this kit.
"""

from __future__ import annotations

from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.geometry.cobb import tilts
from aasce.types import Array

HeadName = Literal["direct", "pairs"]

ANGLE_SCALE = 90.0
"""Degrees that the outputs of a regressor are counted in."""


class Regressed(NamedTuple):
    """Outputs of a regressor.

    Attributes:
        angles: (B, 3) degrees.
        tilts: (B, levels) degrees, None from a head that knows no tilts.
        features: (B, F).
        places: (B, levels) where the levels lie, as shares of the canvas's height; None from a head that has no
            rows (`rows`).
        along: (B, rows) degrees, tilt of the spine in each row, with `places`.
        columns: (B, maps, rows) where the spine stands in each row of each pooled map, from -1 at the left edge of
            the canvas to 1 at the right one; None where maps are averaged.
        local: of each pooled map, (B, h, w) degrees, the tilt that each pixel tells by itself; None where not asked.
    """

    angles: Tensor
    tilts: Tensor | None
    features: Tensor
    places: Tensor | None = None
    along: Tensor | None = None
    columns: Tensor | None = None
    local: tuple[Tensor, ...] | None = None

    def first(self, films: int) -> Regressed:
        """Of the first so many films of the batch."""
        cut = {name: part[:films] for name, part in self._asdict().items() if isinstance(part, Tensor)}
        local = None if self.local is None else tuple(part[:films] for part in self.local)
        return self._replace(local=local, **cut)


class DirectHead(nn.Module):
    """(B, F) features to three angles by a dense layer."""

    def __init__(self, width: int, drop: float = 0.1) -> None:
        super().__init__()
        last = nn.Linear(width, 3)
        nn.init.constant_(last.bias, 25.0 / ANGLE_SCALE)
        self.output = nn.Sequential(nn.Dropout(drop), last)

    def forward(self, features: Tensor) -> Regressed:
        return Regressed(self.output(features).float() * ANGLE_SCALE, None, features)


class PairsHead(nn.Module):
    """(B, F) features to the tilts of the levels, and each angle as a soft choice among all pairs of them.

    Every pair of levels gives an angle |tilt_i - tilt_j|. Which pair, or none, the first, second and third angle
    is measured between is what the rest of the head learns from the labels. Tilts that were found elsewhere
    (`reads_tilts` false) are handed to `between`.
    """

    def __init__(self, width: int, levels: int = 17, reads_tilts: bool = True) -> None:
        super().__init__()
        if reads_tilts:
            self.tilts = nn.Linear(width, levels)
        pairs = list(combinations(range(levels), 2))
        self.register_buffer("upper", torch.tensor([i for i, _ in pairs]), persistent=False)
        self.register_buffer("lower", torch.tensor([j for _, j in pairs]), persistent=False)
        options = len(pairs) + 1
        self.choose = nn.Sequential(
            nn.Linear(width + options, width), nn.GELU(), nn.Linear(width, 3 * options)
        )
        self.sharpness = nn.Parameter(torch.tensor([30.0, 10.0, 10.0]))

    def forward(self, features: Tensor) -> Regressed:
        with torch.autocast(features.device.type, enabled=False):
            return self.between(self.tilts(features.float()), features.float())

    def between(self, found: Tensor, features: Tensor) -> Regressed:
        """Angles from (B, levels) tilts, counted in `ANGLE_SCALE`, and (B, F) features, both float32."""
        between = (found[:, self.upper] - found[:, self.lower]).abs()  # type: ignore[index]
        options = F.pad(between, (0, 1))  # the last one is "no curve": 0 degrees
        logits = self.choose(torch.cat([features, options], dim=1)).unflatten(1, (3, -1))
        chosen = (logits + self.sharpness[:, None] * options[:, None]).softmax(dim=-1)
        angles = (chosen * options[:, None]).sum(dim=-1)
        return Regressed(angles * ANGLE_SCALE, found * ANGLE_SCALE, features)


def angle_losses(
    found: Regressed, angles: Tensor, levels: Tensor, smape: float, tilt: float, near: float = 1.0
) -> dict[str, Tensor]:
    """Smooth L1 and SMAPE of the angles, L1 of the tilts where the head knows them.

    Args:
        found: of a batch of B.
        angles: (B, 3) degrees. levels: (B, levels) degrees.
        smape, tilt, near: weights of SMAPE, of the tilts, and of the smooth L1.

    Returns:
        "loss", their weighted sum, and each term by itself.
    """
    degrees = F.smooth_l1_loss(found.angles, angles, beta=1.0) / 10
    ratio = smape_loss(found.angles, angles)
    losses = {"loss": near * degrees + smape * ratio, "angle": degrees, "smape": ratio}
    if found.tilts is not None:
        losses["tilt"] = (found.tilts - levels).abs().mean() / 5
        losses["loss"] = losses["loss"] + tilt * losses["tilt"]
    return losses


def smape_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """The challenge's score, as a share, over (B, 3) degrees; smooth enough to be minimised."""
    total = predicted.abs().sum(dim=1) + truth.abs().sum(dim=1)
    return ((predicted - truth).abs().sum(dim=1) / total.clamp(min=1.0)).mean()


def level_tilts(landmarks: Array, levels: int) -> NDArray[np.float32]:
    """(levels,) degrees in [-90, 90]; fewer or more vertebrae are interpolated over the spine."""
    return np.asarray(per_level(np.clip(tilts(landmarks), -90, 90), levels), np.float32)


def per_level(values: Array, levels: int) -> Array:
    """(levels,) values of the vertebrae; of fewer or more vertebrae, interpolated over the spine."""
    if len(values) == levels:
        return values
    return np.interp(np.linspace(0, 1, levels), np.linspace(0, 1, len(values)), values)
