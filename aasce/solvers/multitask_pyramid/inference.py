"""The network's output for a canvas and for a rectangle of a film."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aasce.preprocess.crop import Box, View
from aasce.preprocess.intensity import Bytes
from aasce.solvers.multitask_pyramid.network import MultitaskNet
from aasce.solvers.shared.autocrop import joined, largest_part
from aasce.solvers.shared.readout import Readout
from aasce.solvers.shared.samples import Floats
from aasce.solvers.shared.tta import mirrored_back, network_pass, with_mirror
from aasce.targets.mask import Shares


def predict_canvas(net: MultitaskNet, canvas: Bytes) -> tuple[Readout, Shares | None]:
    """The network's output for a canvas and its mirror image.

    Args:
        net: the network.
        canvas: (H, W) uint8.

    Returns:
        The head's output for the two, each in its own frame, and the (H/2, W/2) probability of "vertebra", mean of
        the two in the frame of the canvas; None from a network without a mask.
    """
    logits, found = network_pass(net, with_mirror(canvas))
    both = Readout.of(found)
    if logits is None:
        return both, None
    maps = mirrored_back(logits.float().softmax(dim=1)[:, 1].cpu().numpy())
    return both, np.asarray(maps.mean(axis=0), np.float32)


@dataclass(frozen=True, slots=True)
class MaskPass:
    """The network's output for a rectangle of a film.

    Attributes:
        view: film px to canvas px.
        box: the rectangle, film px.
        both: the head's output for the canvas and its mirror image.
        vertebra: (H/2, W/2) probability; None from a network without a mask.
    """

    view: View
    box: Box
    both: Readout
    vertebra: Shares | None

    @property
    def spine(self) -> Floats | None:
        """(x0, y0, x1, y1) film px around the largest column of vertebrae; None without one."""
        if self.vertebra is None:
            return None
        # A vertebra and its gap take a 17th of a spine that fills the film, and a gap never all of it.
        reach = self.vertebra.shape[0] // 12 | 1
        return largest_part(joined(self.vertebra > 0.5, (reach, 5)), self.view)
