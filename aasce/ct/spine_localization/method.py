"""`spine_localization`: a U-Net at 8 mm finds the centreline of the spine.

Step 1 of Payer, Štern, Bischof, Urschler: Vertebrae Localization and Segmentation with SpatialConfiguration-Net and
U-Net, VerSe 2019 (section 2.1). Taken from the paper: the scan at 8 mm in the middle of 64x64x128 voxels, a heatmap of
the centreline that combines the Gaussians of all vertebrae, squared error. Departures, each a setting: the U-Net works
on cells of 2x2x2 voxels, whose values become channels (`network.unshuffle`), with group norm (`network.norm`). Where
the paper says nothing: Gaussians are combined by their maximum; a scan longer than 1,024 mm is read in tiles that
overlap; the line is the mean place of the heatmap in each slice, smoothed.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from aasce.ct.base import Need, ScanSet, VertebraSet
from aasce.ct.shared.grids import holds_bone, sample_scan, scan_bounds, world_grid
from aasce.ct.shared.network_method import NetworkMethod
from aasce.ct.shared.tiles import tiled_length
from aasce.ct.spine_localization.inference import heatmap_of, line_of
from aasce.ct.spine_localization.network import SpineNet
from aasce.ct.spine_localization.settings import SpineLocalizationConfig
from aasce.ct.spine_localization.task import SpineTask
from aasce.volume import Volume

NO_SPINE = "no spine seen"


class SpineLocalization(NetworkMethod):
    """See the module. Finds a centreline; names no vertebra."""

    name: ClassVar[str] = "spine_localization"
    Config: ClassVar[type[SpineLocalizationConfig]] = SpineLocalizationConfig
    needs: ClassVar[Need] = "nothing"
    config: SpineLocalizationConfig
    module: SpineNet

    def network(self) -> SpineNet:
        return SpineNet(self.config.network)

    def task(self, train: ScanSet, validation: ScanSet | None) -> SpineTask:
        return SpineTask(self.config, self.module, (train, validation))

    def predict(self, scan: Volume, start: VertebraSet | None = None) -> VertebraSet:
        """The centreline (N, 3) world mm from the head, a point every 8 mm."""
        config, bounds = self.config, scan_bounds(scan)
        length = float(bounds[1, 2] - bounds[0, 2]) / config.spacing + 1
        size = (*config.size[:2], tiled_length(length, config.size[2], config.overlap))
        grid = world_grid(bounds.mean(axis=0), config.spacing, size)
        hu = sample_scan(scan, grid)
        if not holds_bone(hu):
            return self.without_answer(start, NO_SPINE)
        line = line_of(heatmap_of(self.module, hu, config), grid.affine, config)
        if line is None or not np.isfinite(line).all():
            return self.without_answer(start, NO_SPINE)
        return self.answered(start, centerline=line)
