"""Training of `top_down`: samples, the loss, validation, and what the network sees in a canvas."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from aasce.geometry.cobb import tilts
from aasce.geometry.correction import Correction
from aasce.preprocess.augment import intensity_pipeline, reseed
from aasce.solvers.shared.cascade import as_bytes
from aasce.solvers.shared.regressor import angle_scores, film_order
from aasce.solvers.shared.samples import Sample, Warper, to_input
from aasce.solvers.shared.trainer import native_bf16
from aasce.solvers.shared.tta import mirrored_back, with_mirror
from aasce.solvers.top_down.network import RUNet
from aasce.solvers.top_down.reading import Rules, measure_scene, read_spine, scene_of_item
from aasce.solvers.top_down.settings import TopDownConfig
from aasce.targets.curves import encode_spine
from aasce.targets.mask import Shares
from aasce.types import Array

Batch = dict[str, Tensor]

LOST = 20.0
"""Degrees that a film without a spine counts with in the validation."""


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


class TopDownTask:
    """`training.Task` of the network."""

    def __init__(
        self, config: TopDownConfig, net: RUNet, train: list[Sample], validation: list[Sample]
    ) -> None:
        self.config, self.train, self.validation = config, train, validation
        self.module = TopDownLoss(net)
        self.warper = Warper(config.size, config.augment, small=True)
        self.intensity = intensity_pipeline(config.augment.intensity)

    def steps(self) -> int:
        return max(1, len(self.train) // self.config.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.config.seed, 9, epoch))
        for chosen in film_order(len(self.train), self.steps(), self.config.batch, rng):
            yield self._batch(chosen, rng)

    def _batch(self, chosen: list[int], rng: np.random.Generator) -> Batch:
        images, spines = [], []
        for index in chosen:
            canvas, landmarks, _ = self.warper.draw(self.train[index], rng)
            reseed(self.intensity, rng)
            images.append(self.intensity(image=canvas[..., 0])["image"])
            spine = encode_spine(landmarks, self.config.size, oversample=2)
            spines.append(as_bytes(spine))
        return {"image": to_input(np.stack(images)), "spine": torch.from_numpy(np.stack(spines))}

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Mean error of the 17 tilts of the function in degrees as "score"; SMAPE and angles beside it."""
        if not self.validation:
            return {}
        assert isinstance(module, TopDownLoss)
        rules = Rules(Correction.plain(self.config.spine_function.levels), 0.0)
        off, found = [], []
        for item in self.validation:
            scene = scene_of_item(item, self.config.size)
            read = read_spine(see(module.net, scene.canvas).mean(axis=0), self.config.spine_function)
            if read is None:
                off.append(LOST)
                found.append(np.zeros(3))
                continue
            spine = measure_scene(scene, read, rules)
            off.append(float(np.abs(spine.tilts - np.clip(tilts(item.landmarks), -80, 80)).mean()))
            found.append(spine.degrees)
        scores = angle_scores(np.stack(found), np.stack([item.angles for item in self.validation]))
        return {**scores, "smape": scores["score"], "score": float(np.mean(off))}


@torch.inference_mode()
def see(net: RUNet, canvas: Array, fast: bool = False) -> Shares:
    """(2, H, W) probability of the spine in an (H, W) canvas and in its mirror image, in the canvas's frame.

    Args:
        fast: bfloat16 where the device computes it natively; for maps made in bulk, not for answers.
    """
    device = next(net.parameters()).device
    both = to_input(with_mirror(canvas)).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=fast and native_bf16(device.type)):
        logits = net(both)
    spine = np.asarray(logits.float().softmax(dim=1)[:, 1].cpu().numpy(), np.float32)
    return mirrored_back(spine)
