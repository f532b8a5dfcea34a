"""From features to three angles, and the losses that teach it: shared by every solver that regresses.

Three heads. "direct" is a dense layer with three outputs, as the papers have it. "pairs" predicts the tilts of the
levels first and takes each angle as a learned soft choice among all pairs of them, which is how the labels came
about. "rows" does so from the tilt of the spine in every row of the film, see `row_head`. The last two are of this kit.
"""

from __future__ import annotations

from itertools import combinations
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.config import KIND, Count, Settings, Share, Weight
from aasce.geometry.cobb import limit_tilts, tilts
from aasce.types import Array

ANGLE_SCALE = 90.0
"""Degrees that the outputs of a regressor are counted in."""


Levels = Annotated[int, Field(ge=2, le=64)]


class DirectHeadSettings(Settings):
    """Maps averaged over the film, and a dense layer with three outputs.

    Attributes:
        dropout: before the outputs.
        smooth_l1, smape: weights of the smooth L1 and of the SMAPE of the angles.
    """

    kind: Literal["direct"] = "direct"
    dropout: Share = 0.1
    smooth_l1: Weight = 1.0
    smape: Weight = 3.0


class PairsHeadSettings(Settings):
    """Maps averaged over the film, the tilts of levels, and angles chosen among their pairs.

    Attributes:
        levels: vertebrae.
        smooth_l1, smape, tilt: weights of the smooth L1 and of the SMAPE of the angles, and of the tilts.
    """

    kind: Literal["pairs"] = "pairs"
    levels: Levels = 17
    smooth_l1: Weight = 1.0
    smape: Weight = 3.0
    tilt: Weight = 1.0


class RowsHeadSettings(Settings):
    """Maps pooled row by row, the tilts of rows and levels, and angles chosen among pairs of levels.

    Attributes:
        levels: vertebrae.
        rows: that every map is brought to. width: channels there.
        dropout: before the outputs.
        smooth_l1, smape, tilt, place: weights of the smooth L1 and of the SMAPE of the angles, of the tilts of levels
            and rows, and of the places of the levels and of the spine in the rows.
        local: weight of the tilt that every pixel of the spine predicts in each map, before rows are pooled; it
            teaches the maps themselves and takes no part in the prediction. 0 leaves it out.
        angles: from the tilts and places of the levels by the challenge's rule ("tilts"), or as the head regresses
            them, which is what the papers do ("regressed"); see `readout`.
        tilt_sd_deg: standard deviation of a tilt, over which "tilts" averages, see `correction.sliced_angles`.
    """

    kind: Literal["rows"] = "rows"
    levels: Levels = 17
    rows: int = Field(default=48, ge=8, le=1024)
    width: Count = 64
    dropout: Share = 0.1
    smooth_l1: Weight = 1.0
    smape: Weight = 3.0
    tilt: Weight = 1.0
    place: Weight = 1.0
    local: Weight = 0.0
    angles: Literal["tilts", "regressed"] = "tilts"
    tilt_sd_deg: float = Field(default=2.0, ge=0, le=45)


HeadSettings = DirectHeadSettings | PairsHeadSettings | RowsHeadSettings
Head = Annotated[HeadSettings, Field(discriminator=KIND)]
"""How feature maps become angles, and what the angles are taught by: one of the heads, as a setting."""


class Regressed(NamedTuple):
    """Outputs of a regressor.

    Attributes:
        angles: (B, 3) degrees.
        tilts: (B, levels) degrees, None from the head "direct".
        features: (B, F).
        places: (B, levels) where the levels lie, as shares of the canvas's height; None from a head
            other than "rows".
        along: (B, rows) degrees, tilt of the spine in each row, with `places`.
        columns: (B, maps, rows) where the spine is in each row of each pooled map, from -1 at the left edge of the
            canvas to 1 at the right one; None where maps are averaged.
        local: of each pooled map, (B, h, w) degrees, the tilt that each pixel predicts; None where not asked.
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

    def __init__(self, width: int, dropout: float = 0.1) -> None:
        super().__init__()
        last = nn.Linear(width, 3)
        nn.init.constant_(last.bias, 25.0 / ANGLE_SCALE)
        self.output = nn.Sequential(nn.Dropout(dropout), last)

    def forward(self, features: Tensor) -> Regressed:
        return Regressed(self.output(features).float() * ANGLE_SCALE, None, features)


class PairsHead(nn.Module):
    """(B, F) features to the tilts of the levels, and each angle as a soft choice among all pairs of them.

    Every pair of levels gives an angle |tilt_i - tilt_j|. Which pair, or none, the first, second and third angle
    is measured between is what the rest of the head learns from the labels. Tilts that come from elsewhere
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


def angle_losses(found: Regressed, batch: dict[str, Tensor], settings: HeadSettings) -> dict[str, Tensor]:
    """Smooth L1 and SMAPE of the angles, L1 of the tilts where the head has them.

    Args:
        found: of a batch of B.
        batch: "angles" (B, 3) degrees and, for a head with tilts, "tilts" (B, levels) degrees.
        settings: of the head.

    Returns:
        "loss", their weighted sum, and each term by itself.
    """
    degrees = F.smooth_l1_loss(found.angles, batch["angles"], beta=1.0) / 10
    ratio = smape_loss(found.angles, batch["angles"])
    loss = settings.smooth_l1 * degrees + settings.smape * ratio
    losses = {"loss": loss, "angle": degrees, "smape": ratio}
    if found.tilts is not None and not isinstance(settings, DirectHeadSettings):
        losses["tilt"] = (found.tilts - batch["tilts"]).abs().mean() / 5
        losses["loss"] = losses["loss"] + settings.tilt * losses["tilt"]
    return losses


def smape_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """The challenge's score, as a share, over (B, 3) degrees; smooth enough to be minimised."""
    total = predicted.abs().sum(dim=1) + truth.abs().sum(dim=1)
    return ((predicted - truth).abs().sum(dim=1) / total.clamp(min=1.0)).mean()


def level_tilts(landmarks: Array, levels: int) -> NDArray[np.float32]:
    """(levels,) degrees in [-90, 90]; fewer or more vertebrae are interpolated over the spine."""
    return np.asarray(per_level(limit_tilts(tilts(landmarks), 90), levels), np.float32)


def per_level(values: Array, levels: int) -> Array:
    """(levels,) values of the vertebrae; of fewer or more vertebrae, interpolated over the spine."""
    if len(values) == levels:
        return values
    return np.interp(np.linspace(0, 1, levels), np.linspace(0, 1, len(values)), values)
