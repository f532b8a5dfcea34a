"""From a film to its mask and angles: find the spine, look at it again where it stands small, measure it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.preprocess.crop import View
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.seg4reg.data import Box, Floats, canvas_of, make_stack
from aasce.solvers.seg4reg.networks import Seg4RegNet
from aasce.solvers.seg4reg.regression import regress
from aasce.solvers.seg4reg.segmentation import segment
from aasce.solvers.seg4reg.settings import Seg4RegConfig
from aasce.targets.mask import Shares, decode_mask
from aasce.types import Radiograph

LOOKS = 3
"""Crops tried at most before a film is measured as it is seen."""

ABOVE, BELOW = 0.03, 0.07
"""Margins over and under the spine as shares of a crop's height: medians of the training films."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a rectangle of a film.

    Attributes:
        canvas: (H, W) uint8.
        view: film px to canvas px.
        box: the rectangle, film px.
        masks: (2, 3, H/2, W/2) class probabilities from the canvas and from its mirror image, both in the
            frame of the canvas.
    """

    canvas: Bytes
    view: View
    box: Box
    masks: Shares

    @property
    def mask(self) -> Shares:
        """(3, H/2, W/2) mean of the two."""
        return np.asarray(self.masks.mean(axis=0), np.float32)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was read from a film.

    Attributes:
        angles: (2, 3) degrees, from the film and from its mirror image.
        mask: (H, W) uint8 of the film, 1 on vertebrae.
        vertebrae: number of separate vertebrae in the mask.
    """

    angles: Floats
    mask: Bytes
    vertebrae: int


def look(net: Seg4RegNet, pixels: Bytes, box: Box, config: Seg4RegConfig) -> Look:
    """Segments a rectangle of a film, plain and mirrored."""
    canvas, view = canvas_of(pixels, box, config.segmentation.size, config.intensity)
    found = segment(net.segmentation, np.stack([canvas, canvas[:, ::-1]]))
    masks = np.stack([found[0], found[1][..., ::-1]])
    return Look(canvas, view, box, masks)


def spine_box(seen: Look) -> NDArray[np.float64] | None:
    """(x0, y0, x1, y1) film px around the largest connected part of vertebrae and gaps; None without one."""
    spine = (seen.mask[0] < 0.5).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(spine)
    if count < 2:
        return None
    x, y, width, height, _ = stats[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))]
    corners = np.array([[x, y], [x + width - 1, y + height - 1]], dtype=np.float64)
    return np.asarray(seen.view.undo((corners + 0.5) * 2 - 0.5).reshape(4), np.float64)


def find_look(net: Seg4RegNet, pixels: Bytes, config: Seg4RegConfig) -> Look:
    """The look that a film is measured from.

    The paper crops whole films by hand. Here the spine is found on the whole film; where it fills less than
    `crop_below` of the height, the film is cropped to it with the margins of the training films and looked at
    again, wider where the spine runs on beyond the crop.
    """
    height, width = pixels.shape
    seen = look(net, pixels, (0, 0, width, height), config)
    spine = spine_box(seen)
    if spine is None or spine[3] - spine[1] >= config.crop_below * height:
        return seen
    for _ in range(LOOKS):
        box = crop_box(spine, (height, width))
        if box == seen.box:
            break
        again = look(net, pixels, box, config)
        nearer = spine_box(again)
        if nearer is None:
            break
        seen = again
        grown = _grown(nearer, box, (height, width))
        if grown is None:
            break
        spine = grown
    return seen


def crop_box(spine: NDArray[np.float64], film: tuple[int, int]) -> Box:
    """Rectangle with the training films' margins around a spine, inside the film, half as wide as high."""
    rows = (spine[3] - spine[1]) / (1 - ABOVE - BELOW)
    middle, half = (spine[0] + spine[2]) / 2, max(rows / 2, 1.3 * (spine[2] - spine[0])) / 2
    x0, x1 = max(0, int(middle - half)), min(film[1], int(np.ceil(middle + half)) + 1)
    y0, y1 = max(0, int(spine[1] - ABOVE * rows)), min(film[0], int(np.ceil(spine[3] + BELOW * rows)) + 1)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _grown(spine: NDArray[np.float64], box: Box, film: tuple[int, int]) -> NDArray[np.float64] | None:
    """The spine drawn longer where it touches the upper or lower edge of a crop that is not the film's."""
    rows = box[3] - box[1]
    up = spine[1] - box[1] < 0.015 * rows and box[1] > 0
    down = box[3] - 1 - spine[3] < 0.03 * rows and box[3] < film[0]
    if not (up or down):
        return None
    return np.asarray(spine + np.array([0.0, -0.15 * rows * up, 0.0, 0.15 * rows * down]), np.float64)


def measure(net: Seg4RegNet, film: Radiograph, config: Seg4RegConfig) -> Measured | str:
    """Mask and angles of a film, or the reason why there are none."""
    pixels = to_uint8(film.pixels)
    if int(pixels.max()) - int(pixels.min()) < 2:
        return "the film is blank (one grey value)"
    seen = find_look(net, pixels, config)
    mask = seen.mask
    if float((mask[1] > 0.5).mean()) < config.least_mask:
        return "no vertebra found on the film"
    size, kind = config.regression.size, config.regression.input
    stacks = np.stack([
        make_stack(seen.canvas, seen.masks[0], size, kind),
        make_stack(seen.canvas[:, ::-1], seen.masks[1][..., ::-1], size, kind),
    ])  # fmt: skip
    angles = np.maximum(regress(net.regression, stacks, config), 0.0)
    if not np.isfinite(angles).all():
        return "the regressor answered no number"
    return Measured(angles, film_mask(mask[1], seen.view, film.size), len(decode_mask(mask[1])))


def film_mask(vertebra: NDArray[np.float32], view: View, size: tuple[int, int]) -> Bytes:
    """(H, W) uint8 of the film, 1 where the probability on the half-size map exceeds one half."""
    to_map = view.matrix / 2
    to_map[:, 2] -= 0.25  # px centres: map = (canvas + 0.5) / 2 - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    share = cv2.warpAffine(np.ascontiguousarray(vertebra), to_map, (size[1], size[0]), flags=flags)
    return (np.asarray(share) > 0.5).astype(np.uint8)
