"""Training of `multitask_pyramid`: losses, targets and validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from aasce.preprocess.crop import letterbox
from aasce.solvers.multitask_pyramid.inference import predict_canvas
from aasce.solvers.multitask_pyramid.network import MultitaskNet
from aasce.solvers.multitask_pyramid.settings import MultitaskPyramidConfig
from aasce.solvers.shared.canvas_task import CanvasTask
from aasce.solvers.shared.film_task import Batch, angle_scores
from aasce.solvers.shared.masks import as_bytes, dice_score, half_map, soft_dice
from aasce.solvers.shared.row_head import angle_targets, head_losses
from aasce.solvers.shared.samples import Drawn, FilmSampler, Floats, Sample, SampleSplit, plain_canvas


class MultitaskLoss(nn.Module):
    """The network with its losses: Dice and cross entropy of the mask, and those of the head."""

    def __init__(self, net: MultitaskNet, config: MultitaskPyramidConfig) -> None:
        super().__init__()
        self.net = net
        self.config = config

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"image" (B, 1, H, W), "vertebra" (B, H/2, W/2) uint8} and the head's targets."""
        logits, found = self.net(batch["image"])
        losses = head_losses(found, batch, self.config.head)
        settings = self.config.mask
        if logits is not None and settings is not None:
            share = batch["vertebra"].float()[:, None] / 255.0
            shares = torch.cat([1 - share, share], dim=1)
            losses["dice"] = soft_dice(logits.softmax(dim=1)[:, 1:], share)
            losses["entropy"] = -(shares * logits.log_softmax(dim=1)).sum(dim=1).mean()
            mask = settings.dice * losses["dice"] + settings.entropy * losses["entropy"]
            losses["loss"] = losses["loss"] + mask
        return losses


class MultitaskTask(CanvasTask):
    """`trainer.Task` of the network."""

    def __init__(self, config: MultitaskPyramidConfig, net: MultitaskNet, split: SampleSplit) -> None:
        super().__init__(split, FilmSampler(config.size, config.augment), config.batch, (config.seed, 6))
        self.config = config
        self.module = MultitaskLoss(net, config)

    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """Targets of the head and "vertebra" (B, H/2, W/2) uint8."""
        masks = [as_bytes(half_map(d.landmarks, self.config.size)[1]) for d in drawn]
        landmarks, angles = [d.landmarks for d in drawn], [d.angles for d in drawn]
        targets = angle_targets(landmarks, angles, self.config.size, self.config.head)
        return {"vertebra": torch.from_numpy(np.stack(masks)), **targets}

    def validation_scores(self, module: nn.Module) -> dict[str, float]:
        """SMAPE as "score", the mean error of each angle, and the Dice overlap of the masks where there are masks."""
        assert isinstance(module, MultitaskLoss)
        films = self.split.validation
        found = [self._scored(module.net, film) for film in films]
        scores = angle_scores(np.stack([f[0] for f in found]), np.stack([film.angles for film in films]))
        overlap = [dice for _, dice in found if dice is not None]
        return scores | ({"dice": float(np.mean(overlap))} if overlap else {})

    def _scored(self, net: MultitaskNet, film: Sample) -> tuple[Floats, float | None]:
        """(3,) degrees, and the Dice overlap of the mask."""
        canvas, landmarks = plain_canvas(film, self.config.size)
        both, vertebra = predict_canvas(net, canvas)
        view = film.view.then(letterbox(film.size, self.config.size))
        angles = both.unmirrored().mean().degrees(view, film.height, self.config.head)[0]
        if vertebra is None:
            return angles, None
        return angles, dice_score(vertebra > 0.5, half_map(landmarks, self.config.size)[1] > 0.5)
