"""Path lengths through simple solids by formula, for parallel rays: rods, pins and boxes, in milliseconds a film.

`aasce.xray.raster` renders any closed mesh for a real tube's cone of rays. Metal that is drawn over a film at hand
needs neither: rods and screws are chains of capsules (a sphere swept along a segment), whose chords are exact here.

Frame: x and y are mm of the film, x right, y down, (0, 0) at the centre of the first pixel; z runs along the rays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Rod:
    """Capsules along a line, one body: where they overlap, the longest chord counts.

    Attributes:
        points: (N, 3) mm.
        radii: (N,) mm; a segment has the mean radius of its ends.
        thread: depth of a screw's thread as a share of the radius; 0 for none.
        pitch: of the thread, mm along the rod.
    """

    points: Floats
    radii: Floats
    thread: float = 0.0
    pitch: float = 2.7


@dataclass(frozen=True, slots=True)
class Pin:
    """A cylinder with flat ends.

    Attributes:
        start, stop: (3,) mm, the middles of its ends, apart from each other.
        radius: mm.
    """

    start: Floats
    stop: Floats
    radius: float


@dataclass(frozen=True, slots=True)
class Box:
    """A cuboid.

    Attributes:
        centre: (3,) mm.
        axes: (3, 3) mm, the rows are its half axes, perpendicular to each other.
    """

    centre: Floats
    axes: Floats


Solid: TypeAlias = Rod | Pin | Box


def rod(points: Sequence[Floats | Sequence[float]] | Floats, radius: float | Sequence[float] | Floats) -> Rod:
    """A `Rod` of one radius, or of one for each point."""
    line = np.asarray(points, np.float64)
    return Rod(line, np.broadcast_to(np.asarray(radius, np.float64), (len(line),)))


def path_lengths(solids: Sequence[Solid], size: tuple[int, int], px_mm: float) -> Map:
    """Length of every pixel's ray inside solids, summed over the solids.

    Args:
        solids: anywhere; what lies off the film is left out.
        size: (H, W) px of the film.
        px_mm: px a mm.

    Returns:
        (H, W) float32 mm.
    """
    total = np.zeros(size, np.float32)
    for solid in solids:
        if isinstance(solid, Rod):
            _add_rod(total, solid, px_mm)
            continue
        corners = _corners(solid)
        window = _window(corners.min(axis=0), corners.max(axis=0), size, px_mm)
        if window is not None:
            rays = _rays(window, px_mm)
            total[window] += _pin(*rays, solid) if isinstance(solid, Pin) else _box(*rays, solid)
    return total


def _corners(solid: Pin | Box) -> Floats:
    """Points (N, 3) mm around all of a solid."""
    if isinstance(solid, Pin):
        return np.stack([solid.start, solid.stop])[:, None] + solid.radius * np.array([[-1.0], [1.0]])
    reach = np.abs(solid.axes).sum(axis=0)
    return np.stack([solid.centre - reach, solid.centre + reach])


def _window(low: Floats, high: Floats, size: tuple[int, int], px_mm: float) -> tuple[slice, slice] | None:
    """Rows and columns of the film between two points (..., 3) mm; None where they hold none."""
    low, high = low.reshape(-1, 3).min(axis=0), high.reshape(-1, 3).max(axis=0)
    x0, y0 = (max(int(np.floor(low[k] * px_mm)), 0) for k in (0, 1))
    x1, y1 = (min(int(np.ceil(high[k] * px_mm)) + 1, size[1 - k]) for k in (0, 1))
    return (slice(y0, y1), slice(x0, x1)) if x1 > x0 and y1 > y0 else None


def _rays(window: tuple[slice, slice], px_mm: float) -> tuple[Map, Map]:
    """x (1, W) and y (H, 1) mm of the window's pixels."""
    rows, columns = window
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None]
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    return np.asarray(x / px_mm, np.float32), np.asarray(y / px_mm, np.float32)


def _add_rod(total: Map, solid: Rod, px_mm: float) -> None:
    reach = float(solid.radii.max())
    size = (total.shape[0], total.shape[1])
    whole = _window(solid.points - reach, solid.points + reach, size, px_mm)
    if whole is None:
        return
    longest = np.zeros((whole[0].stop - whole[0].start, whole[1].stop - whole[1].start), np.float32)
    radii = (solid.radii[:-1] + solid.radii[1:]) / 2
    for start, stop, radius in zip(solid.points[:-1], solid.points[1:], radii, strict=True):
        ends = np.stack([start, stop])
        window = _window(ends - radius, ends + radius, size, px_mm)
        if window is None:
            continue
        chord = _capsule(*_rays(window, px_mm), start, stop, float(radius), solid)
        inner = longest[
            window[0].start - whole[0].start : window[0].stop - whole[0].start,
            window[1].start - whole[1].start : window[1].stop - whole[1].start,
        ]
        np.maximum(inner, chord, out=inner)
    total[whole] += longest


def _capsule(x: Map, y: Map, start: Floats, stop: Floats, radius: float, solid: Rod) -> Map:
    """Chords of a sphere swept from `start` to `stop`.

    A ray leaves the capsule where the highest of the spheres ends. The height of a sphere's surface over the place s
    of its centre is concave in s, so that the highest sphere is the stationary one, moved into the segment.
    """
    dx, dy, dz = (float(v) for v in stop - start)
    if dx * dx + dy * dy < 1e-8:  # along the ray, where any direction on the film will do
        dx, dy = 1e-4, 0.0
    length = float(np.hypot(dx, dy))
    along = ((x - start[0]) * dx + (y - start[1]) * dy) / length
    aside = ((y - start[1]) * dx - (x - start[0]) * dy) / length
    if solid.thread:
        step = solid.pitch * length / float(np.sqrt(length**2 + dz**2))
        radius = radius * (1 - solid.thread * (0.5 + 0.5 * np.cos(2 * np.pi * along / step)))
    squared = radius**2 - aside**2
    shift = np.sqrt(np.maximum(squared, 0)) * np.float32(dz / np.sqrt(length**2 + dz**2))
    upper, lower = (np.clip(along + sign * shift, 0, length) for sign in (1, -1))
    above, below = squared - (along - upper) ** 2, squared - (along - lower) ** 2
    chord = (
        (upper - lower) * np.float32(dz / length)
        + np.sqrt(np.maximum(above, 0))
        + np.sqrt(np.maximum(below, 0))
    )
    return np.asarray(np.where((above > 0) & (below > 0), chord, 0), np.float32)


def _between(near: Map, far: Map) -> Map:
    """Length (H, W) of what several intervals have in common."""
    return np.asarray(np.maximum(far - near, 0), np.float32)


def _slab(x: Map, y: Map, centre: Floats, normal: Floats, half: float) -> tuple[Map, Map]:
    """z (H, W) mm where rays enter and leave the layer within `half` mm of a plane."""
    offset = (x - centre[0]) * normal[0] + (y - centre[1]) * normal[1]
    slope = float(normal[2]) or 1e-9
    slope = slope if abs(slope) > 1e-6 else np.copysign(1e-6, slope)
    one, other = (-half - offset) / slope, (half - offset) / slope
    return np.minimum(one, other) + centre[2], np.maximum(one, other) + centre[2]


def _box(x: Map, y: Map, solid: Box) -> Map:
    halves = np.linalg.norm(solid.axes, axis=1)
    layers = [_slab(x, y, solid.centre, a / h, float(h)) for a, h in zip(solid.axes, halves, strict=True)]
    near = np.maximum(np.maximum(layers[0][0], layers[1][0]), layers[2][0])
    far = np.minimum(np.minimum(layers[0][1], layers[1][1]), layers[2][1])
    return _between(near, far)


def _pin(x: Map, y: Map, solid: Pin) -> Map:
    axis = solid.stop - solid.start
    length = float(np.linalg.norm(axis))
    normal = axis / length
    near, far = _slab(x, y, (solid.start + solid.stop) / 2, normal, length / 2)
    # |v|^2 - (v n)^2 = r^2 with v = (x, y, z) - start, a quadratic in z.
    px, py = x - solid.start[0], y - solid.start[1]
    flat = px * normal[0] + py * normal[1]
    a = max(1 - float(normal[2]) ** 2, 1e-9)
    b, c = -flat * normal[2], px**2 + py**2 - flat**2 - solid.radius**2
    squared = b**2 - a * c
    half = np.sqrt(np.maximum(squared, 0))
    near = np.maximum(near, solid.start[2] + (-b - half) / a)
    far = np.minimum(far, solid.start[2] + (-b + half) / a)
    return np.asarray(np.where(squared > 0, _between(near, far), 0), np.float32)
