"""Training of the four networks of `keypoint_fusion`, one after the other, each on its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet

from aasce.geometry.column import usual_spacing
from aasce.solvers.keypoint_fusion.inference import detect_boxes, rough_points
from aasce.solvers.keypoint_fusion.network import KeypointFusionNet
from aasce.solvers.keypoint_fusion.patches import (
    Floats,
    box_view,
    cut,
    heatmap_loss,
    jittered,
    patch_windows,
    tag_heatmaps,
    window_boxes,
)
from aasce.solvers.keypoint_fusion.settings import KeypointFusionConfig
from aasce.solvers.shared.canvas_task import CanvasTask
from aasce.solvers.shared.detection import BACKGROUND, detection_targets, visible_boxes
from aasce.solvers.shared.film_task import Batch, FilmTask
from aasce.solvers.shared.samples import Drawn, FilmSampler, SampleSplit, plain_canvas, to_input
from aasce.targets.boxes import box_overlaps, encode_boxes
from aasce.targets.heatmap import encode_heatmaps


class BoxLoss(nn.Module):
    """The RetinaNet with its losses."""

    def __init__(self, net: RetinaNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"image" (B, 1, H, W), "boxes" (B, 17, 4) px, "labels" (B, 17)}."""
        terms: dict[str, Tensor] = self.net(
            batch["image"], detection_targets(batch["boxes"], batch["labels"])
        )
        return {"loss": terms["classification"] + terms["bbox_regression"], **terms}


class HeatmapLoss(nn.Module):
    """A network of heatmaps with its loss.

    Args:
        net: the network.
        balance: see `heatmap_loss`.
    """

    def __init__(self, net: nn.Module, balance: float) -> None:
        super().__init__()
        self.net, self.balance = net, balance

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Loss of {"image" (B, 1, H, W), "maps" (B, K, h, w)}."""
        return {"loss": heatmap_loss(self.net(batch["image"]), batch["maps"], self.balance)}


class BoxTask(CanvasTask):
    """Training of the RetinaNet: boxes tight around the four keypoints of each vertebra."""

    def __init__(self, config: KeypointFusionConfig, net: KeypointFusionNet, split: SampleSplit) -> None:
        self.settings = config.boxes
        sampler = FilmSampler(self.settings.size, config.augment)
        super().__init__(split, sampler, self.settings.batch, (config.seed, 11))
        self.module = BoxLoss(net.boxes)

    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """Boxes (B, 17, 4) px and their labels; those of vertebrae off the canvas are `BACKGROUND`."""
        boxes, labels = [], []
        for film in drawn:
            shown, seen = visible_boxes(encode_boxes(film.landmarks), self.settings.size)
            boxes.append(shown.astype(np.float32))
            labels.append(np.where(seen, 1, BACKGROUND))
        return {"boxes": torch.from_numpy(np.stack(boxes)), "labels": torch.from_numpy(np.stack(labels))}

    def validation_scores(self, module: Any) -> dict[str, float]:
        """1 minus the mean overlap (IoU) of the labelled boxes with the best detections as "score"."""
        overlaps = []
        for film in self.split.validation:
            canvas, landmarks = plain_canvas(film, self.settings.size)
            found = detect_boxes(module.net, canvas, self.settings)[0]
            best = box_overlaps(encode_boxes(landmarks), found).max(axis=1, initial=0.0)
            overlaps.append(float(best.mean()))
        return {"score": 1 - float(np.mean(overlaps))}


class RoughTask(CanvasTask):
    """Training of Simple Baseline I: 68 heatmaps in a fixed order."""

    def __init__(self, config: KeypointFusionConfig, net: KeypointFusionNet, split: SampleSplit) -> None:
        self.settings = config.rough
        sampler = FilmSampler(self.settings.size, config.augment)
        super().__init__(split, sampler, self.settings.batch, (config.seed, 12))
        self.module = HeatmapLoss(net.rough, self.settings.baseline.balance)

    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """Heatmaps, "maps" (B, 68, h, w)."""
        size, baseline = self.settings.size, self.settings.baseline
        maps = [
            encode_heatmaps(d.landmarks.reshape(-1, 2), size, baseline.sigma, baseline.stride) for d in drawn
        ]
        return {"maps": torch.from_numpy(np.stack(maps))}

    def validation_scores(self, module: Any) -> dict[str, float]:
        """Mean distance of the keypoints, as a share of the distance between vertebrae, as "score"."""
        errors = []
        for film in self.split.validation:
            canvas, landmarks = plain_canvas(film, self.settings.size)
            found = rough_points(module.net, canvas, self.settings)[0]
            distance = np.linalg.norm(found - landmarks, axis=-1).mean()
            errors.append(float(distance) / usual_spacing(landmarks.mean(axis=1)))
        return {"score": float(np.mean(errors))}


class CutTask(FilmTask):
    """Training of a network that reads cut-outs of a canvas; one augmented film gives many.

    Args:
        config: of the solver.
        split: training and validation films.
        batch: films a step.
        stream: see `FilmTask`.
    """

    size: tuple[int, int]
    sigma: float
    stride: int
    grow: float
    jitter: float

    def __init__(
        self, config: KeypointFusionConfig, split: SampleSplit, batch: int, stream: tuple[int, ...]
    ) -> None:
        super().__init__(len(split.train), batch, stream)
        self.split, self.canvas = split, config.canvas
        self.sampler = FilmSampler(config.canvas, config.augment)

    @abstractmethod
    def chosen_boxes(self, landmarks: Floats, rng: np.random.Generator) -> Floats:
        """(N, 4) px of the canvas, what is cut out of one film.

        Args:
            landmarks: (17, 4, 2) px of the canvas.
            rng: source of every draw.
        """

    @abstractmethod
    def wanted(self, points: Floats, index: int) -> Any:
        """(4, h, w) heatmaps of the cut-out at `index`; points are (17, 4, 2) px of the cut-out."""

    def draw_batch(self, chosen: Sequence[int], rng: np.random.Generator) -> Batch:
        """Cut-outs (N, 1, H, W) of some films, and their heatmaps "maps" (N, 4, h, w)."""
        drawn = [self.sampler.draw(self.split.train[index], rng) for index in chosen]
        return self.cut_outs([(d.image, d.landmarks) for d in drawn], rng)

    def cut_outs(self, films: Sequence[tuple[Any, Floats]], rng: np.random.Generator) -> Batch:
        """Cut-outs of canvases (H, W) with landmarks (17, 4, 2)."""
        images, maps = [], []
        for canvas, landmarks in films:
            boxes = jittered(self.chosen_boxes(landmarks, rng), self.jitter, rng)
            views = [box_view(box, self.size, self.grow) for box in boxes]
            images.append(cut(canvas, views))
            maps += [self.wanted(view.apply(landmarks), k) for k, view in enumerate(views)]
        return {"image": to_input(np.concatenate(images)), "maps": torch.from_numpy(np.stack(maps))}

    @torch.inference_mode()
    def validate(self, module: nn.Module) -> dict[str, float]:
        """The loss on cut-outs of the validation films, which are the same each time, as "score"; {} without any."""
        device, rng, losses = next(module.parameters()).device, np.random.default_rng(0), []
        for film in self.split.validation:
            batch = self.cut_outs([plain_canvas(film, self.canvas)], rng)
            losses.append(float(module({name: part.to(device) for name, part in batch.items()})["loss"]))
        return {"score": float(np.mean(losses))} if losses else {}


class CornerTask(CutTask):
    """Training of the HRNet on the boxes of all vertebrae, jittered; each crop teaches its own vertebra alone."""

    def __init__(self, config: KeypointFusionConfig, net: KeypointFusionNet, split: SampleSplit) -> None:
        s = config.corners
        super().__init__(config, split, s.batch, (config.seed, 13))
        self.size, self.sigma, self.stride, self.grow, self.jitter = s.size, s.sigma, 4, s.grow, s.jitter
        self.module = HeatmapLoss(net.corners, s.balance)

    def chosen_boxes(self, landmarks: Floats, rng: np.random.Generator) -> Floats:
        return encode_boxes(landmarks)

    def wanted(self, points: Floats, index: int) -> Any:
        return encode_heatmaps(points[index], self.size, self.sigma, self.stride)


class PatchTask(CutTask):
    """Training of Simple Baseline II on patches drawn at random; a patch teaches every corner that it shows."""

    def __init__(self, config: KeypointFusionConfig, net: KeypointFusionNet, split: SampleSplit) -> None:
        s = config.patches
        super().__init__(config, split, s.batch, (config.seed, 14))
        self.size, self.sigma, self.stride = s.size, s.baseline.sigma, s.baseline.stride
        self.grow, self.jitter, self.per_film = s.grow, s.jitter, s.per_film
        self.module = HeatmapLoss(net.patches, s.baseline.balance)
        self.windows = patch_windows()

    def chosen_boxes(self, landmarks: Floats, rng: np.random.Generator) -> Floats:
        chosen = rng.choice(len(self.windows), self.per_film)
        return window_boxes(landmarks, [self.windows[k] for k in chosen])

    def wanted(self, points: Floats, index: int) -> Any:
        return tag_heatmaps(points, self.size, self.sigma, self.stride)
