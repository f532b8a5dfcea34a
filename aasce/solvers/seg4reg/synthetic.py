"""Masks drawn from landmarks and spoilt until they look like predicted ones.

A departure from the paper, whose regressor sees predicted masks alone: a mask needs no film, so that any
number of curves can be drawn whose angles are exact.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.targets.mask import encode_mask
from aasce.types import Array, as_float

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]


def shake_vertebrae(landmarks: Array, rng: np.random.Generator) -> Floats:
    """Each vertebra turned (by about 1.5 degrees), scaled (5 %) and moved (3 % of its height) by itself.

    Args:
        landmarks: (V, 4, 2) px.
        rng: source of chance.
    """
    points = as_float(landmarks)
    centres = points.mean(axis=1, keepdims=True)
    count = len(points)
    turn = np.radians(rng.normal(0, 1.5, count))
    scale = np.exp(rng.normal(0, 0.05, count))
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)
    height = np.linalg.norm(points[:, 2:].mean(axis=1) - points[:, :2].mean(axis=1), axis=1)
    moved = rng.normal(0, 0.03, (count, 1, 2)) * height[:, None, None]
    turned = np.einsum("vij,vkj->vki", rotation * scale[:, None, None], points - centres)
    return np.asarray(turned + centres + moved, np.float64)


def draw_mask(landmarks: Array, size: tuple[int, int], rng: np.random.Generator) -> Floats32:
    """(h, w, 2) shares of vertebra and gap; now and then with the neighbours that no label knows (C7, S1)."""
    points = as_float(landmarks)
    if rng.random() < 0.25:
        points = np.concatenate([2 * points[:1] - points[1:2], points])
    if rng.random() < 0.25:
        points = np.concatenate([points, 2 * points[-1:] - points[-2:-1]])
    return np.ascontiguousarray(encode_mask(points, size, oversample=3)[1:].transpose(1, 2, 0))


def spoil_mask(mask: Floats32, landmarks: Array, strength: float, rng: np.random.Generator) -> Floats32:
    """Blur, pale vertebrae, blotches and another sharpness, as a segmenter's doubt draws them.

    Args:
        mask: (h, w, 2) in [0, 1].
        landmarks: (V, 4, 2) px of the mask, to know where vertebrae are.
        strength: 1 for drawn masks, less for predicted ones, which have doubt of their own.
        rng: source of chance.
    """
    height, width = mask.shape[:2]
    blurred = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.3, 0.4 + 0.9 * strength)))
    doubt = np.ones((height, width), np.float32)
    points = as_float(landmarks)
    for vertebra in points[rng.random(len(points)) < 0.08 * strength]:
        x, y = vertebra.mean(axis=0)
        radius = 0.5 * float(np.linalg.norm(vertebra[1] - vertebra[2]))
        centre = (round(float(x + rng.normal(0, radius / 2))), round(float(y + rng.normal(0, radius / 2))))
        reach = max(1, round(radius * rng.uniform(0.5, 1.2)))
        cv2.circle(doubt, centre, reach, (float(rng.uniform(0, 0.8)),), -1)
    doubt = np.asarray(cv2.GaussianBlur(doubt, (0, 0), 2.0), np.float32)
    coarse = rng.normal(0, 0.25 * strength, (max(2, height // 16), max(2, width // 16))).astype(np.float32)
    doubt = doubt * np.exp(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    contrast = float(np.exp(rng.normal(0, 0.3 * strength)))
    faded = np.clip(blurred * doubt[..., None], 0, 1)
    sure, unsure = faded**contrast, (1 - faded) ** contrast  # sharper or softer, 0 and 1 stay
    return np.asarray(sure / (sure + unsure), np.float32)
