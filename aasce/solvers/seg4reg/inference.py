"""From a film to its mask and angles: find the spine, look at it again where it stands small, measure it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aasce.preprocess.crop import View
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.seg4reg.data import make_stack
from aasce.solvers.seg4reg.network import Seg4RegNet
from aasce.solvers.seg4reg.regression import regress
from aasce.solvers.seg4reg.segmentation import segment
from aasce.solvers.seg4reg.settings import Seg4RegConfig
from aasce.solvers.shared.autocrop import closer_look, largest_part
from aasce.solvers.shared.masks import film_mask
from aasce.solvers.shared.readout import answers
from aasce.solvers.shared.samples import Box, Floats, canvas_of
from aasce.targets.mask import Shares, decode_mask
from aasce.types import Radiograph


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

    @property
    def spine(self) -> Floats | None:
        """(x0, y0, x1, y1) film px around the largest connected part of vertebrae and gaps; None without one."""
        return largest_part(self.mask[0] < 0.5, self.view)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was read from a film.

    Attributes:
        angles: (2, 3) degrees, from the film and from its mirror image.
        answer: (3,) degrees, from both together.
        mask: (H, W) uint8 of the film, 1 on vertebrae.
        vertebrae: number of separate vertebrae in the mask.
    """

    angles: Floats
    answer: Floats
    mask: Bytes
    vertebrae: int


def look(net: Seg4RegNet, pixels: Bytes, box: Box, config: Seg4RegConfig) -> Look:
    """Segments a rectangle of a film, plain and mirrored."""
    canvas, view = canvas_of(pixels, box, config.segmentation.size, config.intensity)
    found = segment(net.segmentation, np.stack([canvas, canvas[:, ::-1]]))
    masks = np.stack([found[0], found[1][..., ::-1]])
    return Look(canvas, view, box, masks)


def find_look(net: Seg4RegNet, pixels: Bytes, config: Seg4RegConfig, spine: Floats | None = None) -> Look:
    """The look that a film is measured from, see `closer.closer_look`."""
    shape = (pixels.shape[0], pixels.shape[1])
    return closer_look(lambda box: look(net, pixels, box, config), shape, config.crop_below, spine)


def measure(
    net: Seg4RegNet, film: Radiograph, config: Seg4RegConfig, spine: Floats | None = None
) -> Measured | str:
    """Mask and angles of a film, or the reason why there are none."""
    pixels = to_uint8(film.pixels)
    if int(pixels.max()) - int(pixels.min()) < 2:
        return "the film is blank (one grey value)"
    seen = find_look(net, pixels, config, spine)
    mask = seen.mask
    if float((mask[1] > 0.5).mean()) < config.least_mask:
        return "no vertebra found on the film"
    size, kind = config.regression.size, config.regression.input
    stacks = np.stack([
        make_stack(seen.canvas, seen.masks[0], size, kind),
        make_stack(seen.canvas[:, ::-1], seen.masks[1][..., ::-1], size, kind),
    ])  # fmt: skip
    both = regress(net.regression, stacks, config)
    if not both.finite:
        return "the regressor answered no number"
    angles, answer = answers(both, seen.view, seen.box, config.regression.rows)
    return Measured(angles, answer, film_mask(mask[1], seen.view, film.size), len(decode_mask(mask[1])))
