"""Training of `scg_net`: the segmenter of the borders first, then the regressor on what it predicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.scg_net.inference import border_maps, regressor_input
from aasce.solvers.scg_net.network import BoundaryNet
from aasce.solvers.scg_net.settings import RegressionSettings, ScgNetConfig
from aasce.solvers.shared.canvas_task import CanvasTask
from aasce.solvers.shared.cascade import CascadeTask, FirstNetwork, channels_tensor
from aasce.solvers.shared.film_task import Batch
from aasce.solvers.shared.masks import as_bytes, dice_score, soft_dice
from aasce.solvers.shared.row_head import AngleNet, head_losses
from aasce.solvers.shared.samples import (
    Drawn,
    FilmSampler,
    SampleSplit,
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
        found = self.net(channels_tensor(batch["channels"], regressor_input(self.settings).film))
        return head_losses(found, batch, self.settings.head)


class RegressionTask(CascadeTask):
    """`trainer.Task` of the regressor, on the maps of the segmenter as it is."""

    def __init__(self, config: ScgNetConfig, nets: tuple[BoundaryNet, AngleNet], split: SampleSplit) -> None:
        segmenter, net = nets
        first = FirstNetwork(
            lambda canvases: border_maps(segmenter, canvases, fast=True), config.boundaries.size, 0.6
        )
        super().__init__(split, first, regressor_input(config.regression), config)
        self.module = RegressionLoss(net, config.regression)
