"""From a canvas to angles: maps of spine and centreline, the middle line, the heat equation, tangents, the rule."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.geometry.centerline import (
    arc_lengths,
    heat_smooth,
    levels_on,
    resample,
    straight_tips,
    tangent_tilts,
    upper_major_lower,
)
from aasce.geometry.correction import Correction, sliced_angles
from aasce.preprocess.crop import Box, View
from aasce.preprocess.intensity import Bytes
from aasce.solvers.centerline.network import Cascade, Members
from aasce.solvers.centerline.settings import CenterlineConfig, CurveSettings
from aasce.solvers.shared.autocrop import longest_part
from aasce.solvers.shared.samples import Sample, canvas_of
from aasce.solvers.shared.tta import mirrored_back, network_pass, with_mirror
from aasce.targets.curves import decode_centerline, follow_ridge
from aasce.targets.mask import Shares
from aasce.types import Array, as_float

Floats = NDArray[np.float64]

_GUIDE = 200
"""Points of the rough curve that gives the direction of the line."""

_GUIDE_STEPS = 900
"""Its smoothing: 900 steps of 0.01 are 4 of 200 points, a third of a vertebra."""

_BASE = 0.06
"""Share of the curve, about a vertebra, from which its tips are continued."""


def line_maps(net: Cascade | Members, canvas: Bytes, fast: bool = False) -> tuple[Shares, Shares]:
    """Maps of a canvas and of its mirror image, both in the frame of the canvas.

    Args:
        net: a cascade, or several, whose maps are averaged.
        canvas: (H, W) uint8.
        fast: see `network_pass`.

    Returns:
        (2, h, w) probability of the spine and (2, h, w) of the centreline. A network without a map of the spine gives
        that of the centreline twice.
    """
    spine, line = network_pass(net, with_mirror(canvas), fast, net.maps)
    found = [np.asarray(m.float().cpu().numpy(), np.float32) for m in (spine, line)]
    spines, lines = (mirrored_back(m) for m in found)
    return spines, lines


def half(share: Shares, canvas: tuple[int, int]) -> Shares:
    """A map of any stride as (H/2, W/2) of the canvas.

    Args:
        share: (h, w).
        canvas: (H, W).
    """
    size = (canvas[1] // 2, canvas[0] // 2)
    return np.asarray(cv2.resize(share, size, interpolation=cv2.INTER_AREA), np.float32)


@dataclass(frozen=True, slots=True)
class LinePass:
    """The networks' output for a rectangle of a film.

    Attributes:
        view: film px to canvas px.
        box: the rectangle, film px.
        spines, lines: (2, h, w) probabilities, plain and mirrored, both in the frame of the canvas.
    """

    view: View
    box: Box
    spines: Shares
    lines: Shares

    @property
    def mask(self) -> Shares:
        """(H/2, W/2) probability of the spine."""
        return half(self.spines.mean(axis=0), self.view.size)

    @property
    def spine(self) -> Floats | None:
        """(x0, y0, x1, y1) film px around the spine; None without one."""
        return longest_part(self.mask > 0.5, self.view)


@dataclass(frozen=True, slots=True)
class Tangents:
    """The curve of a map of the centreline, and its tangents.

    Attributes:
        curve: (points, 2) map px, smoothed, from the top.
        tilts: (levels,) degrees, of the tangents evenly along the curve.
    """

    curve: Floats
    tilts: Floats


def read_curve(share: Array, config: CenterlineConfig) -> Floats | None:
    """Smoothed centreline of a map; None where the map shows none.

    Args:
        share: (h, w) probability of the centreline.
        config: settings of the curve and of the drawn line.

    Returns:
        (points, 2) map px from the top.
    """
    s = config.curve
    rough = decode_centerline(share, s.threshold, s.min_part)
    if rough is None or len(rough) < s.min_length * share.shape[0]:
        return None
    guide = heat_smooth(resample(rough, _GUIDE), _GUIDE_STEPS, 0.01)
    line = resample(follow_ridge(share, guide, config.target.width * share.shape[0], s.threshold), _GUIDE)
    whole = straight_tips(line, s.tip, _BASE)
    return heat_smooth(resample(whole, s.points), s.steps, s.rate, s.ends)


def read_tangents(share: Array, config: CenterlineConfig) -> Tangents | None:
    """Curve and tangents of a map (h, w); None where it shows no curve."""
    curve = read_curve(share, config)
    if curve is None:
        return None
    return Tangents(curve, tangent_tilts(curve, levels_on(curve, config.curve.levels)))


def to_canvas(points: Array, stride: int) -> Floats:
    """(..., 2) map px to canvas px.

    Args:
        points: on a map.
        stride: canvas px per map px.
    """
    return (as_float(points) + 0.5) * stride - 0.5


def curve_angles(
    curve: Array, tangents: Array, height: int, correction: Correction, settings: CurveSettings
) -> Floats:
    """(3,) degrees of a curve by the rule of the settings.

    Args:
        curve: (N, 2) px of the film (or of its crop).
        tangents: (levels,) degrees along it.
        height: rows of the film (or crop); the challenge's rule depends on it.
        correction: used where the settings have one.
        settings: which angles, and whether tangents are corrected.
    """
    length = float(arc_lengths(curve)[-1])
    if settings.correction is not None:
        tilts, positions = correction.apply(tangents), correction.places * length
    else:
        tilts, positions = as_float(tangents), levels_on(curve, len(tangents))
    if settings.angles == "paper":
        return upper_major_lower(tilts)[0]
    return np.asarray(
        sliced_angles(curve, tilts, positions, height, settings.tilt_sd_deg).degrees, np.float64
    )


def sample_tangents(
    net: Cascade | Members, sample: Sample, config: CenterlineConfig
) -> tuple[Tangents | None, Floats]:
    """Tangents of a film kept in memory, without augmentation.

    Returns:
        The tangents, None where no curve is found, and the curve (N, 2) in px of the sample.
    """
    whole = (0, 0, sample.size[1], sample.size[0])
    canvas, view = canvas_of(sample.pixels[..., 0], whole, config.size, "none")
    found = read_tangents(line_maps(net, canvas)[1].mean(axis=0), config)
    if found is None:
        return None, np.zeros((0, 2))
    return found, view.undo(to_canvas(found.curve, config.network.stride))
