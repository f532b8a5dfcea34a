"""Training of `scg_net`: the segmenter of the borders first, then the regressor on what it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.preprocess.intensity import Bytes
from aasce.solvers.scg_net.inference import border_maps, has_film, regressor_input
from aasce.solvers.scg_net.network import BoundaryNet
from aasce.solvers.scg_net.settings import RegressionSettings, ScgNetConfig
from aasce.solvers.shared.canvas_task import CanvasTask
from aasce.solvers.shared.cascade import CascadeTask, channels_tensor, predicted_samples, read_channels
from aasce.solvers.shared.corruption import ChannelAugmenter
from aasce.solvers.shared.film_task import Batch
from aasce.solvers.shared.masks import as_bytes, dice_score, soft_dice
from aasce.solvers.shared.readout import sample_angles
from aasce.solvers.shared.row_head import AngleNet, angle_targets, head_losses
from aasce.solvers.shared.samples import (
    Drawn,
    FilmSampler,
    Floats,
    Sample,
    SampleSplit,
    Warper,
    plain_canvas,
)
from aasce.targets.curves import encode_boundaries


class BoundaryLoss(nn.Module):
    """The segmenter with its losses: cross entropy and Dice of the two borders."""

    def __init__(self, net: BoundaryNet, dice: float) -> None:
        super().__init__()
        self.net, self.dice = net, dice

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"image" (B, 1, H, W), "curves" (B, 2, H, W) uint8}."""
        logits, shares = self.net(batch["image"]), batch["curves"].float() / 255.0
        entropy = F.binary_cross_entropy_with_logits(logits, shares)
        dice = soft_dice(logits.sigmoid(), shares)
        return {"loss": entropy + self.dice * dice, "entropy": entropy, "dice": dice}


class BoundaryTask(CanvasTask):
    """`trainer.Task` of the segmenter."""

    def __init__(self, config: ScgNetConfig, net: BoundaryNet, split: SampleSplit) -> None:
        self.settings = config.boundaries
        sampler = FilmSampler(self.settings.size, config.augment)
        super().__init__(split, sampler, self.settings.batch, (config.seed, 1))
        self.module = BoundaryLoss(net, self.settings.dice)

    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """Area shares of the two borders, "curves" (B, 2, H, W) uint8."""
        size, thickness = self.settings.size, self.settings.thickness
        curves = [as_bytes(encode_boundaries(d.landmarks, size, thickness, oversample=2)) for d in drawn]
        return {"curves": torch.from_numpy(np.stack(curves))}

    def validation_scores(self, module: nn.Module) -> dict[str, float]:
        """1 minus the mean Dice overlap of the thresholded borders as "score"."""
        assert isinstance(module, BoundaryLoss)
        overlap = []
        for film in self.split.validation:
            canvas, landmarks = plain_canvas(film, self.settings.size)
            truth = encode_boundaries(landmarks, self.settings.size, self.settings.thickness) > 0.5
            overlap.append(dice_score(border_maps(module.net, canvas[None])[0] > 0.5, truth))
        return {"score": 1 - float(np.mean(overlap))}


class RegressionLoss(nn.Module):
    """The regressor with the losses of its head."""

    def __init__(self, net: AngleNet, settings: RegressionSettings) -> None:
        super().__init__()
        self.net, self.settings = net, settings

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"channels" (B, h, w, C) uint8} and the head's targets."""
        found = self.net(channels_tensor(batch["channels"], has_film(self.settings.input.kind)))
        return head_losses(found, batch, self.settings.head)


class RegressionTask(CascadeTask):
    """`trainer.Task` of the regressor, on the maps of the segmenter as it is."""

    def __init__(self, config: ScgNetConfig, nets: tuple[BoundaryNet, AngleNet], split: SampleSplit) -> None:
        self.settings = s = config.regression
        train = predict_borders(nets[0], split.train, config, s.variants)
        validation = predict_borders(nets[0], split.validation, config, 1)
        maps = 0 if s.input.kind == "image" else 2
        super().__init__(
            SampleSplit(train, validation),
            Warper(s.size, config.augment, small=False),
            ChannelAugmenter(has_film(s.input.kind), maps, config.augment.intensity, s.input.corrupt, 0.6),
            s.variants,
            s.batch,
            (config.seed, 4),
        )
        self.module = RegressionLoss(nets[1], s)

    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """See `row_head.angle_targets`."""
        landmarks, angles = [d.landmarks for d in drawn], [d.angles for d in drawn]
        return angle_targets(landmarks, angles, self.settings.size, self.settings.head)

    def angles(self, module: Any, samples: Sequence[Sample]) -> Floats:
        """(N, 3) degrees."""
        channels = np.stack([sample.pixels for sample in samples])
        found = read_channels(module.net, channels, has_film(self.settings.input.kind))
        return sample_angles(found, samples, self.settings.head)


def predict_borders(
    net: BoundaryNet, films: list[Sample], config: ScgNetConfig, variants: int
) -> list[Sample]:
    """Films with the borders that the segmenter predicts as samples, see `cascade.predicted_samples`."""
    size, kind = config.regression.size, config.regression.input.kind

    def predict(canvases: Bytes) -> list[Bytes]:
        borders = border_maps(net, canvases, fast=True)
        return [regressor_input(*pair, size, kind) for pair in zip(canvases, borders, strict=True)]

    sizes = (config.boundaries.size, size)
    return predicted_samples(predict, films, sizes, variants, config.augment.intensity, config.seed)
