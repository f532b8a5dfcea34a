"""Tiles of a network along z and their merging by the maximum (Payer et al. 2019, section 2.2)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aasce.ct.shared.grids import Shares


def tiled_length(length: float, tile: int, overlap: int) -> int:
    """The smallest number of voxels, not below `length`, that tiles fill exactly.

    Args:
        length: voxels to cover.
        tile: voxels of a tile.
        overlap: voxels that neighbouring tiles share.
    """
    return tile + max(0, int(np.ceil((length - tile) / (tile - overlap)))) * (tile - overlap)


def merged(values: Shares, run: Callable[[Shares], Shares], tile: int, overlap: int) -> Shares:
    """A network's answer for a column of voxels: the largest of its answers in overlapping tiles.

    Args:
        values: (X, Y, Z), Z as `tiled_length` gives it.
        run: takes (X, Y, tile) and gives (C, x, y, tile / s) for some whole stride s.
        tile: voxels of a tile.
        overlap: voxels that neighbouring tiles share, a multiple of the stride like `tile`.

    Returns:
        (C, x, y, Z / s).
    """
    whole: Shares | None = None
    for start in range(0, values.shape[2] - tile + 1, tile - overlap):
        found = run(values[:, :, start : start + tile])
        stride = tile // found.shape[3]
        if whole is None:
            whole = np.full((*found.shape[:3], values.shape[2] // stride), -np.inf, np.float32)
        part = whole[..., start // stride : start // stride + found.shape[3]]
        np.maximum(part, found, out=part)
    assert whole is not None  # the first tile is there, however short the column
    return whole
