"""Training of U-nets D and E on regions around single vertebrae, cut from one augmented canvas a film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aasce.geometry.cobb import tilt_error, tilts
from aasce.preprocess.crop import render_all, undo_all
from aasce.solvers.coarse_to_fine.inference import local_corners
from aasce.solvers.coarse_to_fine.maps import corner_maps, region_box
from aasce.solvers.coarse_to_fine.network import CoarseToFineNet
from aasce.solvers.coarse_to_fine.regions import local_spacings, region_views
from aasce.solvers.coarse_to_fine.settings import CoarseToFineConfig, LocalSettings
from aasce.solvers.coarse_to_fine.task import channel_loss, mask_loss, spine_large
from aasce.solvers.shared.corner_losses import expected_places, tilt_loss
from aasce.solvers.shared.film_task import Batch, FilmTask
from aasce.solvers.shared.samples import Drawn, FilmSampler, Floats, SampleSplit, plain_canvas, to_input
from aasce.targets.heatmap import to_map


def place_losses(found: Tensor, truth: Tensor, unit: float) -> dict[str, Tensor]:
    """How far the expected corners are off, and how far the direction of the midline between them.

    Args:
        found, truth: (B, 4, 2) px, TL, TR, BL, BR.
        unit: px that an error of 1 stands for.
    """
    return {"place": (found - truth).abs().mean() / unit, "tilt": 5 * tilt_loss(found, truth).mean()}


class LocalLoss(nn.Module):
    """U-nets D and E with their losses; no gradient passes from one to the other."""

    def __init__(self, nets: CoarseToFineNet, settings: LocalSettings) -> None:
        super().__init__()
        self.box, self.corners, self.settings = nets.box, nets.corners, settings

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"image" (B, 1, H, W), "box" (B, 1, h, w), "corners" (B, 4, h, w), "points" (B, 4, 2) map px}."""
        s = self.settings
        logits = self.corners(batch["image"])
        shares = logits.softmax(dim=1)[:, :-1]
        unit = s.sigma / s.corners.stride
        losses = {
            "box": mask_loss(self.box(batch["image"]), batch["box"]),
            "corners": channel_loss(logits, batch["corners"]),
            **place_losses(expected_places(shares), batch["points"], unit),
        }
        loss = losses["box"] + losses["corners"] + s.place * losses["place"] + s.tilt * losses["tilt"]
        return {"loss": loss, **losses}


class LocalTask(FilmTask):
    """`trainer.Task` of the U-nets D and E."""

    def __init__(self, config: CoarseToFineConfig, nets: CoarseToFineNet, split: SampleSplit) -> None:
        self.settings, self.split = config.local, split
        super().__init__(len(split.train), self.settings.batch, (config.seed, 3))
        self.sampler = FilmSampler(self.settings.film, spine_large(config.augment))
        self.module = LocalLoss(nets, self.settings)

    def draw_batch(self, chosen: Sequence[int], rng: np.random.Generator) -> Batch:
        """The regions of all vertebrae of some films."""
        parts = [self.regions(self.sampler.draw(self.split.train[index], rng), rng) for index in chosen]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        image = to_input(joined.pop("image"))
        return {"image": image, **{name: torch.from_numpy(part) for name, part in joined.items()}}

    def regions(self, drawn: Drawn, rng: np.random.Generator) -> dict[str, Any]:
        """Regions of a canvas, off their vertebrae a little as boxes that were found are, and their targets."""
        s, count = self.settings, len(drawn.landmarks)
        middle = drawn.landmarks.mean(axis=1)
        spacings = local_spacings(middle)
        off = rng.normal(0, s.jitter, (count, 2)) * spacings[:, None]
        views = region_views(middle + off, spacings * np.exp(rng.normal(0, s.zoom, count)), s)
        corners = [view.apply(quad) for view, quad in zip(views, drawn.landmarks, strict=True)]
        return {
            "image": render_all(views, drawn.image),
            "box": np.stack([region_box(c, s.region, s.box.stride, s.grow)[None] for c in corners]),
            "corners": np.stack([corner_maps(c, s.region, s.corners.stride, s.sigma) for c in corners]),
            "points": to_map(np.stack(corners), s.corners.stride).astype(np.float32),
        }

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Mean error of the tilts in degrees as "score", of the corners as a share of the spacing as "corner"."""
        assert isinstance(module, LocalLoss)
        if not self.split.validation:
            return {}
        errors: list[tuple[float, float]] = []
        for sample in self.split.validation:
            canvas, landmarks = plain_canvas(sample, self.settings.film)
            errors.append(self._errors(module, canvas, landmarks))
        tilt, corner = np.mean(errors, axis=0)
        return {"score": float(tilt), "corner": float(corner)}

    def _errors(self, module: LocalLoss, canvas: Any, landmarks: Floats) -> tuple[float, float]:
        middle = landmarks.mean(axis=1)
        views = region_views(middle, local_spacings(middle), self.settings)
        found, _ = local_corners((module.box, module.corners), render_all(views, canvas), self.settings)
        back = undo_all(views, found)
        off = np.linalg.norm(back - landmarks, axis=2).mean(axis=1) / local_spacings(middle)
        return tilt_error(tilts(back), landmarks), float(off.mean())
