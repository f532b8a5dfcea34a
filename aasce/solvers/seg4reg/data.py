"""What the regressor of `seg4reg` is shown: film, mask probabilities, or both, stacked."""

from __future__ import annotations

from torch import Tensor

from aasce.preprocess.intensity import Bytes
from aasce.solvers.seg4reg.settings import InputKind
from aasce.solvers.shared.cascade import stack_tensor, stacked
from aasce.types import Array


def make_stack(canvas: Bytes, probabilities: Array, size: tuple[int, int], kind: InputKind) -> Bytes:
    """What the regressor sees of a film, as bytes.

    Args:
        canvas: (H, W) uint8, the segmenter's canvas.
        probabilities: (3, H/2, W/2) of `targets.mask.CLASSES`.
        size: (h, w) of the regressor's canvas.
        kind: which of film and mask.

    Returns:
        (h, w, C) uint8: film, vertebra and gap, as far as `kind` has them.
    """
    maps = [] if kind == "image" else list(probabilities[1:])
    return stacked(None if kind == "mask" else canvas, maps, size)


def stack_input(stacks: Tensor, kind: InputKind) -> Tensor:
    """(B, h, w, C) uint8 stacks to a (B, C, h, w) float32 tensor, film standardised, masks in [-1, 1]."""
    return stack_tensor(stacks, kind != "mask")
