"""Where the lines of a Cobb angle go on the film: pure geometry, no drawing.

Frame: px, x right, y down. The construction is Cobb's (Instr Course Lect 5, 1948): a line along the upper
endplate of the upper end vertebra, one along the lower endplate of the lower end vertebra. Where they meet on
the film, that is the angle; where they do not, perpendiculars to both are dropped beside the spine, which
enclose the same angle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

OVERHANG = 0.35  # of the endplate's width: how far a line runs past the vertebra and past the crossing


@dataclass(frozen=True, slots=True)
class Construction:
    """Lines to draw for one curve.

    Attributes:
        kind: "crossing" when the endplate lines meet inside the bounds, else "perpendicular".
        lines: (2, 2, 2) px: the line along each endplate, from its end on the far side to its outer end.
        perpendiculars: (K, 2, 2) px, K is 0 or 2: from the foot on each line past the vertex.
        vertex: (2,) px, the tip of the angle.
        arms: (2, 2) unit vectors from the vertex along the two arms that enclose the angle.
        side: +1 when the angle opens beside the right side of the spine on the film, -1 for the left.
    """

    kind: str
    lines: Floats
    perpendiculars: Floats
    vertex: Floats
    arms: Floats
    side: int


def construct(upper: Floats, lower: Floats, bounds: tuple[float, float, float, float]) -> Construction | None:
    """Lays out the lines of one curve.

    Args:
        upper: (4, 2) px corners TL, TR, BL, BR of the upper end vertebra.
        lower: likewise of the lower end vertebra.
        bounds: x0, y0, x1, y1 in px: a crossing outside is not drawn.

    Returns:
        None when an endplate has no length, so that nothing can be drawn.
    """
    plates = np.stack([upper[[0, 1]], lower[[2, 3]]])  # (2 plates, left and right end, xy)
    directions = plates[:, 1] - plates[:, 0]
    lengths = np.linalg.norm(directions, axis=1)
    if not np.isfinite(plates).all() or (lengths < 1e-6).any():
        return None
    directions = directions / lengths[:, None]
    crossing = _meet(plates[:, 0], directions)
    side = _concave_side(plates, crossing)
    if crossing is not None and _inside(crossing, bounds):
        return _crossing(plates, directions, lengths, crossing, side)
    return _perpendicular(plates, directions, lengths, side, bounds)


def _meet(points: Floats, directions: Floats) -> Floats | None:
    """(2,) px where two lines cross, None for parallel ones."""
    (ux, uy), (vx, vy) = directions
    determinant = ux * vy - uy * vx
    if abs(determinant) < 1e-9:
        return None
    dx, dy = points[1] - points[0]
    return np.asarray(points[0] + directions[0] * (dx * vy - dy * vx) / determinant)


def _inside(point: Floats, bounds: tuple[float, float, float, float]) -> bool:
    x0, y0, x1, y1 = bounds
    return bool(x0 <= point[0] <= x1 and y0 <= point[1] <= y1)


def _concave_side(plates: Floats, crossing: Floats | None) -> int:
    """The side where the endplate lines converge; the right one for parallel lines."""
    if crossing is None:
        return 1
    return 1 if crossing[0] >= plates[:, :, 0].mean() else -1


def _crossing(plates: Floats, directions: Floats, lengths: Floats, vertex: Floats, side: int) -> Construction:
    lines = []
    for plate, direction, length in zip(plates, directions, lengths, strict=True):
        along = np.append((plate - vertex) @ direction, 0.0)
        ends = along.min() - OVERHANG * length, along.max() + OVERHANG * length
        lines.append(vertex + np.outer(ends, direction))
    arms = plates.mean(axis=1) - vertex
    norms = np.linalg.norm(arms, axis=1)
    arms = np.where(norms[:, None] > 1e-6, arms / np.maximum(norms, 1e-6)[:, None], -side * directions)
    return Construction("crossing", np.stack(lines), np.empty((0, 2, 2)), vertex, arms, side)


def _perpendicular(
    plates: Floats, directions: Floats, lengths: Floats, side: int, bounds: tuple[float, float, float, float]
) -> Construction:
    """The vertex stands beside the spine on the concave side, halfway between the two lines."""
    edge = float((plates[:, :, 0] * side).max()) * side
    x = float(np.clip(edge + side * 0.9 * lengths.mean(), bounds[0], bounds[2]))
    # The height of each line at x; a vertical line has none, its middle does.
    heights = [
        a[1] + (x - a[0]) * d[1] / d[0] if abs(d[0]) > 0.2 else (a[1] + b[1]) / 2
        for (a, b), d in zip(plates, directions, strict=True)
    ]
    vertex = np.array([x, (heights[0] + heights[1]) / 2])
    feet = plates[:, 0] + directions * ((vertex - plates[:, 0]) * directions).sum(axis=1)[:, None]
    lines, perpendiculars, rays = [], [], []
    for plate, direction, length, foot in zip(plates, directions, lengths, feet, strict=True):
        along = np.append((plate - foot) @ direction, 0.0)
        ends = along.min() - OVERHANG * length, along.max() + OVERHANG * length
        lines.append(foot + np.outer(ends, direction))
        ray = vertex - foot
        reach = float(np.linalg.norm(ray))
        ray = ray / reach if reach > 1e-6 else np.array([-direction[1], direction[0]])
        rays.append(ray)
        perpendiculars.append(np.stack([foot, vertex + ray * 0.55 * reach]))
    # The angle lies between one perpendicular and the other one's continuation past the vertex.
    arms = np.stack([-rays[0], rays[1]])
    return Construction("perpendicular", np.stack(lines), np.stack(perpendiculars), vertex, arms, side)


def enclosed_degrees(construction: Construction) -> float:
    """The angle between the two arms, as drawn: that of the endplates."""
    cosine = float(construction.arms[0] @ construction.arms[1])
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
