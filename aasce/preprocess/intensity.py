"""Grey values: conversion of films to 8 bit, histogram equalisation, standardisation for networks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.types import Array

Bytes = NDArray[np.uint8]

PALE = 64
"""An 8-bit film with fewer grey values between its two percentiles is windowed; the challenge's films have 80 or
more."""


def to_uint8(pixels: Array, low: float = 0.5, high: float = 99.8) -> Bytes:
    """8-bit film: films of 8 bit unchanged, those of 16 bit or very low contrast windowed between two percentiles.

    Args:
        pixels: (H, W) uint8 or uint16.
        low, high: percentiles of the film's grey values that become 0 and 255.
    """
    sample = pixels[:: max(1, pixels.shape[0] // 512), :: max(1, pixels.shape[1] // 512)]
    bottom, top = np.percentile(sample, [low, high])
    if pixels.dtype == np.uint8 and not 0 < top - bottom < PALE:
        return np.asarray(pixels, dtype=np.uint8)
    scaled = (pixels.astype(np.float32) - bottom) * (255.0 / max(float(top - bottom), 1.0))
    return np.asarray(np.clip(scaled, 0, 255), dtype=np.uint8)


def clahe(image: Bytes, clip: float = 2.0, tiles: int = 8) -> Bytes:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994) of an (H, W) uint8 film."""
    operator = cv2.createCLAHE(clipLimit=clip, tileGridSize=(tiles, tiles))
    return np.asarray(operator.apply(np.ascontiguousarray(image)), dtype=np.uint8)


def equalize(image: Bytes) -> Bytes:
    """Global histogram equalisation of an (H, W) uint8 film, as Seg4Reg does to both its domains."""
    return np.asarray(cv2.equalizeHist(np.ascontiguousarray(image)), dtype=np.uint8)


def standardize(image: Bytes) -> NDArray[np.float32]:
    """(H, W) float32 of mean about 0 and standard deviation about 1, by a fixed rule that does not depend on the
    batch."""
    return (image.astype(np.float32) - 127.5) / 64.0


def is_blank(pixels: Array) -> bool:
    """Whether a film of any depth shows one grey value (of 256) and nothing else."""
    shown = to_uint8(pixels)
    return int(shown.max()) - int(shown.min()) < 2
