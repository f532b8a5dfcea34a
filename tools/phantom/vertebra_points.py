"""Named points of a template on its fine surface, and sizes between them, for tools/phantom/build_vertebrae.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from aasce.phantom.spine.anthropometry import means, reach
from aasce.types import Array
from tools.phantom.vertebra_shapes import marks

ON_SURFACE = ("spinous_tip", "right_transverse_tip", "right_costal", "right_costotransverse")
"""Points that are moved to the surface, in addition to those of the rims."""


def measure(level: str, vertices: Array) -> dict[str, float]:
    """Widths, depths and heights of the right half of a body's mesh, by the names of `Dimensions`."""
    up, down = reach(level)
    around = (np.abs(vertices[:, 1]) < 0.45 * means()[level].depth) & (vertices[:, 0] < 0.56 * widest(level))
    middle = (vertices[:, 0] < 1e-4) & (vertices[:, 1] > -means()[level].depth / 2 - 2.5)
    out = {}
    corner = {
        (x, y, z): vertices[rim_vertex(vertices, level, (x, y, z))]
        for x, y in ((1, 0), (0, 1), (0, -1))
        for z in (1, -1)
    }
    for name, z in (("upper", 1), ("lower", -1)):
        half = (vertices[:, 2] - (up - down) / 2) * z > 0.2 * (up + down) / 2
        half &= np.abs(vertices[:, 2]) < max(up, down) + 6
        # A calliper measures the widest point of the rim, a film shows its corner; the mean size lies between.
        out[f"{name}_width"] = float(vertices[around & half, 0].max() + corner[1, 0, z][0])
        ends = corner[0, 1, z][1] - corner[0, -1, z][1]
        out[f"{name}_depth"] = float((np.ptp(vertices[middle & half, 1]) + ends) / 2)
    for name, y in (("front", 1), ("back", -1)):
        out[f"{name}_height"] = float(corner[0, y, 1][2] - corner[0, y, -1][2])
    return out


def widest(level: str) -> float:
    """The wider endplate's mean width, mm."""
    return max(means()[level].upper_width, means()[level].lower_width)


def rim_vertex(vertices: Array, level: str, way: tuple[int, int, int]) -> int:
    """Index of the vertex at a corner of the body's outline, where an annotator of films marks it.

    It is the extreme point along the diagonal, in units of half the width or depth and half the height: the point of
    the rounded rim between side wall and endplate.

    Args:
        vertices: (V, 3) mm.
        level: "C1" to "S1".
        way: signs of (x, y, z) of the corner; x or y is zero.
    """
    size = means()[level]
    up, down = reach(level)
    sx, sy, sz = way
    height = (up if sz > 0 else down) / 1.6
    x = vertices[:, 0] / (size.upper_width / 2) * sx + vertices[:, 1] / (size.depth / 2) * sy
    score = x + sz * vertices[:, 2] / height
    near = np.abs(vertices[:, 2]) < 1.35 * max(up, down)
    if sx:
        near &= np.abs(vertices[:, 1]) < 0.30 * size.depth
        near &= vertices[:, 0] < 0.56 * widest(level)
    else:
        near &= (vertices[:, 0] < 1e-4) & (vertices[:, 1] > -size.depth / 2 - 2.5)
    return int(np.where(near, score, -np.inf).argmax())


def named_points(level: str, v: Array) -> dict[str, Array]:
    """Named points of `aasce.phantom.spine.vertebra.VertebraModel`, mm, right side and middle plane.

    Args:
        level: "C1" to "S1".
        v: (V, 3) vertices of the fine surface.
    """
    size = means()[level]
    up, down = reach(level)
    if level == "C1":
        ring = size.upper_width / 2 - 3
        points = {"superior_right": (ring, 0, up), "inferior_right": (ring, 0, -down)}
        points |= {f"{k}_front": (0, 12, z) for k, z in (("superior", up - 1), ("inferior", 1 - down))}
        points |= {f"{k}_back": (0, 7, z) for k, z in (("superior", up - 1), ("inferior", 1 - down))}
        points |= {"right_pedicle": (17, -9, 0), "spinous_base": (0, -27, 0), "spinous_tip": (0, -36.0, 0)}
        points |= {
            "right_transverse_base": (22, -3, -1),
            "right_transverse_tip": (size.transverse_span / 2, -5, -1),
        }
    elif level == "S1":
        points = _sacral_points(v)
    else:
        points = {
            f"{k}_right": v[rim_vertex(v, level, (1, 0, s))] for k, s in (("superior", 1), ("inferior", -1))
        }
        for side, way in (("front", 1), ("back", -1)):
            points |= {
                f"{k}_{side}": v[rim_vertex(v, level, (0, way, s))]
                for k, s in (("superior", 1), ("inferior", -1))
            }
        points |= _arch_points(level)
    if level == "C2":
        points |= {
            "superior_right": (11.0, 0, up + 1),
            "superior_front": (0, 6.5, up),
            "superior_back": (0, -6, up),
        }
    if level[0] == "T":
        points |= _costal_points(level)
    out = {name: np.asarray(p, float) for name, p in points.items()}
    return {name: _snapped(v, p) if name in ON_SURFACE else p for name, p in out.items()}


def _arch_points(level: str) -> dict[str, Any]:
    if level == "C2":
        size = means()["C2"]
        rear = -size.depth / 2 - size.canal_depth
        points = {
            "right_pedicle": (14.5, -6.5, 1.0),
            "spinous_base": (0, rear - 1, -5),
            "spinous_tip": (0, rear - 17, -10),
        }
        half = size.transverse_span / 2
        return points | {"right_transverse_base": (17, -2, -2), "right_transverse_tip": (half, -6, -6)}
    m = marks(level)
    tip = np.array(m.transverse_tip) + np.array([8.0, 0, 0])
    return {
        "right_pedicle": m.pedicle,
        "spinous_base": m.spine,
        "spinous_tip": m.tip,
        "right_transverse_base": m.transverse_base,
        "right_transverse_tip": tip,
    }


def _sacral_points(v: Array) -> dict[str, Any]:
    v = v[v[:, 2] > 8]
    points: dict[str, Any] = {"superior_right": v[rim_vertex(v, "S1", (1, 0, 1))]}
    points |= {f"superior_{k}": v[rim_vertex(v, "S1", (0, s, 1))] for k, s in (("front", 1), ("back", -1))}
    points |= {
        "inferior_right": (8.0, 33.0, -81),
        "inferior_front": (0, 35.5, -78),
        "inferior_back": (0, 30.5, -86),
    }
    points |= {"right_pedicle": (24.0, -14, 4), "spinous_base": (0, -30, 0), "spinous_tip": (0, -38, 0)}
    return points | {"right_transverse_base": (27, -6, 3), "right_transverse_tip": (54, -13, 1)}


def _costal_points(level: str) -> dict[str, Array]:
    """Points where head and tubercle of the rib of the same number touch (T11 and T12 have no tubercle facet)."""
    n, size, m = int(level[1:]), means()[level], marks(level)
    z = {1: 2.5, 10: m.up - 4.5, 11: m.pedicle[2], 12: m.pedicle[2] - 1}.get(n, m.up - 2.0)
    head = np.array([size.upper_width / 2, m.back + (2.5 if n < 11 else -1.5), z])
    tubercle = np.array(m.transverse_tip) + np.array([1.0, 4.0, 0.0 if n < 7 else 1.5])
    return {"right_costal": head, "right_costotransverse": tubercle}


def _snapped(vertices: Array, point: Array) -> Array:
    near = vertices[vertices[:, 0] == 0] if point[0] == 0 else vertices
    return np.asarray(near[np.linalg.norm(near - point, axis=1).argmin()])
