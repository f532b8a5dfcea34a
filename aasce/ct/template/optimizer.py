"""AdamVector: AdamW whose second moment is that of whole vectors.

Adam divides every component by its own root mean square, which turns steps towards the diagonals of the frame and
leaves artefacts on a surface (Kim and Park 2024). Here the last axis of a parameter holds a vector, whose components
have one second moment: the mean square of its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class AdamVector(torch.optim.Optimizer):
    """AdamW by vectors along the last axis.

    Args:
        params: tensors (..., D), or groups of them; a group may hold "scale", a tensor that broadcasts with the
            parameter and multiplies its update.
        lr: learning rate.
        betas: decay of the first and second moment.
        eps: added to the root of the second moment.
        weight_decay: decoupled, per unit of learning rate.
        vectorwise: False makes it AdamW.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-12,
        weight_decay: float = 0.0,
        vectorwise: bool = True,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "scale": None}
        super().__init__(params, defaults | {"vectorwise": vectorwise})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; a closure is called first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            second = grad[..., :1] if group["vectorwise"] else grad
            state |= {"step": 0, "first": torch.zeros_like(grad), "second": torch.zeros_like(second)}
        state["step"] += 1
        first, second = group["betas"]
        square = grad.square().sum(-1, keepdim=True) if group["vectorwise"] else grad.square()
        state["first"].lerp_(grad, 1 - first)
        state["second"].lerp_(square, 1 - second)
        mean = state["first"] / (1 - first ** state["step"])
        root = (state["second"] / (1 - second ** state["step"])).sqrt()
        update = mean / (root + group["eps"]) + group["weight_decay"] * parameter
        scale = 1.0 if group["scale"] is None else group["scale"]
        parameter.sub_(group["lr"] * scale * update)
