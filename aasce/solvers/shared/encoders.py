"""timm networks as the solvers use them: settings, pretrained weights, features of chosen strides."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.config import Settings, nearest
from aasce.types import AasceError


class BackboneSettings(Settings):
    """A timm network.

    Attributes:
        name: any timm name ("resnet50", "resnet101", "densenet169", "efficientnet_b5", ...).
        options: passed to `timm.create_model` as they are.
        pretrained: start from ImageNet weights, fetched by timm.
        weights_file: start from this local timm weights file instead; nothing is fetched.
    """

    name: str = "resnet18d"
    options: dict[str, Any] = Field(default_factory=dict)
    pretrained: bool = False
    weights_file: str | None = None

    @property
    def asked(self) -> bool:
        """Whether the network is to start from weights it has."""
        return self.pretrained or self.weights_file is not None


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
    wanted = start and settings.asked
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
    settings: BackboneSettings, channels: int, stages: int, stride: int, start: bool, finest: int = 4
) -> tuple[Any, list[int]]:
    """Features of stride `finest` and coarser, at most `stages` of them; (network, channels of each)."""
    extra: dict[str, Any] = {"features_only": True, "in_chans": channels}
    if stride != 32:
        extra["output_stride"] = stride
    reductions = make_backbone(settings, False, **extra).feature_info.reduction()
    indices = [i for i, r in enumerate(reductions) if r >= finest][:stages]
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


class UpStage(nn.Module):
    """Twice the map size, joined by the encoder's features of that size where there are any."""

    def __init__(self, inner: int, skip: int, outer: int) -> None:
        super().__init__()
        self.merge = nn.Sequential(conv(inner + skip, outer), conv(outer, outer))

    def forward(self, deep: Tensor, fine: Tensor | None) -> Tensor:
        size = [2 * deep.shape[-2], 2 * deep.shape[-1]]
        raised = F.interpolate(deep, size, mode="bilinear", align_corners=False)
        merged: Tensor = self.merge(raised if fine is None else torch.cat([raised, fine], dim=1))
        return merged
