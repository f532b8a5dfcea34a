"""Errors made on purpose in the maps that a second network learns from.

A network segments the films that it was trained on better than any new film. A second network trained on such maps
would trust them too much, so they are made worse in the way in which predictions of new films are worse.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.preprocess.augment import intensity_pipeline, reseed
from aasce.preprocess.intensity import Bytes
from aasce.solvers.shared.masks import as_bytes
from aasce.types import Array, as_float

Floats32 = NDArray[np.float32]


def corrupt_mask(mask: Floats32, landmarks: Array, strength: float, rng: np.random.Generator) -> Floats32:
    """Blurs a mask, makes single vertebrae and random areas fainter, and changes its contrast.

    Args:
        mask: (h, w, 2) in [0, 1].
        landmarks: (V, 4, 2) px of the mask, from which the places of vertebrae are known.
        strength: 1 for drawn masks, less for predicted ones, which have such errors already.
        rng: source of every draw.

    Returns:
        (h, w, 2) in [0, 1].
    """
    height, width = mask.shape[:2]
    blurred = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.3, 0.4 + 0.9 * strength)))
    share = _faint_vertebrae((height, width), landmarks, strength, rng)
    coarse = rng.normal(0, 0.25 * strength, (max(2, height // 16), max(2, width // 16))).astype(np.float32)
    share = share * np.exp(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    contrast = float(np.exp(rng.normal(0, 0.3 * strength)))
    faded = np.clip(blurred * share[..., None], 0, 1)
    inside, outside = faded**contrast, (1 - faded) ** contrast  # 0 and 1 stay
    return np.asarray(inside / (inside + outside), np.float32)


def _faint_vertebrae(
    size: tuple[int, int], landmarks: Array, strength: float, rng: np.random.Generator
) -> Floats32:
    """(h, w) share of the mask's values that is left: less on some vertebrae, drawn at random."""
    share = np.ones(size, np.float32)
    points = as_float(landmarks)
    for vertebra in points[rng.random(len(points)) < 0.08 * strength]:
        x, y = vertebra.mean(axis=0)
        radius = 0.5 * float(np.linalg.norm(vertebra[1] - vertebra[2]))
        centre = (round(float(x + rng.normal(0, radius / 2))), round(float(y + rng.normal(0, radius / 2))))
        reach = max(1, round(radius * rng.uniform(0.5, 1.2)))
        cv2.circle(share, centre, reach, (float(rng.uniform(0, 0.8)),), -1)
    return np.asarray(cv2.GaussianBlur(share, (0, 0), 2.0), np.float32)


class ChannelAugmenter:
    """Changes the input channels of a second network: grey values of the film, and errors in the maps at times.

    Args:
        film: whether the first channel is the film.
        maps: number of channels that are maps.
        intensity: strength of the grey-value pipeline.
        share: of the samples whose maps are corrupted.
        strength: see `corrupt_mask`.
    """

    def __init__(self, film: bool, maps: int, intensity: float, share: float, strength: float) -> None:
        self.film, self.maps, self.share, self.strength = film, maps, share, strength
        self.intensity = intensity_pipeline(intensity)

    def change(self, channels: Bytes, landmarks: Array, rng: np.random.Generator) -> Bytes:
        """Changed channels.

        Args:
            channels: (h, w, C), see `cascade.ChannelInput`.
            landmarks: (V, 4, 2) px of the channels.
            rng: source of every draw.
        """
        changed = channels.copy()
        if self.film:
            reseed(self.intensity, rng)
            changed[..., 0] = self.intensity(image=np.ascontiguousarray(channels[..., 0]))["image"]
        if self.maps and rng.random() < self.share:
            maps = np.asarray(channels[..., -self.maps :], np.float32) / np.float32(255)
            changed[..., -self.maps :] = as_bytes(corrupt_mask(maps, landmarks, self.strength, rng))
        return changed
