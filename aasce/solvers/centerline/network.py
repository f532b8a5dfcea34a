"""The cascade: a U-net to the whole spine, and one from there to its centreline."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.centerline.settings import CenterlineConfig, NetworkSettings
from aasce.solvers.shared.encoders import EncoderSettings, UpStage, make_encoder


class UNet(nn.Module):
    """Two convolutions a scale, batch norm before each pooling, skips; (B, C, h, w) to features of width[0]."""

    def __init__(self, inner: int, widths: Sequence[int], norm: bool) -> None:
        super().__init__()
        sizes = (inner, *widths)
        self.down = nn.ModuleList(_pair(a, b, norm) for a, b in zip(sizes, widths, strict=False))
        self.norms = nn.ModuleList(nn.BatchNorm2d(w) for w in widths[:-1])
        self.up = nn.ModuleList(_pair(fine + coarse, fine, norm) for fine, coarse in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for layer, norm in zip(self.down, self.norms, strict=False):
            x = norm(layer(x))
            kept.append(x)
            x = F.max_pool2d(x, 2)
        x = self.down[-1](x)
        for layer, skip in zip(reversed(self.up), reversed(kept), strict=True):
            larger = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = layer(torch.cat([skip, larger], dim=1))
        return x


def _pair(inner: int, outer: int, norm: bool) -> nn.Sequential:
    """Two 3x3 convolutions of unchanged map size; the second one's norm is left to what follows."""
    layers: list[nn.Module] = []
    for a, b in ((inner, outer), (outer, outer)):
        layers.append(nn.Conv2d(a, b, 3, padding=1, bias=not norm))
        layers += [nn.BatchNorm2d(b)] if norm else []
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class EncodedUNet(nn.Module):
    """A U-net whose way down is an encoder by name; (B, 1, H, W) film to features (B, widths[0], H/4, W/4)."""

    def __init__(self, encoder: EncoderSettings, widths: Sequence[int], start: bool) -> None:
        super().__init__()
        self.encoder, channels = make_encoder(encoder, 1, 4, 32, start)
        fine = widths[: len(channels) - 1]
        ways = pairwise([channels[-1], *reversed(fine)])
        self.up = nn.ModuleList(
            UpStage(a, c, b) for (a, b), c in zip(ways, reversed(channels[:-1]), strict=True)
        )

    def forward(self, image: Tensor) -> Tensor:
        features: list[Tensor] = self.encoder(image)
        *kept, x = features
        for stage, skip in zip(self.up, reversed(kept), strict=True):
            x = stage(x, skip)
        return x


class Cascade(nn.Module):
    """Film to the map of the spine and the map of its centreline."""

    def __init__(self, settings: NetworkSettings, start: bool = False) -> None:
        super().__init__()
        s = settings
        self.settings = s
        film, fine, norm = s.unshuffle**2, (s.unshuffle // s.stride) ** 2, s.norm == "all"
        self.spine: nn.Module | None = None
        inner = film
        if s.cascade is not None:
            encoder, seen = s.cascade.encoder, s.cascade.input
            self.spine = (
                UNet(film, s.widths, norm) if encoder is None else EncodedUNet(encoder, s.widths, start)
            )
            self.spine_out = nn.Conv2d(s.widths[0], fine, 1)
            inner = fine + (0 if seen == "mask" else film) + (s.widths[0] if seen == "mask+features" else 0)
        self.line = UNet(inner, s.widths, norm)
        self.line_out = nn.Conv2d(s.widths[0], fine, 1)
        nn.init.constant_(self.line_out.bias, -2.0)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> tuple[Tensor | None, Tensor]:
        """Logits (B, h, w) of spine and centreline of a (B, 1, H, W) film; no spine without the cascade."""
        film, cascade = F.pixel_unshuffle(image, self.settings.unshuffle), self.settings.cascade
        if self.spine is None or cascade is None:
            return None, self._shuffled(self.line_out(self.line(film)))
        features = self.spine(film if cascade.encoder is None else image)
        logits = self.spine_out(features)
        shown = [logits.sigmoid()]
        if cascade.input != "mask":
            shown.append(film)
        if cascade.input == "mask+features":
            shown.append(features)
        line = self.line_out(self.line(torch.cat(shown, dim=1)))
        return self._shuffled(logits), self._shuffled(line)

    def _shuffled(self, logits: Tensor) -> Tensor:
        return F.pixel_shuffle(logits, self.settings.unshuffle // self.settings.stride)[:, 0]

    def maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (B, h, w) of spine and centreline; without the cascade the line stands for both."""
        spine, line = self(image)
        share = line.float().sigmoid()
        return (share if spine is None else spine.float().sigmoid()), share


class Members(nn.Module):
    """Cascades of one kind, each trained by itself; their maps are averaged."""

    def __init__(self, config: CenterlineConfig, start: bool = False) -> None:
        super().__init__()
        self.members = nn.ModuleList(Cascade(config.network, start) for _ in range(config.members))

    def cascade(self, index: int) -> Cascade:
        """One of them."""
        member = self.members[index]
        assert isinstance(member, Cascade)
        return member

    def maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of the members' `Cascade.maps`."""
        found = [self.cascade(k).maps(image) for k in range(len(self.members))]
        spine, line = (torch.stack(maps).mean(dim=0) for maps in zip(*found, strict=True))
        return spine, line
