"""A second network's samples: films and the maps that a first one made of them, stacked as pictures.

Where two networks are trained one after the other, the first reads each training film once, under a few looks;
what it found is kept and then augmented like any picture, so that the second costs no pass of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aasce.preprocess.augment import intensity_pipeline, mirror_landmarks, reseed
from aasce.preprocess.crop import View, letterbox, similarity
from aasce.preprocess.intensity import Bytes
from aasce.solvers.shared.samples import Sample
from aasce.types import Array, as_float

Floats32 = NDArray[np.float32]
BULK = 8
"""Canvases that a network reads at once where there are many."""


def stacked(canvas: Bytes | None, maps: Sequence[Array], size: tuple[int, int]) -> Bytes:
    """What a second network sees of a film, as bytes.

    Args:
        canvas: (H, W) uint8, what the first network saw; None leaves the film out.
        maps: (h', w') probabilities of the same aspect.
        size: (h, w) of the second network's canvas.

    Returns:
        (h, w, C) uint8: the film, where it is wanted, then the maps.
    """
    to = (size[1], size[0])
    parts = []
    if canvas is not None:
        parts.append(np.asarray(cv2.resize(np.ascontiguousarray(canvas), to, interpolation=cv2.INTER_AREA)))
    for probability in maps:
        part = np.ascontiguousarray(probability * 255, dtype=np.float32)
        resized = np.asarray(
            part if part.shape == size else cv2.resize(part, to, interpolation=cv2.INTER_LINEAR)
        )
        parts.append(np.clip(np.round(resized), 0, 255).astype(np.uint8))
    return np.stack(parts, axis=-1)


def stack_tensor(stacks: Tensor, film: bool) -> Tensor:
    """(B, h, w, C) uint8 stacks to a (B, C, h, w) float32 tensor, the film standardised, maps in [-1, 1].

    Args:
        stacks: what `stacked` made.
        film: whether their first channel is the film.
    """
    x = stacks.float()
    standard, maps = (x - 127.5) / 64.0, x / 127.5 - 1.0
    x = torch.cat([standard[..., :1], maps[..., 1:]], dim=-1) if film else maps
    return x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def seen_items(
    read: Callable[[Bytes], Sequence[Bytes]],
    films: list[Sample],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    variants: int,
    strength: float,
    seed: int,
) -> list[Sample]:
    """What a first network saw in films, as items; `variants` of each film, the first of the film as it is.

    The others show it through other grey values, smaller, shifted, and every second one mirrored.

    Args:
        read: (B, H, W) canvases to the stacks that the second network sees of them.
        films: what is read.
        sizes: (H, W) of the first network's canvas and (h, w) of the stacks, of one aspect.
        variants: of each film.
        strength: of the grey-value pipeline.
        seed: of the run.
    """
    rng = np.random.default_rng((seed, 2))
    intensity = intensity_pipeline(strength)
    found: list[Sample] = []
    for start in range(0, len(films) * variants, BULK):
        part = range(start, min(start + BULK, len(films) * variants))
        looks = []
        for number in part:
            item, variant = films[number // variants], number % variants
            canvas, view = _look(item, variant, sizes[0], rng)
            if variant:
                reseed(intensity, rng)
                canvas = np.asarray(intensity(image=canvas)["image"])
            looks.append((item, variant, canvas, view))
        stacks = read(np.stack([canvas for _, _, canvas, _ in looks]))
        found += [
            _item(item, variant, view, stack)
            for (item, variant, _, view), stack in zip(looks, stacks, strict=True)
        ]
    return found


def _look(item: Sample, variant: int, size: tuple[int, int], rng: np.random.Generator) -> tuple[Bytes, View]:
    """Canvas of a kept film, and the view of (mirrored) item px on it."""
    film = (item.pixels.shape[0], item.pixels.shape[1])
    pixels = item.pixels[..., 0]
    if variant % 2:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    view = letterbox(film, size)
    if variant:
        middle = np.array([(film[1] - 1) / 2, (film[0] - 1) / 2])
        scale = float(rng.uniform(0.9, 1.0))
        room = (1 - scale) / 2 * np.array([size[1], size[0]])
        target = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2]) + rng.uniform(-1, 1, 2) * room
        view = similarity(middle, view.scale * scale, 0.0, size, target)
    return np.asarray(view.render(pixels), np.uint8), view


def _item(item: Sample, variant: int, view: View, stack: Bytes) -> Sample:
    size = (stack.shape[0], stack.shape[1])
    ratio = size[0] / view.size[0]
    landmarks = item.landmarks
    if variant % 2:
        landmarks = mirror_landmarks(landmarks, item.pixels.shape[1])
    shrink = View(np.array([[ratio, 0, (ratio - 1) / 2], [0, ratio, (ratio - 1) / 2]]), size)
    # Columns of a mirrored film stand elsewhere, which no angle and no height depends on.
    film = item.view.then(view).then(shrink)
    return replace(item, pixels=stack, landmarks=shrink.apply(view.apply(landmarks)), view=film)


def corrupt_mask(mask: Floats32, landmarks: Array, strength: float, rng: np.random.Generator) -> Floats32:
    """Blur, pale vertebrae, blotches and another sharpness, as a segmenter unsure of itself draws them.

    Args:
        mask: (h, w, 2) in [0, 1].
        landmarks: (V, 4, 2) px of the mask, to know where vertebrae are.
        strength: 1 for drawn masks, less for predicted ones, which are unsure already.
        rng: source of chance.
    """
    height, width = mask.shape[:2]
    blurred = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.3, 0.4 + 0.9 * strength)))
    sureness = np.ones((height, width), np.float32)
    points = as_float(landmarks)
    for vertebra in points[rng.random(len(points)) < 0.08 * strength]:
        x, y = vertebra.mean(axis=0)
        radius = 0.5 * float(np.linalg.norm(vertebra[1] - vertebra[2]))
        centre = (round(float(x + rng.normal(0, radius / 2))), round(float(y + rng.normal(0, radius / 2))))
        reach = max(1, round(radius * rng.uniform(0.5, 1.2)))
        cv2.circle(sureness, centre, reach, (float(rng.uniform(0, 0.8)),), -1)
    sureness = np.asarray(cv2.GaussianBlur(sureness, (0, 0), 2.0), np.float32)
    coarse = rng.normal(0, 0.25 * strength, (max(2, height // 16), max(2, width // 16))).astype(np.float32)
    sureness = sureness * np.exp(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    contrast = float(np.exp(rng.normal(0, 0.3 * strength)))
    faded = np.clip(blurred * sureness[..., None], 0, 1)
    sure, unsure = faded**contrast, (1 - faded) ** contrast  # sharper or softer, 0 and 1 stay
    return np.asarray(sure / (sure + unsure), np.float32)


class Looks:
    """Changes stacks as films and segmenters differ: the film's grey values, and at times what the maps are sure of.

    Args:
        film: whether the first channel is the film. maps: how many channels the maps have.
        intensity: strength of the grey-value pipeline.
        share: of the stacks whose maps are corrupted. strength: see `corrupt_mask`.
    """

    def __init__(self, film: bool, maps: int, intensity: float, share: float, strength: float) -> None:
        self.film, self.maps, self.share, self.strength = film, maps, share, strength
        self.intensity = intensity_pipeline(intensity)

    def change(self, stack: Bytes, landmarks: Array, rng: np.random.Generator) -> Bytes:
        """Another (h, w, C) stack; landmarks (V, 4, 2) in its px, to know where vertebrae are."""
        changed = stack.copy()
        if self.film:
            reseed(self.intensity, rng)
            changed[..., 0] = self.intensity(image=np.ascontiguousarray(stack[..., 0]))["image"]
        if self.maps and rng.random() < self.share:
            seen = np.asarray(stack[..., -self.maps :], np.float32) / np.float32(255)
            changed[..., -self.maps :] = as_bytes(corrupt_mask(seen, landmarks, self.strength, rng))
        return changed


def as_bytes(shares: Array) -> Bytes:
    """Shares in [0, 1] as uint8."""
    return np.clip(np.round(shares * 255), 0, 255).astype(np.uint8)
