"""Image processing by the console: multi-scale processing of the signal's logarithm, windowing to grey values."""

from __future__ import annotations

import cv2
import numpy as np

from aasce.types import Array
from aasce.xray.appearance import Processing, Window

_LEVELS = 8  # of the pyramid
_CONTRAST = 0.3  # contrast, as a natural logarithm, that `power` does not change
_FAINTEST = 0.025  # contrast below this counts as noise and is not raised further
_CURVE = 4096  # steps of the tabulated grey curve
_CURVE_END = 1.75  # times the window, where that curve ends


def enhance(image: Array, settings: Processing, pitch: float) -> Array:
    """Multi-scale processing by a Laplacian pyramid.

    Args:
        image: (H, W) float32, -ln of the signal.
        settings: gains and scales.
        pitch: mm per pixel.
    """
    if settings.equalise == 0 and settings.detail == 0 and settings.power == 1:
        return _sharpened(image, settings.sharpen)
    bands, rest = _pyramid(image)
    rest = rest * np.float32(1 - settings.equalise)
    for k in reversed(range(len(bands))):
        scale = pitch * 2.0**k
        size = (bands[k].shape[1], bands[k].shape[0])
        rest = cv2.pyrUp(rest, dstsize=size) + _lifted(bands[k], _gain(settings, scale), settings.power)
    return _sharpened(rest, settings.sharpen)


def _pyramid(image: Array) -> tuple[list[Array], Array]:
    bands, current = [], image
    for _ in range(_LEVELS):
        if min(current.shape) < 8:
            break
        smaller = cv2.pyrDown(current)
        bands.append(current - cv2.pyrUp(smaller, dstsize=(current.shape[1], current.shape[0])))
        current = smaller
    return bands, current


def _gain(settings: Processing, scale: float) -> float:
    """Gain of structures of `scale` mm; for the coarsest it falls to 1 - equalise."""
    detail = settings.detail * np.exp(-0.5 * (np.log2(scale / settings.detail_mm) / 1.3) ** 2)
    coarse = 1 / (1 + (settings.equalise_mm / scale) ** 2)
    return float((1 + detail) * (1 - settings.equalise * coarse))


def _lifted(band: Array, gain: float, power: float) -> Array:
    """Gain times |contrast|^power with its sign, limited for faint contrast so that noise is not raised."""
    if power == 1:
        return np.asarray(band * np.float32(gain))
    size = (cv2.multiply(band, band) + _FAINTEST**2) * (1 / _CONTRAST**2)
    return np.asarray(band * cv2.pow(size, (power - 1) / 2) * np.float32(gain))


def _sharpened(image: Array, amount: float) -> Array:
    if amount == 0:
        return image
    return np.asarray(cv2.addWeighted(image, 1 + amount, cv2.GaussianBlur(image, (0, 0), 1.2), -amount, 0))


def to_grey(image: Array, body: Array, window: Window) -> Array:
    """(H, W) float32 processed logarithm to (H, W) float32 grey values, 0 to 255, bone bright.

    The window's ends are quantiles of the body. A dark end below 0.02 is extrapolated: 0.02 - d stands for d times the
    window's width below the quantile of 0.02.
    """
    seen = image[::4, ::4][body[::4, ::4]]
    seen = seen if seen.size else image.ravel()
    low, high = (float(v) for v in np.quantile(seen, [max(window.dark, 0.02), window.bright]))
    if window.dark < 0.02:
        low += (window.dark - 0.02) * (high - low)
    share = (image - np.float32(low)) * np.float32(1 / max(high - low, 1e-3))
    step = np.clip(share * (_CURVE / 2 / _CURVE_END) + _CURVE / 2, 0, _CURVE - 1).astype(np.int32)
    return np.asarray(_curve(window)[step])


def _curve(window: Window) -> Array:
    """(4096,) grey values over -1.75 to 1.75 times the window."""
    x = (np.arange(_CURVE) - _CURVE / 2) * (2 * _CURVE_END / _CURVE)
    x = window.toe * np.logaddexp(0, x / window.toe) if window.toe > 0 else np.maximum(x, 0)
    y = x**window.gamma
    inner = np.minimum(y, 1)
    y = y + window.slope * (inner * inner * (3 - 2 * inner) - inner)
    return np.asarray(np.clip(window.floor + (window.ceiling - window.floor) * y, 0, 255), dtype=np.float32)


def equalised(grey: Array, settings: Processing) -> Array:
    """Blends in a contrast-limited adaptive histogram equalisation of the grey film."""
    if settings.clahe == 0:
        return grey
    eight = np.rint(grey).astype(np.uint8)
    lifted = cv2.createCLAHE(settings.clahe_limit, (4, 8)).apply(eight).astype(np.float32)
    return np.asarray(cv2.addWeighted(grey, 1 - settings.clahe, lifted, settings.clahe, 0))
