"""From feature maps to angles: pooled over the film, or row by row, and read by one of the heads.

Global average pooling, as papers have it, forgets where on the film a feature is, and a Cobb angle is a
difference between two places. "rows" is of this kit: a learned weight along x finds the spine in every row of a
map, convolutions along y predict the tilt of the spine in each row, and each vertebra takes the tilt of the row where
it is found. What is read from a row then does not depend on where the film was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.shared.encoders import EncoderSettings, make_encoder
from aasce.solvers.shared.heads import (
    ANGLE_SCALE,
    DirectHead,
    DirectHeadSettings,
    HeadSettings,
    PairsHead,
    PairsHeadSettings,
    Regressed,
    RowsHeadSettings,
    angle_losses,
    level_tilts,
    per_level,
)
from aasce.types import Array

VECTOR = 256
"""Length of the vector that describes a film's rows."""

Floats32 = NDArray[np.float32]


class RowPool(nn.Module):
    """(B, C, h, w) to features at the spine in each row, (B, width, rows), and where it is there, (B, rows).

    Beside them the tilt at every pixel, (B, h, w) degrees, where `local` asks for it.
    """

    def __init__(self, inner: int, width: int, rows: int, local: bool) -> None:
        super().__init__()
        self.rows = rows
        self.local = nn.Conv2d(inner, 1, 1) if local else None
        self.weigh = nn.Conv2d(inner, 1, 1, bias=False)
        self.project = nn.Sequential(
            nn.Conv1d(inner + 1, width, 1, bias=False), nn.BatchNorm1d(width), nn.ReLU()
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        weights = self.weigh(features).float().softmax(dim=-1)
        found = (features.float() * weights).sum(dim=-1)
        across = 2 * row_places(features.shape[-1]).to(weights) - 1
        column = (weights * across).sum(dim=-1)
        rows = [self.project(torch.cat([found, column], dim=1)), column]
        wide, place = (F.interpolate(x, self.rows, mode="linear", align_corners=False) for x in rows)
        return wide, place[:, 0], None if self.local is None else self.local(features)[:, 0] * ANGLE_SCALE


class RowsHead(nn.Module):
    """(B, inner, rows) to angles; convolutions along y with dilations, so that each row knows the whole spine."""

    def __init__(self, inner: int, settings: RowsHeadSettings) -> None:
        super().__init__()
        s = settings
        self.enter = nn.Conv1d(inner, s.width, 1)
        self.where = nn.Parameter(torch.zeros(1, s.width, s.rows))
        self.mix = nn.ModuleList(_along(s.width, dilation) for dilation in (1, 2, 4, 8))
        self.narrow = nn.Conv1d(s.width, 12, 1)
        self.describe = nn.Sequential(nn.Linear(12 * s.rows, VECTOR), nn.GELU(), nn.Dropout(s.dropout))
        self.output = PairsHead(VECTOR, s.levels, reads_tilts=False)
        self.along = nn.Conv1d(s.width, 1, 1)
        self.find = nn.Conv1d(s.width, s.levels, 1, bias=False)
        self.register_buffer("usual", usual_places(s.levels, s.rows), persistent=False)

    def forward(self, rows: Tensor) -> Regressed:
        x = self.enter(rows) + self.where
        for layer in self.mix:
            x = x + layer(x)
        vector = self.describe(self.narrow(x).flatten(1))
        share = (self.find(x) + self.usual).softmax(dim=-1)
        along = self.along(x)
        tilts = (share * along).sum(dim=-1)
        places = (share * row_places(share.shape[-1]).to(share)).sum(dim=-1)
        return self.output.between(tilts, vector)._replace(places=places, along=along[:, 0] * ANGLE_SCALE)


def _along(width: int, dilation: int) -> nn.Sequential:
    layer = nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation, bias=False)
    return nn.Sequential(layer, nn.BatchNorm1d(width), nn.ReLU())


def row_places(rows: int) -> Tensor:
    """(rows,) middles of the rows, as shares of the canvas's height."""
    return (torch.arange(rows) + 0.5) / rows


def usual_places(levels: int, rows: int) -> Tensor:
    """(levels, rows) how likely a level lies in a row before a film is seen: evenly down the film.

    Flat beyond a few rows, since spines are also shown small or cut.
    """
    expected = (torch.arange(levels) + 0.5) / levels * 0.9 + 0.03
    off = (row_places(rows)[None] - expected[:, None]) * rows
    return (-(off**2) / (2 * 2.5**2)).clamp(min=-4.0)


class AngleHead(nn.Module):
    """Feature maps of any sizes to angles, by the head of the settings.

    Attributes:
        width: length of `Regressed.features`.
    """

    def __init__(self, channels: Sequence[int], settings: HeadSettings) -> None:
        super().__init__()
        s = settings
        self.pools = nn.ModuleList()
        self.head: RowsHead | DirectHead | PairsHead
        self.width = sum(channels)
        if isinstance(s, RowsHeadSettings):
            self.pools = nn.ModuleList(RowPool(c, s.width, s.rows, s.local > 0) for c in channels)
            self.head = RowsHead(s.width * len(channels), s)
            self.width = VECTOR
        elif isinstance(s, PairsHeadSettings):
            self.head = PairsHead(self.width, s.levels)
        else:
            self.head = DirectHead(self.width, s.dropout)

    def forward(self, maps: Sequence[Tensor]) -> Regressed:
        """Angles from (B, C_i, h_i, w_i) maps, computed in 32 bit."""
        with torch.autocast(maps[0].device.type, enabled=False):
            if not len(self.pools):
                averaged: Regressed = self.head(torch.cat([x.float().mean(dim=(2, 3)) for x in maps], dim=1))
                return averaged
            seen = [pool(x.float()) for pool, x in zip(self.pools, maps, strict=True)]
            found: Regressed = self.head(torch.cat([rows for rows, _, _ in seen], dim=1))
            local = tuple(tilt for _, _, tilt in seen if tilt is not None)
            columns = torch.stack([column for _, column, _ in seen], dim=1)
            return found._replace(columns=columns, local=local or None)


class AngleNet(nn.Module):
    """An encoder and a head on its deepest maps: film, maps or both to angles.

    Args:
        encoder: settings of the encoder.
        channels: of the input.
        head: settings of the head.
        stages: of the encoder, from stride 4 down.
        maps: how many of them the head reads, from the deepest up.
        start: give the encoder the weights that its settings ask for.
    """

    def __init__(
        self, encoder: EncoderSettings, channels: int, head: HeadSettings, stages: int, maps: int, start: bool
    ) -> None:
        super().__init__()
        made, widths = make_encoder(encoder, channels, stages, 32, start)
        self.encoder: Any = made
        self.maps = maps
        self.head = AngleHead(widths[-maps:], head)

    def forward(self, image: Tensor) -> Regressed:
        """(B, channels, H, W) to angles."""
        features: Sequence[Tensor] = self.encoder(image)
        found: Regressed = self.head(features[-self.maps :])
        return found


def head_losses(found: Regressed, batch: dict[str, Tensor], settings: HeadSettings) -> dict[str, Tensor]:
    """`angle_losses`, and of a head with rows the L1 of places and of the rows' tilts and columns.

    Args:
        found: of a batch of B.
        batch: what `angle_targets` made.
        settings: of the head.
    """
    losses = angle_losses(found, batch, settings)
    return _row_losses(losses, found, batch, settings) if isinstance(settings, RowsHeadSettings) else losses


def _row_losses(
    losses: dict[str, Tensor], found: Regressed, batch: dict[str, Tensor], settings: RowsHeadSettings
) -> dict[str, Tensor]:
    """The same terms and those of the rows, all added up in "loss"."""
    s, total = settings, losses["loss"]
    if found.places is not None and found.along is not None:
        losses["along"] = _known_l1(found.along, batch["along"]) / 5
        losses["place"] = (found.places - batch["places"]).abs().mean() * s.levels
        total = total + s.tilt * losses["along"] + s.place * losses["place"]
    if found.columns is not None:
        losses["column"] = _known_l1(found.columns, batch["columns"][:, None].expand_as(found.columns)) * 10
        total = total + s.place * losses["column"]
    if found.local is not None:
        off = [_known_l1(tilt, local_tilts(batch, tilt.shape[-2:])) for tilt in found.local]
        losses["local"] = torch.stack(off).mean() / 5
        total = total + s.local * losses["local"]
    return {**losses, "loss": total}


def local_tilts(batch: dict[str, Tensor], size: Sequence[int]) -> Tensor:
    """(B, h, w) degrees: the tilt of the row on the vertebrae of that row, NaN beside, above and below the spine."""
    height, width = size
    rows = batch["along"].shape[1]
    row = (row_places(height) * rows).long().to(batch["along"].device)
    along, column, half = (batch[key][:, row, None] for key in ("along", "columns", "halves"))
    across = 2 * row_places(width).to(column) - 1
    return torch.where((across - column).abs() <= half, along, torch.nan)


def _known_l1(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference where something is wanted; NaN where nothing is."""
    known = wanted.isfinite()
    off = torch.where(known, found - wanted.nan_to_num(), 0.0).abs()
    return off.sum() / known.sum().clamp(min=1)


def angle_targets(
    landmarks: Sequence[Array], angles: Sequence[Array], size: tuple[int, int], settings: HeadSettings
) -> dict[str, Tensor]:
    """What the head of a batch of B is taught.

    Args:
        landmarks: B times (17, 4, 2) px of the canvas.
        angles: B times (3,) degrees.
        size: (H, W) of the canvas, px.
        settings: of the head.

    Returns:
        "angles" (B, 3) degrees. For a head with tilts "tilts" (B, levels) degrees. For one with rows also "places"
        (B, levels) shares of the height, "along" (B, rows) degrees, "columns" (B, rows) in [-1, 1] and "halves"
        (B, rows), half a vertebra's width in the same unit; NaN above and below the spine.
    """
    targets: dict[str, Sequence[Array]] = {"angles": angles}
    if not isinstance(settings, DirectHeadSettings):
        targets["tilts"] = [level_tilts(points, settings.levels) for points in landmarks]
    if isinstance(settings, RowsHeadSettings):
        targets |= _row_targets(landmarks, targets["tilts"], size, settings)
    return {name: torch.from_numpy(np.stack(films).astype(np.float32)) for name, films in targets.items()}


def _row_targets(
    landmarks: Sequence[Array], tilts: Sequence[Array], size: tuple[int, int], settings: RowsHeadSettings
) -> dict[str, list[Array]]:
    centres = [level_places(points, size, settings.levels) for points in landmarks]
    halves = [level_halves(points, size, settings.levels) for points in landmarks]
    rows = row_places(settings.rows).numpy()
    between = [(c[:, 1], 2 * c[:, 0] - 1, h, t) for c, h, t in zip(centres, halves, tilts, strict=True)]
    return {
        "places": [c[:, 1] for c in centres],
        "along": [np.interp(rows, y, t, np.nan, np.nan) for y, _, _, t in between],
        "columns": [np.interp(rows, y, x, np.nan, np.nan) for y, x, _, _ in between],
        "halves": [np.interp(rows, y, h, np.nan, np.nan) for y, _, h, _ in between],
    }


def level_places(landmarks: Array, size: tuple[int, int], levels: int) -> Floats32:
    """(levels, 2) middles (x, y) of the vertebrae as shares of the canvas's width and height, y ascending."""
    centres = landmarks.mean(axis=1)
    centres[:, 1] = np.maximum.accumulate(centres[:, 1])
    centres = np.stack([per_level(centres[:, k], levels) for k in (0, 1)], axis=1)
    return np.asarray((centres + 0.5) / [size[1], size[0]], np.float32)


def level_halves(landmarks: Array, size: tuple[int, int], levels: int) -> Floats32:
    """(levels,) half the widths of the vertebrae, from middle to border, as shares of half the canvas's width."""
    left, right = landmarks[:, [0, 2]].mean(axis=1), landmarks[:, [1, 3]].mean(axis=1)
    return np.asarray(per_level(np.linalg.norm(right - left, axis=1) / size[1], levels), np.float32)
