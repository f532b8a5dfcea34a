"""Second stage: from the trained segmenter's masks to the three angles.

The paper trains the two networks one after the other, and so does this. Samples are (1) the segmenter's own
predictions of the training films, a few of each under different looks, then mirrored, bent, turned and scaled
as pictures; (2) masks drawn from landmarks (`synthetic`). In both a bend makes a new curve whose angles are
measured on the bent landmarks by `geometry.cobb`. (2) and the bends are departures from the paper.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from aasce.preprocess.augment import intensity_pipeline
from aasce.preprocess.intensity import Bytes
from aasce.solvers.seg4reg.adaptation import Discriminator
from aasce.solvers.seg4reg.data import make_stack, stack_input
from aasce.solvers.seg4reg.network import SegmentationNet
from aasce.solvers.seg4reg.segmentation import draw_wide, segment
from aasce.solvers.seg4reg.settings import MaskInput, Seg4RegConfig
from aasce.solvers.seg4reg.synthetic import draw_mask, shake_vertebrae
from aasce.solvers.shared.cascade import BULK, Looks, as_bytes, corrupt_mask, seen_items
from aasce.solvers.shared.heads import Regressed
from aasce.solvers.shared.readout import Readout, sample_angles
from aasce.solvers.shared.regressor import angle_scores, film_order
from aasce.solvers.shared.row_head import AngleNet, angle_targets, head_losses
from aasce.solvers.shared.samples import Floats, Sample, Warper

Batch = dict[str, Tensor]


class RegressionLoss(nn.Module):
    """The regressor with its losses: smooth L1 and SMAPE of the angles, those of the head, the domains'."""

    def __init__(self, net: AngleNet, config: Seg4RegConfig) -> None:
        super().__init__()
        self.net = net
        self.settings, adaptation = config.regression, config.adaptation
        self.discriminator: Discriminator | None = None
        if adaptation is not None and adaptation.stages == "both":
            self.discriminator = Discriminator(net.head.width, adaptation.weight)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"stack" (B, h, w, C) uint8, "wide" (T, h, w, C)} and `row_head.angle_targets`."""
        stack, wide = batch["stack"], batch.get("wide")
        both = stack if wide is None else torch.cat([stack, wide])
        x = stack_input(both, self.settings.input.kind)
        found: Regressed = self.net(x)
        losses = head_losses(found.first(len(stack)), batch, self.settings.head)
        if self.discriminator is not None and wide is not None:
            domain = torch.cat([torch.zeros(len(stack)), torch.ones(len(wide))]).to(stack.device)
            losses["domain"] = self.discriminator(found.features, domain)
            losses["loss"] = losses["loss"] + losses["domain"]
        return losses


def predicted_items(
    net: SegmentationNet, films: list[Sample], config: Seg4RegConfig, variants: int, seed: int
) -> list[Sample]:
    """The segmenter's predictions as items, see `stacks.seen_items`."""
    size, kind = config.regression.size, config.regression.input.kind

    def read(canvases: Bytes) -> list[Bytes]:
        masks = segment(net, canvases, fast=True)
        return [make_stack(canvas, mask, size, kind) for canvas, mask in zip(canvases, masks, strict=True)]

    return seen_items(read, films, (config.segmentation.size, size), variants, config.augment.intensity, seed)


class RegressionTask:
    """`training.Task` of the regressor."""

    def __init__(
        self,
        config: Seg4RegConfig,
        nets: tuple[SegmentationNet, AngleNet],
        train: list[Sample],
        validation: list[Sample],
        wide: list[Bytes],
    ) -> None:
        self.config, self.settings = config, config.regression
        segmenter, net = nets
        self.films = len(train)
        self.train = predicted_items(segmenter, train, config, self.settings.variants, config.seed)
        self.validation = predicted_items(segmenter, validation, config, 1, config.seed)
        self.module = RegressionLoss(net, config)
        self.wide = self._wide_stacks(segmenter, wide) if self.module.discriminator is not None else []
        self.warper = Warper(self.settings.size, config.augment, small=False)
        kind, strength = self.settings.input.kind, config.augment.intensity
        self.looks = Looks(
            kind != "mask", 0 if kind == "image" else 2, strength, self.settings.input.corrupt, 0.4
        )

    def _wide_stacks(self, net: SegmentationNet, wide: list[Bytes]) -> list[Bytes]:
        rng = np.random.default_rng((self.config.seed, 3))
        intensity = intensity_pipeline(self.config.augment.intensity)
        stacks = []
        for _ in range(4 * len(wide)):
            canvas = draw_wide(wide, self.config, rng, intensity)
            mask = segment(net, canvas[None], fast=True)[0]
            stacks.append(make_stack(canvas, mask, self.settings.size, self.settings.input.kind))
        return stacks

    def steps(self) -> int:
        return max(1, self.films * self.settings.repeats // self.settings.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.config.seed, 4, epoch))
        for chosen in film_order(self.films, self.steps(), self.settings.batch, rng):
            yield self._batch(chosen, rng)

    def _batch(self, chosen: list[int], rng: np.random.Generator) -> Batch:
        drawn = [self._sample(index, rng) for index in chosen]
        s = self.settings
        targets = angle_targets([d[1] for d in drawn], [d[2] for d in drawn], s.size, s.head)
        batch = {"stack": torch.from_numpy(np.stack([d[0] for d in drawn])), **targets}
        if self.wide and self.config.adaptation is not None:
            count = max(1, round(self.config.adaptation.share * len(chosen)))
            seen = rng.integers(len(self.wide), size=count)
            batch["wide"] = torch.from_numpy(np.stack([self.wide[int(k)] for k in seen]))
        return batch

    def _sample(self, index: int, rng: np.random.Generator) -> tuple[Bytes, Floats, Floats]:
        """Stack, landmarks and angles of one draw."""
        item = self.train[index * self.settings.variants + int(rng.integers(self.settings.variants))]
        stack, landmarks, angles = self.warper.draw(item, rng)
        seen = self.settings.input
        if isinstance(seen, MaskInput) and rng.random() < seen.synthetic:
            mask = draw_mask(shake_vertebrae(landmarks, rng), self.settings.size, rng)
            return as_bytes(corrupt_mask(mask, landmarks, 1.0, rng)), landmarks, angles
        return self.looks.change(stack, landmarks, rng), landmarks, angles

    def validate(self, module: nn.Module) -> dict[str, float]:
        if not self.validation:
            return {}
        assert isinstance(module, RegressionLoss)
        stacks = np.stack([item.pixels for item in self.validation])
        readout = regress(module.net, stacks, self.config)
        found = sample_angles(readout, self.validation, self.settings.head)
        truth = np.stack([item.angles for item in self.validation])
        return angle_scores(found, truth)


@torch.inference_mode()
def regress(net: AngleNet, stacks: Bytes, config: Seg4RegConfig) -> Readout:
    """What the regressor predicts of (B, h, w, C) uint8 stacks."""
    device = next(net.parameters()).device
    found = []
    for start in range(0, len(stacks), BULK):
        x = stack_input(
            torch.from_numpy(stacks[start : start + BULK]).to(device), config.regression.input.kind
        )
        found.append(Readout.of(net(x)))
    return Readout.joined(found)
