"""From the map of the spine to its angles: walls, water pipe, function, tilts, edges, the challenge's rule."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.geometry.centerline import arc_lengths, levels_on, points_on
from aasce.geometry.correction import Correction, sliced_angles
from aasce.geometry.spine_function import SpineFunction, fit_borders, main_curve
from aasce.preprocess.crop import View, letterbox
from aasce.preprocess.intensity import Bytes
from aasce.solvers.shared.autocrop import joined
from aasce.solvers.shared.samples import KEPT_HEIGHT, Box, Intensity, Sample, even_out, shrunk
from aasce.solvers.top_down.edges import EdgeResponse
from aasce.solvers.top_down.settings import SpineFunctionSettings
from aasce.targets.curves import mask_borders
from aasce.types import Array

Floats = NDArray[np.float64]

GAIN = 1.5
"""Share of an edge's direction by which tilts are corrected while no training films have set it."""

_POINTS = 400

_GAP = 0.06
"""Share of the map's height over which a spine in two parts is one: a vertebra."""

_PART = 0.03
"""Share of the largest part's area that another part needs to matter."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A film, or a rectangle of one, as it is looked at.

    Attributes:
        picture: (h, w) uint8, evened out, of at most `KEPT_HEIGHT` rows; edges are read here.
        to_picture: px of the film (of the rectangle) to px of the picture.
        to_canvas: px of the picture to px of the canvas, which the network sees.
        height: rows of the film (of the rectangle); the challenge's rule depends on it.
    """

    picture: Bytes
    to_picture: View
    to_canvas: View
    height: int

    @property
    def canvas(self) -> Bytes:
        """(H, W) uint8."""
        return np.asarray(self.to_canvas.render(self.picture), np.uint8)

    def on_film(self, points: Array) -> Floats:
        """(..., 2) px of the canvas to px of the film (of the rectangle)."""
        return self.to_picture.undo(self.to_canvas.undo(points))

    def view(self, box: Box) -> View:
        """Film px to canvas px, for the scene of a rectangle of a film."""
        outer, inner = self.to_canvas.matrix, self.to_picture.matrix
        linear = outer[:, :2] @ inner[:, :2]
        shift = outer[:, :2] @ inner[:, 2] + outer[:, 2] - linear @ np.array(box[:2], np.float64)
        return View(np.column_stack([linear, shift]), self.to_canvas.size)


def scene_of(pixels: Bytes, box: Box, size: tuple[int, int], intensity: Intensity) -> Scene:
    """Scene of a rectangle of a film.

    Args:
        pixels: (H, W) uint8.
        box: x0, y0, x1, y1 px, the last ones exclusive.
        size: (H, W) of the canvas.
        intensity: see `pictures.even_out`.
    """
    x0, y0, x1, y1 = box
    part = even_out(np.ascontiguousarray(pixels[y0:y1, x0:x1]), intensity)
    view = shrunk((y1 - y0, x1 - x0), KEPT_HEIGHT)
    return Scene(np.asarray(view.render(part), np.uint8), view, letterbox(view.size, size), y1 - y0)


def scene_of_item(item: Sample, size: tuple[int, int]) -> Scene:
    """Scene of a kept film."""
    picture = np.ascontiguousarray(item.pixels[..., 0])
    return Scene(picture, item.view, letterbox((picture.shape[0], picture.shape[1]), size), item.height)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the walls of the spine say.

    Attributes:
        function: the spine function, canvas px.
        curve: (N, 2) canvas px, the same.
        tilts: (levels,) degrees, evenly along the curve.
    """

    function: SpineFunction
    curve: Floats
    tilts: Floats


def read_spine(share: Array, settings: SpineFunctionSettings) -> Reading | None:
    """Spine function of a map (H, W) of the spine, None where no spine is."""
    s = settings
    whole = in_one_piece(share, s.threshold)
    walls = mask_borders(whole, s.threshold)
    upper, lower = mask_borders(whole.T, s.threshold)
    ends = upper[:, ::-1], lower[:, ::-1]
    function = fit_borders(walls, ends, s.degree, s.pieces, s.openings, s.inset)
    if function is None:
        return None
    curve = function.curve(_POINTS)
    rows = points_on(curve, levels_on(curve, s.levels))[:, 1]
    return Reading(function, curve, function.tilts(rows))


def in_one_piece(share: Array, threshold: float) -> Array:
    """A map (H, W) whose parts are joined down the film where the spine is torn; else as it is."""
    inside = np.asarray(share >= threshold, np.uint8)
    areas = np.sort(cv2.connectedComponentsWithStats(inside)[2][1:, cv2.CC_STAT_AREA])
    if len(areas) < 2 or areas[-2] < _PART * areas[-1]:
        return share
    bridge = joined(inside, (max(3, round(_GAP * len(share))), 1))
    return np.where((bridge > 0) & (inside == 0), threshold, share)


@dataclass(frozen=True, slots=True)
class Rules:
    """What training films taught beside the network.

    Attributes:
        correction: from tilts of the function to tilts of vertebrae.
        gain: share of an edge's direction by which a tilt is corrected.
        tilt_sd_deg: see `correction.sliced_angles`.
    """

    correction: Correction
    gain: float
    tilt_sd_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Spine:
    """A spine measured on a film (or on a rectangle of one).

    Attributes:
        curve: (N, 2) px.
        tilts: (V,) degrees. positions: (V,) px along the curve.
        degrees: (3,) the challenge's angles.
        ends: indices of the vertebrae that they were measured between.
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


def measured(curve: Floats, tilts: Floats, positions: Floats, height: int, tilt_sd_deg: float) -> Spine:
    """The challenge's angles of boxes like vertebrae along a curve."""
    found = sliced_angles(curve, tilts, positions, height, tilt_sd_deg)
    ends = sorted({v for pair in found.end_vertebrae if pair is not None for v in pair})
    return Spine(curve, tilts, positions, np.asarray(found.degrees, np.float64), ends)


def measure_scene(scene: Scene, read: Reading, rules: Rules, edges: EdgeResponse | None = None) -> Spine:
    """Angles of a spine: those of its function, then those with vertebrae corrected by their edges, if any."""
    curve = scene.on_film(read.curve)
    tilts = rules.correction.apply(read.tilts)
    positions = rules.correction.places * float(arc_lengths(curve)[-1])
    plain = measured(curve, tilts, positions, scene.height, rules.tilt_sd_deg)
    if edges is None or rules.gain == 0:
        return plain
    chosen, at = plain.ends, edges.settings.at
    if at != "ends":
        chosen = list(range(len(tilts))) if at == "all" else most_curved(read, rules.correction)
    middles = scene.to_picture.apply(plain.middles)
    offsets = edges.offsets(scene.picture, middles, tilts, chosen)
    return measured(curve, tilts + rules.gain * offsets, positions, scene.height, rules.tilt_sd_deg)


def most_curved(read: Reading, correction: Correction) -> list[int]:
    """The two vertebrae nearest to the ends of the curve around the position of maximal curvature."""
    along = arc_lengths(read.curve)
    main = main_curve(read.function)
    ends = np.interp([main.upper, main.lower], read.curve[:, 1], along / along[-1])
    return sorted({int(np.argmin(np.abs(correction.places - end))) for end in ends})
