"""`vertebra_localization`: a SpatialConfiguration-Net at 2 mm finds and names the vertebrae along the spine.

Step 2 of Payer, Štern, Bischof, Urschler: Vertebrae Localization and Segmentation with SpatialConfiguration-Net and
U-Net, VerSe 2019 (section 2.2), with the network and loss of Payer et al., Med Image Anal 54, 2019. Taken from the
papers: 2 mm, 96x96x128 voxels about the spine of step 1, a random height in training, tiles along z that overlap by 96
voxels and are merged by the maximum; a heatmap for each vertebra, local appearance (U-Net, levels averaged on the way
up) times spatial configuration (four 7x7x7 convolutions at 8 mm); squared error to Gaussians of learned widths; the
choice of the sequence. Departures, each a setting: the network works on cells of 2x2x2 voxels, whose values become
channels, and its heatmaps have 4 mm (`network.unshuffle`), read to fractions of a cell; group norm (`network.norm`);
AdamW; squared errors weigh more at a vertebra (`heatmap.focus`), and a cross-entropy tells the levels apart
(`heatmap.naming`); the first sacral vertebra has a heatmap, too (`labels`), which helps to count from below; a vertebra
of which no maximum fits may be left out (`sequence.skipped`), and the sequence may begin and end anywhere
(`sequence.ends`); in place of the sequence all heatmaps together, the endplates and a person's proportions may choose
one chain (`chain`). The released weights work at 3 mm with a U-Net of five scales, at a fifth of the work a step: on a
CPU more steps are worth more than sharpness.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from aasce.ct.base import Need, ScanSet, VertebraSet, vertebra_set
from aasce.ct.shared.grids import Floats, holds_bone, sample_scan, scan_bounds, world_grid
from aasce.ct.shared.network_method import NetworkMethod
from aasce.ct.shared.tiles import tiled_length
from aasce.ct.vertebra_localization.chain import chain_of
from aasce.ct.vertebra_localization.inference import heatmaps_of, vertebrae_of
from aasce.ct.vertebra_localization.network import SpatialConfigurationNet
from aasce.ct.vertebra_localization.sequence import Candidate
from aasce.ct.vertebra_localization.settings import VertebraLocalizationConfig
from aasce.ct.vertebra_localization.task import LocalizationTask
from aasce.types import AasceError
from aasce.volume import Volume

NO_VERTEBRA = "no vertebra seen"
MISSING = "vertebra_missing"
"""Flag: within the sequence, a vertebra is not found."""


class VertebraLocalization(NetworkMethod):
    """See the module. Finds labels and centroids."""

    name: ClassVar[str] = "vertebra_localization"
    Config: ClassVar[type[VertebraLocalizationConfig]] = VertebraLocalizationConfig
    needs: ClassVar[Need] = "centerline"
    config: VertebraLocalizationConfig
    module: SpatialConfigurationNet

    def network(self) -> SpatialConfigurationNet:
        return SpatialConfigurationNet(self.config)

    def task(self, train: ScanSet, validation: ScanSet | None) -> LocalizationTask:
        return LocalizationTask(self.config, self.module, (train, validation))

    def predict(self, scan: Volume, start: VertebraSet | None = None) -> VertebraSet:
        """Labels and centroids; the confidence of each is the value of its heatmap.

        Raises:
            AasceError: `start` has no centreline.
        """
        if start is None or start.centerline is None or not len(start.centerline):
            raise AasceError(f"{self.name}: needs the spine's centreline; run spine_localization first")
        config, bounds = self.config, scan_bounds(scan)
        length = float(bounds[1, 2] - bounds[0, 2]) / config.spacing + 1
        size = (*config.size[:2], tiled_length(length, config.size[2], config.overlap))
        grid = world_grid(column_middle(start.centerline, bounds), config.spacing, size)
        hu = sample_scan(scan, grid)
        if not holds_bone(hu):
            return self.without_answer(start, NO_VERTEBRA)
        heatmaps = heatmaps_of(self.module, hu, config)
        if config.chain is None:
            found = vertebrae_of(heatmaps, grid.affine, config)
        else:
            step = config.network.unshuffle
            found = chain_of(heatmaps, grid.affine, step, scan, config.labels, config.chain)
        if not found:
            return self.without_answer(start, NO_VERTEBRA)
        return self.named(found, start)

    def named(self, found: list[Candidate], start: VertebraSet) -> VertebraSet:
        """The answer of a sequence of vertebrae."""
        labels = [self.config.labels[vertebra.level] for vertebra in found]
        places = {label: vertebra.place for label, vertebra in zip(labels, found, strict=True)}
        sure = {label: min(1.0, vertebra.value) for label, vertebra in zip(labels, found, strict=True)}
        gaps = found[-1].level - found[0].level + 1 > len(found)
        new = vertebra_set(start.scan_id, places, confidence=sure)
        return self.answered(
            start, (MISSING,) if gaps else (), labels=new.labels, centroids=new.centroids,
            confidence=new.confidence,
        )  # fmt: skip


def column_middle(centerline: Floats, bounds: Floats) -> Floats:
    """(3,) world mm of the column of voxels: amid the line in the axial plane, amid the scan along z."""
    middle = (centerline.min(axis=0) + centerline.max(axis=0)) / 2
    return np.array([middle[0], middle[1], bounds[:, 2].mean()])
