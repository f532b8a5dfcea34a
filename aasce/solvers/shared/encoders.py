"""Encoders by name, from timm or torchvision: settings, the weights to begin from, features of chosen strides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, fx, nn
from torch.nn import functional as F

from aasce.config import Settings, nearest
from aasce.solvers.shared.pretrained import PACKAGE, begin_from
from aasce.types import AasceError

TORCHVISION = "torchvision/"
"""Prefix of a name that is torchvision's where timm has the same one."""


class EncoderSettings(Settings):
    """An encoder.

    Attributes:
        name: of timm's ("resnet50", "densenet169", "tf_efficientnet_lite0", ...) or of torchvision's, which may be
            written "torchvision/resnet50" where timm has that name too.
        options: passed to the library as they are; a VGG with batch norm also takes `width`, its channels as a share
            of the original's.
        pretrained: weights to begin training from. false: random ones. true: the library's own for photographs,
            fetched once. "imagenet-package": those of an installed package. A released name or a run folder: the
            encoder of that solver.
        weights_file: begin from this local file of timm's weights instead; nothing is fetched.
    """

    name: str = "resnet18d"
    options: dict[str, Any] = Field(default_factory=dict)
    pretrained: bool | str = False
    weights_file: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.pretrained and self.weights_file is not None:
            raise ValueError("pretrained and weights_file exclude each other; name one")
        return self

    @property
    def asks_for_weights(self) -> bool:
        """Whether training begins from weights that exist."""
        return bool(self.pretrained) or self.weights_file is not None


def encoders_in(settings: Settings) -> Iterator[EncoderSettings]:
    """All encoder settings inside a group of settings."""
    if isinstance(settings, EncoderSettings):
        yield settings
        return
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, Settings):
            yield from encoders_in(value)


def make_encoder(
    settings: EncoderSettings, channels: int, stages: int, stride: int, start: bool, finest: int = 4
) -> tuple[Any, list[int]]:
    """Features of stride `finest` and coarser.

    Args:
        settings: which encoder.
        channels: of the input; the first one is the film, standardised by `preprocess.intensity.standardize`.
        stages: how many features at most, from the finest.
        stride: of the coarsest feature that the network may have; 8 or 16 turn later strides into dilations.
        start: give it the weights that the settings ask for (a network about to be loaded needs none).
        finest: least stride.

    Returns:
        The network, (B, channels, H, W) to a list of maps, and the channels of each.

    Raises:
        AasceError: the name is unknown, an option does not fit, or the weights cannot be had.
    """
    made: tuple[Any, list[int]] = _maker(settings)(settings, channels, stages, stride, finest)
    if start and settings.asks_for_weights:
        begin_from(made[0], settings, lambda: _photographs(settings, stages, stride, finest))
    return made


def _maker(settings: EncoderSettings) -> Any:
    import timm

    name = settings.name
    if "width" in settings.options and name in VGG_NAMES:
        return _vgg
    if timm.is_model(name.split(".")[0]):
        return _timm
    from torchvision.models import list_models

    if name.removeprefix(TORCHVISION) in list_models():
        return _torchvision
    known = [*timm.list_models(), *list_models()]
    raise AasceError(
        f"{name}: neither timm nor torchvision has such a network{nearest(name, known)}; "
        "timm.list_models() lists them"
    )


def _photographs(
    settings: EncoderSettings, stages: int, stride: int, finest: int
) -> tuple[nn.Module, tuple[float, ...]]:
    """The same encoder for photographs, with the library's weights, and the spread of each colour it takes."""
    maker = _maker(settings)
    if maker is _vgg:
        raise AasceError(f"{settings.name}: no weights exist for another width; set pretrained to false")
    network, _ = maker(settings, 3, stages, stride, finest, pretrained=True)
    config = getattr(network, "pretrained_cfg", None) or {}
    return network, tuple(config.get("std", (0.229, 0.224, 0.225)))


def _timm(
    settings: EncoderSettings, channels: int, stages: int, stride: int, finest: int, pretrained: bool = False
) -> tuple[Any, list[int]]:
    extra: dict[str, Any] = {"features_only": True, "in_chans": channels}
    if stride != 32:
        extra["output_stride"] = stride
    # Of all maps: timm's own choice ends at the fifth, and a DenseNet of five blocks has six.
    known = _timm_model(settings, **extra).feature_info.info
    indices = [i for i, part in enumerate(known) if part["reduction"] >= finest][:stages]
    if pretrained and settings.weights_file is not None:
        extra["pretrained_cfg_overlay"] = {"file": settings.weights_file}
    encoder = _timm_model(settings, **extra, out_indices=indices, pretrained=pretrained)
    return encoder, [int(c) for c in encoder.feature_info.channels()]


def _timm_model(settings: EncoderSettings, pretrained: bool = False, **extra: Any) -> Any:
    import timm

    try:
        return timm.create_model(settings.name, pretrained=pretrained, **settings.options, **extra)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise _fault(settings, error, pretrained) from error


def _fault(settings: EncoderSettings, error: Exception, pretrained: bool) -> AasceError:
    line = (str(error).splitlines() or [type(error).__name__])[0][:160]
    if not pretrained:
        return AasceError(
            f"{settings.name}: cannot be built with these options ({line}); correct encoder.options"
        )
    source = settings.weights_file or "the internet or its cache"
    remedy = f"name a local file as weights_file, set pretrained to {PACKAGE}, or to false"
    return AasceError(f"{settings.name}: pretrained weights cannot be had from {source} ({line}); {remedy}")


def _torchvision(
    settings: EncoderSettings, channels: int, stages: int, stride: int, finest: int, pretrained: bool = False
) -> tuple[Any, list[int]]:
    from torchvision.models import get_model

    if stride != 32 or settings.weights_file is not None:
        raise AasceError(f"{settings.name}: of torchvision, takes neither output_stride nor weights_file")
    try:
        name = settings.name.removeprefix(TORCHVISION)
        model = get_model(name, weights="DEFAULT" if pretrained else None, **settings.options)
        return feature_maps(with_inputs(model, channels), channels, stages, finest)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise _fault(settings, error, pretrained) from error


def with_inputs(model: nn.Module, channels: int) -> nn.Module:
    """A network of photographs whose first convolution takes other channels; it is changed and returned."""
    path, first = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    if first.in_channels != channels:
        other = nn.Conv2d(
            channels, first.out_channels, first.kernel_size, first.stride, first.padding,  # type: ignore[arg-type]
            bias=first.bias is not None,
        )  # fmt: skip
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, other)
    return model


def feature_maps(
    model: nn.Module, channels: int, stages: int, finest: int
) -> tuple[fx.GraphModule, list[int]]:
    """Any classifier that torch.fx can trace, cut to its last map of each stride; see `make_encoder`."""
    from torch.fx.passes.shape_prop import ShapeProp

    side = 64
    traced = fx.symbolic_trace(model.eval())
    ShapeProp(traced).propagate(torch.zeros(1, channels, side, side))
    last: dict[int, fx.Node] = {}
    for node in traced.graph.nodes:
        shape: tuple[int, ...] = tuple(getattr(node.meta.get("tensor_meta"), "shape", ()))
        if len(shape) == 4 and shape[-1] > 1 and side % shape[-1] == 0 and side // shape[-1] >= finest:
            last[side // shape[-1]] = node
    chosen = [last[stride] for stride in sorted(last)][:stages]
    if not chosen:
        raise ValueError("it has no maps of several strides")
    output = next(node for node in traced.graph.nodes if node.op == "output")
    output.args = (chosen,)
    traced.graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced, [int(node.meta["tensor_meta"].shape[1]) for node in chosen]


VGG_NAMES = ("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn")


class VggEncoder(nn.Module):
    """VGG with batch norm (Simonyan & Zisserman 2015) of another width, its classifier left away.

    Features before each pooling and after the last: strides 1, 2, 4, 8, 16, 32.

    Args:
        plan: timm's name of the plan, "vgg11" for instance.
        inputs: channels of the input.
        width: channels as a share of the original's.
    """

    def __init__(self, plan: str, inputs: int, width: float) -> None:
        from timm.models.vgg import cfgs

        super().__init__()
        self.stages = nn.ModuleList()
        self.channels: list[int] = []
        layers: list[nn.Module] = []
        inner = inputs
        for step in (*cfgs[plan], "end"):
            if isinstance(step, int):
                outer = max(8, round(step * width))
                layers.append(conv(inner, outer))
                inner = outer
            else:
                self.stages.append(nn.Sequential(*layers))
                self.channels.append(inner)
                layers = [nn.MaxPool2d(2)]

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [image]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features[1:]


def _vgg(
    settings: EncoderSettings, channels: int, stages: int, stride: int, finest: int
) -> tuple[VggEncoder, list[int]]:
    others = {key: value for key, value in settings.options.items() if key != "width"}
    width = settings.options["width"]
    if others or not isinstance(width, float | int) or not 0 < width <= 4:
        raise AasceError(f"{settings.name}: beside a width from 0 to 4 it takes no options; correct them")
    if stride != 32 or finest != 1 or stages < 6:
        raise AasceError(
            f"{settings.name}: has features of strides 1 to 32 and no others; take another encoder"
        )
    encoder = VggEncoder(settings.name.removesuffix("_bn"), channels, width)
    return encoder, encoder.channels


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
