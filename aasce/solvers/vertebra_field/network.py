"""The network of `vertebra_field`: one pass from a canvas to dense votes, and the loss over them."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
from torch import Tensor, nn

from aasce.solvers.shared.encoders import make_encoder
from aasce.solvers.vertebra_field.settings import LossSettings, NetworkSettings
from aasce.targets.field import LEVELS, REACH, STRIDE, VOTES_FROM, Field
from aasce.types import AasceError

UNIT = 16.0
"""Canvas px that a vote channel of 1 stands for."""

CHANNELS = {"objectness": 1, "levels": LEVELS, "centre": 2, "corners": 8, "weight": 4, "spread": 4}


NO_LEVEL = -1
"""Level of a vertebra whose name nobody knows."""


class Known(NamedTuple):
    """What is known of the films of a batch beside outlines and corners, and how much it counts.

    Attributes:
        levels: (B, V) int64, index into T1..L5 or `NO_LEVEL`.
        trust: (B, V, 4) factors of votes, corners, tilt and spread; 0 teaches nothing.
        taught: (B, H/4, W/4) factor of objectness; 0 where nobody knows whether there is a vertebra.
    """

    levels: Tensor
    trust: Tensor
    taught: Tensor

    @classmethod
    def everything(cls, members: Tensor, corners: Tensor) -> Known:
        """All vertebrae named from T1, every label trusted."""
        films, count = corners.shape[:2]
        levels = torch.arange(count, device=corners.device).expand(films, count)
        return cls(levels, corners.new_ones(films, count, 4), corners.new_ones(members.shape))


class Sum(nn.Module):
    """Adds maps of one size. The library's own merge stacks them first, a tenth of a whole pass on a CPU."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        total = maps[0] + maps[1]  # its own memory from here on: what is added later needs no more
        for further in maps[2:]:
            total += further
        return total


class VertebraFieldNet(nn.Module):
    """Encoder, feature pyramid, one 1x1 convolution to 36 maps at a quarter of the canvas.

    Input (B, 1, H, W) float32, standardised grey values, H and W multiples of 32.
    """

    def __init__(self, settings: NetworkSettings, loss: LossSettings, start: bool = False) -> None:
        super().__init__()
        self.loss = loss
        self.encoder, channels = make_encoder(settings.encoder, 1, 4, 32, start)
        if len(channels) != 4:
            raise AasceError(
                f"{settings.encoder.name}: has no features of strides 4, 8, 16 and 32; name another encoder"
            )
        width = settings.head_channels
        self.decoder = FPNDecoder(
            encoder_channels=[1, *channels], encoder_depth=4, pyramid_channels=settings.pyramid_channels,
            segmentation_channels=width, dropout=0.0, merge_policy="add",
        )  # fmt: skip
        self.decoder.merge = Sum()
        self.refine = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Conv2d(width, sum(CHANNELS.values()), 1)
        nn.init.normal_(self.head.weight, std=0.01)
        bias = torch.zeros(sum(CHANNELS.values()))
        bias[0] = -2.0  # most cells lie on no vertebra
        self.head.bias = nn.Parameter(bias)
        self.to(memory_format=torch.channels_last)

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        """Raw maps (B, C, H/4, W/4) by name; votes in units of `UNIT` canvas px relative to the cell."""
        images = images.contiguous(memory_format=torch.channels_last)
        out = self.head(self.refine(self.decoder([images, *self.encoder(images)]))).float()
        return dict(zip(CHANNELS, out.split(list(CHANNELS.values()), dim=1), strict=True))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch: image (B, 1, H, W) uint8, members (B, H/4, W/4) int8, corners (B, V, 4, 2) px, and the
        fields of `Known`."""
        image = (batch["image"].float() - 127.5) / 64.0
        known = Known(batch["levels"].long(), batch["trust"].float(), batch["taught"].float())
        members, corners = batch["members"].long(), batch["corners"].float()
        return field_losses(self.maps(image), members, corners, self.loss, known)


def centres_of_cells(maps: Tensor) -> Tensor:
    """(H/4, W/4, 2) canvas px (x, y)."""
    rows, columns = maps.shape[-2:]
    y = torch.arange(rows, device=maps.device, dtype=torch.float32)
    x = torch.arange(columns, device=maps.device, dtype=torch.float32)
    grid = torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)], -1)
    return grid * STRIDE + (STRIDE - 1) / 2


def field_losses(
    maps: dict[str, Tensor],
    members: Tensor,
    corners: Tensor,
    weights: LossSettings,
    known: Known | None = None,
) -> dict[str, Tensor]:
    """The terms of the loss.

    Every cell is taught objectness, level and votes; beyond that the weighted mean of a vertebra's votes, which
    is what becomes a landmark, is taught corner positions and the direction of the midline. What a film does not
    know is not taught.

    Args:
        maps: raw, see `VertebraFieldNet.maps`.
        members: (B, H/4, W/4) index of the cell's vertebra, -1 for none.
        corners: (B, V, 4, 2) canvas px.
        weights: of the terms.
        known: what the labels know; None for everything.
    """
    known = Known.everything(members, corners) if known is None else known
    inside = members >= 0
    terms: dict[str, Tensor] = {"objectness": _objectness(maps["objectness"][:, 0], inside, known.taught)}
    b, r, c = inside.nonzero(as_tuple=True)
    vertebra = members[b, r, c]
    truth = corners[b, vertebra]  # (N, 4, 2)
    cell = centres_of_cells(maps["centre"])[r, c]
    picked = {name: maps[name][b, :, r, c] for name in ("levels", "centre", "corners")}
    terms["level"] = _level(picked["levels"], known.levels[b, vertebra])
    votes = picked["corners"].view(-1, 4, 2) * UNIT + cell[:, None]
    centre = picked["centre"] * UNIT + cell
    off = (votes - truth).abs().mean((1, 2)) + (centre - truth.mean(1)).abs().mean(1)
    terms["votes"] = _mean(off / _size(truth), known.trust[b, vertebra, 0])
    terms |= _aggregated(maps, corners, known.trust)
    terms["loss"] = (
        weights.objectness * terms["objectness"]
        + weights.level * terms["level"]
        + weights.votes * terms["votes"]
        + weights.corners * terms["corners"]
        + weights.tilt * terms["tilt"]
        + weights.spread * terms["spread"]
    )
    return terms


def _mean(values: Tensor, trust: Tensor) -> Tensor:
    """Mean of values times factors over those whose factor is not 0; 0 where there are none.

    Not divided by the sum of the factors: a batch of little-trusted labels alone would count like any other.
    """
    mean: Tensor = (values * trust).sum() / (trust > 0).sum().clamp(min=1)
    return mean


def _level(logits: Tensor, levels: Tensor) -> Tensor:
    """Cross-entropy over the cells of named vertebrae; 0 where there are none."""
    named = levels != NO_LEVEL
    off = F.cross_entropy(logits[named], levels[named], label_smoothing=0.05, reduction="sum")
    return off / named.sum().clamp(min=1)


def _objectness(logit: Tensor, inside: Tensor, taught: Tensor) -> Tensor:
    target = inside.float()
    chance = logit.sigmoid()
    # Not segmentation_models_pytorch's DiceLoss, which is 0 for a batch without a vertebra.
    both, either = (chance * target * taught).sum(), ((chance + target) * taught).sum()
    dice: Tensor = 1 - (2 * both + 1) / (either + 1)
    cross = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
    return 2 * _mean(cross, taught) + dice


def _size(quads: Tensor) -> Tensor:
    """(N,) px: mean length of a vertebra's four sides, for errors in units of the vertebra."""
    tl, tr, bl, br = quads.unbind(1)
    sides: Tensor = torch.stack([tr - tl, br - bl, bl - tl, br - tr]).norm(dim=-1)
    return sides.mean(dim=0).clamp(min=1.0)


def _voters(maps: dict[str, Tensor], corners: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The cells that would vote for each vertebra if the maps were decoded: batch, row, column, vertebra (N,).

    Decided by the network's output, as `targets.field.gather_votes` does, and not by the labels' outlines: the
    cells of a tilted outline lie tilted, so that their mean votes would lean with the label by themselves.
    """
    objectness = maps["objectness"].detach()[:, 0].sigmoid()
    b, r, c = (objectness > VOTES_FROM).nonzero(as_tuple=True)
    centre = maps["centre"].detach()[b, :, r, c] * UNIT + centres_of_cells(maps["centre"])[r, c]
    distance, vertebra = (corners.mean(2)[b] - centre[:, None]).norm(dim=2).min(dim=1)
    height = (corners[:, :, 2:] - corners[:, :, :2]).norm(dim=3).mean(2)[b, vertebra]
    near = distance < REACH * height.clamp(min=4.0)
    return b[near], r[near], c[near], vertebra[near]


def _aggregated(maps: dict[str, Tensor], corners: Tensor, trust: Tensor) -> dict[str, Tensor]:
    """Losses of the vertebrae's weighted mean corners; corners (B, V, 4, 2) canvas px, trust (B, V, 4)."""
    b, r, c, vertebra = _voters(maps, corners)
    cell = centres_of_cells(maps["centre"])[r, c]
    votes = maps["corners"][b, :, r, c].view(-1, 4, 2) * UNIT + cell[:, None]
    score = maps["weight"][b, :, r, c] + F.logsigmoid(maps["objectness"][b, 0, r, c])[:, None]
    group, groups = b * corners.shape[1] + vertebra, corners.shape[0] * corners.shape[1]
    # The largest weight of a vertebra's own cells stands for 1, so that none of them vanishes in 32 bits.
    top = torch.full((groups, 4), -1e4, device=score.device)
    top.scatter_reduce_(0, group[:, None].expand_as(score), score.detach(), "amax")
    weight = (score - top[group]).exp()
    total = _sum(weight, group, groups)  # (G, 4)
    seen = _sum(torch.ones_like(cell[:, :1]), group, groups)[:, 0] >= 4
    share = weight / total[group].clamp(min=1e-12)
    mean = _sum((share[..., None] * votes).flatten(1), group, groups).view(-1, 4, 2)[seen]
    log_spread = _sum(share * maps["spread"][b, :, r, c], group, groups)[seen]
    goal = corners.flatten(0, 1)[seen]
    error = (mean - goal).norm(dim=2)  # (S, 4)
    u, v = ((p[:, 1] + p[:, 3] - p[:, 0] - p[:, 2]) / 2 for p in (mean, goal))
    # By the length of both: divided by the label's alone, an unsure vertebra is cheapest when drawn narrow.
    lengths = u.norm(dim=1).clamp(min=1) * v.norm(dim=1).clamp(min=1)
    sine = (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / lengths
    likelihood = error.detach() * (-log_spread).exp() + log_spread
    _, by_corner, by_tilt, by_spread = trust.flatten(0, 1)[seen].unbind(1)
    # Early on nothing may be found: then these are 0.
    return {
        "corners": _mean(error.mean(1) / _size(goal), by_corner),
        "tilt": _mean(sine.abs(), by_tilt),
        "spread": _mean(likelihood.mean(1), by_spread),
    }


def _sum(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """(groups, C) sums of the rows of (N, C) `values` that share a group."""
    return torch.zeros(groups, values.shape[1], device=values.device, dtype=values.dtype).index_add_(
        0, group, values
    )


def to_field(maps: dict[str, Tensor], index: int) -> Field:
    """Field of one canvas of a batch, in canvas px."""
    cell = centres_of_cells(maps["centre"]).permute(2, 0, 1)
    votes = maps["corners"][index]
    corners = votes.reshape(4, 2, *votes.shape[-2:]) * UNIT + cell
    return Field(
        objectness=maps["objectness"][index, 0].sigmoid().cpu().numpy(),
        levels=maps["levels"][index].log_softmax(0).cpu().numpy(),
        centre=(maps["centre"][index] * UNIT + cell).cpu().numpy(),
        corners=corners.cpu().numpy(),
        weight=maps["weight"][index].cpu().numpy(),
        spread=maps["spread"][index].cpu().numpy(),
    )
