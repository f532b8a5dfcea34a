"""Maps of half the canvas: what the segmenting solvers make them from, score them by, and lead back to films."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aasce.preprocess.crop import View
from aasce.preprocess.intensity import Bytes
from aasce.solvers.shared.samples import Floats
from aasce.targets.mask import Shares, encode_mask


def half_map(landmarks: Floats, size: tuple[int, int]) -> Shares:
    """(3, H/2, W/2) area shares on the segmenter's map of landmarks in canvas px."""
    return encode_mask((landmarks + 0.5) / 2 - 0.5, (size[0] // 2, size[1] // 2))


def soft_dice(probability: Tensor, shares: Tensor) -> Tensor:
    """1 minus the Dice overlap over batch and map, mean of the classes; squared, so exact on soft targets."""
    overlap = 2 * (probability * shares).sum(dim=(0, 2, 3))
    total = (probability**2 + shares**2).sum(dim=(0, 2, 3))
    return 1 - ((overlap + 1) / (total + 1)).mean()


def film_mask(vertebra: NDArray[np.float32], view: View, size: tuple[int, int]) -> Bytes:
    """(H, W) uint8 of the film, 1 where the probability on the half-size map exceeds one half."""
    to_map = view.matrix / 2
    to_map[:, 2] -= 0.25  # px centres: map = (canvas + 0.5) / 2 - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    share = cv2.warpAffine(np.ascontiguousarray(vertebra), to_map, (size[1], size[0]), flags=flags)
    return (np.asarray(share) > 0.5).astype(np.uint8)
