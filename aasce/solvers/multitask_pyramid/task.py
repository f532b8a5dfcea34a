"""Training of `multitask_pyramid`: samples, losses, validation, and what the network sees in a canvas."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from aasce.preprocess.augment import intensity_pipeline, reseed
from aasce.preprocess.crop import letterbox
from aasce.preprocess.intensity import Bytes
from aasce.solvers.multitask_pyramid.network import MultitaskNet
from aasce.solvers.multitask_pyramid.settings import MultitaskPyramidConfig
from aasce.solvers.shared.cascade import as_bytes
from aasce.solvers.shared.masks import half_map, soft_dice
from aasce.solvers.shared.readout import Readout
from aasce.solvers.shared.regressor import angle_scores, film_order
from aasce.solvers.shared.row_head import angle_targets, head_losses
from aasce.solvers.shared.samples import Sample, Warper, plain_canvas, to_input
from aasce.solvers.shared.tta import with_mirror
from aasce.targets.mask import Shares

Batch = dict[str, Tensor]


class MultitaskLoss(nn.Module):
    """The network with its losses: Dice and cross entropy of the mask, and the head's."""

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


class MultitaskTask:
    """`training.Task` of the network."""

    def __init__(
        self, config: MultitaskPyramidConfig, net: MultitaskNet, train: list[Sample], validation: list[Sample]
    ) -> None:
        self.config, self.train, self.validation = config, train, validation
        self.module = MultitaskLoss(net, config)
        self.warper = Warper(config.size, config.augment, small=True)
        self.intensity = intensity_pipeline(config.augment.intensity)

    def steps(self) -> int:
        return max(1, len(self.train) // self.config.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.config.seed, 6, epoch))
        for chosen in film_order(len(self.train), self.steps(), self.config.batch, rng):
            yield self._batch(chosen, rng)

    def _batch(self, chosen: list[int], rng: np.random.Generator) -> Batch:
        images, landmarks, angles, masks = [], [], [], []
        for index in chosen:
            canvas, points, degrees = self.warper.draw(self.train[index], rng)
            reseed(self.intensity, rng)
            images.append(self.intensity(image=canvas[..., 0])["image"])
            landmarks.append(points)
            angles.append(degrees)
            masks.append(as_bytes(half_map(points, self.config.size)[1]))
        batch = angle_targets(landmarks, angles, self.config.size, self.config.head)
        vertebra = torch.from_numpy(np.stack(masks))
        return {"image": to_input(np.stack(images)), "vertebra": vertebra, **batch}

    def validate(self, module: nn.Module) -> dict[str, float]:
        if not self.validation:
            return {}
        assert isinstance(module, MultitaskLoss)
        found, overlap = [], []
        for item in self.validation:
            canvas, landmarks = plain_canvas(item, self.config.size)
            both, vertebra = see(module.net, canvas)
            view = item.view.then(letterbox((item.pixels.shape[0], item.pixels.shape[1]), self.config.size))
            found.append(both.unmirrored().mean().degrees(view, item.height, self.config.head)[0])
            if vertebra is not None:
                inside, truth = vertebra > 0.5, half_map(landmarks, self.config.size)[1] > 0.5
                overlap.append(2 * (inside & truth).sum() / max(int(inside.sum() + truth.sum()), 1))
        scores = angle_scores(np.stack(found), np.stack([item.angles for item in self.validation]))
        return scores | ({"dice": float(np.mean(overlap))} if overlap else {})


@torch.inference_mode()
def see(net: MultitaskNet, canvas: Bytes) -> tuple[Readout, Shares | None]:
    """What the network says of an (H, W) canvas and of its mirror image.

    Returns:
        What the head says of the two, each in its own frame, and the (H/2, W/2) probability of "vertebra", mean of
        the two in the frame of the canvas, None where the network makes no mask.
    """
    device = next(net.parameters()).device
    logits, found = net(to_input(with_mirror(canvas)).to(device))
    both = Readout.of(found)
    if logits is None:
        return both, None
    plain, mirrored = logits.float().softmax(dim=1)[:, 1].cpu().numpy()
    return both, np.asarray((plain + mirrored[:, ::-1]) / 2, np.float32)
