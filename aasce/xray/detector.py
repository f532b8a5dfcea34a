"""From the primary beam to the detector's signal: scatter, blur, grid, joined exposures, quantum noise."""

from __future__ import annotations

import cv2
import numpy as np

from aasce.types import Array
from aasce.xray.appearance import Exposure

_COARSE = 8  # px: scatter is smooth, so it is computed on a grid this much coarser
_BODY = 0.8  # relative intensity below which a pixel counts as behind the body
_THICK = 4.0  # -ln of the intensity behind the thickest part of most bodies
_READOUT = 3.0  # electronic noise, in quanta per pixel


def body_mask(intensity: Array) -> Array:
    """(H, W) bool: pixels behind the body; all pixels where there is no body in the beam."""
    body = intensity < _BODY
    return body if body.mean() > 0.01 else np.ones_like(body)


def count(
    intensity: Array,
    body: Array,
    exposure: Exposure,
    lead: Array | None,
    rng: np.random.Generator,
    pitch: float,
) -> Array:
    """The detector's signal, relative to the open beam.

    Args:
        intensity: (H, W) float32 primary intensity relative to the open beam.
        body: (H, W) bool, see `body_mask`.
        exposure: the settings.
        lead: (H, W) ln attenuation by lead markers; None without any.
        rng: source of the clutter and the noise.
        pitch: mm per pixel.

    Returns:
        (H, W) float32, positive.
    """
    primary = np.maximum(intensity, 1e-6).astype(np.float32)
    signal = primary * np.exp(-_clutter(primary, exposure, rng, pitch))
    if lead is not None:
        signal *= np.exp(-lead)
    signal = _blurred(signal, exposure, pitch) + _scattered(signal, body, exposure, pitch)
    signal *= _exposed(signal.shape, exposure)
    return _noisy(signal, body, exposure, rng, pitch)


def _clutter(primary: Array, exposure: Exposure, rng: np.random.Generator, pitch: float) -> Array:
    """(H, W) ln attenuation: a sum of octaves of smooth noise, the stronger the thicker the body."""
    height, width = primary.shape
    total = np.zeros((height, width), np.float32)
    weights = 0.0
    for octave in range(7):
        cell = 1.2 * 2**octave / pitch  # px
        if cell < 1.5:
            continue
        small = rng.standard_normal((int(height / cell) + 3, int(width / cell) + 3), dtype=np.float32)
        weight = (2.0**octave) ** exposure.clutter_slope
        total += weight * cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        weights += weight**2
    thickness = np.clip(cv2.log(primary) * (-1 / _THICK), 0, 1)
    # Cubic interpolation reduces the noise's standard deviation to about 0.6.
    return np.asarray(total * thickness * (exposure.clutter / (0.6 * np.sqrt(max(weights, 1e-9)))))


def _blurred(signal: Array, exposure: Exposure, pitch: float) -> Array:
    across = exposure.focus_mm / pitch
    along = float(np.hypot(exposure.focus_mm, exposure.motion_mm)) / pitch
    if along < 0.15:
        return signal
    return np.asarray(
        cv2.GaussianBlur(signal, (0, 0), max(across, 0.1), sigmaY=along, borderType=cv2.BORDER_REFLECT)
    )


def _scattered(signal: Array, body: Array, exposure: Exposure, pitch: float) -> Array:
    """Scatter by convolution of the forward-scatter potential -p ln p (Ohnesorge et al., Eur Radiol 9:563, 1999)."""
    if exposure.scatter <= 0:
        return np.zeros_like(signal)
    height, width = signal.shape
    size = (max(width // _COARSE, 1), max(height // _COARSE, 1))
    small = cv2.resize(np.clip(signal, 1e-6, 1), size, interpolation=cv2.INTER_AREA)
    spread = exposure.scatter_mm / (pitch * _COARSE)
    potential = cv2.GaussianBlur(
        -small * np.log(small), (0, 0), max(spread, 0.1), borderType=cv2.BORDER_REPLICATE
    )
    inside = cv2.resize(body.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    inside = inside if inside.any() else np.ones_like(inside)
    middle = float(np.median(potential[inside] / small[inside]))
    scale = exposure.scatter / middle if middle > 0 else 0.0
    return np.asarray(
        cv2.resize(potential * np.float32(scale), (width, height), interpolation=cv2.INTER_LINEAR)
    )


def _exposed(shape: tuple[int, ...], exposure: Exposure) -> Array:
    """(H, W) exposure relative to the film's middle: wedge filter, heel effect, grid, joined exposures."""
    height, width = shape
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    above = 1 / (1 + np.exp(np.clip((y - exposure.wedge_at) / exposure.wedge_width, -30, 30)))
    along = -exposure.wedge * above - exposure.heel * (y - 0.5)
    for seam in exposure.seams:
        along += seam.step / (1 + np.exp(np.clip((seam.at - y) / (seam.width / 4), -30, 30)))
        along += seam.line * np.exp(-(((y - seam.at) / (seam.width / 2)) ** 2))
    relative = np.exp(along) * np.exp(-exposure.cutoff * x * x - exposure.tilt * x / 2)
    if exposure.grid > 0:
        angle = np.radians(exposure.grid_degrees)
        # cos(a + b) from cosines of columns and of rows: far fewer than one per pixel.
        a = 2 * np.pi / exposure.grid_px * np.cos(angle) * np.arange(width)[None]
        b = 2 * np.pi / exposure.grid_px * np.sin(angle) * np.arange(height)[:, None]
        lines = np.cos(a) * np.cos(b) - np.sin(a) * np.sin(b)
        relative = relative * (1 + exposure.grid * lines)
    return np.asarray(relative, dtype=np.float32)


def _noisy(signal: Array, body: Array, exposure: Exposure, rng: np.random.Generator, pitch: float) -> Array:
    """Adds quantum noise; as in automatic exposure, the body's median is `quanta` per mm2."""
    middle = float(np.median(signal[::4, ::4][body[::4, ::4]])) if body[::4, ::4].any() else 1.0
    per_unit = exposure.quanta * pitch**2 / max(middle, 1e-6)  # quanta per pixel where the signal is 1
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    counted = signal + noise * cv2.sqrt(
        signal / np.float32(per_unit) + np.float32((_READOUT / per_unit) ** 2)
    )
    # Keeps the signal positive, as its logarithm follows: pixels with almost no quanta become white.
    return np.asarray(np.maximum(counted, np.maximum(0.05 * signal, np.float32(0.5 / per_unit))))
