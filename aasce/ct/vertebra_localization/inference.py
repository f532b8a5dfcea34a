"""From a column of voxels to heatmaps of all vertebrae, and from there to the vertebrae."""

from __future__ import annotations

import numpy as np
import torch

from aasce.ct.shared.grids import Floats, Shares, to_world
from aasce.ct.shared.heatmaps import maxima
from aasce.ct.shared.tiles import merged
from aasce.ct.shared.unet import passed
from aasce.ct.vertebra_localization.network import SpatialConfigurationNet
from aasce.ct.vertebra_localization.sequence import Candidate, best_sequence
from aasce.ct.vertebra_localization.settings import VertebraLocalizationConfig


def heatmaps_of(net: SpatialConfigurationNet, hu: Shares, config: VertebraLocalizationConfig) -> Shares:
    """(L, x, y, z) heatmaps as shares of their targets' heights, on cells of the network.

    Args:
        net: in evaluation mode.
        hu: (X, Y, Z), Z a length that tiles fill.
        config: of the method.
    """
    heights = net.targets.heights().detach().cpu()[None, :, None, None, None]

    def run(tile: Shares) -> Shares:
        values = torch.from_numpy(config.intensity.scaled(tile))[None, None]
        return np.asarray((passed(net, values) / heights)[0].numpy(), np.float32)

    return merged(hu, run, config.size[2], config.overlap)


def vertebrae_of(heatmaps: Shares, affine: Floats, config: VertebraLocalizationConfig) -> list[Candidate]:
    """The vertebrae of heatmaps, from the head.

    Args:
        heatmaps: (L, x, y, z).
        affine: of the grid of voxels that the network read.
        config: of the method.
    """
    settings, step = config.sequence, config.network.unshuffle
    candidates = []
    for level, heatmap in enumerate(heatmaps):
        places, values = maxima(heatmap, settings.threshold, settings.candidates)
        world = to_world(affine, (places + 0.5) * step - 0.5)
        candidates += [Candidate(level, place, float(v)) for place, v in zip(world, values, strict=True)]
    return best_sequence(candidates, settings)
