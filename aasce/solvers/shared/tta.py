"""Passes of a network over canvases, and test-time augmentation: a second pass over the mirror image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aasce.preprocess.intensity import Bytes
from aasce.solvers.shared.fast import run
from aasce.solvers.shared.samples import to_input
from aasce.solvers.shared.trainer import native_bf16
from aasce.types import Array


@torch.inference_mode()
def network_pass(
    net: nn.Module, canvases: Bytes, fast: bool = False, forward: Callable[[Tensor], Any] | None = None
) -> Any:
    """Output of a network for canvases.

    Args:
        net: its input is that of `samples.to_input`.
        canvases: (B, H, W) uint8.
        fast: bfloat16 where the device computes it natively; for many training films, not for predictions.
        forward: a method of the network other than its `forward`.
    """
    device = next(net.parameters()).device
    images = to_input(canvases).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=fast and native_bf16(device.type)):
        return run(net, images) if forward is None and not fast else (forward or net)(images)


def with_mirror(canvas: Array) -> Array:
    """(2, H, W): a canvas (H, W) and its mirror image."""
    return np.stack([canvas, canvas[:, ::-1]])


def mirrored_back(maps: Array) -> Array:
    """Both maps in the frame of the canvas.

    Args:
        maps: (2, ..., W), the second one of the mirror image, in its own frame.
    """
    return np.stack([maps[0], maps[1][..., ::-1]])
