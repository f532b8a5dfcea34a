"""Grey values of films as they are read: luminance, stretch to 16 bit, a range that outliers do not set."""

from __future__ import annotations

import cv2
import numpy as np

from aasce.types import Array

_SAMPLE = 250_000  # pixels; enough for a percentile
_RARE = 0.05  # share of a film that hot pixels and burned-in letters cover at most
_REACH = 0.5  # of the range between the 1st and the 99th percentile: what lies farther off is an outlier


def grey(colour: Array) -> Array:
    """(H, W, 3) RGB to (H, W) luminance of the same type."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_RGB2GRAY))


def stretched(values: Array, bounds: tuple[float, float] | None = None) -> Array:
    """Any numbers to uint16; constant and not finite ones become 0.

    Args:
        values: of any shape and type.
        bounds: the numbers that become 0 and 65535, what lies beyond them too; None for the least and the greatest.
    """
    finite = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = bounds or (float(finite.min()), float(finite.max()))
    if high <= low:
        return np.zeros(finite.shape, dtype=np.uint16)
    np.clip(finite, low, high, out=finite)
    finite -= low
    finite *= 65535.0 / (high - low)
    return np.asarray(np.rint(finite, out=finite), dtype=np.uint16)


def robust_range(values: Array, exposed: Array | None = None) -> tuple[float, float]:
    """The range of a film's values without outliers: least and greatest where none lies far off.

    Hot pixels and letters stand at the greatest number the type holds, ten times as high as bone; stretched to them,
    bone is dark. Values at either end that cover under 5 % of the film, and those farther beyond the 1st to 99th
    percentile than half their distance, set no end.

    Args:
        values: (H, W), finite.
        exposed: (H, W) bool, the pixels that count; None for all.
    """
    chosen = values if exposed is None or not exposed.any() else values[exposed]
    low, high = float(chosen.min()), float(chosen.max())
    sample = chosen.ravel()[:: max(1, chosen.size // _SAMPLE)].astype(np.float64)
    for end in (low, high):
        rest = sample[sample != end]
        sample = rest if len(rest) > (1 - _RARE) * len(sample) else sample
    near, far = np.percentile(sample, [1, 99])
    reach = _REACH * (far - near)
    if reach <= 0:
        return low, high
    inner = sample[(sample >= near - reach) & (sample <= far + reach)]
    bottom, top = np.percentile(inner, [0.2, 99.8])
    return (low if low >= near - reach else float(bottom)), (high if high <= far + reach else float(top))


def is_colourful(colour: Array) -> bool:
    """True for an image whose hue differs at one and the same brightness, as a photograph's does.

    A tinted or sepia radiograph has one hue a brightness and passes; so do coloured marks drawn on a film,
    which cover less than the 8 % of it that count.

    Args:
        colour: (H, W, 3) RGB, uint8 or uint16.
    """
    step = max(1, max(colour.shape[:2]) // 256)
    scale = 257.0 if colour.dtype == np.uint16 else 1.0
    rgb = colour[::step, ::step].reshape(-1, 3).astype(np.float64) / scale
    # Opponent colours of Hasler and Suesstrunk, "Measuring colourfulness in natural images", 2003.
    chroma = np.stack([rgb[:, 0] - rgb[:, 1], (rgb[:, 0] + rgb[:, 1]) / 2 - rgb[:, 2]], axis=1)
    level = (rgb.mean(axis=1) // 16).astype(int)
    for step_of_grey in np.unique(level):
        chosen = level == step_of_grey
        chroma[chosen] -= np.median(chroma[chosen], axis=0)
    return bool((np.hypot(chroma[:, 0], chroma[:, 1]) > 16.0).mean() > 0.08)
