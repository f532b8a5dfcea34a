"""Models the templates of hip bone, skull, jaw, femur and humerus and stores them as package data.

    python -m tools.phantom.build_body aasce/phantom/data/body.npz

Needs scikit-image and fast-simplification, which the package itself does not need. Every bone is modelled from
published landmarks and diameters as a smooth signed distance field (tools/phantom/fields.py), meshed by marching cubes
and simplified; no scan is used. The sources of the numbers are given in the modules that use the templates: pelvis.py,
skull.py and limbs.py in aasce/phantom/anatomy.

Axes of all templates: x to the patient's right, y forward, z up, mm, average adult. Of paired bones the right one is
stored; the left one is its mirror image.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import trimesh

from aasce.phantom.spine.statistics import average_pose
from aasce.phantom.spine.templates import template
from tools.phantom.fields import Field, Grid, cut, join, patch, surface
from tools.phantom.skull_fields import jaw, skull, teeth

HIP = (89.0, 26.0, -117.0)
"""Middle of the right acetabulum, relative to the middle of the sacrum's upper endplate, mm."""


def hip_bone() -> dict[str, trimesh.Trimesh]:
    """The right hip bone of an upright person; origin: the middle of the sacrum's upper endplate."""
    grid = Grid((0, -86, -198), (150, 92, 48), 1.0)
    field = join(_wing(grid), _columns(grid), blend=8)
    field = join(field, _pubis(grid), blend=6)
    field = cut(field, grid.ball(HIP, 26.0), _acetabular_opening(grid), blend=4)
    # Leaves a gap of 5 mm in the symphysis for its disc, and of 2 mm to the sacrum in the sacroiliac joint.
    field = cut(field, grid.half_space((2.4, 0, 0), (1, 0, 0)), blend=1.5)
    field = cut(field, _sacrum(grid) - 2.2, blend=1.5)
    shell = np.broadcast_to(1.1 + 0.45 / (1 + np.exp((grid.z + 62) / 8)), grid.shape)
    roof = np.exp(-((np.maximum(grid.ball(HIP, 26.0), 0) / 4) ** 2)) * (grid.z > HIP[2] - 5)
    return {
        "hip": surface(grid, field, 1800),
        "hip/marrow": surface(grid, field + (shell + 1.2 * roof).astype(np.float32), 1000, smooth=0.4),
    }


def _wing(grid: Grid) -> Field:
    """The wing of the ilium from crest to arcuate line: thick borders and auricular part, a thin fossa."""
    crest = [
        (43, -70, -34),
        (58, -69, 2),
        (78, -50, 26),
        (101, -20, 34),
        (121, 12, 24),
        (134, 40, -2),
        (118, 71, -46),
    ]
    upper = [
        (44, -64, -37),
        (58, -58, -8),
        (80, -37, 8),
        (103, -8, 12),
        (121, 18, 2),
        (128, 41, -16),
        (116, 69, -51),
    ]
    fossa = [
        (46, -55, -42),
        (58, -46, -22),
        (78, -24, -14),
        (98, 4, -12),
        (112, 26, -20),
        (115, 44, -38),
        (109, 66, -64),
    ]
    lower = [
        (44, -50, -54),
        (54, -38, -44),
        (68, -14, -54),
        (80, 12, -64),
        (93, 31, -72),
        (101, 46, -76),
        (101, 59, -82),
    ]
    thick = [
        [6, 7, 5.5, 5.5, 7.5, 6, 5.5],
        [6, 7, 3.4, 3.0, 4.0, 3.4, 4.5],
        [8, 9, 4, 1.9, 2.6, 3.6, 5],
        [8, 11, 10, 9, 9, 8, 7],
    ]
    return grid.sheet(*patch([crest, upper, fossa, lower], thick, step=1.3))


def _columns(grid: Grid) -> Field:
    """Arcuate line, both columns of the acetabulum, ischium with spine and tuberosity."""
    arcuate = grid.stroke(
        [(53, -30, -42), (71, -5, -61), (81, 22, -84), (78, 42, -102)], [9.5, 9.5, 10.5, 10]
    )
    cup = grid.ball((HIP[0] - 1.5, HIP[1] - 1, HIP[2] + 5), 32.0)
    back = grid.stroke(
        [(69, -13, -58), (78, -3, -82), (81, -5, -102), (80, -5, -126), (70, -15, -150), (61, -15, -170)],
        [9, 12, 13, 14.5, 12.5, 13.5],
    )
    tuberosity = grid.stroke([(62, -18, -164), (57, -2, -176), (50, 8, -176)], [13, 11, 8])
    spine = grid.stroke([(72, -12, -114), (62, -20, -117), (51, -25, -120)], [9, 6, 2.5])
    auricle = grid.stroke([(64, -32, -8), (57, -41, -24), (48, -51, -46)], [8, 9, 8])
    front = grid.stroke([(102, 59, -82), (97, 48, -94)], [7.5, 12])
    return join(arcuate, auricle, cup, back, tuberosity, spine, front, blend=8)


def _pubis(grid: Grid) -> Field:
    """Both rami and the body of the pubis, around the obturator foramen."""
    upper = grid.stroke([(77, 42, -105), (57, 57, -119), (34, 66, -132), (13, 64, -142)], [12, 8.5, 7.2, 7])
    plate, radii = patch(
        [
            [(1, 67, -139), (10, 66, -140), (21, 67, -137)],
            [(1, 58, -153), (8, 58, -153), (16, 57, -151)],
            [(1, 49, -167), (6, 48, -168), (12, 47, -166)],
        ],
        [[6.5, 6.5, 6], [7, 6, 4.5], [6, 5.5, 5]],
    )
    lower = grid.stroke([(7, 48, -167), (20, 36, -174), (36, 20, -178), (50, 7, -179)], [5.5, 5, 5.5, 8])
    return join(upper, grid.sheet(plate, radii), lower, blend=6)


def _acetabular_opening(grid: Grid) -> Field:
    """The space outside the acetabulum's rim: it opens laterally, 42 degrees downward and 18 degrees forward."""
    normal = np.array([0.72, 0.24, -0.65])
    beyond = -grid.half_space(np.array(HIP) + 7.0 * normal, tuple(normal))
    return np.maximum(beyond, grid.ball(HIP, 38.0))


def _sacrum(grid: Grid) -> Field:
    """Signed distance to the template of the sacrum in the average pose; 30 mm away from its ala."""
    shape = template("S1")
    placed = average_pose().place("S1", torch.tensor(shape.outer)).numpy()
    coarse = Grid((20, -80, -100), (74, 24, 34), 3.0)
    points = np.stack(np.broadcast_arrays(coarse.x, coarse.y, coarse.z), -1).reshape(-1, 3)
    sacrum = trimesh.Trimesh(placed, shape.faces, process=False)
    near = -trimesh.proximity.signed_distance(sacrum, points).reshape(coarse.shape).astype(np.float32)
    fine = np.stack(np.broadcast_arrays(grid.x, grid.y, grid.z), -1).reshape(-1, 3)
    inside = ((fine > coarse.low) & (fine < coarse.low + 3.0 * (np.array(coarse.shape) - 1))).all(-1)
    field = np.full(len(fine), 30.0, np.float32)
    field[inside] = coarse.sample(near, fine[inside])
    return field.reshape(grid.shape)


def femur() -> dict[str, trimesh.Trimesh]:
    """The upper part of the right femur of an upright person; origin: the middle of its head."""
    grid = Grid((-32, -50, -245), (78, 38, 34), 1.0)
    head = grid.ball((0, 0, 0), 23.3)
    neck = grid.stroke([(4, -1, -3), (26, -6, -20), (40, -10, -33)], [17, 15, 17])
    greater = grid.stroke([(57, -19, -4), (56, -14, -22), (49, -11, -42)], [8, 12, 15])
    lesser = grid.stroke([(32, -20, -58), (27, -24, -62)], [11, 7])
    shaft = grid.stroke(
        [(43, -11, -36), (42, -10, -62), (37, -7, -100), (18, -4, -260)], [18, 16.5, 14.5, 13.6]
    )
    field = join(join(head, neck, blend=7), greater, lesser, shaft, blend=8)
    deep = 1 / (1 + np.exp((grid.z + 78) / 11))
    shell = np.broadcast_to(1.3 + 4.9 * deep, grid.shape)
    neck_shell = 1.6 * np.exp(-(((grid.x - 22) / 14) ** 2) - ((grid.z + 26) / 14) ** 2)
    return {
        "femur": surface(grid, field, 460),
        "femur/marrow": surface(grid, field + (shell + neck_shell).astype(np.float32), 240),
    }


def humerus() -> dict[str, trimesh.Trimesh]:
    """The right humerus with the arm hanging and the palm to the thigh; origin: the middle of its head."""
    grid = Grid((-36, -34, -312), (42, 34, 30), 1.0)
    head = grid.ball((0, 0, 0), 22.6)
    tubercles = grid.stroke([(15, 4, 6), (13, 4, -16)], [9, 14])
    neck = grid.stroke([(5, 1, -6), (9, 2, -24), (9, 2, -50), (8, 1, -90)], [19, 17, 12.5, 11])
    shaft = grid.stroke([(8, 1, -90), (6, 0, -200), (4, 2, -262)], [11, 9.8, 9.5])
    elbow = grid.stroke([(-24, 0, -286), (2, 6, -290), (26, 2, -284)], [6, 10, 7])
    flare = grid.stroke([(4, 2, -255), (0, 4, -285)], [9, 11])
    field = join(join(head, tubercles, neck, blend=6), shaft, elbow, flare, blend=7)
    deep = 1 / (1 + np.exp((grid.z + 52) / 9)) * (1 - 0.8 / (1 + np.exp((grid.z + 262) / 6)))
    shell = np.broadcast_to(1.7 + 2.5 * deep, grid.shape)
    return {
        "humerus": surface(grid, field, 310),
        "humerus/marrow": surface(grid, field + shell.astype(np.float32), 190),
    }


def pack(meshes: dict[str, trimesh.Trimesh], path: Path) -> None:
    """Stores vertices in 1/100 mm as int16 and faces as uint16.

    Raises:
        SystemExit: a mesh is not closed, or its faces do not point outward.
    """
    arrays = {}
    for name, mesh in meshes.items():
        if not (mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0):
            raise SystemExit(f"{name}: the mesh is not closed and outwards; change its face count a little")
        arrays[f"{name}:vertices"] = np.round(mesh.vertices * 100).astype(np.int16)
        arrays[f"{name}:faces"] = mesh.faces.astype(np.uint16)
        low, high = mesh.bounds
        print(
            f"{name:16s} {len(mesh.faces):5d} faces {mesh.volume / 1000:7.1f} ml  {low.round()} {high.round()}"
        )
    np.savez_compressed(path, **arrays)
    print(f"{path}: {path.stat().st_size / 1024:.0f} KB")


def main() -> None:
    """Builds all templates, or those named after the path of the file."""
    path = Path(sys.argv[1])
    parts = {"hip": hip_bone, "femur": femur, "humerus": humerus, "skull": skull, "jaw": jaw, "teeth": teeth}
    wanted = sys.argv[2:] or list(parts)
    meshes: dict[str, trimesh.Trimesh] = {}
    for name in wanted:
        meshes |= parts[name]()
    pack(meshes, path)


if __name__ == "__main__":
    main()
