"""A second network that reads what a first one found: its input channels, its samples, its training task.

Where two networks are trained one after the other, the input of the second has several channels: the film, where it is
wanted, and the maps that the first network predicts of it, joined along the last axis of one uint8 array (h, w, C).
The first network reads each training film once, in a few augmented variants; what it predicts is kept as samples and
augmented like films, so that training the second network costs no pass of the first.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from aasce.preprocess.augment import intensity_pipeline, mirror_landmarks, reseed
from aasce.preprocess.crop import View, letterbox, similarity
from aasce.preprocess.intensity import Bytes
from aasce.solvers.shared.corruption import ChannelAugmenter
from aasce.solvers.shared.film_task import Batch, FilmTask, angle_scores
from aasce.solvers.shared.readout import Readout
from aasce.solvers.shared.samples import Drawn, Floats, Sample, SampleSplit, Warper
from aasce.types import Array

BULK = 8
"""Canvases that a network reads at once where there are many."""


def join_channels(canvas: Bytes | None, maps: Sequence[Array], size: tuple[int, int]) -> Bytes:
    """Input of a second network.

    Args:
        canvas: (H, W) uint8, what the first network read; None leaves the film out.
        maps: (h', w') probabilities of the same aspect.
        size: (h, w) of the second network's canvas.

    Returns:
        (h, w, C) uint8: the film, where it is wanted, then the maps.
    """
    to = (size[1], size[0])
    channels = []
    if canvas is not None:
        channels.append(
            np.asarray(cv2.resize(np.ascontiguousarray(canvas), to, interpolation=cv2.INTER_AREA))
        )
    for probability in maps:
        part = np.ascontiguousarray(probability * 255, dtype=np.float32)
        resized = part if part.shape == size else cv2.resize(part, to, interpolation=cv2.INTER_LINEAR)
        channels.append(np.clip(np.round(np.asarray(resized)), 0, 255).astype(np.uint8))
    return np.stack(channels, axis=-1)


def channels_tensor(channels: Tensor, film: bool) -> Tensor:
    """(B, h, w, C) uint8 channels to a (B, C, h, w) float32 tensor, the film standardised, maps in [-1, 1].

    Args:
        channels: see `join_channels`.
        film: whether the first one is the film.
    """
    x = channels.float()
    standard, maps = (x - 127.5) / 64.0, x / 127.5 - 1.0
    x = torch.cat([standard[..., :1], maps[..., 1:]], dim=-1) if film else maps
    return x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def read_channels(net: nn.Module, channels: Bytes, film: bool) -> Readout:
    """Output of a second network for (B, h, w, C) uint8 channels, in batches of `BULK`.

    Args:
        net: its input is that of `channels_tensor`.
        channels: see `join_channels`.
        film: whether the first one is the film.
    """
    device = next(net.parameters()).device
    found = []
    for start in range(0, len(channels), BULK):
        part = torch.from_numpy(channels[start : start + BULK]).to(device)
        found.append(Readout.of(net(channels_tensor(part, film))))
    return Readout.joined(found)


def predicted_samples(
    predict: Callable[[Bytes], Sequence[Bytes]],
    films: list[Sample],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    variants: int,
    intensity: float,
    seed: int,
) -> list[Sample]:
    """Samples whose pixels are what a first network predicts of films.

    The first variant shows the film as it is; the others have other grey values, are smaller and shifted, and every
    second one is mirrored.

    Args:
        predict: (B, H, W) canvases to the channels (h, w, C) of each.
        films: what is read.
        sizes: (H, W) of the first network's canvas and (h, w) of the channels, of the same aspect.
        variants: samples of each film.
        intensity: strength of the grey-value pipeline.
        seed: of the run.

    Returns:
        `variants` samples of the first film, then those of the second, and so on.
    """
    rng = np.random.default_rng((seed, 2))
    pipeline = intensity_pipeline(intensity)
    found: list[Sample] = []
    for start in range(0, len(films) * variants, BULK):
        shown = []
        for number in range(start, min(start + BULK, len(films) * variants)):
            film, variant = films[number // variants], number % variants
            canvas, view = _variant_canvas(film, variant, sizes[0], rng)
            if variant:
                reseed(pipeline, rng)
                canvas = np.asarray(pipeline(image=canvas)["image"])
            shown.append((film, variant, view, canvas))
        predicted = predict(np.stack([canvas for *_, canvas in shown]))
        found += [_predicted(*of[:3], pixels) for of, pixels in zip(shown, predicted, strict=True)]
    return found


def _variant_canvas(
    sample: Sample, variant: int, size: tuple[int, int], rng: np.random.Generator
) -> tuple[Bytes, View]:
    """Canvas of a film, and the view of the px of the (mirrored) sample on it."""
    pixels = sample.pixels[..., 0]
    if variant % 2:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    view = letterbox(sample.size, size)
    if variant:
        middle = np.array([(sample.size[1] - 1) / 2, (sample.size[0] - 1) / 2])
        scale = float(rng.uniform(0.9, 1.0))
        room = (1 - scale) / 2 * np.array([size[1], size[0]])
        target = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2]) + rng.uniform(-1, 1, 2) * room
        view = similarity(middle, view.scale * scale, 0.0, size, target)
    return np.asarray(view.render(pixels), np.uint8), view


def _predicted(sample: Sample, variant: int, view: View, channels: Bytes) -> Sample:
    """The sample of a variant, its landmarks moved to the px of the channels."""
    size = (channels.shape[0], channels.shape[1])
    landmarks = mirror_landmarks(sample.landmarks, sample.size[1]) if variant % 2 else sample.landmarks
    reduce = View.identity(view.size).scaled(size[0] / view.size[0], size)
    # Mirrored columns are not mirrored back: no angle and no height depends on them.
    film = sample.view.then(view).then(reduce)
    return replace(sample, pixels=channels, landmarks=reduce.apply(view.apply(landmarks)), view=film)


class CascadeTask(FilmTask):
    """Training of a second network on `predicted_samples`.

    Args:
        split: `variants` samples of each training film and one of each validation film, see `predicted_samples`.
        warper: moves them.
        augmenter: changes their grey values and maps.
        variants: samples of each training film.
        batch, stream, repeats: see `FilmTask`.
    """

    def __init__(
        self,
        split: SampleSplit,
        warper: Warper,
        augmenter: ChannelAugmenter,
        variants: int,
        batch: int,
        stream: tuple[int, ...],
        repeats: int = 1,
    ) -> None:
        super().__init__(len(split.train) // variants, batch, stream, repeats)
        self.split, self.warper, self.augmenter, self.variants = split, warper, augmenter, variants

    def draw_batch(self, chosen: Sequence[int], rng: np.random.Generator) -> Batch:
        """Channels (B, h, w, C) uint8, and the targets."""
        drawn = [self.draw(index, rng) for index in chosen]
        return {"channels": torch.from_numpy(np.stack([d.image for d in drawn])), **self.targets(drawn)}

    def draw(self, film: int, rng: np.random.Generator) -> Drawn:
        """One of the variants of a film, augmented."""
        drawn = self.warped(film, rng)
        return drawn._replace(image=self.augmenter.change(drawn.image, drawn.landmarks, rng))

    def warped(self, film: int, rng: np.random.Generator) -> Drawn:
        """One of the variants of a film, moved."""
        variant = int(rng.integers(self.variants))
        return self.warper.draw(self.split.train[film * self.variants + variant], rng)

    @abstractmethod
    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """What the network is taught about each sample of a batch."""

    @abstractmethod
    def angles(self, module: Any, samples: Sequence[Sample]) -> Floats:
        """(N, 3) degrees that the network predicts of samples without augmentation.

        Args:
            module: the network with its losses.
            samples: N, at least one.
        """

    def validate(self, module: nn.Module) -> dict[str, float]:
        """SMAPE of the validation films, as "score", and the mean error of each angle; {} without any."""
        samples = self.split.validation
        if not samples:
            return {}
        return angle_scores(self.angles(module, samples), np.stack([sample.angles for sample in samples]))
