"""Training of `vertebra_localization`: a heatmap for each vertebra, its loss and validation."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from aasce.ct.base import ScanSet, TrainingScan
from aasce.ct.shared.augment import changed_values
from aasce.ct.shared.grids import Floats, to_world, world_grid
from aasce.ct.shared.scan_task import Drawn, Example, ScanTask, cut, drawn
from aasce.ct.shared.tiles import tiled_length
from aasce.ct.vertebra_localization.inference import heatmaps_of, vertebrae_of
from aasce.ct.vertebra_localization.network import SpatialConfigurationNet
from aasce.ct.vertebra_localization.settings import VertebraLocalizationConfig

LOST = 20.0
"""mm that count for a vertebra that is not found, or not within so much: VerSe's limit of an identification."""


class LocalizationLoss(nn.Module):
    """The network with its loss."""

    def __init__(self, net: SpatialConfigurationNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of {"image" (B, 1, X, Y, Z), "points" (B, L, 3) cells or NaN}."""
        squares, spread = self.net.targets(self.net(batch["image"]), batch["points"].float())
        return {"loss": squares + spread, "squares": squares.detach()}


class LocalizationTask(ScanTask):
    """Samples about the spine in the axial plane and at a random height."""

    def __init__(
        self,
        config: VertebraLocalizationConfig,
        net: SpatialConfigurationNet,
        scans: tuple[ScanSet, ScanSet | None],
    ) -> None:
        super().__init__(
            LocalizationLoss(net), scans, config.steps, config.batch, config.uses, (config.seed, 23)
        )
        self.config = config

    def draw(self, scan: TrainingScan, rng: np.random.Generator) -> Drawn:
        """A grid at a random height, so that it may reach half a vertebra's height beyond the scan."""
        config = self.config
        low, high = scan.bounds[:, 2]
        spare = max(20.0, float(high - low) - config.size[2] * config.spacing) / 2
        z = float(low + high) / 2 + rng.uniform(-spare, spare)
        centre = spine_middle(scan, z, config.size[2] * config.spacing / 2)
        return drawn(scan, world_grid(centre, config.spacing, config.size), rng, config.augment)

    def example(self, found: Drawn, rng: np.random.Generator) -> Example:
        """Image and centroids in cells of the heatmaps; a centroid outside the grid is none."""
        config = self.config
        found = cut(found, config.augment, rng)
        step = config.network.unshuffle
        rows = np.full((len(config.labels), 3), np.nan, np.float32)
        for number, point in zip(found.numbers, found.points, strict=True):
            if number in config.labels and inside(point, found.hu.shape):
                rows[config.labels.index(number)] = (point + 0.5) / step - 0.5
        return {
            "image": changed_values(config.intensity.scaled(found.hu), config.augment, rng)[None],
            "points": rows,
        }

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Mean distance of the centroids in mm (`LOST` at most), and shares that are identified and invented."""
        if not len(self.validation):
            return {}
        net: SpatialConfigurationNet = module.net  # type: ignore[assignment]
        found = [self._distances(net, scan, k) for k, scan in enumerate(self.validation)]
        off = np.concatenate([distances for distances, _ in found])
        if not len(off):
            return {}
        known = off < LOST
        close = float(off[known].mean()) if known.any() else LOST
        invented = sum(extra for _, extra in found) / len(off)
        return {
            "score": float(off.mean()),
            "lost": float(1 - known.mean()),
            "mm": close,
            "invented": invented,
        }

    def _distances(self, net: SpatialConfigurationNet, scan: TrainingScan, number: int) -> tuple[Floats, int]:
        """(V,) mm of the vertebrae of a whole scan, and how many are found that are not there."""
        config, bounds = self.config, scan.bounds
        length = tiled_length(
            float(bounds[1, 2] - bounds[0, 2]) / config.spacing + 1, config.size[2], config.overlap
        )
        centre = spine_middle(scan, float(bounds[:, 2].mean()), np.inf)
        grid = world_grid(centre, config.spacing, (*config.size[:2], length))
        sample = drawn(scan, grid, np.random.default_rng((config.seed, 24, number)))
        vertebrae = vertebrae_of(heatmaps_of(net, sample.hu, config), grid.affine, config)
        seen = {config.labels[vertebra.level]: vertebra.place for vertebra in vertebrae}
        true = {
            label: to_world(grid.affine, point)
            for label, point in zip(sample.numbers, sample.points, strict=True)
            if label in config.labels
        }
        off = [
            min(LOST, float(np.linalg.norm(seen[label] - place))) if label in seen else LOST
            for label, place in true.items()
        ]
        return np.array(off), len(set(seen) - set(true))


def inside(point: Floats, shape: tuple[int, ...]) -> bool:
    """Whether an index lies within a grid's voxels; NaN does not."""
    return bool((point > -0.5).all() and (point < np.array(shape) - 0.5).all())


def spine_middle(scan: TrainingScan, z: float, reach: float) -> Floats:
    """(3,) world mm at a height, amid the centroids that are within reach of it along z; else amid the scan."""
    places = np.array(list(scan.centroids.values()), np.float64).reshape(-1, 3)
    near = places[np.abs(places[:, 2] - z) <= reach]
    middle = (near.min(axis=0) + near.max(axis=0)) / 2 if len(near) else scan.bounds.mean(axis=0)
    return np.array([middle[0], middle[1], z])
