"""Training of `vertebra_segmentation`: one vertebra against all else, its loss and validation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from monai.losses.dice import DiceLoss
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.ct.base import ScanSet, TrainingScan
from aasce.ct.shared.augment import changed_values
from aasce.ct.shared.grids import AIR, world_grid
from aasce.ct.shared.scan_task import Drawn, Example, ScanTask, cut, drawn
from aasce.ct.vertebra_segmentation.inference import centroid_heatmap, probability
from aasce.ct.vertebra_segmentation.network import VertebraNet
from aasce.ct.vertebra_segmentation.settings import VertebraSegmentationConfig
from aasce.types import AasceError, Array

VALIDATED = 2
"""Vertebrae of each validation scan."""


class SegmentationLoss(nn.Module):
    """The network with its loss: cross-entropy of each voxel and soft Dice."""

    def __init__(self, net: VertebraNet, dice: float) -> None:
        super().__init__()
        self.net = net
        self.weight = dice
        self.dice = DiceLoss(sigmoid=True)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of {"image" (B, 2, X, Y, Z), "mask" (B, X, Y, Z) uint8}."""
        logits = self.net(batch["image"]).float()
        wanted = batch["mask"].float()
        entropy = F.binary_cross_entropy_with_logits(logits, wanted)
        losses = {"loss": entropy, "entropy": entropy.detach()}
        if self.weight > 0:
            overlap = self.dice(logits[:, None], wanted[:, None])
            losses |= {"loss": entropy + self.weight * overlap, "dice": overlap.detach()}
        return losses


class SegmentationTask(ScanTask):
    """Samples about a vertebra."""

    def __init__(
        self, config: VertebraSegmentationConfig, net: VertebraNet, scans: tuple[ScanSet, ScanSet | None]
    ) -> None:
        super().__init__(
            SegmentationLoss(net, config.mask.dice), scans, config.steps, config.batch, config.uses,
            (config.seed, 25),
        )  # fmt: skip
        self.config = config
        self.train = [scan for scan in self.train if self.levels(scan)]
        self.validation = [scan for scan in self.validation if self.levels(scan)]
        if not self.train:
            raise AasceError("vertebra_segmentation: no training scan holds a vertebra of the setting labels")

    def levels(self, scan: TrainingScan) -> list[int]:
        """Vertebrae of a scan that samples may be centred on."""
        return sorted(set(self.config.labels) & set(scan.centroids))

    def draw(self, scan: TrainingScan, rng: np.random.Generator) -> Drawn:
        """A grid about a vertebra."""
        config = self.config
        levels = self.levels(scan)
        centre = scan.centroids[levels[int(rng.integers(len(levels)))]]
        return drawn(scan, world_grid(centre, config.spacing, config.size), rng, config.augment)

    def example(self, found: Drawn, rng: np.random.Generator) -> Example:
        """Image, heatmap and mask of a vertebra that lies in the drawn volume, moved to the middle."""
        config = self.config
        middle = (np.array(found.hu.shape) - 1) / 2
        off = [
            np.abs(point - middle).max() if number in config.labels else np.inf
            for number, point in zip(found.numbers, found.points, strict=True)
        ]
        order = np.argsort(off)
        near = [int(k) for k in order if off[k] <= middle.min() * 0.8] or [int(order[0])]
        k = near[int(rng.integers(min(len(near), self.config.uses)))]
        jitter = rng.uniform(-1, 1, 3) * config.mask.jitter / config.spacing
        step = np.rint(found.points[k] + jitter - middle).astype(int)
        centred = replace(found, hu=moved(found.hu, step, AIR), labels=moved(found.labels, step, 0))
        centred = cut(centred, config.augment, rng)
        heat = centroid_heatmap(middle, found.hu.shape, config.mask.sigma / config.spacing)
        values = changed_values(config.intensity.scaled(centred.hu), config.augment, rng)
        mask = (centred.labels == found.numbers[k]).astype(np.uint8)
        return {"image": np.stack([values, heat]), "mask": mask}

    def validate(self, module: nn.Module) -> dict[str, float]:
        """1 - Dice of vertebrae on the network's own grid, without augmentation."""
        if not self.validation:
            return {}
        net: VertebraNet = module.net  # type: ignore[assignment]
        shares = [s for k, scan in enumerate(self.validation) for s in self._overlaps(net, scan, k)]
        return {"score": 1 - float(np.mean(shares)), "worst": 1 - float(np.min(shares))}

    def _overlaps(self, net: VertebraNet, scan: TrainingScan, number: int) -> list[float]:
        config = self.config
        rng = np.random.default_rng((config.seed, 26, number))
        levels = self.levels(scan)
        found = []
        for label in rng.permutation(levels)[:VALIDATED].tolist():
            grid = world_grid(scan.centroids[label], config.spacing, config.size)
            sample = drawn(scan, grid, rng)
            mask = probability(net, sample.hu, config) >= config.mask.threshold
            found.append(overlap(mask, sample.labels == label))
        return found


def overlap(a: Array, b: Array) -> float:
    """Dice coefficient of two masks; 1 when both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def moved(values: Array, step: Array, outside: float) -> Array:
    """The array whose voxel i is `values` at i + `step`, `outside` where there is none.

    Args:
        values: (X, Y, Z).
        step: (3,) whole voxels.
        outside: value of what lies beyond.
    """
    found = np.full_like(values, outside)
    to, source = [], []
    for size, by in zip(values.shape, step.tolist(), strict=True):
        to.append(slice(max(0, -by), max(0, min(size, size - by))))
        source.append(slice(max(0, by), max(0, min(size, size + by))))
    found[tuple(to)] = values[tuple(source)]
    return found
