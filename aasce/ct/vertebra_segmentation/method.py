"""`vertebra_segmentation`: a U-Net at 1 mm segments each located vertebra by itself.

Step 3 of Payer, Štern, Bischof, Urschler: Vertebrae Localization and Segmentation with SpatialConfiguration-Net and
U-Net, VerSe 2019 (section 2.3). Taken from the paper: 128x128x96 voxels of 1 mm about each centroid, image and heatmap
of the centroid as input, a sigmoid and cross-entropy, probabilities brought back to the scan's own grid and merged.
Departures: the heatmap is a Gaussian about the centroid and not cut from step 2's heatmaps, so that any centroids do;
soft Dice beside the cross-entropy (`mask.dice`); the U-Net works on cells of 2x2x2 voxels, whose values become channels
(`network.unshuffle`), with group norm (`network.norm`); of each vertebra the largest connected part is kept
(`mask.largest_part`); grids may lean with the spine (`mask.turned`). Where two vertebrae claim a voxel, the higher
probability wins. The released weights work at 1.5 mm (96x96x64 voxels); their probabilities are brought to the scan's
grid linearly.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from aasce.ct.base import Grid, Need, ScanSet, VertebraSet
from aasce.ct.shared.grids import Shares, holds_bone, sample_scan, turned_grid, world_grid
from aasce.ct.shared.network_method import NetworkMethod
from aasce.ct.vertebra_segmentation.inference import coronal_lean, merged_masks, probability
from aasce.ct.vertebra_segmentation.network import VertebraNet
from aasce.ct.vertebra_segmentation.settings import VertebraSegmentationConfig
from aasce.ct.vertebra_segmentation.task import SegmentationTask
from aasce.types import AasceError
from aasce.volume import Volume

NO_MASK = "no vertebra segmented at any centroid"
WITHOUT_MASK = "vertebra_without_mask"
"""Flag: at a centroid, no voxel is a vertebra's."""


class VertebraSegmentation(NetworkMethod):
    """See the module. Adds masks; labels and centroids stay those of `start`."""

    name: ClassVar[str] = "vertebra_segmentation"
    Config: ClassVar[type[VertebraSegmentationConfig]] = VertebraSegmentationConfig
    needs: ClassVar[Need] = "centroids"
    config: VertebraSegmentationConfig
    module: VertebraNet

    def network(self) -> VertebraNet:
        return VertebraNet(self.config.network)

    def task(self, train: ScanSet, validation: ScanSet | None) -> SegmentationTask:
        return SegmentationTask(self.config, self.module, (train, validation))

    def predict(self, scan: Volume, start: VertebraSet | None = None) -> VertebraSet:
        """Masks on the scan's grid; the confidence of each is that of `start` times its voxels' mean probability.

        Raises:
            AasceError: `start` has no centroids.
        """
        if start is None or not len(start.labels):
            raise AasceError(
                f"{self.name}: needs the vertebrae's centroids; run vertebra_localization first or give them"
            )
        config = self.config
        lean = coronal_lean(start.centroids) if config.mask.turned else np.zeros(len(start.labels))
        crops = [
            (label, turned_grid(world_grid(centroid, config.spacing, config.size), degrees))
            for label, centroid, degrees in zip(start.labels.tolist(), start.centroids, lean, strict=True)
        ]

        def read(grid: Grid) -> Shares:
            hu = sample_scan(scan, grid)
            return probability(self.module, hu, config) if holds_bone(hu) else np.zeros_like(hu)

        masks, sure = merged_masks(scan, crops, read, config.mask.threshold)
        if not masks.data.any():
            return self.without_answer(start, NO_MASK)
        share = np.array([sure[label] for label in start.labels.tolist()])
        flags = (WITHOUT_MASK,) if (share == 0).any() else ()
        return self.answered(start, flags, masks=masks, confidence=start.confidence * share)
