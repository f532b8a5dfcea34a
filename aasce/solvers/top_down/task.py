"""Training of `top_down`: the loss, targets and validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from aasce.geometry.cobb import tilt_error
from aasce.geometry.correction import Correction
from aasce.solvers.shared.canvas_task import LOST, TiltTask
from aasce.solvers.shared.film_task import Batch
from aasce.solvers.shared.masks import as_bytes
from aasce.solvers.shared.samples import Drawn, FilmSampler, Floats, Sample, SampleSplit
from aasce.solvers.top_down.inference import Rules, fit_spine, measure_spine, sample_scene, spine_maps
from aasce.solvers.top_down.network import RUNet
from aasce.solvers.top_down.settings import TopDownConfig
from aasce.targets.curves import encode_spine


class TopDownLoss(nn.Module):
    """The network with its loss: cross entropy over the softmax of both maps, against area shares."""

    def __init__(self, net: RUNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Loss of {"image" (B, 1, H, W), "spine" (B, H, W) uint8}."""
        logits = self.net(batch["image"].contiguous(memory_format=torch.channels_last)).float()
        spine = batch["spine"].float() / 255
        shares = torch.stack([1 - spine, spine], dim=1)
        entropy = -(shares * logits.log_softmax(dim=1)).sum(dim=1).mean()
        return {"loss": entropy}


class TopDownTask(TiltTask):
    """`trainer.Task` of the network."""

    def __init__(self, config: TopDownConfig, net: RUNet, split: SampleSplit) -> None:
        super().__init__(split, FilmSampler(config.size, config.augment), config.batch, (config.seed, 9))
        self.config = config
        self.module = TopDownLoss(net)
        self.rules = Rules(Correction.plain(config.spine_function.levels), 0.0)

    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """Area shares of the spine, "spine" (B, H, W) uint8."""
        spines = [as_bytes(encode_spine(d.landmarks, self.config.size, oversample=2)) for d in drawn]
        return {"spine": torch.from_numpy(np.stack(spines))}

    def measured(self, net: RUNet, film: Sample) -> tuple[Floats, float]:
        """(3,) degrees, and the mean error of the tilts in degrees."""
        scene = sample_scene(film, self.config.size)
        fitted = fit_spine(spine_maps(net, scene.canvas).mean(axis=0), self.config.spine_function)
        if fitted is None:
            return np.zeros(3), LOST
        spine = measure_spine(scene, fitted, self.rules)
        return spine.degrees, tilt_error(spine.tilts, film.landmarks)
