"""Saving and loading of the weights of torch networks: safetensors, half precision, no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from aasce.solvers.base import WEIGHTS_FILE, Solver, note_weights, read_config, restore, write_run
from aasce.solvers.shared.fast import engine_name, settle
from aasce.types import AasceError


def _rounds(weight: torch.Tensor) -> bool:
    return weight.is_floating_point() and weight.ndim >= 2


@torch.no_grad()
def round_weights(module: nn.Module) -> None:
    """Rounds matrices and kernels to half precision in place, so that a solver predicts as its saved file does."""
    for value in module.state_dict().values():
        if _rounds(value):
            value.copy_(value.half())


def save_weights(module: nn.Module, folder: Path) -> None:
    """Writes the weights in half precision; norms and biases, whose range is larger, in single precision."""
    round_weights(module)
    weights = {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    part = folder / f"{WEIGHTS_FILE}.part"
    save_file({k: v.half() if _rounds(v) else v for k, v in weights.items()}, part)
    part.replace(folder / WEIGHTS_FILE)
    note_weights(folder)


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
    """A solver made of torch networks.

    Attributes:
        module: all networks, under the names that their weights are saved by.
        fast: whether its passes are made by `shared.fast.run`.
        continues: whether training goes on from the weights of another run.
    """

    fast: ClassVar[bool] = False
    module: Any
    continues: bool = False

    @property
    def engine(self) -> str:
        """See `Solver`."""
        return engine_name(self.module)

    def start_from(self, folder: Path) -> None:
        """Takes the weights of another run, and what it learned until training learns it again."""
        restore(self, folder)
        load_weights(self.module, folder)
        self.training = {}
        self.continues = True

    def save(self, folder: Path) -> None:
        """Writes settings, state and weights, see `save_weights`."""
        write_run(folder, self)
        save_weights(self.module, folder)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Reads what `save` wrote, without any effect on random generators or global flags."""
        make: Any = cls
        solver: Self = make(read_config(folder, cls.Config), device)
        restore(solver, folder)
        load_weights(solver.module, folder)
        if cls.fast:
            settle(solver.module)
        return solver
