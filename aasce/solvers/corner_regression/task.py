"""Training of `corner_regression`: the detector on films, the corner network on patches around labelled vertebrae."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.geometry.cobb import cobb_angles, limit_tilts, tilts
from aasce.solvers.corner_regression.inference import detect, patch_corners
from aasce.solvers.corner_regression.network import MAP_STRIDE, CornerNet
from aasce.solvers.corner_regression.postprocess import Detections
from aasce.solvers.corner_regression.settings import (
    CornerRegressionConfig,
    CornerSettings,
    DetectorSettings,
    HeatmapHead,
)
from aasce.solvers.corner_regression.targets import Patches, cut_patches, grown_boxes, jittered
from aasce.solvers.shared.canvas_task import CanvasTask
from aasce.solvers.shared.corner_losses import place_entropy, tilt_loss
from aasce.solvers.shared.detection import BACKGROUND, detection_targets, visible_boxes
from aasce.solvers.shared.film_task import Batch, FilmTask, angle_scores
from aasce.solvers.shared.samples import (
    Drawn,
    FilmSampler,
    Floats,
    Sample,
    SampleSplit,
    plain_canvas,
    shrunk,
    to_input,
)
from aasce.targets.boxes import box_overlaps

VERTEBRA = 1
"""Label of the one class of objects."""

LINEAR = 1.0
"""Percent of a patch's width from which the loss of a corner's distance is linear."""


def reduced(samples: Sequence[Sample], rows: int) -> list[Sample]:
    """Samples of fewer rows, whose pixels are averaged over areas; see `samples.shrunk`."""
    small = []
    for sample in samples:
        view = shrunk(sample.size, rows)
        pixels = np.asarray(view.render(sample.pixels[..., 0]), np.uint8)[..., None]
        landmarks = view.apply(sample.landmarks)
        small.append(Sample(pixels, landmarks, sample.angles, sample.view.then(view), sample.height))
    return small


class DetectorLoss(nn.Module):
    """The detector with torchvision's losses of its proposals and of its boxes, all of weight 1 as in the paper's."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"image" (B, 1, H, W), "boxes" (B, V, 4), "labels" (B, V)}."""
        losses: dict[str, Tensor] = self.net(
            batch["image"], detection_targets(batch["boxes"], batch["labels"])
        )
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        return {"loss": total, **{name.removeprefix("loss_"): loss for name, loss in losses.items()}}


class DetectorTask(CanvasTask):
    """`trainer.Task` of the detector."""

    def __init__(self, config: CornerRegressionConfig, net: Any, split: SampleSplit) -> None:
        self.settings: DetectorSettings = config.detector
        rows = self.settings.size[0]
        small = SampleSplit(reduced(split.train, rows), reduced(split.validation, rows))
        sampler = FilmSampler(self.settings.size, self.settings.augment)
        super().__init__(small, sampler, self.settings.batch, (config.seed, 1))
        self.module = DetectorLoss(net)
        self.least = config.inference.score

    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """Boxes cut to the canvas, "boxes" (B, V, 4) float32, and "labels" (B, V), `BACKGROUND` for those off it."""
        boxes, labels = [], []
        for film in drawn:
            cut, shown = visible_boxes(grown_boxes(film.landmarks, self.settings.grow), self.settings.size)
            boxes.append(cut)
            labels.append(np.where(shown, VERTEBRA, BACKGROUND))
        return {
            "boxes": torch.from_numpy(np.stack(boxes).astype(np.float32)),
            "labels": torch.from_numpy(np.stack(labels)),
        }

    def validation_scores(self, module: nn.Module) -> dict[str, float]:
        """1 minus the mean soft F1 as "score", see `soft_f1`; the mean number of detections beside it."""
        assert isinstance(module, DetectorLoss)
        shares, counts = [], []
        for film in self.split.validation:
            canvas, landmarks = plain_canvas(film, self.settings.size)
            found = detect(module.net, canvas, self.settings.nms, mirror=False).least(self.least)
            shares.append(soft_f1(found, grown_boxes(landmarks, self.settings.grow)))
            counts.append(len(found.boxes))
        return {"score": 1 - float(np.mean(shares)), "detections": float(np.mean(counts))}


def soft_f1(found: Detections, boxes: Floats) -> float:
    """Overlap (IoU) of matched boxes, twice its sum as a share of all boxes: 1 only if all are found exactly.

    Args:
        found: detections.
        boxes: (V, 4) labelled.
    """
    from scipy.optimize import linear_sum_assignment

    overlaps = box_overlaps(found.boxes, boxes)
    matched = linear_sum_assignment(overlaps, maximize=True)
    return float(2 * overlaps[matched].sum() / (len(found.boxes) + len(boxes)))


class CornerLoss(nn.Module):
    """The corner network with its losses: distance of the corners, their tilt, and cross entropy of their maps."""

    def __init__(self, net: CornerNet, settings: CornerSettings) -> None:
        super().__init__()
        self.net, self.settings = net, settings

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"image" (N, 1, h, w), "corners" (N, 4, 2) patch px, "known" (N,) 1 where they count}."""
        found, logits = self.net(batch["image"])
        corners, known = batch["corners"], batch["known"]
        count = known.sum().clamp(min=1)
        percent = 100 / self.settings.size[1]
        off = F.smooth_l1_loss(found * percent, corners * percent, beta=LINEAR, reduction="none")
        distance = (off.mean(dim=(1, 2)) * known).sum() / count
        tilt = (tilt_loss(found, corners) * known).sum() / count
        head, loss = self.settings.head, distance + self.settings.tilt * tilt
        if logits is None or not isinstance(head, HeatmapHead):
            return {"loss": loss, "distance": distance, "tilt": tilt}
        places = (corners + 0.5) / MAP_STRIDE - 0.5
        entropy = (place_entropy(logits, places, head.sigma) * known).sum() / count
        return {"loss": loss + head.entropy * entropy, "distance": distance, "tilt": tilt, "entropy": entropy}


class CornerTask(FilmTask):
    """`trainer.Task` of the corner network; each film of a batch gives the patches of all its vertebrae."""

    def __init__(self, config: CornerRegressionConfig, net: CornerNet, split: SampleSplit) -> None:
        self.settings, self.grow, self.split = config.corners, config.detector.grow, split
        super().__init__(len(split.train), self.settings.batch, (config.seed, 2))
        self.sampler = FilmSampler(self.settings.film, self.settings.augment)
        self.module = CornerLoss(net, self.settings)

    def draw_batch(self, chosen: Sequence[int], rng: np.random.Generator) -> Batch:
        """ "image" (N, 1, h, w), "corners" (N, 4, 2), "known" (N,) of N = 17 vertebrae a film."""
        images, corners, known = [], [], []
        for index in chosen:
            drawn = self.sampler.draw(self.split.train[index], rng)
            boxes = grown_boxes(drawn.landmarks, self.grow)
            patches = cut_patches(drawn.image, jittered(boxes, self.settings.jitter, rng), self.settings)
            images.append(patches.images)
            corners.append(patches.apply(drawn.landmarks))
            known.append(shown_corners(patches, drawn.landmarks, drawn.image.shape[:2]))
        return {
            "image": to_input(np.concatenate(images)),
            "corners": torch.from_numpy(np.float32(np.concatenate(corners))),
            "known": torch.from_numpy(np.float32(np.concatenate(known))),
        }

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Mean error of the tilts in degrees as "score", in labelled boxes; the angles' errors beside it."""
        if not self.split.validation:
            return {}
        assert isinstance(module, CornerLoss)
        found, errors = [], []
        for film in self.split.validation:
            canvas, landmarks = plain_canvas(film, self.settings.film)
            boxes = grown_boxes(landmarks, self.grow)
            corners = patch_corners(module.net, canvas, boxes, self.settings)
            turn = limit_tilts(tilts(corners)) - limit_tilts(tilts(landmarks))
            errors.append(float(np.abs(turn).mean()))
            found.append(cobb_angles(corners, canvas.shape[0]).degrees)
        scores = angle_scores(np.stack(found), np.stack([film.angles for film in self.split.validation]))
        return {**scores, "smape": scores["score"], "score": float(np.mean(errors))}


def shown_corners(patches: Patches, landmarks: Floats, size: tuple[int, int]) -> Floats:
    """(N,) 1 where all four corners of a vertebra lie on the canvas and on their patch, else 0.

    Args:
        patches: of the vertebrae.
        landmarks: (N, 4, 2) px of the canvas.
        size: (H, W) of the canvas.
    """
    on_canvas, on_patch = landmarks, patches.apply(landmarks)
    shown = np.ones(len(landmarks), bool)
    for points, (rows, columns) in ((on_canvas, size), (on_patch, patches.images.shape[1:])):
        shown &= ((points >= -0.5) & (points <= np.array([columns, rows]) - 0.5)).all(axis=(1, 2))
    return shown.astype(np.float64)
