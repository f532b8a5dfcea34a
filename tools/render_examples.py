"""Renders the kit's example films: four whole trunks AP whose landmarks are known, because it placed them.

No patient is in them. Each film is a sum of path lengths through analytic bodies (trunk, lungs, heart, bowel gas, a
skeleton of tubes and plates: tools/example_anatomy.py), put through Beer-Lambert, focal blur, scatter, quantum noise
and a scanner's display processing. The beam is parallel and of one energy.

    python -m tools.render_examples aasce/examples

Frame: mm on the film, x right (the patient's left), y down, z towards the sternum.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from example_anatomy import (
    BONES,
    BOX,
    DEPTH,
    FAT,
    HARD,
    HEIGHT,
    LOWER,
    LUNG,
    PHANTOMS,
    PLATES,
    REACH,
    RIBS,
    S1,
    SOFT,
    SPONGY,
    T1,
    UPPER,
    Floats,
    Phantom,
    Pose,
    corners,
    spine,
    superellipse,
)  # fmt: skip
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator

from aasce.geometry.cobb import cobb_angles


class Body:
    """Projects bodies along z as clouds of attenuating points: a quadrature of the line integral."""

    def __init__(self, shape: tuple[int, int], pixel: float, rng: np.random.Generator) -> None:
        self.shape, self.pixel, self.rng = shape, pixel, rng
        self.image = np.zeros(shape)

    def add(self, points: Floats, weights: Floats) -> None:
        """(N, 3) mm and (N,) mm3 * 1/mm, shared out to the four nearest pixels."""
        at = points[:, :2] / self.pixel
        low = np.floor(at).astype(int)
        part = at - low
        x0, y0 = np.maximum(low.min(0), 0)
        x1, y1 = np.minimum(low.max(0) + 2, self.shape[::-1])
        if x1 <= x0 or y1 <= y0:
            return
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            x, y = low[:, 0] + dx, low[:, 1] + dy
            share = weights * np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1]) / self.pixel**2
            ok = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
            flat = np.bincount((y - y0)[ok] * (x1 - x0) + (x - x0)[ok], share[ok], (x1 - x0) * (y1 - y0))
            self.image[y0:y1, x0:x1] += flat.reshape(y1 - y0, x1 - x0)

    def tube(
        self,
        knots: ArrayLike,
        radii: ArrayLike,
        wall: float = 0.8,
        core: float = SPONGY,
        box: float = 2.0,
        caps: float = 0.0,
        pose: Pose | None = None,
    ) -> None:
        """Adds a tube along a spline, with a shell of cortex, and round ends unless it has caps.

        Args:
            knots: (K, 3) mm, of the film or of the pose's own frame.
            radii: (K, 2) mm across the path, near y (x where the path runs along y) and near z.
            wall: mm of the shell; the inside has attenuation `core` 1/mm.
            box: exponent of the section: 2 an ellipse, more a box.
            caps: mm of the end plates, hollow by 6 % of their half width.
            pose: where the knots' frame lies on the film.
        """
        line, size, arc = _fine(np.asarray(knots, float), np.asarray(radii, float))
        cells = np.ceil(np.array([arc[-1], 2 * np.pi * size.mean()]) / (0.42 * self.pixel)).astype(int) + 4
        grid = np.stack(np.divmod(np.arange(cells.prod()), cells[1]), 1)
        if not caps:
            end = np.minimum(arc, arc[-1] - arc) / np.minimum(size.mean(1), arc[-1] / 2)
            size = size * np.sqrt(np.clip(1 - (1 - np.minimum(end, 1)) ** 2, 0.01, 1))[:, None]
        bodies = []
        for strength, filled in ((HARD * wall, False), (core, True)):
            # One point at random in each cell of a grid: even cover, and no moire.
            s, t = ((grid + self.rng.random(grid.shape)) / cells).T
            r = np.sqrt(self.rng.random(len(s))) if filled else np.ones(len(s))
            points, area = _section(line, size, arc, s * arc[-1], 2 * np.pi * t, r, box, filled)
            bodies.append((points, strength * area * 2 * np.pi * arc[-1] / len(s)))
        for end, inward in ((0, 1), (-1, -1)) if caps else ():
            bodies.append(_cap(line[end], size[end], box, caps * HARD, inward, 0.35 * self.pixel))
        for points, weights in bodies:
            self.add(points if pose is None else points @ pose[0].T + pose[1], weights)

    def plate(self, outline: Floats, integral: float) -> None:
        """Adds a thin bone seen flat: (K, 2) mm corners of its outline, line integral of what bone adds."""
        points = np.round(outline / self.pixel * 16).astype(np.int32)
        mask = cv2.fillPoly(np.zeros(self.shape), [points], 1.0, cv2.LINE_8, 4)
        mask = cv2.GaussianBlur(mask, (0, 0), 1.5 / self.pixel)
        self.image += integral * mask * (1 + 0.15 * clouds(self.rng, self.shape, 6 / self.pixel))


def _fine(knots: Floats, radii: Floats) -> tuple[Floats, Floats, Floats]:
    """(200, 3) points, (200, 2) radii and (200,) arc length of the smooth curve through the knots."""
    u = np.r_[0, np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))]
    s = np.linspace(0, u[-1], 200)
    line = (
        CubicSpline(u, knots)(s) if len(knots) > 2 else knots[0] + s[:, None] / u[-1] * (knots[1] - knots[0])
    )
    arc = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    return line, np.maximum(PchipInterpolator(u, radii)(s), 0.05), arc


def _section(
    line: Floats, size: Floats, arc: Floats, s: Floats, t: Floats, r: Floats, box: float, filled: bool
) -> tuple[Floats, Floats]:
    """(N, 3) points at arc length s, angle t, share r of the radius; (N,) area or rim that belongs to each."""
    along = np.gradient(line, arc, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    lean = np.array([0.0, 1, 0]) if np.abs(along[:, 1]).mean() < 0.8 else np.array([1.0, 0, 0])
    first = lean - along * (along @ lean)[:, None]
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    frame = (line, first, np.cross(along, first))
    centre, n1, n2 = (np.stack([np.interp(s, arc, v[:, k]) for k in range(3)], 1) for v in frame)
    a, b = np.interp(s, arc, size[:, 0]), np.interp(s, arc, size[:, 1])
    rho = superellipse(t, box)
    points = centre + n1 * (a * rho * r * np.cos(t))[:, None] + n2 * (b * rho * r * np.sin(t))[:, None]
    return points, rho**2 * a * b / 2 if filled else rho * np.hypot(a * np.sin(t), b * np.cos(t))


def _cap(
    centre: Floats, size: Floats, box: float, strength: float, inward: int, cell: float
) -> tuple[Floats, Floats]:
    n = int(np.pi * size[0] * size[1] / cell**2)
    t, r = np.arange(n) * np.pi * (3 - np.sqrt(5)), np.sqrt((np.arange(n) + 0.5) / n)  # a sunflower's spiral
    rho = superellipse(t, box)
    x, y, z = (
        size[0] * r * rho * np.cos(t),
        inward * 0.06 * size[0] * (1 - r**2),
        size[1] * r * rho * np.sin(t),
    )
    return centre + np.stack([x, y, z], 1), strength * np.pi * size[0] * size[1] * rho**2 / n


def add_vertebra(body: Body, level: int, build: float, pose: Pose) -> None:
    """Body with waist, shell and endplates; pedicles, laminae, spinous, transverse and articular processes."""
    h, w, low, d = (build * float(v[level]) for v in (HEIGHT, UPPER, LOWER, DEPTH))
    lumbar, neck = float(np.clip((level - T1 - 9) / 4, 0, 1)), float(level < T1)

    def put(
        knots: ArrayLike, radii: ArrayLike, wall: float, sides: tuple[int, ...] = (-1, 1), **how: Any
    ) -> None:
        for side in sides:
            body.tube(np.asarray(knots, float) * [side, 1, 1], radii, wall, pose=pose, **how)

    y, waist = np.array([-0.5, -0.44, -0.25, 0, 0.25, 0.44, 0.5]), [1, 0.985, 0.92, 0.895, 0.92, 0.985, 1]
    half = (
        np.stack([np.interp(y, [-0.5, 0.5], [w, low]) / 2, np.full(7, d / 2)], 1) * np.array(waist)[:, None]
    )
    put(np.outer(y, [0, h, 0]), half, 0.42, (1,), box=BOX, caps=0.7)
    x, z, foot = (0.36 + 0.02 * lumbar) * w, -d / 2, (1.15 - 0.75 * lumbar - 0.95 * neck) * h
    size = ((0.27 - 0.07 * neck) * h, (0.09 + 0.03 * lumbar) * w)
    put([(x, -0.16 * h, z + 3), (x, -0.16 * h, z - 9)], [size, size], 0.65)
    put([(x, 0, z - 10), (0.2 * w, 0.2 * h, z - 17), (0, 0.35 * h, z - 21)], [(0.29 * h, 2)] * 3, 0.5)
    if REACH[level]:
        tip = (x + build * REACH[level], -0.12 * h, z - 14)
        put([(x, -0.1 * h, z - 9), tip], [(4.4, 4), (3.4, 3)], 0.4)
    f, r = (0.34 + 0.04 * lumbar) * w + 8 * neck, 2.6 + 2 * max(lumbar, neck)
    facet = [(f, -0.72 * h, z - 8), (0.95 * f, 0, z - 12), (0.85 * f, 0.8 * h, z - 14)]
    put(facet, [(r, 4), (r, 4), (r, 4)], 0.5 + 0.4 * neck)
    spinous = [(0, 0.25 * h, z - 20), (0, 0.3 * h + foot / 2, z - 32), (0, 0.35 * h + foot, z - 42)]
    put(spinous, [(0.3 * h, 2.2), (0.28 * h, 2), (0.26 * h + 1, 3 + lumbar)], 0.7, (1,))


def add_ribs(body: Body, phantom: Phantom, c: Floats, middle: float) -> None:
    """Twelve pairs, from the upper edge of each vertebra around the chest."""
    b = phantom.build
    for i, (wide, drop, slope, end) in enumerate(RIBS.T):
        x0, y0, z0 = c[T1 + i] - [0, (0.38 if i else 0.1) * HEIGHT[T1 + i] * b, 8]
        a = np.linspace(0.07, np.pi * end, 14)
        arch = (6 if i else 0) * np.sin(np.minimum(2 * a, np.pi))
        y = y0 + b * (drop * (1 - np.cos(a)) / 2 + slope * np.sin(a)) - arch
        z = z0 - 12 + (55 + 3 * min(i, 6)) * (1 - np.cos(a)) - 34 * np.sin(a) ** 2 * np.exp(-2 * a)
        radii = np.stack([np.interp(a, [0, 0.5, 2.5], [3.6, 5.6, 6.6]), np.full(14, 3.2)], 1)
        for s in (-1, 1):
            reach = wide * phantom.chest * b + s * (middle - x0) * 0.8
            x = x0 + s * (6 + (reach - 6) * np.sin(a) ** (1.0 if i < 10 else 0.8))
            body.tube(np.stack([x, y, z], 1), radii * (1 if i < 10 else 0.8), 0.9)


def add_bones(body: Body, c: Floats, b: float, middle: float) -> None:
    """Shoulder girdle, sacrum, pelvis, hips, jaw and skull, from the tables."""
    anchors = {"chest": (middle, c[T1 + 2, 1]), "pelvis": (c[S1, 0], c[S1, 1]), "head": (middle, c[0, 1])}
    for anchor, wall, core, rows in BONES:
        table = b * np.array(rows, float)
        for s in (-1, 1) if table[:, 0].any() else (1,):
            body.tube(table[:, :3] * [s, 1, 1] + [*anchors[anchor], 0], table[:, 3:], wall, core)
    for anchor, integral, outline in PLATES:
        for s in (-1, 1):
            body.plate(np.array(outline) * [s * b, b] + anchors[anchor], integral)


def soft_tissue(body: Body, phantom: Phantom, c: Floats, middle: float) -> tuple[Floats, Floats]:
    """(H, W) line integral of trunk, lungs and heart, and the (H, W) share of lung in it (0 to 1)."""
    b, rng, mm = phantom.build, body.rng, 1 / body.pixel
    y, x = np.mgrid[: body.shape[0], : body.shape[1]] * body.pixel
    height = c[:, 1]
    trunk = [*height[[T1, T1 + 1, T1 + 4, T1 + 8, T1 + 12, T1 + 14, T1 + 16]] + [4, 6, 0, 0, 0, 0, 0]]
    at = [0, height[2], height[4] - 5, *trunk, height[S1] + 60, height[S1] + 170]
    half = np.array([60, 54, 57, 80, 150, 190, 158, 130, 121, 128, 165, 185]) * b * phantom.chest
    deep = np.array([150, 110, 110, 120, 130, 155, 180, 195, 192, 190, 195, 180]) * b
    w, d = PchipInterpolator(at, half)(y), PchipInterpolator(at, deep)(y)
    axis = np.interp(y, [height[T1 + 8], height[S1]], [middle, c[S1, 0]])

    def chord(inset: float) -> Floats:
        inner = np.clip(1 - (np.abs(x - axis) / (w - inset)) ** 2.4, 0, 1) ** (1 / 2.4)
        return np.asarray((d - 2 * inset) * inner)

    total = FAT * chord(0) + (SOFT - FAT) * chord(11 * b)
    total *= 1 + 0.007 * clouds(rng, body.shape, 12 * mm) + 0.006 * clouds(rng, body.shape, 2.5 * mm)
    colon = np.exp(-(((np.abs(x - axis) / b - 78) / 20) ** 2 + ((y - height[S1] + 12 * b) / (52 * b)) ** 4))
    stool = clouds(rng, body.shape, 3 * mm) + 0.4 * clouds(rng, body.shape, 9 * mm)
    total -= 0.10 * colon * np.clip(stool - 0.8, 0, 2)
    lung = lungs(x, y, c, middle, phantom)
    return total - (SOFT - LUNG) * lung * 0.86 * chord(22 * b), lung


def lungs(x: Floats, y: Floats, c: Floats, middle: float, phantom: Phantom) -> Floats:
    """(H, W) share of the chest's depth that is lung: ribs outside, diaphragm below, mediastinum and heart out."""
    b, column, top = phantom.build, np.interp(y, c[:, 1], c[:, 0]), c[T1, 1] + 6
    sides = np.interp(y, c[T1 : T1 + 11, 1] + 8, RIBS[0, :11] * b * phantom.chest - 4)
    sides = np.maximum(sides * np.clip((y - top) / 30, 0, 1) ** 0.5, 1)
    outer = np.clip(1 - np.abs((x - middle) / sides) ** 3.5, 0, 1) ** 0.5 * (y > top)
    knob = 8 * np.exp(-(((y - c[T1 + 5, 1]) / 28) ** 2)) + 0.5 * np.abs(column - middle)
    lung = np.zeros_like(x)
    for s, dome, inner in ((-1, c[T1 + 10, 1] - 14, 16 * b + knob), (1, c[T1 + 10, 1] - 3, 29 * b + knob)):
        arch = dome + 55 * b * np.clip(np.abs((x - middle) * s - 52 * b) / (68 * b), 0, 2) ** 2.2
        base = 0.8 * np.clip((arch - y) / 40, 0, 1) ** 0.5 + 0.2 * np.clip((arch + 34 - y) / 40, 0, 1)
        beside = 1 / (1 + np.exp(-((x - (column + middle) / 2) * s - inner) / 2.2))
        lung = np.maximum(lung, 0.92 * outer * base * (0.12 + 0.88 * beside))
    u, v = (x - middle) / b, y - c[T1 + 7, 1]
    heart = np.clip(1 - np.hypot((u - 20) / 50, (v - 4) / (56 * b)) ** 2.5, 0, 1) ** 0.5
    aorta = np.clip(1 - np.hypot((u - 17) / 17, (y - c[T1 + 4, 1]) / 16) ** 2, 0, 1) ** 0.5
    return np.asarray(lung * (1 - 0.72 * np.maximum(heart, 0.5 * aorta)))


def clouds(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> Floats:
    """(H, W) noise of unit variance, smooth over `sigma` px."""
    noise = cv2.GaussianBlur(
        rng.standard_normal(shape), (0, 0), max(sigma, 0.3), borderType=cv2.BORDER_REFLECT
    )
    return np.asarray(noise / noise.std())


def add_air_and_vessels(body: Body, c: Floats, b: float, middle: float, lung: Floats) -> None:
    """Windpipe and bronchi, vessels of the lungs, psoas, gas in stomach and bowel."""
    rng, carina, x = body.rng, c[T1 + 4, 1] + 4, 0.6 * middle + 0.4 * c[T1 + 2, 0]
    windpipe = [(c[3, 0], 40, 40), (x, c[T1, 1], 30), (x, carina, 25)]
    body.tube(windpipe, [(6, 6), (7.5, 7.5), (7.5, 7.5)], 0, -SOFT)
    vessels = Body(body.shape, body.pixel, rng)
    for s in (-1, 1):
        body.tube([(x, carina, 25), (x + s * 32, carina + 28, 25)], [(6, 6), (4.5, 4.5)], 0, -SOFT)
        psoas = c[[T1 + 12, T1 + 14, S1]] + np.array([(26, 0, 0), (42, 0, 5), (62, 10, 30)]) * [s, 1, 1]
        body.tube(psoas, [(8, 8), (20, 20), (22, 22)], 0, 0.0016)
        for direction in np.radians(np.linspace(-80, 85, 15)):
            root = np.array([middle + s * rng.uniform(26, 40), carina + rng.uniform(8, 40), 20.0])
            grow(vessels, root, direction, s, rng.uniform(2.4, 4.4) * b, rng.uniform(40, 60) * b, 4)
    body.image += vessels.image * np.clip(lung * 2.2, 0, 1)
    stomach = c[T1 + 10] + [44 * b, 24, 20] + np.array([(-26, 2, 0), (-8, -2, 0), (10, 0, 0), (24, 6, 0)])
    body.tube(stomach, [(4, 4), (15, 15), (14, 14), (4, 4)], 0, -0.5 * SOFT)
    for _ in range(9):
        x, y = c[S1, 0] + rng.choice([-1, 1]) * rng.uniform(60, 100), c[S1, 1] + rng.uniform(-90, 40)
        dx, dy, size = rng.uniform(-8, 8), rng.uniform(5, 15), rng.uniform(4, 9)
        loop = [(x, y, 20), (x + dx + 4, y + dy, 20), (x + 2 * dx, y + 2 * dy, 20)]
        body.tube(loop, [(2, 2), (size, size), (2, 2)], 0, -0.5 * SOFT)


def grow(
    body: Body, at: Floats, direction: float, side: int, radius: float, length: float, forks: int
) -> None:
    """A vessel that bends at random, thins, and forks again and again."""
    knots = [at]
    for _ in range(4):
        direction += body.rng.normal(0, 0.22)
        knots.append(knots[-1] + length / 4 * np.array([side * np.cos(direction), np.sin(direction), 0.2]))
    body.tube(knots, np.linspace([radius] * 2, [0.55 * radius] * 2, 5), 0, SOFT - LUNG)
    for k in range(2 if forks > 1 else 0):
        turn = direction + (0.5 - k) * body.rng.uniform(0.5, 1.1)
        grow(body, knots[3 + k], turn, side, 0.55 * radius, 0.62 * length, forks - 1)


def expose(integral: Floats, rng: np.random.Generator, pixel: float) -> Floats:
    """(H, W) line integral -> measured -log intensity: focal blur, scatter behind a grid, quantum noise."""
    primary = cv2.GaussianBlur(np.exp(-integral), (0, 0), 0.2 / pixel)
    scatter = 0.35 * cv2.GaussianBlur(primary, (0, 0), 35.0 / pixel)  # what a 10:1 grid leaves behind a trunk
    quanta = 6e4 * (pixel / 0.475) ** 2
    return np.asarray(-np.log(np.maximum(rng.poisson(quanta * (primary + scatter)), 1) / quanta))


def display(measured: Floats, pixel: float) -> NDArray[np.uint8]:
    """What a scanner's console makes of it: large shadows held down, edges lifted, local contrast, 8 bit."""
    bands: list[Any] = [measured]
    for mm in (0.8, 3.0, 10.0, 30.0):
        bands.append(cv2.GaussianBlur(measured, (0, 0), mm / pixel, borderType=cv2.BORDER_REPLICATE))
    grey = 26 + 30 * (bands[4] + 0.3)
    for gain, sharp, smooth in zip((105, 125, 95, 68), bands, bands[1:], strict=False):
        grey += gain * (sharp - smooth)
    grey = np.where(grey > 180, 180 + 75 * (1 - np.exp(-(grey - 180) / 75)), np.maximum(grey, 6))
    eight = np.round(grey).astype(np.uint8)
    return np.asarray(cv2.createCLAHE(1.3, (8, 4)).apply(eight), dtype=np.uint8)


def side_marker(film: NDArray[np.uint8], pixel: float) -> None:
    """The R that a radiographer lays beside the neck, on the patient's right."""
    x, y, stroke, size = round(30 / pixel), round(58 / pixel), max(round(1.0 / pixel), 1), 0.42 / pixel
    cv2.circle(film, (x, y), round(8 / pixel), 235, stroke, cv2.LINE_AA)
    (w, h), _ = cv2.getTextSize("R", cv2.FONT_HERSHEY_SIMPLEX, size, stroke)
    cv2.putText(film, "R", (x - w // 2, y + h // 2), cv2.FONT_HERSHEY_SIMPLEX, size, 235, stroke, cv2.LINE_AA)


def render(phantom: Phantom, scale: float = 1.0) -> tuple[NDArray[np.uint8], Floats]:
    """One film and its truth: (H, W) uint8 and (17, 4, 2) px, the same bits for the same seed and scale."""
    b, pixel, width = phantom.build, phantom.pixel / scale, 284.0 * phantom.build
    body = Body((round(760 * b / pixel), round(width / pixel)), pixel, np.random.default_rng(phantom.seed))
    poses = spine(phantom, width)
    c = np.stack([centre for _, centre in poses])
    middle = 0.375 * width + 0.25 * float(c[T1 : T1 + 12, 0].mean())
    for level, pose in enumerate(poses):
        add_vertebra(body, level, b, pose)
    add_ribs(body, phantom, c, middle)
    add_bones(body, c, b, middle)
    body.image *= 1 + sum(0.06 * clouds(body.rng, body.shape, mm / pixel) for mm in (0.5, 2.0))
    tissue, lung = soft_tissue(body, phantom, c, middle)
    add_air_and_vessels(body, c, b, middle, lung)
    film = display(expose(np.maximum(tissue + body.image, 0), body.rng, pixel), pixel)
    side_marker(film, pixel)
    return film, corners(phantom, poses) / pixel


def main(out: Path, scale: Annotated[float, typer.Option(help="size, for a quick look")] = 1.0) -> None:
    """Renders all films into a folder, with truth.csv and landmarks.json."""
    truth, rows = {}, []
    for phantom in PHANTOMS:
        film, landmarks = render(phantom, scale)
        points, quality = np.round(landmarks, 2), 90
        while len(data := cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]) > 118_000:
            quality -= 2
        (out / f"{phantom.name}.jpg").write_bytes(data.tobytes())
        truth[phantom.name] = {"size": list(film.shape), "landmarks": points.tolist()}
        rows.append([phantom.name, *(f"{a:.3f}" for a in cobb_angles(points, film.shape[0]).degrees)])
        typer.echo(f"{' '.join(rows[-1])}  {film.shape}, quality {quality}, {len(data)} bytes")
    (out / "landmarks.json").write_text(json.dumps(truth, separators=(",", ":")) + "\n")
    with (out / "truth.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["name", "an1", "an2", "an3"], *rows])


if __name__ == "__main__":
    typer.run(main)
