"""The borders of the spine in a rectangle of a film, and the regressor's input made of film and borders."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from aasce.preprocess.crop import Box, View
from aasce.preprocess.intensity import Bytes
from aasce.solvers.scg_net.network import BoundaryNet
from aasce.solvers.scg_net.settings import RegressionSettings
from aasce.solvers.shared.autocrop import joined, largest_part
from aasce.solvers.shared.cascade import ChannelInput
from aasce.solvers.shared.samples import Floats
from aasce.solvers.shared.tta import mirrored_back, network_pass
from aasce.targets.mask import Shares


def border_maps(net: BoundaryNet, canvases: Bytes, fast: bool = False) -> Shares:
    """Probabilities of the left and the right border, (B, 2, H, W), on (B, H, W) canvases, see `network_pass`."""
    logits = network_pass(net, canvases, fast)
    return np.asarray(logits.float().sigmoid().cpu().numpy(), np.float32)


def regressor_input(settings: RegressionSettings) -> ChannelInput:
    """What the regressor reads: film, left and right border, as far as the settings ask for them."""
    kind = settings.input.kind
    return ChannelInput(settings.size, kind != "curves", 0 if kind == "image" else 2)


@dataclass(frozen=True, slots=True)
class BorderPass:
    """The segmenter's output for a rectangle of a film.

    Attributes:
        canvas: (H, W) uint8.
        view: film px to canvas px.
        box: the rectangle, film px.
        curves: (2, 2, H, W) probabilities of the left and the right border, from the canvas and from its mirror
            image, each in its own frame.
    """

    canvas: Bytes
    view: View
    box: Box
    curves: Shares

    @property
    def borders(self) -> Shares:
        """(2, H, W) mean of the two in the frame of the canvas; a mirrored left border is a right one."""
        plain, mirrored = mirrored_back(self.curves)
        return np.asarray((plain + mirrored[::-1]) / 2, np.float32)

    @property
    def spine(self) -> Floats | None:
        """(x0, y0, x1, y1) film px around the borders; None without one."""
        drawn = self.borders.max(axis=0) > 0.5
        across = drawn.shape[1] // 4 | 1  # the borders are at most a fourth of the canvas apart
        both = joined(drawn, (3, across))
        half = cv2.resize(both, (drawn.shape[1] // 2, drawn.shape[0] // 2), interpolation=cv2.INTER_AREA)
        return largest_part(half > 0, self.view)

    @property
    def middle(self) -> Floats:
        """(N, 2) film px half way between the borders in each row that shows both, from the top."""
        sure = self.borders * (self.borders > 0.25)
        both = (sure.sum(axis=2) > 0).all(axis=0)
        at = (sure * np.arange(sure.shape[2])).sum(axis=2)[:, both] / sure.sum(axis=2)[:, both]
        return self.view.undo(np.stack([at.mean(axis=0), np.flatnonzero(both)], axis=1))
