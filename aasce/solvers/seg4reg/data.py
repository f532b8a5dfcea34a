"""What the regressor of `seg4reg` is shown: film, mask probabilities, or both, stacked."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from aasce.preprocess.intensity import Bytes
from aasce.solvers.seg4reg.settings import Inputs
from aasce.types import Array


def make_stack(canvas: Bytes, probabilities: Array, size: tuple[int, int], kind: Inputs) -> Bytes:
    """What the regressor sees of a film, as bytes.

    Args:
        canvas: (H, W) uint8, the segmenter's canvas.
        probabilities: (3, H/2, W/2) of `targets.mask.CLASSES`.
        size: (h, w) of the regressor's canvas.
        kind: which of film and mask.

    Returns:
        (h, w, C) uint8: film, vertebra and gap, as far as `kind` has them.
    """
    to = (size[1], size[0])
    parts = []
    if kind != "mask":
        parts.append(np.asarray(cv2.resize(np.ascontiguousarray(canvas), to, interpolation=cv2.INTER_AREA)))
    if kind != "image":
        for k in (1, 2):
            part = np.ascontiguousarray(probabilities[k] * 255, dtype=np.float32)
            resized = np.asarray(
                part if part.shape == size else cv2.resize(part, to, interpolation=cv2.INTER_LINEAR)
            )
            parts.append(np.clip(np.round(resized), 0, 255).astype(np.uint8))
    return np.stack(parts, axis=-1)


def stack_input(stacks: Tensor, kind: Inputs) -> Tensor:
    """(B, h, w, C) uint8 stacks to a (B, C, h, w) float32 tensor, film standardised, masks in [-1, 1]."""
    x = stacks.float()
    film, mask = (x - 127.5) / 64.0, x / 127.5 - 1.0
    x = mask if kind == "mask" else torch.cat([film[..., :1], mask[..., 1:]], dim=-1)
    return x.permute(0, 3, 1, 2)
