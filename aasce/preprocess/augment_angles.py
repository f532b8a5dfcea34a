"""Augmentation that makes new spinal curves by bending or stretching a film, with its landmarks.

A similarity (rotation, isotropic scaling, shift, mirroring) does not change the angles between vertebrae. A bend does:
it rotates each vertebra by a known amount, so that one film gives many new curves, whose angles are measured on the
bent landmarks. A stretch along one axis of the film changes angles too: a midline of tilt t then has
tan(t') = (factor along y / factor along x) * tan(t). The film is resampled only once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.geometry.cobb import limit_tilts, tilts
from aasce.preprocess.crop import View, similarity
from aasce.types import Array, as_float

Floats = NDArray[np.float64]
SEVERE = 85.0
"""Degrees: bends are limited to major curves of this angle (95 % of the challenge's films are below 73)."""

_GRID = 8  # px between the points at which a bend is computed; it is interpolated in between


@dataclass(frozen=True, slots=True)
class Bend:
    """Bends a film about the vertical line x = `axis`; the row at y is rotated as a whole, by `turn` at y.

    Attributes:
        axis: px, x of the line that is bent.
        rows: (N,) px, ascending y at which the bend is given; beyond them it continues straight.
        turn: (N,) radians, positive lowers the right side (the sign of `geometry.cobb.tilts`).
        line: (N, 2) px, the points (axis, rows) after the bend.
    """

    axis: float
    rows: Floats
    turn: Floats
    line: Floats

    def apply(self, points: Array) -> Floats:
        """(..., 2) px of the film to px of the bent film."""
        p = as_float(points)
        turn = np.interp(p[..., 1], self.rows, self.turn)
        across = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        return np.asarray(self._on_line(p[..., 1]) + (p[..., :1] - self.axis) * across, np.float64)

    def undo(self, points: Array, rounds: int = 6) -> Floats:
        """(..., 2) px of the bent film to px of the film, by fixed-point iteration along the bent line."""
        p = as_float(points)
        s = p[..., 1].copy()
        for _ in range(rounds):
            turn = np.interp(s, self.rows, self.turn)
            off = p - self._on_line(s)
            s = s + off[..., 1] * np.cos(turn) - off[..., 0] * np.sin(turn)
        turn = np.interp(s, self.rows, self.turn)
        off = p - self._on_line(s)
        return np.stack([self.axis + off[..., 0] * np.cos(turn) + off[..., 1] * np.sin(turn), s], axis=-1)

    def _on_line(self, s: Floats) -> Floats:
        inside = np.clip(s, self.rows[0], self.rows[-1])
        x = np.interp(inside, self.rows, self.line[:, 0])
        y = np.interp(inside, self.rows, self.line[:, 1])
        turn = np.interp(inside, self.rows, self.turn)
        beyond = s - inside
        return np.stack([x - beyond * np.sin(turn), y + beyond * np.cos(turn)], axis=-1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Stretches a film along its axes, then bends it.

    Attributes:
        centre: (x, y) px of the fixed point. With the middle of the film, the challenge's rule, which depends on the
            position of a curve on the film, gives the same result as on the stretched film.
        factors: along x and along y.
        bend: applied to the stretched film; None for none.
    """

    centre: tuple[float, float]
    factors: tuple[float, float]
    bend: Bend | None = None

    def apply(self, points: Array) -> Floats:
        """(..., 2) px of the film to px of the stretched and bent film."""
        centre = np.array(self.centre)
        moved = centre + (as_float(points) - centre) * np.array(self.factors)
        return moved if self.bend is None else self.bend.apply(moved)

    def undo(self, points: Array) -> Floats:
        """(..., 2) px of the stretched and bent film to px of the film."""
        centre = np.array(self.centre)
        p = as_float(points) if self.bend is None else self.bend.undo(points)
        return np.asarray(centre + (p - centre) / np.array(self.factors), np.float64)


def random_stretch(film: tuple[int, int], largest: float, rng: np.random.Generator) -> Stretch:
    """Draws a stretch that keeps areas: y by f, x by 1 / f, log f uniform within +-log(1 + largest) / 2.

    Args:
        film: (H, W).
        largest: largest change of the ratio of height to width.
        rng: source of the draw.
    """
    ratio = np.exp(rng.uniform(-1.0, 1.0) * np.log1p(largest))
    factors = (float(ratio**-0.5), float(ratio**0.5))
    return Stretch(((film[1] - 1) / 2, (film[0] - 1) / 2), factors)


def make_bend(axis: float, rows: Array, turn: Array) -> Bend:
    """Bend of the vertical line x = `axis` that keeps the line's mean in place.

    Args:
        axis: px.
        rows: (N,) px, ascending.
        turn: (N,) radians of rotation at these rows.
    """
    y, phi = as_float(rows), as_float(turn)
    steps = np.diff(y)
    half = (phi[1:] + phi[:-1]) / 2
    run = np.stack([-np.sin(half) * steps, np.cos(half) * steps], axis=1)
    line = np.concatenate([np.zeros((1, 2)), np.cumsum(run, axis=0)])
    line += np.array([axis, y.mean()]) - line.mean(axis=0)
    return Bend(axis, y, phi, line)


def random_bend(landmarks: Array, degrees: float, exaggerate: float, rng: np.random.Generator) -> Bend:
    """Draws a smooth bend over the height of a spine, reduced if the curve would exceed `SEVERE`.

    Args:
        landmarks: (V, 4, 2) px, from the top.
        degrees: standard deviation of the rotations: a sum of three cosines over the spine, lower frequencies stronger.
        exaggerate: the spine's own curve is multiplied by a factor from 1 - 1.6 * `exaggerate` to 1 + `exaggerate`.
        rng: source of every draw.
    """
    points = as_float(landmarks)
    centres = points.mean(axis=1)
    top, bottom = points[..., 1].min(), points[..., 1].max()
    rows = np.linspace(top, bottom, 48)
    u = (rows - top) / max(bottom - top, 1.0)
    spread = np.radians(degrees) * rng.uniform(0, 1)
    waves = np.arange(1, 4)[:, None]
    size = rng.normal(0, spread, (3, 1)) / waves**0.7
    turn = (size * np.cos(waves * np.pi * u + rng.uniform(0, 2 * np.pi, (3, 1)))).sum(axis=0)
    own = np.convolve(np.pad(limit_tilts(tilts(points), 60), 2, mode="edge"), np.ones(5) / 5, mode="valid")
    order = np.argsort(centres[:, 1])
    curve = np.interp(rows, centres[order, 1], own[order])
    turn += rng.uniform(-1.6, 1.0) * exaggerate * np.radians(curve - curve.mean())
    limit = max(SEVERE, float(np.ptp(curve)))
    while float(np.ptp(curve + np.degrees(turn))) > limit:
        turn = 0.7 * turn
    return make_bend(float(centres[:, 0].mean()), rows, turn - turn.mean())


@dataclass(frozen=True, slots=True)
class WarpRanges:
    """Ranges and chances from which `SpineWarp` draws.

    Attributes:
        zoom: smallest and largest scale, drawn log-uniformly; 1 is the letterboxed film.
        far_zoom: the same for samples on which the spine is small, as on a film of the whole body.
        far: share of samples drawn from `far_zoom` instead of `zoom`.
        rotation: largest rotation in degrees, for the share `turned` of the samples.
        lean: largest rotation in degrees of the other samples.
        turned: see `rotation`.
        shift: standard deviation of the shift, as a share of the canvas.
        bend: standard deviation in degrees, see `random_bend`.
        exaggerate: see `random_bend`.
        bent: share of samples that are bent.
        stretch: largest change of the ratio of height to width, see `random_stretch`; 0 for none.
    """

    zoom: tuple[float, float] = (0.85, 1.25)
    far_zoom: tuple[float, float] = (0.4, 0.85)
    far: float = 0.0
    rotation: float = 45.0
    lean: float = 8.0
    turned: float = 0.15
    shift: float = 0.04
    bend: float = 10.0
    exaggerate: float = 0.4
    bent: float = 0.5
    stretch: float = 0.0


class SpineWarp(A.DualTransform):  # type: ignore[misc]
    """Bends, rotates, scales and shifts a film in one resampling, onto a canvas of fixed size; the aspect is kept.

    The film is letterboxed to the canvas and then moved. The spine never leaves the canvas: where a rotation would push
    it out the scale is reduced, because the angles of a spine that is cut off are no label. Afterwards
    `get_applied_params()["bent"]` holds the (V, 4, 2) landmarks, stretched and bent but not yet moved, in px of
    the source, and None where neither was done.

    Args:
        size: (H, W) of the canvas.
        ranges: what is drawn from; the defaults of `WarpRanges` when None.
        p: share of samples that are warped.
    """

    def __init__(self, size: tuple[int, int], ranges: WarpRanges | None = None, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.size, self.ranges = size, ranges or WarpRanges()

    @property
    def targets_as_params(self) -> list[str]:
        return ["image", "keypoints"]

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        rng: np.random.Generator = self.random_generator
        landmarks = as_float(np.asarray(data["keypoints"]))[:, :2].reshape(-1, 4, 2)
        film = data["image"].shape[:2]
        r = self.ranges
        change: Bend | Stretch | None = random_stretch(film, r.stretch, rng) if r.stretch > 0 else None
        if rng.random() < r.bent:
            stretched = landmarks if change is None else change.apply(landmarks)
            bend = random_bend(stretched, r.bend, r.exaggerate, rng)
            change = replace(change, bend=bend) if isinstance(change, Stretch) else bend
        bent = None if change is None else change.apply(landmarks)
        view = self._view(film, landmarks if bent is None else bent, rng)
        return {"change": change, "bent": bent, "view": view}

    def _view(self, film: tuple[int, int], landmarks: Floats, rng: np.random.Generator) -> View:
        (height, width), r = self.size, self.ranges
        low, high = r.far_zoom if rng.random() < r.far else r.zoom
        scale = float(np.exp(rng.uniform(np.log(low), np.log(high)))) * min(height / film[0], width / film[1])
        limit = r.rotation if rng.random() < r.turned else r.lean
        turn = float(rng.uniform(-limit, limit))
        middle = ((film[1] - 1) / 2, (film[0] - 1) / 2)
        room = 0.98 * np.array([width, height])
        box = _box(similarity(middle, scale, turn, self.size), landmarks)  # type: ignore[arg-type]
        scale *= min(1.0, float((room / np.maximum(box[1] - box[0], 1.0)).min()))
        box = _box(similarity(middle, scale, turn, self.size), landmarks)  # type: ignore[arg-type]
        edge = 0.01 * np.array([width, height])
        least, most = edge - box[0], np.array([width, height]) - 1 - edge - box[1]
        shift = rng.normal(0, r.shift, 2) * np.array([width, height])
        moved = np.clip(shift, least, np.maximum(least, most))
        target = np.array([(width - 1) / 2, (height - 1) / 2]) + moved
        return similarity(middle, scale, turn, self.size, target)  # type: ignore[arg-type]

    def apply(self, img: Array, change: Bend | Stretch | None, view: View, **params: Any) -> Array:
        if view.scale < 0.6:  # interpolation alone would alias
            img = cv2.GaussianBlur(img, (0, 0), 0.35 / view.scale)
        if change is None:
            moved = cv2.warpAffine(img, view.matrix, (view.size[1], view.size[0]), flags=cv2.INTER_LINEAR)
        else:
            grid = source_map(change, view)
            moved = cv2.remap(img, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR)
        return np.asarray(moved if moved.ndim == img.ndim else moved[..., None])

    def apply_to_keypoints(
        self, keypoints: Array, change: Bend | Stretch | None, view: View, **params: Any
    ) -> Array:
        points = as_float(keypoints[:, :2])
        moved = np.array(keypoints, copy=True)
        moved[:, :2] = view.apply(points if change is None else change.apply(points))
        return moved

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        return ("size", "ranges")


def _box(view: View, landmarks: Floats) -> Floats:
    """(2, 2) canvas px: smallest and largest (x, y) of the landmarks."""
    points = view.apply(landmarks.reshape(-1, 2))
    return np.stack([points.min(axis=0), points.max(axis=0)])


def source_map(change: Bend | Stretch, view: View) -> NDArray[np.float32]:
    """(H, W, 2) film px (x, y) that each canvas px shows.

    Computed on a coarse grid that extends one cell beyond the canvas, because cv2 does not extrapolate at its border.
    """
    height, width = view.size
    rows, columns = -(-height // _GRID) + 2, -(-width // _GRID) + 2
    y = (np.arange(rows) - 0.5) * _GRID - 0.5
    x = (np.arange(columns) - 0.5) * _GRID - 0.5
    coarse = change.undo(view.undo(np.stack(np.meshgrid(x, y), axis=-1))).astype(np.float32)
    fine = cv2.resize(coarse, (columns * _GRID, rows * _GRID), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(fine[_GRID : _GRID + height, _GRID : _GRID + width])
