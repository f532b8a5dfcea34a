"""The segmenter's masks of a film, and the regressor's input made of film and masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from aasce.preprocess.crop import Box, View
from aasce.preprocess.intensity import Bytes
from aasce.solvers.seg4reg.network import SegmentationNet
from aasce.solvers.seg4reg.settings import InputKind
from aasce.solvers.shared.autocrop import largest_part
from aasce.solvers.shared.cascade import join_channels
from aasce.solvers.shared.samples import Floats, to_input
from aasce.solvers.shared.trainer import native_bf16
from aasce.targets.mask import Shares
from aasce.types import Array


@torch.inference_mode()
def segment(net: SegmentationNet, canvases: Bytes, fast: bool = False) -> Shares:
    """Class probabilities of canvases.

    Args:
        net: the segmenter.
        canvases: (B, H, W) uint8.
        fast: bfloat16 where the device computes it natively; for many training films, not for predictions.

    Returns:
        (B, 3, H/2, W/2) of `targets.mask.CLASSES`.
    """
    device = next(net.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=fast and native_bf16(device.type)):
        logits, _ = net(to_input(canvases).to(device))
    return np.asarray(logits.float().softmax(dim=1).cpu().numpy(), np.float32)


def has_film(kind: InputKind) -> bool:
    """Whether the first channel of the regressor's input is the film."""
    return kind != "mask"


def regressor_input(canvas: Bytes, probabilities: Array, size: tuple[int, int], kind: InputKind) -> Bytes:
    """Input channels of the regressor, see `shared.cascade`.

    Args:
        canvas: (H, W) uint8, the segmenter's canvas.
        probabilities: (3, H/2, W/2) of `targets.mask.CLASSES`.
        size: (h, w) of the regressor's canvas.
        kind: which of film and mask.

    Returns:
        (h, w, C) uint8: film, vertebra and gap, as far as `kind` has them.
    """
    maps = [] if kind == "image" else list(probabilities[1:])
    return join_channels(canvas if has_film(kind) else None, maps, size)


@dataclass(frozen=True, slots=True)
class SegmentedPass:
    """The segmenter's output for a rectangle of a film.

    Attributes:
        canvas: (H, W) uint8.
        view: film px to canvas px.
        box: the rectangle, film px.
        masks: (2, 3, H/2, W/2) class probabilities from the canvas and from its mirror image, both in the frame of the
            canvas.
    """

    canvas: Bytes
    view: View
    box: Box
    masks: Shares

    @property
    def mask(self) -> Shares:
        """(3, H/2, W/2) mean of the two."""
        return np.asarray(self.masks.mean(axis=0), np.float32)

    @property
    def spine(self) -> Floats | None:
        """(x0, y0, x1, y1) film px around the largest connected part of vertebrae and gaps; None without one."""
        return largest_part(self.mask[0] < 0.5, self.view)
