"""From transmitted intensity to a film: detector, console, borders, letters, storage. Bone is bright, 8 bit.

    appearance = draw_appearance(rng)
    pixels = develop(transmission(maps, spectrum), appearance, rng, camera.pitch)

The appearance is a record of plain numbers (`aasce.xray.appearance`), drawn independently of the body. No step here
moves a pixel: landmarks stay where the camera projected them.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from aasce.types import AasceError, Array
from aasce.xray import detector, marks, processing
from aasce.xray.appearance import FilmAppearance, Storage
from aasce.xray.styles import draw_appearance

__all__ = ["FilmAppearance", "develop", "draw_appearance"]


def develop(
    intensity: torch.Tensor | Array, appearance: FilmAppearance, rng: np.random.Generator, pitch: float
) -> NDArray[np.uint8]:
    """Makes a film of transmitted intensity.

    Args:
        intensity: (H, W) primary intensity relative to the open beam, 0 to 1.
        appearance: settings of detector, console and storage.
        rng: source of noise, texture and dust.
        pitch: mm per pixel.

    Returns:
        (H, W) uint8, bone bright.

    Raises:
        AasceError: the intensity is not (H, W) or not finite, or the pitch is not positive.
    """
    primary = _primary(intensity)
    if not pitch > 0:
        raise AasceError(f"pitch {pitch}: give mm per pixel of the film")
    body = detector.body_mask(primary)
    lead = marks.lead(appearance.marks, (primary.shape[0], primary.shape[1]), pitch)
    counts = detector.count(primary, body, appearance.exposure, lead, rng, pitch)
    image = processing.enhance(-cv2.log(counts), appearance.processing, pitch)
    grey = processing.to_grey(image, body, appearance.window)
    grey = processing.equalised(grey, appearance.processing)
    grey = marks.burn(marks.mask(grey, appearance.border), appearance.marks, pitch)
    return stored(grey, appearance.storage, rng)


def _primary(intensity: torch.Tensor | Array) -> Array:
    values = (
        intensity.detach().cpu().numpy() if isinstance(intensity, torch.Tensor) else np.asarray(intensity)
    )
    if values.ndim != 2 or min(values.shape) < 16:
        raise AasceError(
            f"intensity of shape {tuple(values.shape)}: give one film (H, W) of 16 px a side or more"
        )
    primary = np.ascontiguousarray(values, dtype=np.float32)
    if not np.isfinite(primary).all():
        raise AasceError(
            "intensity: not finite; check the meshes with check_mesh before the film is developed"
        )
    return primary


def stored(grey: Array, storage: Storage, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Scans, reduces and compresses a film.

    Args:
        grey: (H, W) float32, 0 to 255.
        storage: the settings.
        rng: source of stripes, grain and dust.

    Returns:
        (H, W) uint8.
    """
    height, width = grey.shape
    if storage.vignette > 0:
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] ** 2
        x = np.linspace(-1, 1, width, dtype=np.float32)[None] ** 2
        grey = grey * (1 - np.float32(storage.vignette) * (x + y) / 2)
    if storage.streaks > 0:
        grey = grey + rng.normal(0, storage.streaks, (1, width)).astype(np.float32)
    if storage.grain > 0:
        # Film grain forms clumps: white noise and noise twice as coarse in equal parts.
        fine = rng.standard_normal((height, width), dtype=np.float32)
        grain = 0.6 * fine + 1.6 * cv2.GaussianBlur(fine, (0, 0), 0.9)
        grey = grey + grain * np.float32(storage.grain)
    if storage.dust:
        grey = _dusty(grey, storage.dust, rng)
    if storage.scale < 1:
        size = (max(round(width * storage.scale), 16), max(round(height * storage.scale), 16))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    if storage.levels < 256:
        step = 255 / (storage.levels - 1)
        grey = np.rint(grey / step) * step
    film = _compressed(np.clip(np.rint(grey), 0, 255).astype(np.uint8), storage.jpeg)
    if film.shape != (height, width):
        film = np.asarray(cv2.resize(film, (width, height), interpolation=cv2.INTER_LINEAR))
    return film


def _compressed(film: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    if quality >= 100:
        return film
    _, data = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def _dusty(grey: Array, count: int, rng: np.random.Generator) -> Array:
    """Adds specks and hairs, all dark or all bright, one or two pixels thick."""
    height, width = grey.shape
    ink = np.zeros((height, width), np.uint8)
    for _ in range(count):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        if rng.random() < 0.7:
            cv2.circle(ink, (x, y), int(rng.random() < 0.3), 255, -1, cv2.LINE_AA)
            continue
        bends = np.cumsum(rng.normal(0, 3, (8, 2)), 0) + np.array([x, y])
        cv2.polylines(ink, [np.rint(bends).astype(np.int32)], False, 255, 1, cv2.LINE_AA)
    shade = np.float32(rng.uniform(15, 60) * (1 if rng.random() < 0.5 else -1))
    return np.asarray(grey + ink.astype(np.float32) * (shade / np.float32(255)))
