"""Test-time augmentation by mirroring: two passes over a canvas, the second one over its mirror image."""

from __future__ import annotations

import numpy as np

from aasce.types import Array


def with_mirror(canvas: Array) -> Array:
    """(2, H, W): a canvas (H, W) and its mirror image."""
    return np.stack([canvas, canvas[:, ::-1]])


def mirrored_back(maps: Array) -> Array:
    """Both maps in the frame of the canvas.

    Args:
        maps: (2, ..., W), the second one of the mirror image, in its own frame.
    """
    return np.stack([maps[0], maps[1][..., ::-1]])
