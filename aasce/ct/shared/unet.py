"""The U-Net of the three steps: local appearance at several scales, levels added on the way up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.config import Count, Settings

SLOPE = 0.1
"""Of leaky rectifiers, below 0."""

SMALLEST = 4
"""Voxels to a side below which a grid is not computed in bfloat16."""


class UNetSettings(Settings):
    """Size of a U-Net.

    Attributes:
        widths: feature maps of each scale, from the finest; multiples of 8 when there is a norm.
        unshuffle: the network works on a grid of so many voxels to each side, whose values become channels; 1 works on
            voxels, as in the papers.
        norm: "group" has group norm after each convolution; "none" has no norm, as in the papers.
    """

    widths: tuple[Count, ...] = (32, 48, 64, 96)
    unshuffle: Literal[1, 2, 4] = 2
    norm: Literal["group", "none"] = "group"

    @property
    def cell(self) -> int:
        """Voxels of which each side of a network's grid is a multiple."""
        return int(self.unshuffle * 2 ** (len(self.widths) - 1))


def unshuffled(x: Tensor, factor: int) -> Tensor:
    """(B, C, X, Y, Z) to (B, C factor^3, X / factor, Y / factor, Z / factor)."""
    b, c, *size = x.shape
    a, d, e = (n // factor for n in size)
    parts = x.reshape(b, c, a, factor, d, factor, e, factor).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return parts.reshape(b, c * factor**3, a, d, e)


def shuffled(x: Tensor, factor: int) -> Tensor:
    """Inverse of `unshuffled`."""
    b, c, a, d, e = x.shape
    parts = x.reshape(b, c // factor**3, factor, factor, factor, a, d, e).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return parts.reshape(b, c // factor**3, a * factor, d * factor, e * factor)


class UNet(nn.Module):
    """Two convolutions a scale; (B, C, X, Y, Z) to features (B, widths[0], X, Y, Z) over `unshuffle`.

    Average pooling on the way down; on the way up the coarser scale is enlarged linearly, brought to the finer one's
    width and averaged with it (the contracting and expanding path of the SpatialConfiguration-Net).

    Args:
        inner: channels of the input.
        settings: the size.
    """

    def __init__(self, inner: int, settings: UNetSettings) -> None:
        super().__init__()
        self.unshuffle = settings.unshuffle
        widths: Sequence[int] = settings.widths
        sizes = (inner * settings.unshuffle**3, *widths)
        normed = settings.norm == "group"
        self.down = nn.ModuleList(_pair(a, b, normed) for a, b in pairwise(sizes))
        self.across = nn.ModuleList(nn.Conv3d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList(_pair(fine, fine, normed) for fine in widths[:-1])

    def forward(self, x: Tensor) -> Tensor:
        x = unshuffled(x, self.unshuffle)
        kept: list[Tensor] = []
        for layer in self.down:
            x = _applied(layer, x if not kept else F.avg_pool3d(x, 2))
            kept.append(x)
        for across, layer, skip in zip(
            reversed(self.across), reversed(self.up), reversed(kept[:-1]), strict=True
        ):
            larger = F.interpolate(across(x), scale_factor=2.0, mode="trilinear", align_corners=False)
            x = _applied(layer, (skip + larger) / 2)
        return x


def _applied(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer's output, computed in float32 where the grid is tiny.

    oneDNN's gradients of bfloat16 convolutions are wrong on grids of two voxels to a side (weights off by 0.7 of their
    norm, now and then not finite), and so few voxels cost nothing.
    """
    if min(x.shape[2:]) >= SMALLEST:
        return layer(x)  # type: ignore[no-any-return]
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.float())  # type: ignore[no-any-return]


def _pair(inner: int, outer: int, normed: bool) -> nn.Sequential:
    """Two 3x3x3 convolutions of unchanged size."""
    layers: list[nn.Module] = []
    for a, b in ((inner, outer), (outer, outer)):
        layers.append(convolution(a, b, 3, bias=not normed))
        layers += [nn.GroupNorm(8, b)] if normed else []
        layers.append(nn.LeakyReLU(SLOPE, inplace=True))
    return nn.Sequential(*layers)


def convolution(inner: int, outer: int, size: int, bias: bool = True) -> nn.Conv3d:
    """A convolution of unchanged grid, with He's weights (mean 0) for a leaky rectifier behind it."""
    found = nn.Conv3d(inner, outer, size, padding=size // 2, bias=bias)
    nn.init.kaiming_normal_(found.weight, a=SLOPE)
    if found.bias is not None:
        nn.init.zeros_(found.bias)
    return found


def output(inner: int, outer: int, value: float = 0.0, spread: float = 0.01) -> nn.Conv3d:
    """A last layer of 1x1x1 that begins close to one value.

    Args:
        inner, outer: channels.
        value: of its bias.
        spread: standard deviation of its weights at first.
    """
    found = nn.Conv3d(inner, outer, 1)
    nn.init.normal_(found.weight, std=spread)
    nn.init.constant_(found.bias, value)  # type: ignore[arg-type]
    return found


@torch.inference_mode()
def passed(module: nn.Module, values: Tensor) -> Tensor:
    """Output of a network in float32, computed in bfloat16 where the device does so natively.

    Args:
        module: in evaluation mode.
        values: (B, C, X, Y, Z) on any device.
    """
    from aasce.solvers.shared.trainer import native_bf16

    device = next(module.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=native_bf16(device.type)):
        found: Tensor = module(values.to(device))
    return found.float().cpu()
