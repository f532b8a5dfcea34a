"""Training of `centerline`: losses, targets and validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.geometry.cobb import tilt_error
from aasce.geometry.correction import Correction
from aasce.preprocess.crop import crop_view
from aasce.solvers.centerline.inference import curve_angles, sample_tangents
from aasce.solvers.centerline.network import Cascade
from aasce.solvers.centerline.settings import CenterlineConfig
from aasce.solvers.shared.canvas_task import LOST, TiltTask
from aasce.solvers.shared.film_task import Batch
from aasce.solvers.shared.masks import as_bytes
from aasce.solvers.shared.samples import Drawn, FilmSampler, Floats, Sample, SampleSplit
from aasce.targets.curves import encode_centerline, encode_spine, row_tilts
from aasce.targets.mask import Shares


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
    """Rows of the map above and below a row between which its slope is taken."""
    return max(1, round(config.target.reach * config.size[0] / config.network.stride))


def row_slopes(line: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Tilt of a line in each row, from its middles in the rows above and below.

    Args:
        line: (B, h, w) in [0, 1].
        reach: number of rows above and below.

    Returns:
        (B, h - 2 reach) degrees, and the width of the line in px, the smaller one of the two rows.
    """
    weight = line**2  # small values over a whole row must not outweigh a thin line
    total = weight.sum(dim=-1)
    column = torch.arange(line.shape[-1], device=line.device, dtype=line.dtype)
    middle = (weight * column).sum(dim=-1) / total.clamp(min=1e-3)
    rise = middle[:, 2 * reach :] - middle[:, : -2 * reach]
    held = torch.minimum(total[:, 2 * reach :], total[:, : -2 * reach]).detach()
    return torch.rad2deg(torch.atan(-rise / (2 * reach))), held


def slope_loss(line: Tensor, tilts: Tensor, reach: int) -> Tensor:
    """Smooth L1 (in tens of degrees) of the slopes, in rows with a line and vertebrae.

    Args:
        line: (B, h, w) in [0, 1].
        tilts: (B, h) degrees, NaN above and below the spine.
        reach: see `row_slopes`.
    """
    found, held = row_slopes(line, reach)
    wanted = tilts[:, reach:-reach]
    known = (wanted.isfinite() & (held > 0.5)).to(line.dtype)
    off = F.smooth_l1_loss(found, wanted.nan_to_num(), beta=2.0, reduction="none") / 10
    return (off * known).sum() / known.sum().clamp(min=1.0)


class CenterlineTask(TiltTask):
    """`trainer.Task` of one cascade.

    Args:
        config: of the solver.
        net: the cascade.
        split: its films.
        member: its number, by which its draws differ from those of the others.
    """

    def __init__(self, config: CenterlineConfig, net: Cascade, split: SampleSplit, member: int) -> None:
        sampler = FilmSampler(config.size, config.augment)
        super().__init__(split, sampler, config.batch, (config.seed, 7, member))
        self.config = config
        self.module = CenterlineLoss(net, config)
        self.plain = Correction.plain(config.curve.levels)

    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """See `line_targets`."""
        return line_targets([d.landmarks for d in drawn], self.config)

    def measured(self, net: Cascade, film: Sample) -> tuple[Floats, float]:
        """(3,) degrees, and the mean error of the tilts in degrees."""
        found, curve = sample_tangents(net, film, self.config)
        if found is None:
            return np.zeros(3), LOST
        points = film.view.undo(curve)
        angles = curve_angles(points, found.tilts, film.height, self.plain, self.config.curve)
        return angles, tilt_error(self.plain.apply(found.tilts), film.landmarks)


def trimmed_rows(top: float, bottom: float, trim: float, rows: int) -> tuple[int, int]:
    """First row, and the row after the last one, of a trimmed film.

    Args:
        top, bottom: px, rows of the spine's ends.
        trim: share of the spine's height that is kept above and below.
        rows: of the film.
    """
    edge = trim * (bottom - top)
    first = max(0, int(np.floor(top - edge)))
    return first, max(first + 1, min(rows, int(np.ceil(bottom + edge)) + 1))


def trimmed(sample: Sample, trim: float) -> Sample:
    """A film cut above T1 and below L5; its height stays that of the film, on which angles are measured.

    Args:
        sample: the film.
        trim: share of the spine's height that is kept above and below.
    """
    y = sample.landmarks[..., 1]
    first, last = trimmed_rows(float(y.min()), float(y.max()), trim, sample.size[0])
    crop = crop_view((0, first, sample.size[1], last))
    pixels = np.ascontiguousarray(sample.pixels[first:last])
    return replace(sample, pixels=pixels, landmarks=crop.apply(sample.landmarks), view=sample.view.then(crop))


def line_targets(landmarks: Sequence[Floats], config: CenterlineConfig) -> Batch:
    """What `CenterlineLoss` takes beside the images.

    Args:
        landmarks: of each film of a batch, (17, 4, 2) px of the canvas.
        config: of the solver.
    """
    stride = config.network.stride
    size = (config.size[0] // stride, config.size[1] // stride)
    points = [(p + 0.5) / stride - 0.5 for p in landmarks]
    width = config.target.width * size[0]
    batch = {
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
