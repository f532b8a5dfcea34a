"""Weights on disk, for every solver that is a torch network: safetensors, half precision, no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from aasce.solvers.base import WEIGHTS_FILE, read_config, read_manifest, write_run
from aasce.types import AasceError


def _rounds(weight: torch.Tensor) -> bool:
    return weight.is_floating_point() and weight.ndim >= 2


@torch.no_grad()
def round_weights(module: nn.Module) -> None:
    """Rounds matrices and kernels to half precision in place: a solver answers as its file will."""
    for value in module.state_dict().values():
        if _rounds(value):
            value.copy_(value.half())


def save_weights(module: nn.Module, folder: Path) -> None:
    """Writes the weights: half precision but for norms and biases, whose range half precision lacks."""
    round_weights(module)
    weights = {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    part = folder / f"{WEIGHTS_FILE}.part"
    save_file({k: v.half() if _rounds(v) else v for k, v in weights.items()}, part)
    part.replace(folder / WEIGHTS_FILE)


def load_weights(module: nn.Module, folder: Path) -> None:
    """Reads what `save_weights` wrote, and leaves the module in evaluation mode.

    Raises:
        AasceError: the file is missing, damaged, or holds another network's weights.
    """
    path = folder / WEIGHTS_FILE
    try:
        module.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        fault = f"does not hold this solver's weights ({str(error).splitlines()[0]})"
        raise AasceError(f"{path}: {fault}; train anew or name another run") from error
    module.eval()


class Networked(Protocol):
    """A solver that is a network with settings, and what training left to say of it."""

    name: ClassVar[str]
    Config: ClassVar[type[Any]]
    manifest: dict[str, Any]

    @property
    def config(self) -> Any: ...

    @property
    def module(self) -> Any: ...


S = TypeVar("S", bound=Networked)


def save_solver(solver: Networked, folder: Path) -> None:
    """Writes settings, manifest and weights."""
    write_run(folder, solver.name, solver.config, solver.manifest)
    save_weights(solver.module, folder)


def load_solver(cls: type[S], folder: Path, device: str) -> S:
    """Reads what `save_solver` wrote; the class takes its settings and a device."""
    manifest = read_manifest(folder, cls.name)
    make: Any = cls
    solver: S = make(read_config(folder, cls.Config), device)
    solver.manifest = {k: v for k, v in manifest.items() if k != "solver"}
    load_weights(solver.module, folder)
    return solver
