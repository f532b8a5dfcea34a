"""Training of `labelling`: losses (equations 1 to 5), targets and validation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.geometry.cobb import limit_tilts, tilt_error, tilts
from aasce.solvers.labelling.inference import centroids_on
from aasce.solvers.labelling.network import TILT_UNIT, LabellingNet
from aasce.solvers.labelling.postprocess import curve_angles, plain_correction
from aasce.solvers.labelling.settings import NECK, TRUNK, LabellingConfig
from aasce.solvers.shared.canvas_task import TiltTask
from aasce.solvers.shared.film_task import Batch
from aasce.solvers.shared.samples import Drawn, FilmSampler, Floats, Sample, SampleSplit, canvas_of, to_input
from aasce.targets.heatmap import encode_heatmaps, to_map

OUT = -1e4
"""Stands for a channel that is not taught, before a softmax."""


def with_background(levels: Tensor) -> Tensor:
    """(B, 1 + K, h, w): the background, minus the maximum of the Gaussians, before the (B, K, h, w) levels."""
    return torch.cat([-levels.amax(dim=1, keepdim=True), levels], dim=1)


def image_losses(
    found: Tensor, wanted: Tensor, known: Tensor, area: float, sharpness: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Squared distance of the maps, and the cross entropy between their softmaxes over the channels.

    Both are sums over all px (of the cross entropy, what it is above the entropy of the target), divided by the number
    of levels taught and by the squared norm of a Gaussian: maps without any level cost 2 of the first.

    Args:
        found, wanted: (B, 1 + K, h, w), the background first.
        known: (B, K) whether a level is taught. The background, made of all levels, is taught where all are.
        area: sum of the squares of a Gaussian.
        sharpness: factor of the maps before the softmaxes.
    """
    taught = torch.cat([known.all(dim=1, keepdim=True), known], dim=1)[:, :, None, None]
    scale = area * known.sum().clamp(min=1)
    squared = ((found - wanted) ** 2 * taught).sum() / scale
    target = (sharpness * wanted).masked_fill(~taught, OUT).log_softmax(dim=1)
    log_share = (sharpness * found).masked_fill(~taught, OUT).log_softmax(dim=1)
    return squared, F.kl_div(log_share, target, reduction="sum", log_target=True) / scale


def coordinate_loss(found: Tensor, wanted: Tensor, shown: Tensor) -> Tensor:
    """Huber loss (equation 4) of (B, K, 2) px of the maps, mean over the (B, K) levels that the canvas shows."""
    off = F.huber_loss(found, wanted, reduction="none", delta=1.0).sum(dim=-1)
    return (off * shown).sum() / shown.sum().clamp(min=1)


def tilt_loss(found: Tensor, wanted: Tensor, gaussians: Tensor) -> Tensor:
    """Smooth L1, in tens of degrees, of a map of tilts under the Gaussians of T1 to L5.

    Args:
        found: (B, h, w) degrees.
        wanted: (B, 17) degrees.
        gaussians: (B, 17, h, w).
    """
    weight = gaussians**2
    at = (weight * wanted[:, :, None, None]).sum(dim=1) / weight.sum(dim=1).clamp(min=1e-6)
    off = F.smooth_l1_loss(found, at, beta=2.0, reduction="none") / TILT_UNIT
    total = weight.sum(dim=1)
    return (off * total).sum() / total.sum().clamp(min=1e-6)


class LabellingLoss(nn.Module):
    """The networks with their losses."""

    def __init__(self, net: LabellingNet, config: LabellingConfig) -> None:
        super().__init__()
        self.net, self.target, self.corrector = net, config.target, config.corrector
        self.area = math.pi * (config.target.sigma / config.network.stride) ** 2

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch, see `level_targets`."""
        found = self.net(batch["image"].contiguous(memory_format=torch.channels_last))
        gaussians, target = batch["gaussians"], self.target
        squared, entropy = image_losses(
            found.maps, with_background(gaussians), batch["known"], self.area, target.sharpness
        )
        losses = {"gaussian": squared, "entropy": entropy}
        loss = target.gaussian * squared + target.entropy * entropy
        if self.corrector:
            losses["coordinate"] = coordinate_loss(found.corrected, batch["points"], batch["shown"])
            loss = loss + target.coordinate * losses["coordinate"]
        if found.tilt_map is not None:
            losses["tilt"] = tilt_loss(found.tilt_map, batch["tilts"], gaussians[:, -TRUNK:])
            loss = loss + target.tilt * losses["tilt"]
        return {"loss": loss, **losses}


class NeckSampler(FilmSampler):
    """Augments films together with points beside the landmarks."""

    def moved(self, sample: Sample, drawn: Drawn, points: Floats) -> Floats:
        """Where the last sample drawn has further points of the film.

        Args:
            sample: it was drawn from.
            drawn: what was drawn.
            points: (N, 2) px of the sample.

        Returns:
            (N, 2) px of the canvas.
        """
        applied = self.warper.warp.get_applied_params()
        change, view = applied["change"], applied["view"]
        centres, candidates = sample.landmarks.mean(axis=1), []
        for mirrored in (False, True):
            both = np.concatenate([centres, points])
            if mirrored:
                both = both * [-1.0, 1.0] + [sample.size[1] - 1.0, 0.0]
            both = view.apply(both if change is None else change.apply(both))
            off = np.abs(both[: len(centres)] - drawn.landmarks.mean(axis=1)).max()
            candidates.append((float(off), both[len(centres) :]))
        return np.asarray(min(candidates, key=lambda pair: pair[0])[1], np.float64)


class LabellingTask(TiltTask):
    """`trainer.Task` of the networks.

    Args:
        config: of the solver.
        net: the networks.
        split: its films.
        necks: (7, 2) px of C1 to C7 of each training sample, None where unknown; not read for "T1-L5".
    """

    def __init__(
        self, config: LabellingConfig, net: LabellingNet, split: SampleSplit, necks: Sequence[Floats | None]
    ) -> None:
        self.neck_sampler = NeckSampler(config.size, config.augment)
        super().__init__(split, self.neck_sampler, config.batch, (config.seed, 9))
        self.config, self.necks = config, necks
        self.module = LabellingLoss(net, config)

    def draw_batch(self, chosen: Sequence[int], rng: np.random.Generator) -> Batch:
        """Images (B, 1, H, W) float32, and what `level_targets` gives."""
        drawn, points = [], []
        for index in chosen:
            sample = self.split.train[index]
            one = self.neck_sampler.draw(sample, rng)
            drawn.append(one)
            points.append(self.centroids(index, one))
        images = to_input(np.stack([d.image for d in drawn]))
        return {"image": images, **level_targets(points, self.config), **self.targets(drawn)}

    def centroids(self, index: int, drawn: Drawn) -> Floats:
        """(levels, 2) px of the canvas, NaN where unknown, of the sample drawn last."""
        trunk = np.asarray(drawn.landmarks.mean(axis=1), np.float64)
        if self.config.level_count == TRUNK:
            return trunk
        neck = self.necks[index]
        if neck is None:
            return np.concatenate([np.full((NECK, 2), np.nan), trunk])
        return np.concatenate([self.neck_sampler.moved(self.split.train[index], drawn, neck), trunk])

    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """Tilts of T1 to L5, "tilts" (B, 17) degrees."""
        return {"tilts": torch.from_numpy(np.stack([_limited(d.landmarks) for d in drawn]))}

    def measured(self, net: LabellingNet, film: Sample) -> tuple[Floats, float]:
        """(3,) degrees, and the mean error of the tilts in degrees, both before the correction is fitted."""
        settings = self.config.curve
        whole = (0, 0, film.size[1], film.size[0])
        canvas, view = canvas_of(film.pixels[..., 0], whole, self.config.size, "none")
        found = centroids_on(net, canvas, self.config).mean.undone(view).undone(film.view)
        curve = found.curve(settings.smoothing)
        tilt = plain_correction(TRUNK, found.tilt_share(settings.tilt_share)).apply(found.features(curve))
        angles = curve_angles(curve, tilt, np.zeros(2), film.height, settings)
        return angles, tilt_error(tilt, film.landmarks)


def _limited(landmarks: Floats) -> Floats:
    return limit_tilts(tilts(landmarks)).astype(np.float32)


def level_targets(points: Sequence[Floats], config: LabellingConfig) -> Batch:
    """What `LabellingLoss` takes beside images and tilts.

    Args:
        points: of each film, (levels, 2) px of the canvas, NaN where unknown.
        config: of the solver.

    Returns:
        "gaussians" (B, levels, h, w) float32, "points" (B, levels, 2) px of the maps, "known" (B, levels) bool, and
        "shown" (B, levels) bool: known and on the canvas.
    """
    stride, size = config.network.stride, config.size
    every = np.stack(points)
    known = np.asarray(np.isfinite(every).all(axis=-1))
    filled = np.where(known[..., None], every, -1e3)
    shown = known & ((filled >= 0) & (filled <= np.array([size[1], size[0]]) - 1)).all(axis=-1)
    sigma = config.target.sigma / stride
    gaussians = np.stack([encode_heatmaps(p, size, sigma, stride) for p in filled])
    return {
        "gaussians": torch.from_numpy(gaussians),
        "points": torch.from_numpy(to_map(filled, stride).astype(np.float32)),
        "known": torch.from_numpy(known),
        "shown": torch.from_numpy(shown),
    }
