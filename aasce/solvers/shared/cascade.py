"""A second network that reads what a first one found: its input channels, its samples, its training task.

Where two networks are trained one after the other, the input of the second has several channels: the film, where it is
wanted, and the maps that the first network predicts of it, joined along the last axis of one uint8 array (h, w, C).
The first network reads each training film once, in a few augmented variants; what it predicts is kept as samples and
augmented like films, so that training the second network costs no pass of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from aasce.solvers.shared.readout import Readout, sample_angles
from aasce.solvers.shared.row_head import angle_targets
from aasce.solvers.shared.samples import Drawn, Sample, SampleSplit, Warper
from aasce.types import Array

BULK = 8
"""Canvases that a network reads at once where there are many."""


@dataclass(frozen=True, slots=True)
class ChannelInput:
    """What a second network reads.

    Attributes:
        size: (h, w) of its canvas.
        film: whether the film is its first channel.
        maps: number of its other channels, the maps; 0 for none.
    """

    size: tuple[int, int]
    film: bool
    maps: int

    def channels(self, canvas: Bytes, maps: Sequence[Array]) -> Bytes:
        """The input (h, w, C) uint8.

        Args:
            canvas: (H, W) uint8, the input of the first network.
            maps: (h', w') probabilities of the same aspect, its output.
        """
        to, found = (self.size[1], self.size[0]), []
        if self.film:
            shown = np.ascontiguousarray(canvas)
            found.append(np.asarray(cv2.resize(shown, to, interpolation=cv2.INTER_AREA)))
        for probability in maps[: self.maps]:
            part = np.ascontiguousarray(probability * 255, dtype=np.float32)
            if part.shape != self.size:
                part = np.asarray(cv2.resize(part, to, interpolation=cv2.INTER_LINEAR))
            found.append(np.clip(np.round(part), 0, 255).astype(np.uint8))
        return np.stack(found, axis=-1)


@dataclass(frozen=True, slots=True)
class FirstNetwork:
    """The first network of a cascade, trained already.

    Attributes:
        maps: (B, H, W) uint8 canvases to the maps of each, (B, M, h', w').
        size: (H, W) of its canvas.
        corruption: strength of `corruption.corrupt_mask` for its maps.
    """

    maps: Callable[[Bytes], Array]
    size: tuple[int, int]
    corruption: float


def channels_tensor(channels: Tensor, film: bool) -> Tensor:
    """(B, h, w, C) uint8 channels to a (B, C, h, w) float32 tensor, the film standardised, maps in [-1, 1].

    Args:
        channels: see `ChannelInput`.
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
        channels: see `ChannelInput`.
        film: whether the first one is the film.
    """
    device = next(net.parameters()).device
    found = []
    for start in range(0, len(channels), BULK):
        part = torch.from_numpy(channels[start : start + BULK]).to(device)
        found.append(Readout.of(net(channels_tensor(part, film))))
    return Readout.joined(found)


def predicted_samples(
    first: FirstNetwork, films: list[Sample], shown: ChannelInput, variants: int, intensity: float, seed: int
) -> list[Sample]:
    """Samples whose pixels are the second network's input, made of films and what the first one predicts of them.

    The first variant shows the film as it is; the others have other grey values, are smaller and shifted, and every
    second one is mirrored.

    Args:
        first: the first network.
        films: what it reads.
        shown: what the second network reads.
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
        drawn = []
        for number in range(start, min(start + BULK, len(films) * variants)):
            film, variant = films[number // variants], number % variants
            canvas, view = _variant_canvas(film, variant, first.size, rng)
            if variant:
                reseed(pipeline, rng)
                canvas = np.asarray(pipeline(image=canvas)["image"])
            drawn.append((film, variant, view, canvas))
        predicted = first.maps(np.stack([canvas for *_, canvas in drawn]))
        for (film, variant, view, canvas), maps in zip(drawn, predicted, strict=True):
            found.append(_predicted(film, variant, view, shown.channels(canvas, maps)))
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
        films: training and validation films.
        first: the first network.
        shown: what the second network reads.
        config: of the solver; its `regression` are the settings of the second network.
        repeats: see `FilmTask`.
    """

    def __init__(
        self, films: SampleSplit, first: FirstNetwork, shown: ChannelInput, config: Any, repeats: int = 1
    ) -> None:
        self.settings = s = config.regression
        super().__init__(len(films.train), s.batch, (config.seed, 4), repeats)
        intensity, seed = config.augment.intensity, config.seed
        self.split = SampleSplit(
            predicted_samples(first, films.train, shown, s.variants, intensity, seed),
            predicted_samples(first, films.validation, shown, 1, intensity, seed),
        )
        self.warper = Warper(s.size, config.augment, small=False)
        self.augmenter = ChannelAugmenter(
            shown.film, shown.maps, intensity, s.input.corrupt, first.corruption
        )

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
        variant = int(rng.integers(self.settings.variants))
        return self.warper.draw(self.split.train[film * self.settings.variants + variant], rng)

    def targets(self, drawn: Sequence[Drawn]) -> Batch:
        """What the head is taught about each sample of a batch."""
        landmarks, angles = [d.landmarks for d in drawn], [d.angles for d in drawn]
        return angle_targets(landmarks, angles, self.settings.size, self.settings.head)

    def validate(self, module: Any) -> dict[str, float]:
        """SMAPE of the validation films, as "score", and the mean error of each angle; {} without any."""
        samples = self.split.validation
        if not samples:
            return {}
        found = read_channels(
            module.net, np.stack([sample.pixels for sample in samples]), self.augmenter.film
        )
        angles = sample_angles(found, samples, self.settings.head)
        return angle_scores(angles, np.stack([sample.angles for sample in samples]))
