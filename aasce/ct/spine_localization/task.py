"""Training of `spine_localization`: the heatmap of the whole spine, its loss and validation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from aasce.ct.base import ScanSet, TrainingScan
from aasce.ct.shared.augment import changed_values
from aasce.ct.shared.grids import Floats, to_world, world_grid
from aasce.ct.shared.heatmaps import gaussians
from aasce.ct.shared.scan_task import Drawn, Example, ScanTask, cut, drawn
from aasce.ct.spine_localization.inference import heatmap_of, line_of
from aasce.ct.spine_localization.network import SpineNet
from aasce.ct.spine_localization.settings import SpineLocalizationConfig

LOST = 40.0
"""mm that count for a vertebra of which no line is found."""


class SpineLoss(nn.Module):
    """The network with its loss, the sum of squares of the paper, divided by the voxels of one Gaussian."""

    def __init__(self, net: SpineNet, config: SpineLocalizationConfig) -> None:
        super().__init__()
        self.net = net
        self.sigma = config.line.sigma / config.spacing

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of {"image" (B, 1, X, Y, Z), "points" (B, V, 3) voxels or NaN}."""
        found = self.net(batch["image"]).float()
        points = batch["points"].float()
        x, y, z = found.shape[1:]
        sigmas = torch.full((points.shape[1],), self.sigma, device=points.device)
        wanted = gaussians(points, sigmas, (x, y, z)).amax(dim=1)
        squares = ((found - wanted) ** 2).sum(dim=(1, 2, 3)).mean()
        return {"loss": squares / self.sigma**3}


class SpineTask(ScanTask):
    """Samples whose grid has the scan, or a part of it, near its middle."""

    def __init__(
        self, config: SpineLocalizationConfig, net: SpineNet, scans: tuple[ScanSet, ScanSet | None]
    ) -> None:
        super().__init__(
            SpineLoss(net, config), scans, config.steps, config.batch, config.uses, (config.seed, 21)
        )
        self.config = config

    def draw(self, scan: TrainingScan, rng: np.random.Generator) -> Drawn:
        """The scan about its middle; a scan longer than the grid at a random height."""
        config, bounds = self.config, scan.bounds
        centre = bounds.mean(axis=0)
        spare = max(0.0, float(bounds[1, 2] - bounds[0, 2]) - config.size[2] * config.spacing) / 2
        centre[2] += rng.uniform(-spare, spare)
        return drawn(scan, world_grid(centre, config.spacing, config.size), rng, config.augment)

    def example(self, found: Drawn, rng: np.random.Generator) -> Example:
        """Image and centroids; 32 rows of points, so that samples make a batch."""
        augment = self.config.augment
        found = cut(found, augment, rng)
        rows = np.full((32, 3), np.nan, np.float32)
        rows[: len(found.points)] = found.points
        values = changed_values(self.config.intensity.scaled(found.hu), augment, rng)
        return {"image": values[None], "points": rows}

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Mean distance in the axial plane from the vertebrae to the line, mm."""
        if not len(self.validation):
            return {}
        net: SpineNet = module.net  # type: ignore[assignment]
        off = np.concatenate([self._distances(net, scan, k) for k, scan in enumerate(self.validation)])
        return {"score": float(off.mean()), "lost": float((off >= LOST).mean())}

    def _distances(self, net: SpineNet, scan: TrainingScan, number: int) -> Floats:
        config = self.config
        grid = world_grid(scan.bounds.mean(axis=0), config.spacing, config.size)
        found = drawn(scan, grid, np.random.default_rng((config.seed, 22, number)))
        line = line_of(heatmap_of(net, found.hu, config), grid.affine, config)
        inside = (found.points > -0.5).all(axis=1) & (found.points < np.array(grid.shape) - 0.5).all(axis=1)
        return line_distances(line, to_world(grid.affine, found.points[inside]))


def line_distances(line: Floats | None, points: Floats) -> Floats:
    """(V,) mm in the axial plane from points to a line; `LOST` where it does not reach, and at most.

    Args:
        line: (N, 3) world mm from the head; None without one.
        points: (V, 3) world mm.
    """
    if line is None:
        return np.full(len(points), LOST)
    z = line[::-1, 2]
    at = np.stack([np.interp(points[:, 2], z, line[::-1, axis]) for axis in (0, 1)], axis=-1)
    off = np.linalg.norm(at - points[:, :2], axis=1)
    beyond = (points[:, 2] < z[0] - LOST) | (points[:, 2] > z[-1] + LOST)
    return np.asarray(np.where(beyond, LOST, np.minimum(off, LOST)))
