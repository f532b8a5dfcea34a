"""From a film to its angles: the map of the spine, the spine function, tilts, their correction by edges, the rule."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.geometry.centerline import arc_lengths, levels_on, points_on
from aasce.geometry.correction import Correction, sliced_angles
from aasce.geometry.spine_function import SpineFunction, fit_borders, main_curve
from aasce.preprocess.crop import Box, View, crop_view, letterbox
from aasce.preprocess.intensity import Bytes
from aasce.solvers.shared.autocrop import joined, longest_part
from aasce.solvers.shared.samples import KEPT_HEIGHT, Intensity, Sample, even_out, shrunk
from aasce.solvers.shared.tta import mirrored_back, network_pass, with_mirror
from aasce.solvers.top_down.edges import EdgeResponse
from aasce.solvers.top_down.network import RUNet
from aasce.solvers.top_down.settings import SpineFunctionSettings
from aasce.targets.curves import mask_borders
from aasce.targets.mask import Shares
from aasce.types import Array

Floats = NDArray[np.float64]

GAIN = 1.5
"""Share of an edge's direction by which tilts are corrected before training films set it."""

_POINTS = 400

_GAP = 0.06
"""Share of the map's height, about a vertebra, over which two parts of a spine are joined."""

_PART = 0.03
"""Parts of the map smaller than this share of the largest one are ignored."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A film, or a rectangle of one, in the two resolutions that are used.

    Attributes:
        image: (h, w) uint8, evened out, of at most `KEPT_HEIGHT` rows; edges are found here.
        to_image: px of the film (of the rectangle) to px of the image.
        to_canvas: px of the image to px of the canvas, the network's input.
        height: rows of the film (of the rectangle); the challenge's rule depends on it.
    """

    image: Bytes
    to_image: View
    to_canvas: View
    height: int

    @property
    def canvas(self) -> Bytes:
        """(H, W) uint8."""
        return np.asarray(self.to_canvas.render(self.image), np.uint8)

    def on_film(self, points: Array) -> Floats:
        """(..., 2) px of the canvas to px of the film (of the rectangle)."""
        return self.to_image.undo(self.to_canvas.undo(points))

    def view(self, box: Box) -> View:
        """Film px to canvas px, for the scene of a rectangle of a film."""
        return crop_view(box).then(self.to_image.then(self.to_canvas))


def box_scene(pixels: Bytes, box: Box, size: tuple[int, int], intensity: Intensity) -> Scene:
    """Scene of a rectangle of a film.

    Args:
        pixels: (H, W) uint8.
        box: x0, y0, x1, y1 px, the last two exclusive.
        size: (H, W) of the canvas.
        intensity: see `samples.even_out`.
    """
    x0, y0, x1, y1 = box
    part = even_out(np.ascontiguousarray(pixels[y0:y1, x0:x1]), intensity)
    view = shrunk((y1 - y0, x1 - x0), KEPT_HEIGHT)
    return Scene(np.asarray(view.render(part), np.uint8), view, letterbox(view.size, size), y1 - y0)


def sample_scene(sample: Sample, size: tuple[int, int]) -> Scene:
    """Scene of a film kept in memory.

    Args:
        sample: the film.
        size: (H, W) of the canvas.
    """
    image = np.ascontiguousarray(sample.pixels[..., 0])
    return Scene(image, sample.view, letterbox(sample.size, size), sample.height)


def spine_maps(net: RUNet, canvas: Array, fast: bool = False) -> Shares:
    """Probability of the spine in a canvas and in its mirror image, both in the frame of the canvas.

    Args:
        net: the network.
        canvas: (H, W) uint8.
        fast: see `network_pass`.

    Returns:
        (2, H, W).
    """
    logits = network_pass(net, with_mirror(canvas), fast)
    spine = np.asarray(logits.float().softmax(dim=1)[:, 1].cpu().numpy(), np.float32)
    return mirrored_back(spine)


@dataclass(frozen=True, slots=True)
class SpinePass:
    """The network's output for a rectangle of a film.

    Attributes:
        scene: the rectangle.
        box: film px.
        shares: (2, H, W) probability of the spine, from the canvas and from its mirror image.
    """

    scene: Scene
    box: Box
    shares: Shares

    @property
    def view(self) -> View:
        """Film px to canvas px."""
        return self.scene.view(self.box)

    @property
    def mask(self) -> Shares:
        """(H/2, W/2) probability of the spine."""
        height, width = self.shares.shape[1:]
        cells = self.shares.reshape(2, height // 2, 2, width // 2, 2)
        return np.asarray(cells.mean(axis=(0, 2, 4)), np.float32)

    @property
    def spine(self) -> Floats | None:
        """(x0, y0, x1, y1) film px around the spine; None without one."""
        return longest_part(self.mask > 0.5, self.view)


@dataclass(frozen=True, slots=True)
class FittedSpine:
    """The spine function of a map.

    Attributes:
        function: canvas px.
        curve: (N, 2) canvas px, points of the function, from the top.
        tilts: (levels,) degrees, evenly along the curve.
    """

    function: SpineFunction
    curve: Floats
    tilts: Floats


def fit_spine(share: Array, settings: SpineFunctionSettings) -> FittedSpine | None:
    """Fits the spine function to a map of the spine; None where it shows no spine.

    Args:
        share: (H, W) probability of the spine.
        settings: of the fit.
    """
    s = settings
    whole = in_one_piece(share, s.threshold)
    sides = mask_borders(whole, s.threshold)
    upper, lower = mask_borders(whole.T, s.threshold)
    ends = upper[:, ::-1], lower[:, ::-1]
    function = fit_borders(sides, ends, s.degree, s.pieces, s.openings, s.inset)
    if function is None:
        return None
    curve = function.curve(_POINTS)
    rows = points_on(curve, levels_on(curve, s.levels))[:, 1]
    return FittedSpine(function, curve, function.tilts(rows))


def in_one_piece(share: Array, threshold: float) -> Array:
    """A map (H, W) whose parts are joined along the film; the same array if it has one part only."""
    inside = np.asarray(share >= threshold, np.uint8)
    areas = np.sort(cv2.connectedComponentsWithStats(inside)[2][1:, cv2.CC_STAT_AREA])
    if len(areas) < 2 or areas[-2] < _PART * areas[-1]:
        return share
    bridge = joined(inside, (max(3, round(_GAP * len(share))), 1))
    return np.where((bridge > 0) & (inside == 0), threshold, share)


@dataclass(frozen=True, slots=True)
class Rules:
    """How tilts are corrected and measured; fitted to training films beside the network.

    Attributes:
        correction: from tilts of the function to tilts of vertebrae.
        gain: share of an edge's direction by which a tilt is corrected.
        tilt_sd_deg: see `geometry.correction.sliced_angles`.
    """

    correction: Correction
    gain: float
    tilt_sd_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class MeasuredSpine:
    """Vertebrae along a curve, and the angles between them.

    Attributes:
        curve: (N, 2) px of a film (or of a rectangle of one).
        tilts: (V,) degrees.
        positions: (V,) px along the curve.
        degrees: (3,) the challenge's angles.
        ends: indices of the end vertebrae of these angles.
    """

    curve: Floats
    tilts: Floats
    positions: Floats
    degrees: Floats
    ends: list[int]

    @property
    def middles(self) -> Floats:
        """(V, 2) px of the vertebrae on the curve."""
        return points_on(self.curve, self.positions)


def measure_tilts(
    curve: Floats, tilts: Floats, positions: Floats, height: int, tilt_sd_deg: float
) -> MeasuredSpine:
    """The challenge's angles of vertebrae along a curve, see `geometry.correction.sliced_angles`."""
    found = sliced_angles(curve, tilts, positions, height, tilt_sd_deg)
    ends = sorted({v for pair in found.end_vertebrae if pair is not None for v in pair})
    return MeasuredSpine(curve, tilts, positions, np.asarray(found.degrees, np.float64), ends)


def measure_spine(
    scene: Scene, fitted: FittedSpine, rules: Rules, edges: EdgeResponse | None = None
) -> MeasuredSpine:
    """Angles of a spine.

    Args:
        scene: the film.
        fitted: its spine function.
        rules: how tilts are corrected.
        edges: by which vertebrae are corrected; None measures the function alone.
    """
    curve = scene.on_film(fitted.curve)
    tilts = rules.correction.apply(fitted.tilts)
    positions = rules.correction.places * float(arc_lengths(curve)[-1])
    plain = measure_tilts(curve, tilts, positions, scene.height, rules.tilt_sd_deg)
    if edges is None or rules.gain == 0:
        return plain
    chosen, at = plain.ends, edges.settings.at
    if at != "ends":
        chosen = list(range(len(tilts))) if at == "all" else most_curved(fitted, rules.correction)
    middles = scene.to_image.apply(plain.middles)
    offsets = edges.offsets(scene.image, middles, tilts, chosen)
    return measure_tilts(curve, tilts + rules.gain * offsets, positions, scene.height, rules.tilt_sd_deg)


def most_curved(fitted: FittedSpine, correction: Correction) -> list[int]:
    """The two vertebrae nearest to the ends of the curve around the position of maximal curvature."""
    along = arc_lengths(fitted.curve)
    main = main_curve(fitted.function)
    ends = np.interp([main.upper, main.lower], fitted.curve[:, 1], along / along[-1])
    return sorted({int(np.argmin(np.abs(correction.places - end))) for end in ends})
