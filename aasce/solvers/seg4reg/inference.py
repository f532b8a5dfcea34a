"""From a film to its mask and angles: the spine is found, cropped to where it stands small, and measured."""

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
from aasce.solvers.shared.autocrop import autocrop, largest_part
from aasce.solvers.shared.masks import film_mask
from aasce.solvers.shared.readout import pass_angles
from aasce.solvers.shared.samples import Box, Floats, canvas_of
from aasce.solvers.shared.tta import mirrored_back, with_mirror
from aasce.targets.mask import Shares, decode_mask
from aasce.types import Radiograph


@dataclass(frozen=True, slots=True)
class SegmentedPass:
    """What the segmenter finds in a rectangle of a film.

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
class MaskReading:
    """What was read from a film.

    Attributes:
        angles: (2, 3) degrees, from the film and from its mirror image.
        combined: (3,) degrees, from both together.
        mask: (H, W) uint8 of the film, 1 on vertebrae.
        vertebrae: number of separate vertebrae in the mask.
    """

    angles: Floats
    combined: Floats
    mask: Bytes
    vertebrae: int


def run(net: Seg4RegNet, pixels: Bytes, box: Box, config: Seg4RegConfig) -> SegmentedPass:
    """Segments a rectangle of a film, plain and mirrored."""
    canvas, view = canvas_of(pixels, box, config.segmentation.size, config.intensity)
    return SegmentedPass(canvas, view, box, mirrored_back(segment(net.segmentation, with_mirror(canvas))))


def find_spine(
    net: Seg4RegNet, pixels: Bytes, config: Seg4RegConfig, spine: Floats | None = None
) -> SegmentedPass:
    """The pass that a film is measured from, see `autocrop`."""
    shape = (pixels.shape[0], pixels.shape[1])
    return autocrop(lambda box: run(net, pixels, box, config), shape, config.crop_below, spine)


def read_film(
    net: Seg4RegNet, film: Radiograph, config: Seg4RegConfig, spine: Floats | None = None
) -> MaskReading | str:
    """Mask and angles of a film, or the reason why there are none."""
    pixels = to_uint8(film.pixels)
    seen = find_spine(net, pixels, config, spine)
    mask = seen.mask
    if float((mask[1] > 0.5).mean()) < config.min_mask:
        return "no vertebra found on the film"
    size, kind = config.regression.size, config.regression.input.kind
    pairs = zip(with_mirror(seen.canvas), mirrored_back(seen.masks), strict=True)
    stacks = np.stack([make_stack(canvas, masks, size, kind) for canvas, masks in pairs])
    both = regress(net.regression, stacks, config)
    if not both.finite:
        return "the regressor gave no number"
    angles, combined = pass_angles(both, seen.view, seen.box, config.regression.head)
    return MaskReading(angles, combined, film_mask(mask[1], seen.view, film.size), len(decode_mask(mask[1])))
