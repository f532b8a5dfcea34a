"""First stage: the segmenter's training task."""

from __future__ import annotations

from collections.abc import Iterator

import albumentations as A
import numpy as np
import torch
from torch import Tensor, nn

from aasce.preprocess.augment import intensity_pipeline, reseed
from aasce.preprocess.intensity import Bytes
from aasce.solvers.seg4reg.adaptation import Discriminator
from aasce.solvers.seg4reg.network import SegmentationNet
from aasce.solvers.seg4reg.settings import Seg4RegConfig
from aasce.solvers.shared.cascade import as_bytes
from aasce.solvers.shared.masks import half_map, soft_dice
from aasce.solvers.shared.samples import Sample, Warper, canvas_of, plain_canvas, random_box, to_input
from aasce.solvers.shared.trainer import native_bf16
from aasce.targets.mask import Shares

Batch = dict[str, Tensor]


class SegmentationLoss(nn.Module):
    """The segmenter with its losses: soft cross entropy, Dice, and the domains' when target films are
    given."""

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
        if self.discriminator is not None and wide is not None:
            domain = torch.cat([torch.zeros(len(image)), torch.ones(len(wide))]).to(image.device)
            losses["domain"] = self.discriminator(deep, domain)
            losses["loss"] = losses["loss"] + losses["domain"]
        return losses


class SegmentationTask:
    """`training.Task` of the segmenter."""

    def __init__(
        self,
        config: Seg4RegConfig,
        net: SegmentationNet,
        train: list[Sample],
        validation: list[Sample],
        wide: list[Bytes],
    ) -> None:
        self.config, self.train, self.validation, self.wide = config, train, validation, wide
        self.module = SegmentationLoss(net, config)
        self.warper = Warper(config.segmentation.size, config.augment, small=True)
        self.intensity = intensity_pipeline(config.augment.intensity)

    def steps(self) -> int:
        return max(1, len(self.train) // self.config.segmentation.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.config.seed, 1, epoch))
        batch = self.config.segmentation.batch
        order = np.resize(rng.permutation(len(self.train)), self.steps() * batch)
        for chosen in order.reshape(-1, batch):
            yield self._batch(chosen.tolist(), rng)

    def _batch(self, chosen: list[int], rng: np.random.Generator) -> Batch:
        images, shares = [], []
        for index in chosen:
            canvas, landmarks, _ = self.warper.draw(self.train[index], rng)
            reseed(self.intensity, rng)
            images.append(self.intensity(image=canvas[..., 0])["image"])
            covered = half_map(landmarks, self.config.segmentation.size)[1:]
            shares.append(as_bytes(covered))
        batch = {"image": to_input(np.stack(images)), "shares": torch.from_numpy(np.stack(shares))}
        if self.wide and self.config.adaptation is not None:
            count = max(1, round(self.config.adaptation.share * len(chosen)))
            batch["wide"] = to_input(np.stack([self._wide(rng) for _ in range(count)]))
        return batch

    def _wide(self, rng: np.random.Generator) -> Bytes:
        return draw_wide(self.wide, self.config, rng, self.intensity)

    def validate(self, module: nn.Module) -> dict[str, float]:
        if not self.validation:
            return {}
        assert isinstance(module, SegmentationLoss)
        size = self.config.segmentation.size
        overlap, union = np.zeros(3), np.zeros(3)
        for item in self.validation:
            canvas, landmarks = plain_canvas(item, size)
            found = segment(module.net, canvas[None])[0].argmax(axis=0)
            truth = half_map(landmarks, size).argmax(axis=0)
            for k in range(3):
                overlap[k] += ((found == k) & (truth == k)).sum()
                union[k] += ((found == k) | (truth == k)).sum()
        iou = overlap / np.maximum(union, 1)
        return {"score": 1 - float(iou.mean()), "iou_vertebra": float(iou[1]), "iou_gap": float(iou[2])}


def draw_wide(
    pictures: list[Bytes], config: Seg4RegConfig, rng: np.random.Generator, intensity: A.Compose
) -> Bytes:
    """A random trunk of a random target film on the segmenter's canvas, under the same grey-value changes."""
    picture = pictures[int(rng.integers(len(pictures)))]
    box = random_box((picture.shape[0], picture.shape[1]), rng)
    canvas, _ = canvas_of(picture, box, config.segmentation.size, config.intensity)
    if rng.random() < config.augment.mirror_share:
        canvas = np.ascontiguousarray(canvas[:, ::-1])
    reseed(intensity, rng)
    return np.asarray(intensity(image=canvas)["image"])


@torch.inference_mode()
def segment(net: SegmentationNet, canvases: Bytes, fast: bool = False) -> Shares:
    """Class probabilities (B, 3, H/2, W/2) of (B, H, W) canvases.

    Args:
        fast: bfloat16 where the device computes it natively; for masks made in bulk, not for answers.
    """
    device = next(net.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=fast and native_bf16(device.type)):
        logits, _ = net(to_input(canvases).to(device))
    return np.asarray(logits.float().softmax(dim=1).cpu().numpy(), np.float32)
