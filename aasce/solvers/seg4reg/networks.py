"""The two networks of `seg4reg`: the segmenter, and the regressor with its two heads."""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.config import nearest
from aasce.solvers.seg4reg.settings import BackboneSettings, RegressionSettings, SegmentationSettings
from aasce.targets.mask import CLASSES
from aasce.types import AasceError

CHANNELS: dict[str, int] = {"image": 1, "image+mask": 3, "mask": 2}
"""Channels of the regressor's input: the film, and the probabilities of vertebra and gap."""

ANGLE_SCALE = 90.0
"""Degrees that the outputs of a regressor are counted in."""


def make_backbone(settings: BackboneSettings, start: bool, **extra: Any) -> Any:
    """A timm network.

    Args:
        settings: which.
        start: give it the pretrained weights the settings ask for (a network about to be loaded needs none).
        extra: further arguments of `timm.create_model`.

    Raises:
        AasceError: the name is unknown, an option does not fit, or pretrained weights cannot be had.
    """
    import timm

    if not timm.is_model(settings.name.split(".")[0]):
        near = nearest(settings.name, timm.list_models())
        raise AasceError(f"{settings.name}: timm has no such network{near}; timm.list_models() lists them")
    wanted = start and (settings.pretrained or settings.weights_file is not None)
    if wanted and settings.weights_file is not None:
        extra["pretrained_cfg_overlay"] = {"file": settings.weights_file}
    try:
        return timm.create_model(settings.name, pretrained=wanted, **settings.options, **extra)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0][:160]
        if wanted:
            source = settings.weights_file or "the Hugging Face hub"
            fault = f"pretrained weights cannot be had from {source} ({line})"
            remedy = "name a local timm weights file as weights_file, or set pretrained to false"
        else:
            fault, remedy = f"timm cannot build it with these options ({line})", "correct options"
        raise AasceError(f"{settings.name}: {fault}; {remedy}") from error


def make_encoder(
    settings: BackboneSettings, channels: int, stages: int, stride: int, start: bool
) -> tuple[Any, list[int]]:
    """Features of stride 4 and coarser, at most `stages` of them; (network, channels of each)."""
    extra: dict[str, Any] = {"features_only": True, "in_chans": channels}
    if stride != 32:
        extra["output_stride"] = stride
    reductions = make_backbone(settings, False, **extra).feature_info.reduction()
    indices = [i for i, r in enumerate(reductions) if r >= 4][:stages]
    encoder = make_backbone(settings, start, **extra, out_indices=indices)
    return encoder, [int(c) for c in encoder.feature_info.channels()]


def conv(inner: int, outer: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    """Convolution of unchanged map size, batch norm, ReLU."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inner, outer, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(inplace=True),
    )


class Pyramids(nn.Module):
    """PSPNet's pooling pyramid (Zhao et al. 2017) and, beside it, Seg4Reg's dilation pyramid.

    The pooled maps are enlarged again, the dilated ones keep the map's size and are summed; all of it and the
    features themselves are joined by a 3x3 convolution.
    """

    def __init__(self, inner: int, width: int, pools: tuple[int, ...], dilations: tuple[int, ...]) -> None:
        super().__init__()
        narrow = max(8, width // 4)
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(grid), conv(inner, narrow, 1)) for grid in pools
        )
        self.dilations = nn.ModuleList(conv(inner, width, dilation=d) for d in dilations)
        joined = inner + narrow * len(pools) + (width if dilations else 0)
        self.join = conv(joined, width)

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[-2:]
        parts = [features]
        parts += [F.interpolate(p(features), size, mode="bilinear", align_corners=False) for p in self.pools]
        if len(self.dilations):
            parts.append(torch.stack([d(features) for d in self.dilations]).sum(dim=0))
        joined: Tensor = self.join(torch.cat(parts, dim=1))
        return joined


class SegmentationNet(nn.Module):
    """Film to logits of `CLASSES` on a map of half the canvas."""

    def __init__(self, settings: SegmentationSettings, start: bool = False) -> None:
        super().__init__()
        s = settings
        self.encoder, channels = make_encoder(s.encoder, 1, s.stages, s.output_stride, start)
        self.pyramids = Pyramids(channels[-1], s.width, s.pools, s.dilations)
        self.skips = s.skips
        self.width = s.width
        if s.skips:
            self.enter = conv(s.width, s.decoder, 1)
            self.laterals = nn.ModuleList(conv(c, s.decoder, 1) for c in reversed(channels[:-1]))
            self.merges = nn.ModuleList(conv(s.decoder, s.decoder) for _ in channels[:-1])
            self.classify = nn.Conv2d(s.decoder, 4 * len(CLASSES), 1)
        else:
            self.classify = nn.Conv2d(s.width, len(CLASSES), 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, H, W) standardised film to logits (B, 3, H/2, W/2) and the pyramids' features."""
        features = self.encoder(image)
        deep: Tensor = self.pyramids(features[-1])
        half = [image.shape[-2] // 2, image.shape[-1] // 2]
        if not self.skips:
            logits = F.interpolate(self.classify(deep), half, mode="bilinear", align_corners=False)
            return logits.float(), deep
        way = self.enter(deep)
        for lateral, merge, fine in zip(self.laterals, self.merges, reversed(features[:-1]), strict=True):
            way = F.interpolate(way, fine.shape[-2:], mode="bilinear", align_corners=False) + lateral(fine)
            way = merge(way)
        # Four sub-pixels a cell: an endplate is told where it lies between the cells of the stride-4 map.
        return F.pixel_shuffle(self.classify(way), 2).float(), deep


class Regressed(NamedTuple):
    """Outputs of the regressor: (B, 3) degrees, (B, levels) degrees or None, (B, F) features."""

    angles: Tensor
    tilts: Tensor | None
    features: Tensor


class DirectNet(nn.Module):
    """A classifier with three outputs, as in the paper."""

    def __init__(self, settings: RegressionSettings, start: bool = False) -> None:
        super().__init__()
        channels = CHANNELS[settings.input]
        self.backbone = make_backbone(settings.backbone, start, num_classes=0, in_chans=channels)
        self.width = int(self.backbone.num_features)
        with torch.no_grad():  # some timm networks widen the features on their way out of the pooling
            self.width = int(self.backbone.eval()(torch.zeros(1, channels, *settings.size)).shape[-1])
        last = nn.Linear(self.width, 3)
        nn.init.constant_(last.bias, 25.0 / ANGLE_SCALE)
        self.output = nn.Sequential(nn.Dropout(settings.drop), last)

    def forward(self, stack: Tensor) -> Regressed:
        features = self.backbone(stack).float()
        return Regressed(self.output(features).float() * ANGLE_SCALE, None, features)


class PairsNet(nn.Module):
    """Tilts of the levels, and each angle as a soft choice among all pairs of them.

    Features of stride 16 are gathered row by row (a learned weight over each row finds the spine), the rows
    give one tilt a level, and every pair of levels gives an angle |tilt_i - tilt_j|. Which pair, or none, the
    first, second and third angle is measured between is what the rest of the head learns from the labels.
    """

    def __init__(self, settings: RegressionSettings, start: bool = False) -> None:
        super().__init__()
        s = settings
        self.encoder, channels = make_encoder(s.backbone, CHANNELS[s.input], 3, 32, start)
        rows = s.size[0] // int(self.encoder.feature_info.reduction()[-1])
        self.weigh = nn.Conv2d(channels[-1], 1, 1, bias=False)
        self.gather = nn.Sequential(nn.Conv1d(channels[-1], 64, 3, padding=1), nn.BatchNorm1d(64), nn.ReLU())
        self.width = 256
        self.describe = nn.Sequential(nn.Linear(64 * rows, self.width), nn.GELU(), nn.Dropout(s.drop))
        self.tilts = nn.Linear(self.width, s.levels)
        pairs = list(combinations(range(s.levels), 2))
        self.register_buffer("upper", torch.tensor([i for i, _ in pairs]), persistent=False)
        self.register_buffer("lower", torch.tensor([j for _, j in pairs]), persistent=False)
        options = len(pairs) + 1
        self.choose = nn.Sequential(
            nn.Linear(self.width + options, self.width), nn.GELU(), nn.Linear(self.width, 3 * options)
        )
        self.sharpness = nn.Parameter(torch.tensor([30.0, 10.0, 10.0]))

    def forward(self, stack: Tensor) -> Regressed:
        features = self.encoder(stack)[-1]
        weights = self.weigh(features).softmax(dim=-1)
        described = self.describe(self.gather((features * weights).sum(dim=-1)).flatten(1))
        with torch.autocast(stack.device.type, enabled=False):
            return self._angles(described.float())

    def _angles(self, described: Tensor) -> Regressed:
        tilts: Tensor = self.tilts(described)
        between = (tilts[:, self.upper] - tilts[:, self.lower]).abs()  # type: ignore[index]
        options = F.pad(between, (0, 1))  # the last one is "no curve": 0 degrees
        logits = self.choose(torch.cat([described, options], dim=1)).unflatten(1, (3, -1))
        chosen = (logits + self.sharpness[:, None] * options[:, None]).softmax(dim=-1)
        angles = (chosen * options[:, None]).sum(dim=-1)
        return Regressed(angles * ANGLE_SCALE, tilts * ANGLE_SCALE, described)


class Seg4RegNet(nn.Module):
    """Both networks, under the names their weights are saved by."""

    def __init__(
        self, segmentation: SegmentationSettings, regression: RegressionSettings, start: bool = False
    ) -> None:
        super().__init__()
        self.segmentation = SegmentationNet(segmentation, start)
        self.regression: DirectNet | PairsNet = (
            PairsNet(regression, start) if regression.head == "pairs" else DirectNet(regression, start)
        )
