"""Test-time augmentation by mirroring: two passes over a canvas, the second one over its mirror image."""

from __future__ import annotations

import numpy as np

from aasce.types import Array


def with_mirror(canvas: Array) -> Array:
    """(2, H, W): an (H, W) canvas and its mirror image."""
    return np.stack([canvas, canvas[:, ::-1]])


def mirrored_back(maps: Array) -> Array:
    """Two maps (2, ..., W), the second one of the mirror image, both in the frame of the canvas."""
    return np.stack([maps[0], maps[1][..., ::-1]])
