"""Weights on disk, for every solver that is a torch network: safetensors, half precision, no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from aasce.solvers.base import WEIGHTS_FILE, Solver, read_config, restore, write_run
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
        raise AasceError(f"{path}: {fault}; train again, or name another run") from error
    module.eval()


class NetworkSolver(Solver):
    """A solver that is a torch network with settings.

    Attributes:
        module: all networks, under the names their weights are saved by.
    """

    module: Any

    def save(self, folder: Path) -> None:
        """Settings, state, and weights: half precision but for norms and biases."""
        write_run(folder, self)
        save_weights(self.module, folder)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Reads what `save` wrote; no generator and no global flag of torch changes."""
        make: Any = cls
        solver: Self = make(read_config(folder, cls.Config), device)
        restore(solver, folder)
        load_weights(solver.module, folder)
        return solver
