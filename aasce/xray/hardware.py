"""Metal drawn through the X-ray over a film at hand: how its attenuation along the rays looks there.

A film's grey value is taken as a growing, saturating function of the attenuation along the ray. Metal adds its own
attenuation (path length times coefficient); detector blur, scatter, the console's edge enhancement and the film's
noise follow, and what is too dense to tell apart becomes white. No pixel moves, so labels stay true.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Map = NDArray[np.float32]

DENSEST = 6.0
"""Largest density of a grey value: the value of white is one that no attenuation exceeds."""

LEAST = 1e-3
"""ln attenuation below which a ray counts as free of metal."""


@dataclass(frozen=True, slots=True)
class MetalLook:
    """How metal appears on one film.

    Attributes:
        kev: effective energy of the beam behind the body, keV.
        gain: densities of the film by ln attenuation.
        white: grey value of what is densest.
        blur: of the detector, px (one standard deviation).
        scatter: scattered signal as a share of the primary one, which limits how dense metal can look.
        halo: strength of the edge enhancement, which leaves a dark rim around metal.
        halo_px: its reach, px (one standard deviation).
    """

    kev: float = 65.0
    gain: float = 1.0
    white: float = 255.0
    blur: float = 0.8
    scatter: float = 0.05
    halo: float = 0.2
    halo_px: float = 5.0


def draw_look(film: Bytes, rng: np.random.Generator) -> MetalLook:
    """A look that suits the film: white is at least as bright as its brightest parts."""
    brightest = float(np.percentile(film[::4, ::4], 99.7))
    return MetalLook(
        kev=float(rng.uniform(58, 90)),
        gain=float(np.exp(rng.normal(-0.1, 0.45))),
        white=255.0 if rng.random() < 0.6 else float(rng.uniform(max(min(brightest, 250), 190), 255)),
        blur=float(rng.uniform(0.5, 1.3)),
        scatter=float(np.exp(rng.uniform(np.log(0.01), np.log(0.25)))),
        halo=float(max(rng.normal(0.12, 0.15), 0)),
        halo_px=float(rng.uniform(2.5, 10)),
    )


def attenuated(film: Bytes, metal: Map, look: MetalLook, rng: np.random.Generator) -> Bytes:
    """A film with further attenuation along its rays.

    Args:
        film: (H, W) uint8, bone bright.
        metal: (H, W) ln attenuation, 0 where there is none.
        look: of the metal.
        rng: source of the noise.
    """
    window = _around(metal, 3 * max(look.blur, look.halo_px))
    if window is None:
        return film
    grey, added = film[window].astype(np.float32), _seen(metal[window], look)
    seen = np.abs(added) > LEAST
    white = max(look.white, 1.0)
    density = -np.log(np.maximum(1 - grey / white, np.exp(-DENSEST)))
    new = white * (1 - np.exp(-np.maximum(density + added, 0)))
    new += _noise(grey, rng) * np.clip(added, 0, 1)
    new = np.where(grey >= white, np.minimum(grey, 255), np.clip(new, 0, white))
    drawn = film.copy()
    drawn[window] = np.where(seen, np.rint(new), grey).astype(np.uint8)
    return drawn


def _around(metal: Map, margin: float) -> tuple[slice, slice] | None:
    """Rows and columns that hold metal, with a margin in px; None without any."""
    rows, columns = np.flatnonzero(metal.any(axis=1)), np.flatnonzero(metal.any(axis=0))
    if not len(rows):
        return None
    edge = int(np.ceil(margin)) + 1
    return slice(max(rows[0] - edge, 0), rows[-1] + edge + 1), slice(
        max(columns[0] - edge, 0), columns[-1] + edge + 1
    )


def _seen(metal: Map, look: MetalLook) -> Map:
    """Densities that the metal adds: blurred and veiled as signal, then enhanced at its edges."""
    signal = cv2.GaussianBlur(np.exp(-metal), (0, 0), look.blur, borderType=cv2.BORDER_REPLICATE)
    added = -np.log((signal + look.scatter) / (1 + look.scatter)) * np.float32(look.gain)
    if look.halo > 0:
        smooth = cv2.GaussianBlur(added, (0, 0), look.halo_px, borderType=cv2.BORDER_REPLICATE)
        added = added + np.float32(look.halo) * (added - smooth)
    return np.asarray(added, np.float32)


def _noise(grey: Map, rng: np.random.Generator) -> Map:
    """Noise (H, W) like the film's own: of the spread of differences between neighbours."""
    spread = float(np.median(np.abs(np.diff(grey[::2], axis=1)))) if grey.shape[1] > 1 else 0.0
    return np.asarray(rng.standard_normal(grey.shape, np.float32) * np.float32(0.7 * min(spread, 8.0)))
