"""Training of `seg4reg`: the segmenter first, then the regressor on the masks that it predicts.

As in the paper, one network is trained after the other. The regressor's samples are (1) the segmenter's masks of the
training films, a few of each film in different augmented variants, then mirrored, bent, rotated and scaled like films;
(2) masks drawn from landmarks (`drawn_masks`). A bend makes a new curve, whose angles are measured on the bent
landmarks by `geometry.cobb`. The drawn masks and the bends are departures from the paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from aasce.preprocess.augment import intensity_pipeline
from aasce.preprocess.intensity import Bytes
from aasce.solvers.seg4reg.adaptation import Discriminator, draw_target_canvas
from aasce.solvers.seg4reg.drawn_masks import draw_mask, shake_vertebrae
from aasce.solvers.seg4reg.inference import regressor_input, segment
from aasce.solvers.seg4reg.network import SegmentationNet
from aasce.solvers.seg4reg.settings import MaskInput, Seg4RegConfig
from aasce.solvers.shared.canvas_task import CanvasTask
from aasce.solvers.shared.cascade import CascadeTask, FirstNetwork, channels_tensor
from aasce.solvers.shared.corruption import corrupt_mask
from aasce.solvers.shared.film_task import Batch
from aasce.solvers.shared.heads import Regressed
from aasce.solvers.shared.masks import ClassOverlap, as_bytes, half_map, soft_dice
from aasce.solvers.shared.row_head import AngleNet, head_losses
from aasce.solvers.shared.samples import (
    Drawn,
    FilmSampler,
    SampleSplit,
    plain_canvas,
    to_input,
)
from aasce.targets.mask import CLASSES


class SegmentationLoss(nn.Module):
    """The segmenter with its losses: soft cross entropy, Dice, and that of the domains if there are target films."""

    def __init__(self, net: SegmentationNet, config: Seg4RegConfig) -> None:
        super().__init__()
        self.net = net
        self.dice = config.segmentation.dice
        adaptation = config.adaptation
        self.discriminator = None if adaptation is None else Discriminator(net.width, adaptation.weight)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"image" (B, 1, H, W), "shares" (B, 2, H/2, W/2) uint8, "wide" (T, 1, H, W)}."""
        image, wide = batch["image"], batch.get("wide")
        both = image if wide is None else torch.cat([image, wide])
        logits, deep = self.net(both.contiguous(memory_format=torch.channels_last))
        logits = logits[: len(image)]
        covered = batch["shares"].float() / 255.0
        shares = torch.cat([(1 - covered.sum(dim=1, keepdim=True)).clamp(min=0), covered], dim=1)
        entropy = -(shares * logits.log_softmax(dim=1)).sum(dim=1).mean()
        dice = soft_dice(logits.softmax(dim=1)[:, 1:], shares[:, 1:])
        losses = {"loss": entropy + self.dice * dice, "entropy": entropy, "dice": dice}
        return _with_domain(losses, self.discriminator, deep, len(image))


def _with_domain(
    losses: dict[str, Tensor], discriminator: Discriminator | None, features: Tensor, films: int
) -> dict[str, Tensor]:
    """Adds the loss of the domains where there are target films.

    Args:
        losses: of the training films.
        discriminator: None without adaptation.
        features: (B + T, ...) of B training films, then T target films.
        films: B.
    """
    targets = len(features) - films
    if discriminator is None or not targets:
        return losses
    domain = torch.cat([torch.zeros(films), torch.ones(targets)]).to(features.device)
    loss = discriminator(features, domain)
    return losses | {"domain": loss, "loss": losses["loss"] + loss}


class SegmentationTask(CanvasTask):
    """`trainer.Task` of the segmenter.

    Args:
        config: of the solver.
        net: the segmenter.
        split: its films.
        wide: unlabelled target films, grey values as they are; [] without adaptation.
    """

    def __init__(
        self, config: Seg4RegConfig, net: SegmentationNet, split: SampleSplit, wide: list[Bytes]
    ) -> None:
        s = config.segmentation
        super().__init__(split, FilmSampler(s.size, config.augment), s.batch, (config.seed, 1))
        self.config, self.settings, self.wide = config, s, wide
        self.module = SegmentationLoss(net, config)

    def draw_batch(self, chosen: Sequence[int], rng: np.random.Generator) -> Batch:
        """Images, targets, and target films as "wide" (T, 1, H, W) float32."""
        batch = super().draw_batch(chosen, rng)
        if self.wide and self.config.adaptation is not None:
            pipeline = self.sampler.intensity
            count = max(1, round(self.config.adaptation.share * len(chosen)))
            drawn = [draw_target_canvas(self.wide, self.config, rng, pipeline) for _ in range(count)]
            batch["wide"] = to_input(np.stack(drawn))
        return batch

    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """Area shares of vertebra and gap, "shares" (B, 2, H/2, W/2) uint8."""
        shares = [as_bytes(half_map(d.landmarks, self.settings.size)[1:]) for d in drawn]
        return {"shares": torch.from_numpy(np.stack(shares))}

    def validation_scores(self, module: nn.Module) -> dict[str, float]:
        """1 minus the mean intersection over union of the classes as "score"."""
        assert isinstance(module, SegmentationLoss)
        overlap = ClassOverlap(len(CLASSES))
        for film in self.split.validation:
            canvas, landmarks = plain_canvas(film, self.settings.size)
            truth = half_map(landmarks, self.settings.size).argmax(axis=0)
            overlap.add(segment(module.net, canvas[None])[0].argmax(axis=0), truth)
        iou = overlap.iou()
        return {"score": 1 - float(iou.mean()), "iou_vertebra": float(iou[1]), "iou_gap": float(iou[2])}


class RegressionLoss(nn.Module):
    """The regressor with its losses: those of its head, and that of the domains."""

    def __init__(self, net: AngleNet, config: Seg4RegConfig) -> None:
        super().__init__()
        self.net = net
        self.settings, adaptation = config.regression, config.adaptation
        self.discriminator: Discriminator | None = None
        if adaptation is not None and adaptation.stages == "both":
            self.discriminator = Discriminator(net.head.width, adaptation.weight)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"channels" (B, h, w, C) uint8, "wide" (T, h, w, C)} and `row_head.angle_targets`."""
        channels, wide = batch["channels"], batch.get("wide")
        both = channels if wide is None else torch.cat([channels, wide])
        found: Regressed = self.net(channels_tensor(both, regressor_input(self.settings).film))
        losses = head_losses(found.first(len(channels)), batch, self.settings.head)
        return _with_domain(losses, self.discriminator, found.features, len(channels))


class RegressionTask(CascadeTask):
    """`trainer.Task` of the regressor, on the masks of the segmenter as it is.

    Args:
        config: of the solver.
        nets: segmenter and regressor.
        split: the films.
        wide: unlabelled target films, grey values as they are; [] without adaptation.
    """

    def __init__(
        self,
        config: Seg4RegConfig,
        nets: tuple[SegmentationNet, AngleNet],
        split: SampleSplit,
        wide: list[Bytes],
    ) -> None:
        first, shown = first_network(nets[0], config), regressor_input(config.regression)
        super().__init__(split, first, shown, config, config.regression.repeats)
        self.config = config
        self.module = RegressionLoss(nets[1], config)
        adapts = self.module.discriminator is not None
        self.wide = predict_targets(first, wide, config) if adapts else []

    def draw_batch(self, chosen: Sequence[int], rng: np.random.Generator) -> Batch:
        """Channels, targets, and target films as "wide" (T, h, w, C) uint8."""
        batch = super().draw_batch(chosen, rng)
        if self.wide and self.config.adaptation is not None:
            count = max(1, round(self.config.adaptation.share * len(chosen)))
            shown = rng.integers(len(self.wide), size=count)
            batch["wide"] = torch.from_numpy(np.stack([self.wide[int(k)] for k in shown]))
        return batch

    def draw(self, film: int, rng: np.random.Generator) -> Drawn:
        """A predicted mask, augmented, or a mask drawn from the same landmarks."""
        drawn = self.warped(film, rng)
        shown = self.settings.input
        if isinstance(shown, MaskInput) and rng.random() < shown.synthetic:
            mask = draw_mask(shake_vertebrae(drawn.landmarks, rng), self.settings.size, rng)
            return drawn._replace(image=as_bytes(corrupt_mask(mask, drawn.landmarks, 1.0, rng)))
        return drawn._replace(image=self.augmenter.change(drawn.image, drawn.landmarks, rng))


def first_network(net: SegmentationNet, config: Seg4RegConfig) -> FirstNetwork:
    """The segmenter as the first network of the cascade; its maps are those of vertebra and gap."""
    return FirstNetwork(
        lambda canvases: segment(net, canvases, fast=True)[:, 1:], config.segmentation.size, 0.4
    )


def predict_targets(first: FirstNetwork, wide: list[Bytes], config: Seg4RegConfig) -> list[Bytes]:
    """The regressor's input (h, w, C) of target films, four random trunks for each film."""
    rng = np.random.default_rng((config.seed, 3))
    pipeline = intensity_pipeline(config.augment.intensity)
    shown, found = regressor_input(config.regression), []
    for _ in range(4 * len(wide)):
        canvas = draw_target_canvas(wide, config, rng, pipeline)
        found.append(shown.channels(canvas, first.maps(canvas[None])[0]))
    return found
