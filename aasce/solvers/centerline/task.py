"""Training of `centerline`: samples, losses, validation, and what the networks see in a canvas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.geometry.cobb import tilts
from aasce.geometry.correction import Correction
from aasce.preprocess.augment import intensity_pipeline, reseed
from aasce.preprocess.crop import View
from aasce.preprocess.intensity import Bytes
from aasce.solvers.centerline.curve import Reading, curve_angles, read_tangents, to_canvas
from aasce.solvers.centerline.network import Cascade, Members
from aasce.solvers.centerline.settings import CenterlineConfig
from aasce.solvers.shared.cascade import as_bytes
from aasce.solvers.shared.regressor import angle_scores, film_order
from aasce.solvers.shared.samples import Floats, Sample, Warper, canvas_of, to_input
from aasce.solvers.shared.trainer import native_bf16
from aasce.solvers.shared.tta import mirrored_back, with_mirror
from aasce.targets.curves import encode_centerline, encode_spine, row_tilts
from aasce.targets.mask import Shares

Batch = dict[str, Tensor]

LOST = 20.0
"""Degrees that a film without a curve counts with in the validation."""


class CenterlineLoss(nn.Module):
    """A cascade with its losses: squared error of both maps, and of the line's slope."""

    def __init__(self, net: Cascade, config: CenterlineConfig) -> None:
        super().__init__()
        self.net = net
        self.target = config.target
        self.reach = slope_reach(config)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of {"image" (B, 1, H, W), "spine", "line" (B, h, w) uint8, "tilts" (B, h) degrees or NaN}."""
        spine, line = self.net(batch["image"].contiguous(memory_format=torch.channels_last))
        found = line.float().sigmoid()
        squared = F.mse_loss(found, batch["line"].float() / 255)
        losses = {"loss": self.target.line * squared, "line": squared}
        if spine is not None:
            losses["spine"] = F.mse_loss(spine.float().sigmoid(), batch["spine"].float() / 255)
            losses["loss"] = losses["loss"] + losses["spine"]
        if self.target.slope > 0:
            losses["slope"] = slope_loss(found, batch["tilts"], self.reach)
            losses["loss"] = losses["loss"] + self.target.slope * losses["slope"]
        return losses


def slope_reach(config: CenterlineConfig) -> int:
    """Rows of the map to each side that a slope is taken over."""
    return max(1, round(config.target.reach * config.size[0] / config.network.stride))


def row_slopes(line: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Tilt of a line between the rows above and below, from its middle in every row.

    Args:
        line: (B, h, w) in [0, 1]. reach: rows above and below.

    Returns:
        (B, h - 2 reach) degrees, and how much of the line both rows hold, in px.
    """
    weight = line**2  # a faint haze over a whole row must not outweigh a thin line
    total = weight.sum(dim=-1)
    column = torch.arange(line.shape[-1], device=line.device, dtype=line.dtype)
    middle = (weight * column).sum(dim=-1) / total.clamp(min=1e-3)
    rise = middle[:, 2 * reach :] - middle[:, : -2 * reach]
    held = torch.minimum(total[:, 2 * reach :], total[:, : -2 * reach]).detach()
    return torch.rad2deg(torch.atan(-rise / (2 * reach))), held


def slope_loss(line: Tensor, tilts: Tensor, reach: int) -> Tensor:
    """Smooth L1 (in tens of degrees) of the slopes where both line and vertebrae are.

    Args:
        line: (B, h, w) in [0, 1]. tilts: (B, h) degrees, NaN off the spine. reach: see `row_slopes`.
    """
    found, held = row_slopes(line, reach)
    wanted = tilts[:, reach:-reach]
    known = (wanted.isfinite() & (held > 0.5)).to(line.dtype)
    off = F.smooth_l1_loss(found, wanted.nan_to_num(), beta=2.0, reduction="none") / 10
    return (off * known).sum() / known.sum().clamp(min=1.0)


class CenterlineTask:
    """`training.Task` of one cascade; `member` tells its draws from those of the others."""

    def __init__(
        self,
        config: CenterlineConfig,
        net: Cascade,
        train: list[Sample],
        validation: list[Sample],
        member: int,
    ) -> None:
        self.config, self.train, self.validation, self.member = config, train, validation, member
        self.module = CenterlineLoss(net, config)
        self.sampler = Sampler(config)

    def steps(self) -> int:
        return max(1, len(self.train) // self.config.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.config.seed, 7, self.member, epoch))
        for chosen in film_order(len(self.train), self.steps(), self.config.batch, rng):
            drawn = [self.sampler.draw(self.train[index], rng) for index in chosen]
            yield make_batch([d[0] for d in drawn], [d[1] for d in drawn], self.config)

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Mean error of the 17 tilts in degrees as "score": steadier over few films than SMAPE, also told."""
        if not self.validation:
            return {}
        assert isinstance(module, CenterlineLoss)
        off, found = [], []
        plain = Correction.plain(self.config.curve.levels)
        for item in self.validation:
            read, curve = read_item(module.net, item, self.config)
            if read is None:
                off.append(LOST)
                found.append(np.zeros(3))
                continue
            off.append(
                float(np.abs(plain.apply(read.tilts) - np.clip(tilts(item.landmarks), -80, 80)).mean())
            )
            found.append(
                curve_angles(item.view.undo(curve), read.tilts, item.height, plain, self.config.curve)
            )
        scores = angle_scores(np.stack(found), np.stack([item.angles for item in self.validation]))
        return {**scores, "smape": scores["score"], "score": float(np.mean(off))}


def trimmed_rows(top: float, bottom: float, trim: float, rows: int) -> tuple[int, int]:
    """First row and the row after the last of a spine and `trim` of its height around it, inside `rows`."""
    edge = trim * (bottom - top)
    first = max(0, int(np.floor(top - edge)))
    return first, max(first + 1, min(rows, int(np.ceil(bottom + edge)) + 1))


def trimmed(item: Sample, trim: float) -> Sample:
    """An item cut above T1 and below L5; its height stays that of the film, where angles are measured."""
    y = item.landmarks[..., 1]
    first, last = trimmed_rows(float(y.min()), float(y.max()), trim, item.pixels.shape[0])
    shift = np.array([0.0, float(first)])
    pixels = np.ascontiguousarray(item.pixels[first:last])
    matrix = item.view.matrix - np.column_stack([np.zeros((2, 2)), shift])
    view = View(matrix, (pixels.shape[0], pixels.shape[1]))
    return replace(item, pixels=pixels, landmarks=item.landmarks - shift, view=view)


class Sampler:
    """Draws augmented films with landmarks."""

    def __init__(self, config: CenterlineConfig) -> None:
        self.warper = Warper(config.size, config.augment, small=True)
        self.intensity = intensity_pipeline(config.augment.intensity)

    def draw(self, item: Sample, rng: np.random.Generator) -> tuple[Bytes, Floats]:
        """Canvas (H, W) uint8 and its landmarks (17, 4, 2) px."""
        canvas, landmarks, _ = self.warper.draw(item, rng)
        reseed(self.intensity, rng)
        return np.asarray(self.intensity(image=canvas[..., 0])["image"], np.uint8), landmarks


def make_batch(canvases: list[Bytes], landmarks: list[Floats], config: CenterlineConfig) -> Batch:
    """What `CenterlineLoss` takes, of canvases and their landmarks in canvas px."""
    stride = config.network.stride
    size = (config.size[0] // stride, config.size[1] // stride)
    points = [(p + 0.5) / stride - 0.5 for p in landmarks]
    width = config.target.width * size[0]
    batch = {
        "image": to_input(np.stack(canvases)),
        "line": _bytes([encode_centerline(p, size, width, config.target.tilt_cutoff) for p in points]),
        "tilts": torch.from_numpy(np.stack([_tilts(p, size[0]) for p in points])),
    }
    if config.network.cascade is not None:
        batch["spine"] = _bytes([encode_spine(p, size) for p in points])
    return batch


def _bytes(shares: list[Shares]) -> Tensor:
    return torch.from_numpy(as_bytes(np.stack(shares)))


def _tilts(landmarks: Floats, height: int) -> Shares:
    tilt, inside = row_tilts(landmarks, np.arange(height))
    return np.where(inside, tilt, np.nan).astype(np.float32)


@torch.inference_mode()
def see(net: Cascade | Members, canvas: Bytes, fast: bool = False) -> tuple[Shares, Shares]:
    """What a cascade, or the mean of several, says of an (H, W) canvas and of its mirror image.

    Args:
        fast: bfloat16 where the device computes it natively; for maps made in bulk, not for answers.

    Returns:
        (2, h, w) spine and (2, h, w) centreline probabilities, both in the frame of the canvas. A net without
        the cascade has no map of the spine; the line stands for it.
    """
    device = next(net.parameters()).device
    x = to_input(with_mirror(canvas)).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=fast and native_bf16(device.type)):
        spine, line = net.maps(x)
    found = [np.asarray(m.float().cpu().numpy(), np.float32) for m in (spine, line)]
    spines, lines = (mirrored_back(m) for m in found)
    return spines, lines


def half(share: Shares, canvas: tuple[int, int]) -> Shares:
    """A map as (H/2, W/2) of the canvas, whatever the stride of the networks."""
    size = (canvas[1] // 2, canvas[0] // 2)
    return np.asarray(cv2.resize(share, size, interpolation=cv2.INTER_AREA), np.float32)


def read_item(
    net: Cascade | Members, item: Sample, config: CenterlineConfig
) -> tuple[Reading | None, Floats]:
    """Tangents of a kept film as it is, and its curve (N, 2) item px."""
    size = (item.pixels.shape[0], item.pixels.shape[1])
    canvas, view = canvas_of(item.pixels[..., 0], (0, 0, size[1], size[0]), config.size, "none")
    read = read_tangents(see(net, canvas)[1].mean(axis=0), config)
    if read is None:
        return None, np.zeros((0, 2))
    return read, view.undo(to_canvas(read.curve, config.network.stride))
