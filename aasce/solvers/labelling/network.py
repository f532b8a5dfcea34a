"""The networks of `labelling`: a U-net to a heatmap a level, the soft-argmax, and the residual corrector."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.labelling.settings import TRUNK, LabellingConfig, NetworkSettings, ResidualSettings
from aasce.solvers.shared.encoders import UpStage, make_encoder
from aasce.targets.heatmap import soft_argmax

TILT_UNIT = 10.0
"""Degrees that a value of 1 of the map of tilts stands for."""


class Labelled(NamedTuple):
    """What the networks predict of B canvases.

    Attributes:
        maps: (B, 1 + levels, h, w), the background's first, then C1 (or T1) to L5.
        located: (B, levels, 2) px of the maps (x, y), by the soft-argmax.
        corrected: (B, levels, 2) the same, corrected.
        tilt_map: (B, h, w) degrees, where a vertebra is; None without one.
    """

    maps: Tensor
    located: Tensor
    corrected: Tensor
    tilt_map: Tensor | None


class Points(NamedTuple):
    """Coordinates, and what lies there.

    Attributes:
        points: (B, levels, 2) px of the maps (x, y).
        seen: (B, levels) how clearly any vertebra is seen there, about 1 where one is: minus the background's map.
        tilts: (B, 17) degrees of T1 to L5 from the map of tilts; None without one.
    """

    points: Tensor
    seen: Tensor
    tilts: Tensor | None


def value_at(field: Tensor, points: Tensor, sigma: float) -> Tensor:
    """Means of maps under the square of a Gaussian at each point; a point off the map has the value at its edge.

    Args:
        field: (B, h, w).
        points: (B, K, 2) px (x, y).
        sigma: px, of the Gaussian.

    Returns:
        (B, K).
    """
    weights = []
    for axis, size in ((1, field.shape[-2]), (0, field.shape[-1])):
        at = torch.arange(size, device=field.device, dtype=field.dtype)
        off = at - points[..., axis : axis + 1].clamp(0, size - 1)
        weights.append(((off / sigma) ** 2).neg().exp())
    total = weights[0].sum(dim=-1) * weights[1].sum(dim=-1)
    return torch.einsum("bkh,bkw,bhw->bk", *weights, field) / total


class LevelUNet(nn.Module):
    """A U-net whose way down is an encoder by name; (B, 1, H, W) film to (B, channels, h, w) maps."""

    def __init__(self, settings: NetworkSettings, channels: int, start: bool) -> None:
        super().__init__()
        s = settings
        coarsest = max(32, s.finest * 2 ** (s.stages - 1))
        self.encoder, inner = make_encoder(s.encoder, 1, s.stages, coarsest, start, s.finest)
        ways = pairwise([inner[-1], *reversed(s.widths)])
        self.up = nn.ModuleList(
            UpStage(a, skip, b) for (a, b), skip in zip(ways, reversed(inner[:-1]), strict=True)
        )
        self.shuffle = s.finest // s.stride
        self.out = nn.Conv2d(s.widths[0], channels * self.shuffle**2, 1)
        nn.init.normal_(self.out.weight, std=0.01)  # maps begin flat: most px lie on no vertebra
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        *kept, x = self.encoder(image)
        for stage, skip in zip(self.up, reversed(kept), strict=True):
            x = stage(x, skip)
        return F.pixel_shuffle(self.out(x), self.shuffle).float()


class ResidualCorrector(nn.Module):
    """Adds to all coordinates what fully connected layers make of all coordinates; nothing before training.

    Args:
        levels: number of levels.
        settings: of the hidden layers.
    """

    def __init__(self, levels: int, settings: ResidualSettings) -> None:
        super().__init__()
        sizes = [2 * levels, *([settings.width] * settings.layers)]
        layers: list[nn.Module] = []
        for inner, outer in pairwise(sizes):
            layers += [nn.Linear(inner, outer), nn.ReLU(inplace=True)]
        last = nn.Linear(sizes[-1], 2 * levels)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Corrected points.

        Args:
            points: (B, levels, 2) px (x, y) of a map.
            size: (h, w) of the map; a map of any size is read, since the layers see shares of its height.
        """
        middle = points.new_tensor([(size[1] - 1) / 2, (size[0] - 1) / 2])
        shares = (points - middle) / size[0]
        with torch.autocast(
            points.device.type, enabled=False
        ):  # half precision would move points by half a px
            change: Tensor = self.layers(shares.flatten(1))
        return points + size[0] * change.view_as(points)


class LabellingNet(nn.Module):
    """The U-net and the corrector, trained end to end."""

    def __init__(self, config: LabellingConfig, start: bool = False) -> None:
        super().__init__()
        levels = config.level_count
        self.beta, self.with_tilts = config.beta, config.target.tilt > 0
        self.sigma = config.target.sigma / config.network.stride
        self.fcn = LevelUNet(config.network, 1 + levels + self.with_tilts, start)
        self.corrector = ResidualCorrector(levels, config.residual)

    def forward(self, image: Tensor) -> Labelled:
        """Maps and coordinates of (B, 1, H, W) standardised films."""
        found = self.fcn(image)
        maps = found[:, :-1] if self.with_tilts else found
        tilt_map = found[:, -1] * TILT_UNIT if self.with_tilts else None
        located = soft_argmax(maps[:, 1:], self.beta)
        corrected = self.corrector(located, (maps.shape[-2], maps.shape[-1]))
        return Labelled(maps, located, corrected, tilt_map)

    @torch.no_grad()
    def points(self, image: Tensor, corrected: bool) -> Points:
        """Coordinates of (B, 1, H, W) films, and what lies there.

        Args:
            image: standardised.
            corrected: by the residual corrector, or as the soft-argmax has them.
        """
        found = self(image)
        points = found.corrected if corrected else found.located
        # Under its own square the mean of a Gaussian of peak 1 is 2/3.
        seen = 1.5 * value_at(-found.maps[:, 0], points, self.sigma)
        if found.tilt_map is None:
            return Points(points, seen, None)
        return Points(points, seen, value_at(found.tilt_map, points[:, -TRUNK:], self.sigma))
