"""The segmenter's masks of a film, and the regressor's input made of film and masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aasce.preprocess.crop import Box, View
from aasce.preprocess.intensity import Bytes
from aasce.solvers.seg4reg.network import SegmentationNet
from aasce.solvers.seg4reg.settings import RegressionSettings
from aasce.solvers.shared.autocrop import largest_part
from aasce.solvers.shared.cascade import ChannelInput
from aasce.solvers.shared.samples import Floats
from aasce.solvers.shared.tta import network_pass
from aasce.targets.mask import Shares


def segment(net: SegmentationNet, canvases: Bytes, fast: bool = False) -> Shares:
    """Probabilities (B, 3, H/2, W/2) of `targets.mask.CLASSES` on (B, H, W) canvases, see `network_pass`."""
    logits, _ = network_pass(net, canvases, fast)
    return np.asarray(logits.float().softmax(dim=1).cpu().numpy(), np.float32)


def regressor_input(settings: RegressionSettings) -> ChannelInput:
    """What the regressor reads: film, vertebra and gap, as far as the settings ask for them."""
    kind = settings.input.kind
    return ChannelInput(settings.size, kind != "mask", 0 if kind == "image" else 2)


@dataclass(frozen=True, slots=True)
class SegmentedPass:
    """The segmenter's output for a rectangle of a film.

    Attributes:
        canvas: (H, W) uint8.
        view: film px to canvas px.
        box: the rectangle, film px.
        masks: (2, 3, H/2, W/2) class probabilities from the canvas and from its mirror image, both in the frame of the
            canvas.
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
