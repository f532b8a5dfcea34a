"""Training of `scg_net`: the boundary segmenter first, then the regressor on what it drew."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.preprocess.augment import intensity_pipeline, reseed
from aasce.preprocess.intensity import Bytes
from aasce.solvers.scg_net.network import BoundaryNet
from aasce.solvers.scg_net.settings import InputKind, RegressionSettings, ScgNetConfig
from aasce.solvers.shared.cascade import BULK, Looks, as_bytes, seen_items, stack_tensor, stacked
from aasce.solvers.shared.masks import soft_dice
from aasce.solvers.shared.readout import Readout, sample_angles
from aasce.solvers.shared.regressor import angle_scores, film_order
from aasce.solvers.shared.row_head import AngleNet, angle_targets, head_losses
from aasce.solvers.shared.samples import Floats, Sample, Warper, plain_canvas, to_input
from aasce.solvers.shared.trainer import native_bf16
from aasce.targets.curves import encode_boundaries
from aasce.targets.mask import Shares

Batch = dict[str, Tensor]


class BoundaryLoss(nn.Module):
    """The segmenter with its losses: cross entropy and Dice of the two curves."""

    def __init__(self, net: BoundaryNet, dice: float) -> None:
        super().__init__()
        self.net, self.dice = net, dice

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"image" (B, 1, H, W), "curves" (B, 2, H, W) uint8}."""
        logits, shares = self.net(batch["image"]), batch["curves"].float() / 255.0
        entropy = F.binary_cross_entropy_with_logits(logits, shares)
        dice = soft_dice(logits.sigmoid(), shares)
        return {"loss": entropy + self.dice * dice, "entropy": entropy, "dice": dice}


class BoundaryTask:
    """`training.Task` of the segmenter."""

    def __init__(
        self, config: ScgNetConfig, net: BoundaryNet, train: list[Sample], validation: list[Sample]
    ) -> None:
        self.config, self.settings = config, config.boundaries
        self.train, self.validation = train, validation
        self.module = BoundaryLoss(net, self.settings.dice)
        self.warper = Warper(self.settings.size, config.augment, small=True)
        self.intensity = intensity_pipeline(config.augment.intensity)

    def steps(self) -> int:
        return max(1, len(self.train) // self.settings.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.config.seed, 1, epoch))
        for chosen in film_order(len(self.train), self.steps(), self.settings.batch, rng):
            yield self._batch(chosen, rng)

    def _batch(self, chosen: list[int], rng: np.random.Generator) -> Batch:
        images, curves = [], []
        for index in chosen:
            canvas, landmarks, _ = self.warper.draw(self.train[index], rng)
            reseed(self.intensity, rng)
            images.append(self.intensity(image=canvas[..., 0])["image"])
            drawn = encode_boundaries(landmarks, self.settings.size, self.settings.thickness, oversample=2)
            curves.append(as_bytes(drawn))
        return {"image": to_input(np.stack(images)), "curves": torch.from_numpy(np.stack(curves))}

    def validate(self, module: nn.Module) -> dict[str, float]:
        """1 minus the mean Dice overlap of thresholded curves."""
        if not self.validation:
            return {}
        assert isinstance(module, BoundaryLoss)
        overlap = []
        for item in self.validation:
            canvas, landmarks = plain_canvas(item, self.settings.size)
            truth = encode_boundaries(landmarks, self.settings.size, self.settings.thickness) > 0.5
            found = curve_maps(module.net, canvas[None])[0] > 0.5
            overlap.append(2 * (found & truth).sum() / max(int(found.sum() + truth.sum()), 1))
        return {"score": 1 - float(np.mean(overlap))}


@torch.inference_mode()
def curve_maps(net: BoundaryNet, canvases: Bytes, fast: bool = False) -> Shares:
    """(B, 2, H, W) probabilities of the left and the right border on (B, H, W) canvases.

    Args:
        net: the segmenter.
        canvases: uint8.
        fast: bfloat16 where the device computes it natively; for maps made in bulk, not for answers.
    """
    device = next(net.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=fast and native_bf16(device.type)):
        logits = net(to_input(canvases).to(device))
    return np.asarray(logits.float().sigmoid().cpu().numpy(), np.float32)


def make_stack(canvas: Bytes, curves: Shares, size: tuple[int, int], kind: InputKind) -> Bytes:
    """(h, w, C) uint8 film, left and right border, as far as `kind` has them."""
    return stacked(None if kind == "curves" else canvas, [] if kind == "image" else list(curves), size)


class RegressionLoss(nn.Module):
    """The regressor with its head's losses."""

    def __init__(self, net: AngleNet, settings: RegressionSettings) -> None:
        super().__init__()
        self.net, self.settings = net, settings

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"stack" (B, h, w, C) uint8} and the head's targets."""
        found = self.net(stack_tensor(batch["stack"], self.settings.input.kind != "curves"))
        return head_losses(found, batch, self.settings.head)


class RegressionTask:
    """`training.Task` of the regressor."""

    def __init__(
        self,
        config: ScgNetConfig,
        nets: tuple[BoundaryNet, AngleNet],
        train: list[Sample],
        validation: list[Sample],
    ) -> None:
        self.config, self.settings = config, config.regression
        self.films = len(train)
        self.train = self._seen(nets[0], train, self.settings.variants)
        self.validation = self._seen(nets[0], validation, 1)
        self.module = RegressionLoss(nets[1], self.settings)
        self.warper = Warper(self.settings.size, config.augment, small=False)
        kind, strength = self.settings.input.kind, config.augment.intensity
        self.looks = Looks(
            kind != "curves", 0 if kind == "image" else 2, strength, self.settings.input.corrupt, 0.6
        )

    def _seen(self, net: BoundaryNet, films: list[Sample], variants: int) -> list[Sample]:
        size, kind = self.settings.size, self.settings.input.kind

        def read(canvases: Bytes) -> list[Bytes]:
            curves = curve_maps(net, canvases, fast=True)
            return [
                make_stack(canvas, drawn, size, kind) for canvas, drawn in zip(canvases, curves, strict=True)
            ]

        sizes, strength = (self.config.boundaries.size, size), self.config.augment.intensity
        return seen_items(read, films, sizes, variants, strength, self.config.seed)

    def steps(self) -> int:
        return max(1, self.films // self.settings.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.config.seed, 4, epoch))
        for chosen in film_order(self.films, self.steps(), self.settings.batch, rng):
            yield self._batch(chosen, rng)

    def _batch(self, chosen: list[int], rng: np.random.Generator) -> Batch:
        drawn = [self._sample(index, rng) for index in chosen]
        targets = angle_targets(
            [d[1] for d in drawn], [d[2] for d in drawn], self.settings.size, self.settings.head
        )
        return {"stack": torch.from_numpy(np.stack([d[0] for d in drawn])), **targets}

    def _sample(self, index: int, rng: np.random.Generator) -> tuple[Bytes, Floats, Floats]:
        """Stack, landmarks and angles of one draw; the film's grey values change, the maps are corrupted at times."""
        item = self.train[index * self.settings.variants + int(rng.integers(self.settings.variants))]
        stack, landmarks, angles = self.warper.draw(item, rng)
        return self.looks.change(stack, landmarks, rng), landmarks, angles

    def validate(self, module: nn.Module) -> dict[str, float]:
        if not self.validation:
            return {}
        assert isinstance(module, RegressionLoss)
        stacks = np.stack([item.pixels for item in self.validation])
        readout = regress(module.net, stacks, self.settings.input.kind)
        found = sample_angles(readout, self.validation, self.settings.head)
        return angle_scores(found, np.stack([item.angles for item in self.validation]))


@torch.inference_mode()
def regress(net: AngleNet, stacks: Bytes, kind: InputKind) -> Readout:
    """What the regressor predicts of (B, h, w, C) uint8 stacks."""
    device = next(net.parameters()).device
    found = []
    for start in range(0, len(stacks), BULK):
        x = stack_tensor(torch.from_numpy(stacks[start : start + BULK]).to(device), kind != "curves")
        found.append(Readout.of(net(x)))
    return Readout.joined(found)
