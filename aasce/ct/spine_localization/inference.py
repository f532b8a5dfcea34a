"""From a scan to the heatmap of its spine, and from there to the centreline."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from aasce.ct.shared.grids import Floats, Shares, to_world
from aasce.ct.shared.tiles import merged
from aasce.ct.shared.unet import passed
from aasce.ct.spine_localization.network import SpineNet
from aasce.ct.spine_localization.settings import SpineLocalizationConfig


def heatmap_of(net: SpineNet, hu: Shares, config: SpineLocalizationConfig) -> Shares:
    """(X, Y, Z) heatmap of the spine.

    Args:
        net: in evaluation mode.
        hu: (X, Y, Z), Z a length that tiles fill.
        config: of the method.
    """

    def run(tile: Shares) -> Shares:
        values = torch.from_numpy(config.intensity.scaled(tile))[None, None]
        return np.asarray(passed(net, values).numpy(), np.float32)

    return np.asarray(merged(hu, run, config.size[2], config.overlap)[0])


def line_of(heatmap: Shares, affine: Floats, config: SpineLocalizationConfig) -> Floats | None:
    """Centreline of a heatmap: in each slice the mean place, weighted by the values of the largest connected part.

    Args:
        heatmap: (X, Y, Z).
        affine: of its grid, whose axes are the world's.
        config: of the method.

    Returns:
        (N, 3) world mm from the head, one point a slice; None where nothing reaches the threshold.
    """
    parts, count = ndimage.label(heatmap > config.line.threshold)
    if not count:
        return None
    mass = ndimage.sum_labels(heatmap, parts, np.arange(1, count + 1))
    weights = np.where(parts == 1 + int(np.argmax(mass)), heatmap, 0.0)
    total = weights.sum(axis=(0, 1))
    slices = np.flatnonzero(total > 0)
    x = (weights.sum(axis=1) * np.arange(weights.shape[0])[:, None]).sum(axis=0)[slices] / total[slices]
    y = (weights.sum(axis=0) * np.arange(weights.shape[1])[:, None]).sum(axis=0)[slices] / total[slices]
    spread = config.line.smoothing / config.spacing
    smooth = [ndimage.gaussian_filter1d(row, spread, mode="nearest") for row in (x, y)]
    return to_world(affine, np.stack([*smooth, slices], axis=-1))[::-1].copy()
