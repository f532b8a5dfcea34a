"""What a console makes of the logarithm of the counts: multi-scale processing, the window, grey."""

from __future__ import annotations

import cv2
import numpy as np

from aasce.types import Array
from aasce.xray.looks import Processing, Window

_LEVELS = 8  # of the pyramid
_CONTRAST = 0.3  # natural logarithms: contrast that `power` leaves as it is
_FAINTEST = 0.025  # contrast below this is taken for noise and lifted no further
_CURVE = 4096  # steps of the tabulated grey curve, which ends at 1.75 times the window
_CURVE_END = 1.75


def enhance(image: Array, look: Processing, pitch: float) -> Array:
    """Multi-scale processing by a Laplacian pyramid.

    Args:
        image: (H, W) float32, -log of the counts.
        look: gains and scales.
        pitch: mm per pixel.
    """
    if look.equalise == 0 and look.detail == 0 and look.power == 1:
        return _sharpened(image, look.sharpen)
    bands, rest = _pyramid(image)
    rest = rest * np.float32(1 - look.equalise)
    for k in reversed(range(len(bands))):
        scale = pitch * 2.0**k
        size = (bands[k].shape[1], bands[k].shape[0])
        rest = cv2.pyrUp(rest, dstsize=size) + _lifted(bands[k], _gain(look, scale), look.power)
    return _sharpened(rest, look.sharpen)


def _pyramid(image: Array) -> tuple[list[Array], Array]:
    bands, current = [], image
    for _ in range(_LEVELS):
        if min(current.shape) < 8:
            break
        smaller = cv2.pyrDown(current)
        bands.append(current - cv2.pyrUp(smaller, dstsize=(current.shape[1], current.shape[0])))
        current = smaller
    return bands, current


def _gain(look: Processing, scale: float) -> float:
    """Gain of the band of structures of `scale` mm; the large shadows' falls to 1 - equalise."""
    detail = look.detail * np.exp(-0.5 * (np.log2(scale / look.detail_mm) / 1.3) ** 2)
    coarse = 1 / (1 + (look.equalise_mm / scale) ** 2)
    return float((1 + detail) * (1 - look.equalise * coarse))


def _lifted(band: Array, gain: float, power: float) -> Array:
    """Gain times |contrast|^power with its sign, but noise at the bottom is not lifted without limit."""
    if power == 1:
        return np.asarray(band * np.float32(gain))
    size = (cv2.multiply(band, band) + _FAINTEST**2) * (1 / _CONTRAST**2)
    return np.asarray(band * cv2.pow(size, (power - 1) / 2) * np.float32(gain))


def _sharpened(image: Array, amount: float) -> Array:
    if amount == 0:
        return image
    return np.asarray(cv2.addWeighted(image, 1 + amount, cv2.GaussianBlur(image, (0, 0), 1.2), -amount, 0))


def to_grey(image: Array, body: Array, look: Window) -> Array:
    """(H, W) float32 processed logarithm to (H, W) float32 grey, 0 to 255, bone bright.

    Quantiles are those of the body; one below 0 lies as far below the darkest 2 % as its size says, in shares of the
    window.
    """
    seen = image[::4, ::4][body[::4, ::4]]
    seen = seen if seen.size else image.ravel()
    low, high = (float(v) for v in np.quantile(seen, [max(look.dark, 0.02), look.bright]))
    if look.dark < 0.02:
        low += (look.dark - 0.02) * (high - low)
    share = (image - np.float32(low)) * np.float32(1 / max(high - low, 1e-3))
    step = np.clip(share * (_CURVE / 2 / _CURVE_END) + _CURVE / 2, 0, _CURVE - 1).astype(np.int32)
    return np.asarray(_curve(look)[step])


def _curve(look: Window) -> Array:
    """(4096,) grey over shares of the window from -1.75 to 1.75."""
    x = (np.arange(_CURVE) - _CURVE / 2) * (2 * _CURVE_END / _CURVE)
    x = look.toe * np.logaddexp(0, x / look.toe) if look.toe > 0 else np.maximum(x, 0)
    y = x**look.gamma
    inner = np.minimum(y, 1)
    y = y + look.slope * (inner * inner * (3 - 2 * inner) - inner)
    return np.asarray(np.clip(look.floor + (look.ceiling - look.floor) * y, 0, 255), dtype=np.float32)


def equalised(grey: Array, look: Processing) -> Array:
    """Mixes in a contrast-limited adaptive equalisation of the grey film."""
    if look.clahe == 0:
        return grey
    eight = np.rint(grey).astype(np.uint8)
    lifted = cv2.createCLAHE(look.clahe_limit, (4, 8)).apply(eight).astype(np.float32)
    return np.asarray(cv2.addWeighted(grey, 1 - look.clahe, lifted, look.clahe, 0))
