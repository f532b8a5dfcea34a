"""Makes aasce/phantom/data/vertebrae.npz: the template of every vertebra, C1 to the sacrum.

Each level is a signed distance field (vertebra_shapes.py and sacrum_shape.py in this folder) at the mean sizes of
aasce.phantom.spine.anthropometry. It is meshed by marching cubes (Lorensen and Cline 1987), simplified by quadrics
(Garland and Heckbert 1997) and mirrored, so templates are exactly symmetric. The marrow's surface has the same faces,
with every vertex moved inward by the thickness of the cortex there, so that a thin cortex is even.

Needs scikit-image, fast-simplification, trimesh and rtree:

    python -m tools.phantom.build_vertebrae            # about five minutes
    python -m tools.phantom.build_vertebrae --levels T7 L3 --out /some/where.npz
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fast_simplification
import numpy as np
import trimesh
from scipy.ndimage import map_coordinates
from skimage.measure import marching_cubes

from aasce.phantom.spine.anthropometry import Dimensions, means
from aasce.phantom.spine.pose import LEVELS
from aasce.phantom.spine.templates import mirrored
from aasce.types import Array
from tools.phantom.sacrum_shape import sacrum
from tools.phantom.vertebra_fields import Bone, Grid
from tools.phantom.vertebra_points import ON_SURFACE, measure, named_points
from tools.phantom.vertebra_shapes import body, build

OUT = Path(__file__).parents[2] / "aasce" / "phantom" / "data" / "vertebrae.npz"
FINE_MM = 0.6
FACES = {"C": 1200, "T": 1440, "L": 1600, "S": 2400}
"""Number of faces of the outer surface by region; the marrow has the same number."""

BOXES = {
    "C": ((-66.0, 22.0), (-38.0, 32.0), 46.0),
    "T": ((-80.0, 24.0), (-58.0, 26.0), 46.0),
    "L": ((-80.0, 26.0), (-34.0, 32.0), 54.0),
    "S": ((-50.0, 62.0), (-104.0, 32.0), 62.0),
}
"""Extent of the sampling points by region: ranges of y and of z, and largest x, mm."""


@dataclass(frozen=True, slots=True)
class Half:
    """The right half of a template: vertices on x = 0 are shared with the left half.

    Attributes:
        outer, inner: (V, 3) mm.
        room: (V,) largest factor on the cortex's thickness at which the marrow's surface does not cross itself.
        faces: (F, 3) counter-clockwise from outside.
    """

    outer: Array
    inner: Array
    room: Array
    faces: Array


def grid(level: str, spacing: float = FINE_MM) -> Grid:
    """Sampling points of the right half; the first layer is at x = 0."""
    (y0, y1), (z0, z1), x1 = BOXES[level[0]]
    axes = [np.arange(a, b, spacing, dtype=np.float32) for a, b in ((0, x1), (y0, y1), (z0, z1))]
    return Grid(*np.meshgrid(*axes, indexing="ij"))


def surface(g: Grid, values: Array) -> tuple[Array, Array]:
    """(V, 3) vertices and (F, 3) faces of the closed right half, cut flat at x = 0; counter-clockwise from outside.

    The flat cut preserves the outline in the middle plane while the mesh is simplified.

    Raises:
        RuntimeError: the bone extends to the edge of its box.
    """
    shell = (values[-1], values[:, 0], values[:, -1], values[:, :, 0], values[:, :, -1])
    if min(float(side.min()) for side in shell) <= 0:
        raise RuntimeError("the bone reaches the edge of its box; enlarge BOXES")
    # Values near zero would give very thin faces at a grid point, which fold over in the simplification.
    clear = np.where(np.abs(values) < 0.04, np.copysign(0.04, values), values)
    capped = np.concatenate([np.full_like(values[:1], 1e4), clear])
    steps = [float(np.diff(a[:2])[0]) for a in (g.x[:, 0, 0], g.y[0, :, 0], g.z[0, 0, :])]
    vertices, faces, _, _ = marching_cubes(capped, 0.0, spacing=tuple(steps), gradient_direction="ascent")
    vertices = vertices + np.array([-steps[0], g.y.flat[0], g.z.flat[0]])
    vertices[np.abs(vertices[:, 0]) < 0.01, 0] = 0
    pieces = trimesh.Trimesh(vertices, faces[:, ::-1], process=False).split(only_watertight=False)
    largest = max(pieces, key=lambda m: len(m.faces))
    return np.asarray(largest.vertices), np.asarray(largest.faces)


def fitted_sizes(level: str) -> Dimensions:
    """Sizes for the body's field with which its mesh has the mean sizes, as rounding makes the rim smaller."""
    wanted = asked = means()[level]
    g = grid(level, 0.5)
    near = Grid(*(a[:68, (g.y[0, :, 0] > -26), :][:, :, np.abs(g.z[0, 0]) < 24] for a in (g.x, g.y, g.z)))
    for _ in range(3):
        field, _, _ = body(near, level, asked)
        got = measure(level, surface(near, field)[0])
        asked = replace(asked, **{n: getattr(asked, n) * getattr(wanted, n) / v for n, v in got.items()})
    return asked


def simplified(vertices: Array, faces: Array, target: int) -> tuple[Array, Array] | None:
    """A half mesh of about `target` faces without the flat cut, valid when mirrored; None if there is none."""
    for extra in range(30, 180, 6):
        v, f = fast_simplification.simplify(
            vertices.astype(np.float32), faces.astype(np.int32), target_count=target + extra, agg=7
        )
        v, f = opened(v.astype(np.float64), f)
        if len(f) >= target and is_valid(whole(v, f)):
            return v, f
    return None


def opened(v: Array, f: Array) -> tuple[Array, Array]:
    """Removes the flat cut and moves its rim exactly to x = 0."""
    normal = np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    cut = (v[f][..., 0] < 0.25).all(1) & (normal[:, 0] < -0.9)
    v = np.round(v, 2)
    v[np.unique(f[cut]), 0] = 0
    v[v[:, 0] < 0.03, 0] = 0
    half = trimesh.Trimesh(v, f[~cut & ~(v[f][..., 0] == 0).all(1)], process=True, validate=True)
    return np.asarray(half.vertices), np.asarray(half.faces)


def whole(vertices: Array, faces: Array) -> trimesh.Trimesh:
    """Both halves, joined at x = 0."""
    both, all_faces, _ = mirrored(vertices, faces)
    return trimesh.Trimesh(both, all_faces, process=False)


def is_valid(mesh: trimesh.Trimesh) -> bool:
    """Whether a mesh is closed, consistently oriented, of positive volume and in one piece."""
    return bool(
        mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0 and mesh.body_count == 1
    )


def marrow(vertices: Array, faces: Array, cortex: Array) -> tuple[Array, Array]:
    """Vertices of the inner surface: moved inward by the cortex, and by at most 0.42 of the bone's thickness there.

    Returns:
        (V, 3) mm, and (V,) the largest factor on the cortex's thickness.
    """
    full = whole(vertices, faces)
    normals = np.array(full.vertex_normals[: len(vertices)])
    normals[vertices[:, 0] == 0, 0] = 0
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    origins = vertices - 0.02 * normals
    local = np.full(len(vertices), 50.0)
    hits, rays, _ = full.ray.intersects_location(origins, -normals, multiple_hits=False)
    local[rays] = np.linalg.norm(hits - origins[rays], axis=1)
    depth = np.minimum(cortex, 0.42 * local)
    room = 0.46 * local / depth
    for _ in range(40):
        inner = vertices - depth[:, None] * normals
        bad = flipped(vertices, inner, faces)
        if not bad.any():
            break
        crowded = np.unique(faces[bad])
        depth[crowded] *= 0.8
        room[crowded] = 1.0
    return np.round(inner, 2), np.clip(room, 1.0, 3.0)


def flipped(outer: Array, inner: Array, faces: Array) -> Array:
    """(F,) whether the normals of a face on the two surfaces differ by more than about 78 degrees."""
    n, m = (
        np.cross(v[faces[:, 1]] - v[faces[:, 0]], v[faces[:, 2]] - v[faces[:, 0]]) for v in (outer, inner)
    )
    turn = (n * m).sum(1) / np.maximum(np.linalg.norm(n, axis=1) * np.linalg.norm(m, axis=1), 1e-12)
    return np.asarray(turn < 0.2)


def sample(g: Grid, values: Array, at: Array) -> Array:
    """(V,) values at points (V, 3) mm, by trilinear interpolation."""
    origin = np.array([g.x.flat[0], g.y.flat[0], g.z.flat[0]])
    return np.asarray(map_coordinates(values, ((at - origin) / FINE_MM).T, order=1, mode="nearest"))


def template(level: str) -> tuple[Half, dict[str, Array]]:
    """Half meshes and named points (right side and middle plane) of one level."""
    g = grid(level)
    asked = means()[level] if level in ("C1", "C2", "S1") else fitted_sizes(level)
    half, fine = meshed(g, level, asked)
    points = on_surface(named_points(level, fine), whole(half.outer, half.faces))
    return (half, points) if asked is means()[level] else fitted(level, half, points)


RIM_SHARE = 0.985
"""Width between corners over the largest width of the rim: the mean sizes lie between those on films and by
calliper."""


def fitted(level: str, half: Half, points: dict[str, Array]) -> tuple[Half, dict[str, Array]]:
    """Deforms a template by a few per cent, so that the points on its endplates' rims have the mean sizes."""
    size, p = means()[level], points
    rear = min(p["superior_back"][1], p["inferior_back"][1])
    plates = (
        ("superior", size.upper_width, size.upper_depth),
        ("inferior", size.lower_width, size.lower_depth),
    )
    wide = [RIM_SHARE * w / 2 / p[f"{k}_right"][0] for k, w, _ in plates]
    deep = [RIM_SHARE * d / (p[f"{k}_front"][1] - p[f"{k}_back"][1]) for k, _, d in plates]

    def warp(v: Array) -> Array:
        x, y, z = v.T
        t = np.clip((y - rear + 9) / 8.5, 0, 1)
        body_share = t * t * (3 - 2 * t)
        upper, lower = (
            np.interp(y, [p[f"{k}_back"][1], p[f"{k}_front"][1]], [p[f"{k}_back"][2], p[f"{k}_front"][2]])
            for k, _, _ in plates
        )
        plate = np.clip(z / (0.75 * np.where(z > 0, upper, -lower)), -1, 1)
        high = (plate + 1) / 2
        along = np.interp(y, [p["superior_back"][1], p["superior_front"][1]], [0, 1])
        want = (size.back_height + (size.front_height - size.back_height) * along) / 2
        lift = np.where(z > 0, want - upper, lower + want) * plate
        scale_x, scale_y = (1 + ((b + (a - b) * high) - 1) * body_share for a, b in (wide, deep))
        return np.stack([x * scale_x, y * scale_y, z + lift * body_share], -1)

    moved = {k: warp(q[None])[0] for k, q in points.items()}
    outer, inner = (np.round(warp(v), 2) for v in (half.outer, half.inner))
    return Half(outer, inner, half.room, half.faces), moved


def meshed(g: Grid, level: str, asked: Dimensions) -> tuple[Half, Array]:
    """Half meshes of a level, and the vertices of its fine surface."""
    bone: Bone = sacrum(g) if level == "S1" else build(g, level, asked)
    for shift in (0.0, 0.02, -0.02, 0.05, -0.05):
        fine = surface(g, bone.field + shift)
        coarse = simplified(*fine, FACES[level[0]] // 2)
        if coarse is not None:
            break
    else:
        raise RuntimeError(f"{level}: no closed simplification; change its number of faces a little")
    vertices, faces = coarse
    cortex = sample(g, bone.cortex / np.maximum(bone.weight, 1e-9), vertices)
    inner, room = marrow(vertices, faces, np.clip(cortex, 0.35, 1.8))
    return Half(vertices, inner, room, faces), fine[0]


def on_surface(points: dict[str, Array], mesh: trimesh.Trimesh) -> dict[str, Array]:
    """Moves the points on the fine surface to the simplified one, by about 0.1 mm."""
    on_rim = [
        k for k in points if k in ON_SURFACE or (k.startswith(("superior", "inferior")) and "centre" not in k)
    ]
    places, away, _ = trimesh.proximity.closest_point(mesh, np.stack([points[k] for k in on_rim]))
    moved = {
        k: p * [p_x != 0, 1, 1]
        for k, p, p_x, d in zip(on_rim, places, [points[k][0] for k in on_rim], away, strict=True)
        if d < 1.5
    }
    points = points | moved
    for k in ("superior", "inferior"):
        points[f"{k}_centre"] = (points[f"{k}_front"] + points[f"{k}_back"]) / 2
    return points


def save(path: Path, templates: dict[str, tuple[Half, dict[str, Array]]]) -> None:
    """Stores vertices in 1/100 mm as int16, faces as uint16, points as float32 with their names."""
    arrays: dict[str, Any] = {}
    for level, (half, points) in templates.items():
        arrays[f"{level}/outer"] = np.round(half.outer * 100).astype(np.int16)
        arrays[f"{level}/inset"] = np.round((half.inner - half.outer) * 100).astype(np.int16)
        arrays[f"{level}/room"] = np.floor(half.room * 50).astype(np.uint8)
        arrays[f"{level}/faces"] = half.faces.astype(np.uint16)
        arrays[f"{level}/names"] = np.array(sorted(points))
        arrays[f"{level}/points"] = np.round(np.stack([points[k] for k in sorted(points)]), 2).astype(
            np.float32
        )
    np.savez_compressed(path, **arrays)


def main() -> None:
    """Builds the templates and prints their sizes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--levels", nargs="*", default=LEVELS, choices=LEVELS)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    made = {}
    for level in args.levels:
        made[level] = template(level)
        half, points = made[level]
        print(f"{level}: {2 * len(half.faces)} faces, {len(points)} points, {volumes(half)}", flush=True)
    save(args.out, made)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB")


def volumes(half: Half) -> str:
    """Volumes of bone and marrow in cubic centimetres, as text."""
    bone, core = whole(half.outer, half.faces), whole(half.inner, half.faces)
    return f"bone {bone.volume / 1e3:.1f} cm3, marrow {core.volume / 1e3:.1f} cm3, marrow closed: {core.is_watertight}"


if __name__ == "__main__":
    main()
