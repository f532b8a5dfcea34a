"""Renders the kit's example films: four whole trunks AP whose landmarks are known, because it placed them.

No patient is in them. Each film is a sum of path lengths through analytic bodies (trunk, lungs, heart, bowel
gas, skeleton of tubes, plates and boxes), put through Beer-Lambert, scatter, quantum noise, the tube's blur and
a scanner's display processing. The beam is parallel, so every size is one in the plane of the film.

    python tools/render_examples.py aasce/examples

Frame: mm on the film, x right (the patient's left), y down, z towards the sternum.

Sources: attenuation at 60 keV from NIST (Hubbell and Seltzer, tables 3 and 4: ICRU-44 soft tissue 0.2048 cm2/g
at 1.06 g/cm3, lung 0.2053 at 0.26, cortical bone 0.3148 at 1.92, adipose 0.1974 at 0.95; trabecular bone lies
between soft tissue and cortex). Vertebral bodies follow the anthropometry of Panjabi et al., Spine 16:888 (1991)
and 17:299 (1992), times 1.1 for the usual magnification of a long film.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator

from aasce.geometry.cobb import cobb_angles

Floats = NDArray[np.float64]
Shape = tuple[Floats, Floats]  # (N, 3) mm points of a body and (N,) mm3 * 1/mm: each point's attenuation

SOFT, FAT, LUNG, CORTEX, TRABECULAR = 0.0217, 0.0188, 0.0053, 0.0604, 0.0290  # 1/mm at 60 keV
HARD, SPONGY = CORTEX - SOFT, TRABECULAR - SOFT  # what bone adds to the soft tissue whose place it takes

# C3 to C7, T1 to L5, S1, in mm on the film: height, upper and lower width, depth, disc below.
HEIGHT = np.array(
    [14, 14, 14, 14, 15, 15.6, 16.6, 17.2, 17.8, 18.2, 18.9, 19.6, 20.3, 21, 21.9, 23.2, 24.6, 25.8, 26.4, 26.6, 26.7,
     26.6, 28])  # fmt: skip
UPPER = np.array(
    [19, 20, 21, 23, 27, 30, 29, 28, 27.6, 28, 29, 30.6, 32, 33.6, 35.2, 38, 41.6, 44, 45.6, 47.6, 50, 52, 54]
)
LOWER = np.array(
    [
        20,
        21,
        22,
        25,
        28,
        29.6,
        28.6,
        28,
        28.4,
        29.4,
        30.8,
        32,
        33.6,
        35.8,
        38.2,
        41.4,
        44.4,
        46,
        48,
        50,
        52,
        53,
        40,
    ]
)
DEPTH = np.array(
    [16, 16, 17, 18, 19, 20, 21.5, 24, 25.5, 26.5, 28, 29.5, 30.5, 32, 33, 34, 35, 36, 37, 37.5, 38, 38, 34]
)
DISC = np.array(
    [4.5, 4.5, 4.5, 5, 5, 4.2, 4, 4, 4, 4, 4.3, 4.6, 5, 5.4, 6, 6.6, 7.4, 8.4, 9.2, 10, 10.4, 9.5, 0]
)
SAGITTAL = PchipInterpolator([0, 4, 5, 11, 17, 19, 21, 22], [-6, 8, 13, 1, -9, -6, 12, 26])  # degrees
T1, S1 = 5, 22
RIB_WIDTH = np.array([46, 76, 95, 107, 114, 119, 122, 123, 121, 116, 104, 80.0])
RIB_DROP = np.array([42, 52, 58, 62, 66, 70, 74, 78, 84, 92, 104, 110.0])
RIB_SLOPE = np.array([9, 10, 13, 17, 20, 23, 25, 27, 29, 33, 40, 46.0])  # mm down from the spine to the flank
RIB_END = np.array([0.80, 0.78, 0.77, 0.77, 0.77, 0.77, 0.76, 0.74, 0.70, 0.66, 0.50, 0.36])  # of half a turn


@dataclass(frozen=True, slots=True)
class Phantom:
    """One example: its name, seed, coronal tilts by level (degrees, right side lower is positive) and build."""

    name: str
    seed: int
    tilts: tuple[tuple[float, float], ...]  # (index from T1 = 0, degrees)
    build: float = 1.0
    chest: float = 1.0
    pixel: float = 0.475  # mm


PHANTOMS = (
    Phantom("example-1", 1, ((-5, 0), (0, -9), (5, 21), (11.5, -21), (16, 5), (17, 2))),
    Phantom(
        "example-2", 2, ((-5, 0), (0, -1), (4, -3), (9, -14), (14, 14), (16, 8), (17, 2)), 0.95, 1.04, 0.46
    ),
    Phantom("example-3", 3, ((-5, 0), (0, -13), (4, 25), (10, -30), (15, 20), (17, 3)), 0.97, 0.97, 0.465),
    Phantom("example-4", 4, ((-5, 0), (0, 1), (5, -4), (11, 4), (16, -1), (17, 0)), 1.04, 1.0, 0.48),
)


class Body:
    """Collects bodies as attenuating points and projects them along z: a quadrature of the line integral."""

    def __init__(self, shape: tuple[int, int], pixel: float, rng: np.random.Generator) -> None:
        self.shape, self.pixel, self.rng = shape, pixel, rng
        self.image = np.zeros(shape)

    def add(self, shape: Shape, pose: tuple[Floats, Floats] | None = None) -> None:
        """Projects a body, placed by a (rotation, centre) if one is given, with bilinear weights."""
        points, weights = shape
        if pose is not None:
            points = points @ pose[0].T + pose[1]
        at = points[:, :2] / self.pixel
        low = np.floor(at).astype(int)
        part = at - low
        rows, columns = self.shape
        x0, y0 = np.maximum(low.min(0), 0)
        x1, y1 = np.minimum(low.max(0) + 2, (columns, rows))
        if x1 <= x0 or y1 <= y0:
            return
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            x, y = low[:, 0] + dx, low[:, 1] + dy
            share = weights * np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1]) / self.pixel**2
            ok = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
            flat = np.bincount((y - y0)[ok] * (x1 - x0) + (x - x0)[ok], share[ok], (x1 - x0) * (y1 - y0))
            self.image[y0:y1, x0:x1] += flat.reshape(y1 - y0, x1 - x0)

    def tube(self, knots: object, radii: object, wall: float = 0.8, hard: float = HARD, core: float = SPONGY,
             power: float = 2.0, caps: float = 0.0) -> Shape:  # fmt: skip
        """A tube along a smooth path with elliptic (or, by `power`, boxier) section.

        Args:
            knots: (K, 3) mm, passed through by a spline.
            radii: (K,) or (K, 2) mm at the knots, half the size across the path, near y and near z.
            wall: mm of the shell, of attenuation `hard` 1/mm; the inside has `core`.
            caps: mm of end plates of attenuation `hard`; they are hollowed by a twentieth of their radius.
        """
        p, r = np.asarray(knots, float), np.asarray(radii, float)
        r = np.broadcast_to(r[..., None] if r.ndim == 1 else r, (len(p), 2))
        u = np.r_[0, np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))]
        fine = np.linspace(0, u[-1], 200)
        line = CubicSpline(u, p)(fine) if len(p) > 2 else np.stack([np.interp(fine, u, c) for c in p.T], 1)
        size = np.maximum(PchipInterpolator(u, r)(fine), 0.05)
        step = np.linalg.norm(np.diff(line, axis=0), axis=1)
        arc = np.r_[0, np.cumsum(step)]
        cells = np.ceil(np.array([arc[-1], 2 * np.pi * size.mean()]) / (0.42 * self.pixel)).astype(int) + 4
        n = int(cells.prod())
        grid = np.stack(np.divmod(np.arange(n), cells[1]), 1)
        if not caps:  # round off the ends
            end = np.minimum(arc, arc[-1] - arc) / np.minimum(size.mean(1), arc[-1] / 2)
            size = size * np.sqrt(np.clip(1 - (1 - np.minimum(end, 1)) ** 2, 0.01, 1))[:, None]
        parts = []
        for share, filled in ((hard * wall, False), (core, True)):
            if share == 0:
                continue
            # One point at random in each cell of a grid: even cover, and no moire.
            s, t = ((grid + self.rng.random((n, 2))) / cells).T
            radius = np.sqrt(self.rng.random(n)) if filled else np.ones(n)
            weight = share * 2 * np.pi * arc[-1] / n
            parts.append(self._section(line, size, arc, s * arc[-1], 2 * np.pi * t, radius, power, weight))
        for end in (0, -1) if caps else ():
            parts.append(self._cap(line[end], size[end], power, caps * hard, 1 if end == 0 else -1))
        return np.concatenate([q for q, _ in parts]), np.concatenate([w for _, w in parts])

    def plate(self, outline: object, integral: float) -> None:
        """Adds a thin bone seen flat: (K, 2) mm corners of its outline, line integral of what bone adds."""
        points = np.round(np.asarray(outline, float) / self.pixel * 16).astype(np.int32)
        mask = cv2.fillPoly(np.zeros(self.shape), [points], 1.0, cv2.LINE_8, 4)
        mask = cv2.GaussianBlur(mask, (0, 0), 1.5 / self.pixel)
        self.image += integral * mask * (1 + 0.15 * clouds(self.rng, self.shape, 6 / self.pixel))

    def _section(self, line: Floats, size: Floats, arc: Floats, s: Floats, t: Floats, radius: Floats,
                 power: float, weight: float) -> Shape:  # fmt: skip
        along = np.gradient(line, arc, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        # The section's first axis leans to y, unless the path itself runs along y: then to x.
        lean = np.array([0, 1.0, 0]) if np.abs(along[:, 1]).mean() < 0.8 else np.array([1.0, 0, 0])
        first = lean - along * (along @ lean)[:, None]
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        second = np.cross(along, first)
        centre, n1, n2 = (
            np.stack([np.interp(s, arc, v[:, k]) for k in range(3)], 1) for v in (line, first, second)
        )
        a, b = np.interp(s, arc, size[:, 0]), np.interp(s, arc, size[:, 1])
        rho = (np.abs(np.cos(t)) ** power + np.abs(np.sin(t)) ** power) ** (-1 / power)
        rim = rho * np.hypot(a * np.sin(t), b * np.cos(t))
        r = rho * radius
        points = centre + n1 * (a * r * np.cos(t))[:, None] + n2 * (b * r * np.sin(t))[:, None]
        return points, weight * (rim if radius.min() == 1 else rho**2 * a * b / 2)

    def _cap(self, centre: Floats, size: Floats, power: float, weight: float, inward: int) -> Shape:
        n = int(np.pi * size[0] * size[1] / (0.35 * self.pixel) ** 2)
        t, r = (
            np.arange(n) * np.pi * (3 - np.sqrt(5)),
            np.sqrt((np.arange(n) + 0.5) / n),
        )  # a sunflower's spiral
        rho = r * (np.abs(np.cos(t)) ** power + np.abs(np.sin(t)) ** power) ** (-1 / power)
        y = inward * 0.06 * size[0] * (1 - r**2)
        points = centre + np.stack([size[0] * rho * np.cos(t), y, size[1] * rho * np.sin(t)], 1)
        return points, np.full(n, weight) * np.pi * size[0] * size[1] * (rho / r) ** 2 / n


def spine(phantom: Phantom, width: float) -> tuple[Floats, Floats]:
    """(23, 3, 3) rotations and (23, 3) mm centres of the vertebrae C3 to S1."""
    level = np.arange(S1 + 1)
    knots, degrees = np.array(phantom.tilts).T
    tilt = np.radians(PchipInterpolator(knots + T1, degrees)(level))
    lean = np.radians(SAGITTAL(level))
    # Vertebrae turn towards the convexity, about 0.35 degrees per degree of bend over three levels.
    turn = -1.6 * np.gradient(np.convolve(np.pad(tilt, 1, "edge"), np.ones(3) / 3, "valid"))
    turn[:T1] *= 0.3
    rotations = np.stack([_axes(*a) for a in zip(tilt, lean, turn, strict=True)])
    down = rotations[:, :, 1]
    half, disc = phantom.build * HEIGHT[:, None] / 2, phantom.build * DISC[:-1, None]
    step = down[:-1] * (half[:-1] + disc / 2) + down[1:] * (half[1:] + disc / 2)
    centres = np.concatenate([np.zeros((1, 3)), np.cumsum(step, 0)])
    centres += [
        width / 2 - (centres[T1:, 0].mean() + centres[-1, 0]) / 2,
        46 * phantom.build,
        -centres[:, 2].mean(),
    ]
    return rotations, centres


def _axes(tilt: float, lean: float, turn: float) -> Floats:
    c, s = np.cos([tilt, lean, turn]), np.sin([tilt, lean, turn])
    coronal = np.array([[c[0], -s[0], 0], [s[0], c[0], 0], [0, 0, 1]])
    sagittal = np.array([[1, 0, 0], [0, c[1], s[1]], [0, -s[1], c[1]]])
    axial = np.array([[c[2], 0, s[2]], [0, 1, 0], [-s[2], 0, c[2]]])
    return np.asarray(coronal @ sagittal @ axial)


def corners(phantom: Phantom, rotations: Floats, centres: Floats) -> Floats:
    """(17, 4, 2) mm TL, TR, BL, BR of T1 to L5: where each endplate's projected rim is widest."""
    t = np.linspace(0, 2 * np.pi, 1441)
    rho = (np.abs(np.cos(t)) ** 2.5 + np.abs(np.sin(t)) ** 2.5) ** (-1 / 2.5)
    found = np.zeros((17, 4, 2))
    for v in range(17):
        level = v + T1
        for k, (wide, end) in enumerate(((UPPER, -0.5), (LOWER, 0.5))):
            x, z = wide[level] / 2 * rho * np.cos(t), DEPTH[level] / 2 * rho * np.sin(t)
            rim = phantom.build * np.stack([x, np.full_like(t, end * HEIGHT[level]), z], 1)
            seen = rim @ rotations[level].T + centres[level]
            across = seen @ np.cross(np.array([0, 0, 1.0]), -rotations[level][:, 1])
            found[v, 2 * k] = seen[np.argmin(across), :2]
            found[v, 2 * k + 1] = seen[np.argmax(across), :2]
    return found


def add_vertebra(body: Body, level: int, build: float, pose: tuple[Floats, Floats]) -> None:
    """Body with waist, shell and endplates; pedicles, laminae, spinous, transverse and articular processes."""
    h, w, b, d = (float(v[level]) for v in (HEIGHT, UPPER, LOWER, DEPTH))
    lumbar = float(np.clip((level - T1 - 9) / 4, 0, 1))
    neck = level < T1
    ends, waist = (
        np.array([-0.5, -0.44, -0.25, 0, 0.25, 0.44, 0.5]),
        np.array([1, 0.985, 0.92, 0.895, 0.92, 0.985, 1]),
    )
    wide = waist * np.interp(ends, [-0.5, 0.5], [w, b]) / 2
    parts = [
        body.tube(
            [(0, e * h, 0) for e in ends], np.stack([wide, waist * d / 2], 1), 0.42, power=2.5, caps=0.7
        )
    ]
    out, back, foot = (0.36 + 0.02 * lumbar) * w, -d / 2, (0.2 if neck else 1.15 - 0.75 * lumbar) * h
    for s in (-1, 1):
        rx, ry = (0.09 + 0.03 * lumbar) * w, (0.27 if not neck else 0.2) * h
        parts.append(
            body.tube([(s * out, -0.16 * h, back + 3), (s * out, -0.16 * h, back - 9)], [(ry, rx)] * 2, 0.65)
        )
        parts.append(body.tube([(s * out, 0, back - 10), (s * 0.2 * w, 0.2 * h, back - 17), (0, 0.35 * h, back - 21)],
                               [(0.28 * h, 2), (0.3 * h, 2), (0.3 * h, 2)], 0.5))  # fmt: skip
        reach = [0, 26, 25, 24, 22, 21, 20, 19, 17, 15, 12, 8, 7, 17, 21, 26, 22, 20, 0][
            max(level - T1 + 1, 0)
        ]
        if reach:
            tip = (s * (out + reach), -0.12 * h, back - 14)
            parts.append(body.tube([(s * out, -0.1 * h, back - 9), tip], [(4.4, 4), (3.4, 3)], 0.4))
        facet = s * ((0.34 + 0.04 * lumbar) * w + 8 * neck)
        parts.append(body.tube([(facet, -0.72 * h, back - 8), (0.95 * facet, 0, back - 12), (0.85 * facet, 0.8 * h, back - 14)],
                               [(2.6 + 2 * lumbar + 2 * neck, 4), (2.8 + lumbar + 2 * neck, 4), (2.6 + 2 * lumbar + 2 * neck, 4)], 0.5 + 0.4 * neck))  # fmt: skip
    parts.append(body.tube([(0, 0.25 * h, back - 20), (0, 0.3 * h + foot / 2, back - 32), (0, 0.35 * h + foot, back - 42)],
                           [(0.3 * h, 2.2), (0.28 * h, 2), (0.26 * h + 1, 3 + lumbar)], 0.7))  # fmt: skip
    for points, weights in parts:
        body.add((points * build, weights * build**3 / build), pose)


def add_ribs(body: Body, phantom: Phantom, centres: Floats, middle: float) -> None:
    """Twelve pairs, from the upper edge of each vertebra around the chest."""
    for i in range(12):
        x0, y0, z0 = centres[T1 + i] - [0, (0.38 if i else 0.1) * HEIGHT[T1 + i] * phantom.build, 8]
        for s in (-1, 1):
            a = np.linspace(0.14, np.pi * RIB_END[i], 14)
            reach = RIB_WIDTH[i] * phantom.chest * phantom.build + s * (middle - x0) * 0.8
            x = x0 + s * (6 + (reach - 6) * np.sin(a) ** (1.0 if i < 10 else 0.8))
            z = z0 - 12 + (55 + 0.3 * min(i, 6) * 10) * (1 - np.cos(a)) - 34 * np.sin(a) ** 2 * np.exp(-2 * a)
            y = (
                y0
                + phantom.build * (RIB_DROP[i] * (1 - np.cos(a)) / 2 + RIB_SLOPE[i] * np.sin(a))
                - (6 if i else 0) * np.sin(np.minimum(2 * a, np.pi))
            )
            r = np.stack([np.interp(a, [0, 0.5, 2.5], [3.6, 5.6, 6.6]), np.full(14, 3.2)], 1) * (
                1 if i < 10 else 0.8
            )
            r[-1] *= 0.8
            body.add(body.tube(np.stack([x, y, z], 1), r, 0.9))


def add_girdles(body: Body, c: Floats, build: float, middle: float) -> None:
    """Clavicles, shoulder blades, humeral heads, sacrum, pelvis, hips and the lower jaw."""
    y, pelvis, floor = c[T1 + 2, 1], c[S1, 0], c[S1, 1]
    for s in (-1, 1):

        def put(origin: float, knots: object, radii: object, **how: float) -> None:
            p = np.asarray(knots, float) * [s, 1, 1] * build + [origin, 0, 0]  # noqa: B023
            body.add(body.tube(p, np.asarray(radii, float) * build, **how))

        q = y / build
        put(
            middle,
            [(14, q + 6, 70), (50, q - 6, 80), (95, q - 20, 50), (148, q - 26, 20)],
            [7.5, 5, 5.5, 6.5],
            wall=1.7,
        )
        put(middle, [(150, q + 4, 0), (152, q + 24, 0)], [(23, 23), (21, 21)], wall=0.8)
        put(middle, [(152, q + 10, 0), (172, q + 120, 0)], [(13, 13), (11, 11)], wall=3.0)
        put(
            middle,
            [(132, q + 20, -30), (120, q + 60, -45), (100, q + 118, -55)],
            [(3, 7), (2.4, 5), (2, 4)],
            wall=1.1,
        )
        put(
            middle,
            [(78, q + 8, -55), (84, q + 60, -60), (100, q + 118, -55)],
            [(1.6, 3), (1.4, 3), (2, 4)],
            wall=0.8,
        )
        put(
            middle,
            [(80, q + 16, -60), (115, q + 0, -60), (150, q - 14, -40)],
            [(3, 5), (4, 7), (7, 4)],
            wall=0.9,
        )
        f = floor / build
        crest = [
            (42, f + 2, -45),
            (62, f - 26, -35),
            (92, f - 40, -5),
            (117, f - 24, 30),
            (121, f + 6, 52),
            (112, f + 34, 58),
            (103, f + 62, 40),
            (100, f + 84, 22),
        ]
        put(pelvis, crest, [(2.6, 4)] * 8, wall=1.0)
        brim = [(44, f + 34, -30), (62, f + 62, 0), (64, f + 92, 30), (42, f + 122, 60), (6, f + 134, 75)]
        put(pelvis, brim, [(3.5, 5), (3, 5), (4, 6), (6, 5), (8, 5)], wall=1.3)
        put(
            pelvis,
            [(64, f + 92, 10), (66, f + 130, -10), (48, f + 165, -10)],
            [(7, 8), (8, 8), (9, 8)],
            wall=1.4,
        )
        put(
            pelvis,
            [(88, f + 84, 20), (88, f + 95, 20), (88, f + 106, 20), (88, f + 128, 20)],
            [9, 20, 23, 12],
            wall=1.0,
        )
        put(
            pelvis,
            [(92, f + 108, 20), (112, f + 128, 15), (134, f + 150, 5), (136, f + 230, 0)],
            [15, 14, 17, 14],
            wall=1.8,
        )
        wing = np.array(
            [(34, f + 6), *[q[:2] for q in crest], (96, f + 100), (66, f + 96), (60, f + 62), (42, f + 36)]
        )
        body.plate(wing * [s * build, build] + [pelvis, 0], 0.27)
        blade = np.array(
            [(78, q + 8), (84, q + 60), (100, q + 118), (120, q + 60), (132, q + 18), (112, q - 2)]
        )
        body.plate(blade * [s * build, build] + [middle, 0], 0.06)
        for k in range(4):
            put(
                pelvis,
                [(19 - 2 * k, f + 12 + 16 * k, -40), (22 - 2 * k, f + 15 + 16 * k, -40)],
                [(4, 5)] * 2,
                wall=0.8,
                core=-0.02,
            )
        jaw = c[0, 1] / build
        put(
            middle,
            [(0, jaw + 2, 90), (26, jaw - 1, 80), (48, jaw - 14, 35), (55, jaw - 60, 10)],
            [(11, 7), (11, 6), (11, 5), (13, 4)],
            wall=2.4,
        )
    sacrum = np.array([(0, 0, -25), (0, 20, -38), (0, 45, -50), (0, 68, -50), (0, 86, -42)]) * build
    body.add(
        body.tube(
            sacrum + [pelvis, floor, 0],
            np.array([(50, 9), (48, 12), (36, 11), (24, 8), (8, 5)]) * build,
            0.55,
            core=0.005,
        )
    )
    skull = np.array([(0, -70, 20), (0, -40, 20), (0, -20, 15), (0, -8, 10)]) * build
    body.add(
        body.tube(
            skull + [middle, c[0, 1], 0],
            np.array([(66, 80), (64, 75), (52, 55), (24, 20)]) * build,
            2.5,
            core=0.011,
        )
    )


def soft_tissue(body: Body, phantom: Phantom, c: Floats, middle: float) -> tuple[Floats, Floats]:
    """(H, W) line integral of everything but bone, and the (H, W) share of lung in it (0 to 1)."""
    b, rng = phantom.build, body.rng
    y, x = np.mgrid[: body.shape[0], : body.shape[1]] * body.pixel
    level = lambda name: float(c[name, 1])  # noqa: E731
    at = [0, level(2), level(4) - 5, level(T1) + 4, level(T1 + 1) + 6, level(T1 + 4), level(T1 + 8), level(T1 + 12),
          level(T1 + 14), level(T1 + 16), level(S1) + 60, level(S1) + 170]  # fmt: skip
    half = np.array([60, 54, 57, 80, 150, 190, 158, 130, 121, 128, 165, 185]) * b * phantom.chest
    deep = np.array([150, 105, 105, 120, 135, 175, 190, 185, 175, 175, 195, 180]) * b
    w, d = PchipInterpolator(at, half)(y), PchipInterpolator(at, deep)(y)
    axis = PchipInterpolator([0, level(T1), level(T1 + 8), level(S1)], [middle, middle, middle, c[S1, 0]])(y)

    def chord(inset: float) -> Floats:
        return np.asarray(
            (d - 2 * inset) * np.clip(1 - (np.abs(x - axis) / (w - inset)) ** 2.4, 0, 1) ** (1 / 2.4)
        )

    total = FAT * chord(0) + (SOFT - FAT) * chord(11 * b)
    total *= (
        1
        + 0.007 * clouds(rng, body.shape, 12 / body.pixel)
        + 0.006 * clouds(rng, body.shape, 2.5 / body.pixel)
    )
    flank = np.exp(-(((np.abs(x - axis) / b - 78) / 20) ** 2 + ((y - level(S1) + 12 * b) / (52 * b)) ** 4))
    total -= (
        0.10
        * flank
        * np.clip(
            clouds(rng, body.shape, 3 / body.pixel) + 0.4 * clouds(rng, body.shape, 9 / body.pixel) - 0.8,
            0,
            2,
        )
    )
    lung = np.zeros(body.shape)
    sides = np.interp(y, c[T1 : T1 + 11, 1] + 8, RIB_WIDTH[:11] * b * phantom.chest - 4)
    column = np.interp(y, c[:, 1], c[:, 0])
    for s, dome in ((-1, level(T1 + 10) - 14), (1, level(T1 + 10) - 3)):
        u = (x - middle) * s
        top = level(T1) + 6
        roof = np.clip((y - top) / 30, 0, 1) ** 0.5
        outer = np.clip(1 - np.abs(u / np.maximum(sides * roof, 1)) ** 3.5, 0, 1) ** 0.5
        arch = dome + 55 * b * np.clip(np.abs(u - 52 * b) / (68 * b), 0, 2) ** 2.2
        base = 0.8 * np.clip((arch - y) / 60, 0, 1) ** 0.5 + 0.2 * np.clip((arch + 34 - y) / 40, 0, 1)
        inner = (
            (29 if s > 0 else 19) * b
            + 8 * np.exp(-(((y - level(T1 + 5)) / 28) ** 2))
            + 0.5 * np.abs(column - middle)
        )
        mediastinum = 1 / (1 + np.exp(-((x - (0.5 * column + 0.5 * middle)) * s - inner) / 2.2))
        lung = np.maximum(lung, 0.92 * outer * base * (0.12 + 0.88 * mediastinum) * (y > top))
    heart = (
        np.clip(1 - np.hypot((x - middle - 20 * b) / 50, (y - level(T1 + 7) - 4) / (56 * b)) ** 2.5, 0, 1)
        ** 0.5
    )
    arch = np.clip(1 - np.hypot((x - middle - 17 * b) / 17, (y - level(T1 + 4)) / 16) ** 2, 0, 1) ** 0.5
    lung *= 1 - 0.72 * np.maximum(heart, 0.5 * arch)
    total -= (SOFT - LUNG) * lung * 0.86 * chord(22 * b)
    return total, lung


def clouds(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> Floats:
    """(H, W) noise of unit variance, smooth over `sigma` px."""
    noise = cv2.GaussianBlur(
        rng.standard_normal(shape), (0, 0), max(sigma, 0.3), borderType=cv2.BORDER_REFLECT
    )
    return np.asarray(noise / noise.std())


def add_air_and_vessels(body: Body, c: Floats, build: float, middle: float, lung: Floats) -> None:
    """Trachea and bronchi, vessels of the lungs, gas in stomach and bowel, psoas."""
    rng, carina = body.rng, c[T1 + 4, 1] + 4
    air, gas = {"wall": 0.0, "core": -SOFT}, {"wall": 0.0, "core": -0.5 * SOFT}
    x = 0.6 * middle + 0.4 * c[T1 + 2, 0]
    body.add(body.tube([(c[3, 0], 40, 40), (x, c[T1, 1], 30), (x, carina, 25)], [6, 7.5, 7.5], **air))
    for s in (-1, 1):
        body.add(body.tube([(x, carina, 25), (x + s * 32, carina + 28, 25)], [6, 4.5], **air))
        body.add(body.tube([(c[T1 + 12, 0] + s * 26, c[T1 + 12, 1], 0), (c[T1 + 14, 0] + s * 42, c[T1 + 14, 1], 5),
                            (c[S1, 0] + s * 62, c[S1, 1] + 10, 30)], [8, 20, 22], wall=0, core=0.0016))  # fmt: skip
    vessels = Body(body.shape, body.pixel, rng)
    for s in (-1, 1):
        for direction in np.radians(np.linspace(-80, 85, 15)):
            root = np.array([middle + s * rng.uniform(26, 40), carina + rng.uniform(8, 40), 20.0])
            grow(vessels, root, direction, s, rng.uniform(1.6, 3.2) * build, rng.uniform(40, 60) * build, 4)
    body.image += vessels.image * np.clip(lung * 1.6, 0, 1)
    bubble = c[T1 + 10] + [44 * build, 24, 20]
    body.add(
        body.tube(
            bubble + np.array([(-26, 2, 0), (-8, -2, 0), (10, 0, 0), (24, 6, 0)]), [4, 15, 14, 4], **gas
        )
    )
    for _ in range(9):
        s = rng.choice([-1, 1])
        start = np.array([c[S1, 0] + s * rng.uniform(60, 100), c[S1, 1] + rng.uniform(-90, 40), 20])
        end = start + [rng.uniform(-14, 14), rng.uniform(8, 30), 0]
        body.add(body.tube([start, (start + end) / 2 + [4, 0, 0], end], [2, rng.uniform(4, 9), 2], **gas))


def grow(
    body: Body, start: Floats, direction: float, side: int, radius: float, length: float, depth: int
) -> None:
    """A vessel that bends at random, thins, and forks `depth` times."""
    knots = [start]
    for _ in range(4):
        direction += body.rng.normal(0, 0.22)
        knots.append(knots[-1] + length / 4 * np.array([side * np.cos(direction), np.sin(direction), 0.2]))
    body.add(body.tube(knots, np.linspace(radius, 0.55 * radius, 5), wall=0, core=0.9 * (SOFT - LUNG)))
    for k in range(2 if depth > 1 else 0):
        turn = direction + (0.5 - k) * body.rng.uniform(0.5, 1.1)
        grow(body, knots[3 + k], turn, side, 0.55 * radius, 0.62 * length, depth - 1)


def expose(integral: Floats, rng: np.random.Generator, pixel: float) -> Floats:
    """(H, W) line integral -> measured -log intensity: blur, scatter behind a grid, quantum noise."""
    blur = lambda image, mm: cv2.GaussianBlur(image, (0, 0), mm / pixel)  # noqa: E731
    primary = blur(np.exp(-integral), 0.28)
    scatter = 0.35 * blur(primary, 35.0)  # grid 10:1 leaves about a third of the primary behind a trunk
    quanta = 4e5 * (pixel / 0.475) ** 2
    seen = rng.poisson(quanta * (primary + scatter)) / quanta
    return np.asarray(-np.log(np.maximum(blur(seen, 0.2), 1e-5)))


def display(measured: Floats, pixel: float) -> NDArray[np.uint8]:
    """What a scanner's console makes of it: large shadows held down, edges lifted, local contrast, 8 bit."""
    blur = lambda image, mm: cv2.GaussianBlur(image, (0, 0), mm / pixel, borderType=cv2.BORDER_REPLICATE)  # noqa: E731
    bands = [measured, *(blur(measured, mm) for mm in (0.8, 3.0, 10.0, 30.0))]
    grey = 26 + 30 * (bands[4] + 0.3)
    for gain, sharp, smooth in zip((60, 125, 95, 68), bands, bands[1:], strict=False):
        grey += gain * (sharp - smooth)
    grey = np.where(grey > 180, 180 + 75 * (1 - np.exp(-(grey - 180) / 75)), np.maximum(grey, 6))
    eight = np.round(grey).astype(np.uint8)
    return np.asarray(cv2.createCLAHE(1.3, (8, 4)).apply(eight), dtype=np.uint8)


def side_marker(film: NDArray[np.uint8], pixel: float) -> None:
    """The R that a radiographer lays beside the neck, on the patient's right."""
    x, y = round(30 / pixel), round(58 / pixel)
    stroke = max(round(1.0 / pixel), 1)
    cv2.circle(film, (x, y), round(8 / pixel), 235, stroke, cv2.LINE_AA)
    (w, h), _ = cv2.getTextSize("R", cv2.FONT_HERSHEY_SIMPLEX, 0.42 / pixel, stroke)
    cv2.putText(
        film, "R", (x - w // 2, y + h // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.42 / pixel, 235, stroke, cv2.LINE_AA
    )


def render(phantom: Phantom, scale: float = 1.0) -> tuple[NDArray[np.uint8], Floats]:
    """One film and its truth: (H, W) uint8 and (17, 4, 2) px, the same bits for the same seed and scale."""
    pixel, width, height = phantom.pixel / scale, 284.0 * phantom.build, 760.0 * phantom.build
    shape = (round(height / pixel), round(width / pixel))
    body = Body(shape, pixel, np.random.default_rng(phantom.seed))
    rotations, centres = spine(phantom, width)
    middle = 0.5 * width + 0.25 * (float(centres[T1 : T1 + 12, 0].mean()) - 0.5 * width)
    for level in range(S1 + 1):
        add_vertebra(body, level, phantom.build, (rotations[level], centres[level]))
    add_ribs(body, phantom, centres, middle)
    add_girdles(body, centres, phantom.build, middle)
    body.image *= (
        1 + 0.06 * clouds(body.rng, shape, 0.5 / pixel) + 0.06 * clouds(body.rng, shape, 2.0 / pixel)
    )
    tissue, lung = soft_tissue(body, phantom, centres, middle)
    add_air_and_vessels(body, centres, phantom.build, middle, lung)
    film = display(expose(np.maximum(tissue + body.image, 0), body.rng, pixel), pixel)
    side_marker(film, pixel)
    return film, corners(phantom, rotations, centres) / pixel


def main(out: Path, scale: Annotated[float, typer.Option(help="size, for a quick look")] = 1.0) -> None:
    """Renders all films into a folder, with truth.csv and landmarks.json."""
    truth, rows = {}, []
    for phantom in PHANTOMS:
        film, landmarks = render(phantom, scale)
        points = np.round(landmarks, 2)
        quality = 90
        while len(data := cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]) > 118_000:
            quality -= 3
        (out / f"{phantom.name}.jpg").write_bytes(data.tobytes())
        truth[phantom.name] = {"size": list(film.shape), "landmarks": points.tolist()}
        rows.append([phantom.name, *np.round(cobb_angles(points, film.shape[0]).degrees, 3)])
        typer.echo(f"{phantom.name} {film.shape} quality {quality}, {len(data)} bytes, angles {rows[-1][1:]}")
    (out / "landmarks.json").write_text(json.dumps(truth, separators=(",", ":")) + "\n")
    with (out / "truth.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["name", "an1", "an2", "an3"], *rows])


if __name__ == "__main__":
    typer.run(main)
