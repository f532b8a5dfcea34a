"""Training on canvases of the whole spine: U-nets A, B and C together, then the Mask R-CNN on film x mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.coarse_to_fine.maps import box_masks, instance_masks, spine_mask
from aasce.solvers.coarse_to_fine.network import LEVELS, CoarseToFineNet, under_mask
from aasce.solvers.coarse_to_fine.settings import CoarseToFineConfig
from aasce.solvers.shared.canvas_task import CanvasTask
from aasce.solvers.shared.detection import (
    BACKGROUND,
    detection_targets,
    detections_of,
    visible_boxes,
)
from aasce.solvers.shared.film_task import Batch
from aasce.solvers.shared.masks import dice_score, soft_dice
from aasce.solvers.shared.samples import (
    AugmentSettings,
    Drawn,
    FilmSampler,
    SampleSplit,
    plain_canvas,
    to_input,
)
from aasce.targets.boxes import box_overlaps, encode_boxes

EXTEND = 1
"""Vertebrae by which the mask of the whole spine goes on beyond T1 and L5."""


def mask_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross entropy and Dice of (B, 1, h, w) logits of a mask, whose background is 1 less the mask."""
    return F.binary_cross_entropy_with_logits(logits, shares) + soft_dice(logits.sigmoid(), shares)


def channel_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross entropy and Dice of (B, K + 1, h, w) logits whose last channel is the background that all share.

    Args:
        logits: see above.
        shares: (B, K, h, w) of the others, with a sum of at most 1.
    """
    background = (1 - shares.sum(dim=1, keepdim=True)).clamp(min=0)
    entropy = -(torch.cat([shares, background], dim=1) * logits.log_softmax(dim=1)).sum(dim=1)
    # Weighted so that what is no background counts as much as the background, which is most of a map.
    weight = 1 + shares.sum(dim=1) / shares.sum(dim=1).mean().clamp(min=1e-3)
    return (weight * entropy).mean() / 2 + soft_dice(logits.softmax(dim=1)[:, :-1], shares)


class MasksLoss(nn.Module):
    """U-nets A, B and C with their losses; no gradient passes from one to another."""

    def __init__(self, nets: CoarseToFineNet) -> None:
        super().__init__()
        self.whole, self.target, self.boxes = nets.whole, nets.target, nets.boxes

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"image", "whole", "target", "boxes", "truth" (B,) whether B and C see A's true mask}."""
        whole = self.whole(batch["image"])
        truth = batch["truth"][:, None, None, None]
        film = under_mask(batch["image"], torch.where(truth, batch["whole"], whole.detach().sigmoid()))
        losses = {
            "whole": mask_loss(whole, batch["whole"]),
            "target": mask_loss(self.target(film), batch["target"]),
            "boxes": channel_loss(self.boxes(film), batch["boxes"]),
        }
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}


class MasksTask(CanvasTask):
    """`trainer.Task` of the U-nets A, B and C, which see the same canvases."""

    def __init__(self, config: CoarseToFineConfig, nets: CoarseToFineNet, split: SampleSplit) -> None:
        self.settings = config.masks
        super().__init__(
            split, FilmSampler(self.settings.size, config.augment), self.settings.batch, (config.seed, 1)
        )
        self.module = MasksLoss(nets)

    def draw_batch(self, chosen: Sequence[int], rng: np.random.Generator) -> Batch:
        """Images, masks, and which films show B and C the true mask of A."""
        truth = torch.from_numpy(rng.random(len(chosen)) < self.settings.truth_share)
        return {**super().draw_batch(chosen, rng), "truth": truth}

    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """The maps of the three nets, each of its own stride."""
        maps = [self.maps(d.landmarks) for d in drawn]
        return {name: torch.from_numpy(np.stack([m[name] for m in maps])) for name in maps[0]}

    def maps(self, landmarks: Any) -> dict[str, Any]:
        """What A, B and C are taught about a canvas."""
        s = self.settings
        return {
            "whole": spine_mask(landmarks, s.size, s.whole.stride, s.blur[0], EXTEND)[None],
            "target": spine_mask(landmarks, s.size, s.target.stride, s.blur[1], 0)[None],
            "boxes": box_masks(landmarks, s.size, s.boxes.stride, s.core),
        }

    @torch.inference_mode()
    def validation_scores(self, module: nn.Module) -> dict[str, float]:
        """1 less the Dice overlap of the masks, mean of the three nets, as "score"; each overlap beside it."""
        assert isinstance(module, MasksLoss)
        device = next(module.parameters()).device
        overlap: dict[str, list[float]] = {"whole": [], "target": [], "boxes": []}
        for sample in self.split.validation:
            canvas, landmarks = plain_canvas(sample, self.settings.size)
            image = to_input(canvas[None]).to(device)
            whole = module.whole(image).sigmoid()
            film = under_mask(image, whole)
            found = {
                "whole": whole[0],
                "target": module.target(film)[0].sigmoid(),
                "boxes": module.boxes(film).softmax(dim=1)[0, :-1],
            }
            for name, truth in self.maps(landmarks).items():
                overlap[name].append(dice_score(found[name].cpu().numpy() > 0.5, truth > 0.5))
        means = {name: float(np.mean(values)) for name, values in overlap.items()}
        return {"score": 1 - float(np.mean(list(means.values()))), **means}


def spine_large(augment: AugmentSettings) -> AugmentSettings:
    """The same augmentation without films on which the spine is small: what is read after the crop."""
    return augment.model_copy(update={"small_share": 0.0})


class DetectorLoss(nn.Module):
    """The Mask R-CNN with torchvision's losses."""

    def __init__(self, nets: CoarseToFineNet) -> None:
        super().__init__()
        self.net = nets.detector

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"image" (B, 1, H, W) under A's mask, "boxes", "labels", "masks"}."""
        targets = detection_targets(batch["boxes"], batch["labels"], masks=batch["masks"])
        losses: dict[str, Tensor] = self.net(list(batch["image"]), targets)
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}


class DetectionTask(CanvasTask):
    """`trainer.Task` of the Mask R-CNN; films are put under the mask of A as it is."""

    def __init__(self, config: CoarseToFineConfig, nets: CoarseToFineNet, split: SampleSplit) -> None:
        self.settings, self.size, self.whole = config.detection, config.masks.size, nets.whole
        sampler = FilmSampler(self.size, spine_large(config.augment))
        super().__init__(split, sampler, self.settings.batch, (config.seed, 2))
        self.module = DetectorLoss(nets)

    @torch.no_grad()
    def masked(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) canvases under A's mask."""
        device = next(self.whole.parameters()).device
        image = image.to(device)
        return under_mask(image, self.whole(image).sigmoid())

    def draw_batch(self, chosen: Sequence[int], rng: np.random.Generator) -> Batch:
        """Images under A's mask, and torchvision's targets."""
        batch = super().draw_batch(chosen, rng)
        return {**batch, "image": self.masked(batch["image"]).cpu()}

    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """Boxes (B, 17, 4) px, labels (B, 17) from 1, `BACKGROUND` off the canvas, masks (B, 17, H, W) uint8."""
        boxes, seen = zip(*(visible_boxes(encode_boxes(d.landmarks), self.size) for d in drawn), strict=True)
        labels = np.where(np.stack(seen), np.arange(1, LEVELS + 1), BACKGROUND)
        masks = np.stack([instance_masks(d.landmarks, self.size) for d in drawn])
        return {
            "boxes": torch.from_numpy(np.stack(boxes).astype(np.float32)),
            "labels": torch.from_numpy(labels.astype(np.int64)),
            "masks": torch.from_numpy(masks),
        }

    @torch.inference_mode()
    def validation_scores(self, module: Any) -> dict[str, float]:
        """1 less the mean overlap of each vertebra with its best detection as "score"; share of right labels."""
        overlaps, right = [], []
        for sample in self.split.validation:
            canvas, landmarks = plain_canvas(sample, self.size)
            boxes, labels, scores = detections_of(module.net(list(self.masked(to_input(canvas[None]))))[0])
            if len(boxes) == 0:
                overlaps.append(0.0)
                right.append(0.0)
                continue
            shared = box_overlaps(encode_boxes(landmarks), boxes)
            overlaps.append(float(shared.max(axis=1).mean()))
            best = np.where(shared > 0.5, scores, 0.0).argmax(axis=1)
            right.append(float((labels[best] == np.arange(1, LEVELS + 1)).mean()))
        return {"score": 1 - float(np.mean(overlaps)), "labels": float(np.mean(right))}
