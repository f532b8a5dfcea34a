"""Correction of a vertebra's angle: its direction is found from the edges around it.

Zhao et al., AASCE 2019, section 2.3: of a Canny edge map around the vertebra, the response to the directional
derivative of a flat Gaussian, rotated over 180 degrees; the direction of the strongest response is that of the
vertebra. The endplates are the long straight edges, and the derivative across them responds on both sides. Vertebrae
lie within a few degrees of the spine's normal, while ribs and pedicles cross at any angle; therefore, as a departure
from the paper, responses count less the farther they are off the normal (`EdgeSettings.prior`).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from aasce.geometry.centerline import arc_lengths
from aasce.preprocess.intensity import Bytes
from aasce.solvers.top_down.settings import EdgeSettings
from aasce.types import Array, as_float

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]


class EdgeResponse:
    """Response of the edges around a vertebra in each direction; directions and kernels are made once."""

    def __init__(self, settings: EdgeSettings) -> None:
        self.settings = s = settings
        count = round(s.range / s.step)
        self.directions = np.arange(-count, count + 1) * s.step
        kernels = np.stack([gaussian_derivative(s.along, s.across, turn) for turn in self.directions])
        self.margin = kernels.shape[-1] // 2
        self.extent = (next_fast_len(s.size + 2 * self.margin, real=True),) * 2
        self.spectra = rfft2(kernels, self.extent)
        off = (np.arange(s.size) - (s.size - 1) / 2) / (s.window * s.size)
        self.window = np.exp(-(off[:, None] ** 2 + off[None] ** 2) / 2)

    def curve(self, patch: Bytes) -> Floats:
        """(D,) energy of the response in each direction.

        Args:
            patch: (size, size), its rows along the spine's normal.
        """
        edges = np.pad(canny(patch, self.settings), self.margin, mode="edge")
        both = irfft2(rfft2(edges, self.extent) * self.spectra, self.extent)
        inside = slice(2 * self.margin, 2 * self.margin + self.settings.size)
        response = np.asarray(both[:, inside, inside], np.float64)
        return np.asarray((response**2 * self.window).sum(axis=(1, 2)), np.float64)

    def direction(self, response: Array) -> float:
        """Degrees off the normal, positive when the right side is lower; 0 for a patch without an edge.

        Args:
            response: (D,) see `curve`.
        """
        energy = as_float(response)
        if energy.mean() < 1e-6:
            return 0.0
        score = self.settings.sharpness * energy / energy.mean()
        score = score - (self.directions / self.settings.prior) ** 2 / 2
        chance = np.exp(score - score.max())
        return float((chance * self.directions).sum() / chance.sum())

    def offsets(self, image: Bytes, middles: Array, tilts: Array, chosen: list[int]) -> Floats:
        """(V,) degrees between vertebrae and the spine's normal, 0 where not chosen.

        Args:
            image: (h, w) uint8.
            middles: (V, 2) px of the image, from the top.
            tilts: (V,) degrees of the normals.
            chosen: indices of the vertebrae that are corrected.
        """
        found = np.zeros(len(tilts))
        half = self.settings.reach * np.gradient(arc_lengths(middles))
        for v in chosen:
            patch = cut_patch(image, middles[v], float(tilts[v]), float(half[v]), self.settings.size)
            found[v] = self.direction(self.curve(patch))
        return found


def gaussian_derivative(along: float, across: float, degrees: float) -> Floats32:
    """Directional derivative of a flat Gaussian, perpendicular to its long axis; absolute values sum to 1.

    Args:
        along, across: px, standard deviations of the Gaussian.
        degrees: of its long axis, positive when the right side is lower.
    """
    reach = int(np.ceil(1.8 * along))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    turn = np.radians(degrees)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    kernel = -v * np.exp(-(u**2) / (2 * along**2) - v**2 / (2 * across**2))
    return np.asarray(kernel / np.abs(kernel).sum(), np.float32)


def canny(patch: Bytes, settings: EdgeSettings) -> Floats32:
    """(h, w) 1 on edges, else 0; thresholds are percentiles of the patch's own gradients, since films differ."""
    smooth = cv2.GaussianBlur(patch, (0, 0), settings.blur)
    across, down = cv2.Sobel(smooth, cv2.CV_16S, 1, 0), cv2.Sobel(smooth, cv2.CV_16S, 0, 1)
    size = np.abs(across.astype(np.int32)) + np.abs(down.astype(np.int32))
    high = max(float(np.percentile(size, settings.high)), 1.0)
    return np.asarray(cv2.Canny(across, down, settings.low * high, high), np.float32) / np.float32(255)


def cut_patch(image: Bytes, middle: Array, tilt: float, half: float, size: int) -> Bytes:
    """Cuts a rotated square out of an image.

    Args:
        image: (h, w) uint8.
        middle: (2,) px of the image.
        tilt: degrees of the square's rows.
        half: px of the image, half the side of the square.
        size: px of the patch.

    Returns:
        (size, size) uint8.
    """
    turn, step = np.radians(tilt), 2 * half / size
    linear = step * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    origin = as_float(middle) - linear @ np.full(2, (size - 1) / 2)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(
        image, np.column_stack([linear, origin]), (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cut, np.uint8)
