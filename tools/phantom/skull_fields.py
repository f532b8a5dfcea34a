"""The skull and the jaw as signed distance fields, for tools/phantom/build_body.py.

Frame: Frankfort plane horizontal, origin midway between the lowest points of the occipital condyles. Landmarks
follow these means of adults (Howells 1973, Cranial Variation in Man; Young 1993, FAA-AM-93/10 for the
living head): cranial length 180, breadth 140, basion-bregma 133, basion-nasion 100, nasion-prosthion 69,
bizygomatic 130, orbit 40 x 35, bicondylar 118, bigonial 98, ramus 60, chin 32, nasion-gnathion 115 mm.
"""

from __future__ import annotations

import numpy as np
import trimesh

from tools.phantom.fields import Field, Grid, cut, join, patch, surface


def skull() -> dict[str, trimesh.Trimesh]:
    """Cranium with face, without the jaw, and its diploe, air spaces and marrow."""
    grid = Grid((-78, -90, -24), (78, 114, 152), 1.25)
    half = grid.folded()
    head = _brain_case(half)
    cavity = head + _thickness(half)
    base = _base(half)
    bone = cut(head, cavity, blend=1.0)
    bone = join(bone, base, blend=3)
    bone = cut(bone, cavity + 1.0, half.ellipsoid((0, -9, 6), (15, 18, 16)), blend=1.0)
    face = cut(_face(half), *_cavities(half), blend=1.5)
    face = join(face, _thin_walls(half), blend=1.0)
    bone = join(cut(bone, *_cavities(half), blend=1.5), face, blend=2.0)
    bone = cut(bone, cavity + 0.5, blend=1.0)
    inner = (bone + 2.0).astype(np.float32)
    _, _, antrum, frontal, _, sphenoid = _cavities(half)
    # Between mucosa and turbinates the nose has only a narrow airway on each side.
    airway = join(half.box((5, 72, 20), (2.4, 27, 14), 2), half.box((4, 68, 44), (2.2, 12, 10), 2), blend=3)
    air = np.maximum(np.minimum.reduce([antrum + 1.5, frontal, sphenoid + 1, airway]) + 0.5, 0.8 - bone)
    marrow = {
        "petrous": (_petrous(half) + 2.2, 260, 2),
        "cheek": (_cheek(half) + 2.0, 160, 2),
        "arcade": (_arcade(half) + 1.8, 200, 1),
    }
    meshes = {
        "skull": surface(grid, bone, 3800, smooth=0.5),
        "skull/diploe": _bowl(grid, head + 1.7, 1.7 - cavity),
        "skull/air": surface(grid, air.astype(np.float32), 460, smooth=0.8, pieces=7),
    }
    for name, (field, faces, pieces) in marrow.items():
        meshes[f"skull/{name}"] = surface(grid, np.maximum(field, inner), faces, smooth=0.9, pieces=pieces)
    return meshes


def _bowl(grid: Grid, outer: Field, inner: Field) -> trimesh.Trimesh:
    """The diploe: a closed bowl between the outer and inner table of the vault."""
    rows, columns = 8, 20
    around = 2 * np.pi * np.arange(columns) / columns
    down = np.linspace(0, 1, rows + 1)[1:, None] * np.radians(86 - 14 * np.sin(around))
    ways = np.stack([np.sin(down) * np.cos(around), np.sin(down) * np.sin(around), np.cos(down)], -1).reshape(
        -1, 3
    )
    ways = np.concatenate([ways, [[0.0, 0.0, 1.0]]])
    reach = np.arange(40, 110, 0.25)
    points = np.array([0.0, 8.0, 62.0]) + ways[:, None] * reach[:, None]
    shells = []
    for field, sign in ((outer, 1), (inner, -1)):
        values = sign * grid.sample(field, points.reshape(-1, 3)).reshape(len(ways), -1)
        shells.append(points[np.arange(len(ways)), (values < 0).sum(1) - 1])
    # The two shells approach each other towards the rim.
    share = np.repeat(np.clip((rows - np.arange(rows)) / 3.2, 0.15, 1), columns)
    share = np.concatenate([share, [1.0]])[:, None]
    middle = (shells[0] + shells[1]) / 2
    shells = [middle + share * (shell - middle) for shell in shells]
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    here, beside = row * columns + column, row * columns + (column + 1) % columns
    walls = [
        np.stack([here, here + columns, beside + columns], -1),
        np.stack([here, beside + columns, beside], -1),
    ]
    first, second = np.arange(columns), (np.arange(columns) + 1) % columns
    cap = np.stack([np.full(columns, rows * columns), first, second], -1)
    shell = np.concatenate([*(wall.reshape(-1, 3) for wall in walls), cap])
    rim, following = first + (rows - 1) * columns, second + (rows - 1) * columns
    count = len(ways)
    edge = np.concatenate(
        [
            np.stack([rim, rim + count, following + count], -1),
            np.stack([rim, following + count, following], -1),
        ]
    )
    faces = np.concatenate([shell, shell[:, ::-1] + count, edge])
    mesh = trimesh.Trimesh(np.concatenate(shells), faces, process=False)
    trimesh.repair.fix_normals(mesh)
    return mesh


def _brain_case(grid: Grid) -> Field:
    """The outer surface of the cranium: an ovoid, widest behind, with its base in three steps."""
    widen = 1 + 0.05 * np.tanh((-grid.y - 10) / 50)
    u, v, w = grid.x / (70 * widen), (grid.y - 9) / 90, (grid.z - 68) / 74
    radius = (abs(u) ** 2.2 + abs(v) ** 2.2 + abs(w) ** 2.1) ** (1 / 2.15)
    ovoid = (radius - 1) * 72
    floor = 3 + 25 / (1 + np.exp(-(grid.y - 14) / 5)) + 24 / (1 + np.exp(-(grid.y - 54) / 4))
    floor = floor + 14 * np.exp(-(((grid.y + 66) / 16) ** 2))
    above = np.broadcast_to((grid.z - floor) * 0.8, grid.shape).astype(np.float32)
    return cut(ovoid.astype(np.float32), above, blend=6)


def _thickness(grid: Grid) -> Field:
    """Thickness of the vault: 6 mm, less at the temples, more behind; the base is thinner."""
    value = (
        6.0
        - 2.0 * np.exp(-(((grid.y - 30) / 25) ** 2) - ((grid.z - 55) / 22) ** 2)
        + 1.2 * np.exp(-(((grid.y + 75) / 20) ** 2))
    )
    return np.broadcast_to(value - 2.2 / (1 + np.exp((grid.z - 30) / 6)), grid.shape).astype(np.float32)


def _base(grid: Grid) -> Field:
    """Petrous pyramids, mastoids, condyles, clivus, sphenoid, occipital crest."""
    condyle = grid.stroke([(20, -4, 6), (15, 9, 5)], [6, 6])
    clivus = grid.stroke([(0, 14, 10), (0, 32, 30)], [8, 9])
    sphenoid = join(
        grid.box((0, 40, 34), (20, 12, 11), 5), grid.stroke([(14, 44, 36), (46, 54, 46)], [6, 5]), blend=4
    )
    return join(
        _petrous(grid), condyle, clivus, sphenoid, grid.stroke([(0, -70, 34), (0, -78, 46)], [7, 5]), blend=4
    )


def _petrous(grid: Grid) -> Field:
    petrous = grid.stroke([(58, 4, 30), (40, 14, 29), (14, 28, 27)], [10, 9, 6])
    return join(petrous, grid.stroke([(57, -12, 26), (54, -6, 4)], [12, 6.5]), blend=4)


def _cheek(grid: Grid) -> Field:
    return grid.stroke([(36, 74, 14), (50, 68, 18), (51, 70, 36), (49, 76, 56)], [10, 8.5, 5.5, 6])


def _arcade(grid: Grid) -> Field:
    """The upper alveolar arch, which carries the teeth."""
    rows = [
        [(31, 50, 2), (28, 68, 3), (18, 87, 4), (0, 95, 4)],
        [(30, 49, -9), (27, 68, -10), (17, 86, -11), (0, 94, -11)],
    ]
    return grid.sheet(*patch(rows, [[6, 6, 5, 5], [5, 4.5, 3.6, 3.2]], step=1.2))


def _face(grid: Grid) -> Field:
    """Maxilla, cheek bones with their arches, orbital rims, nasal bones, palate and upper alveolar arch."""
    maxilla = join(
        grid.ellipsoid((24, 66, 20), (19, 24, 24)),
        grid.box((0, 72, 16), (22, 22, 18), 8),
        grid.stroke([(40, 70, 20), (30, 66, 0)], [9, 7]),
        blend=8,
    )
    arch = grid.stroke([(51, 62, 16), (61, 42, 19), (63, 22, 23), (60, 10, 29)], [5, 3.2, 3.2, 4.5])
    brow = grid.stroke([(50, 76, 57), (34, 88, 66), (12, 95, 63), (0, 96, 63)], [5.5, 6, 6, 6])
    lower_rim = grid.stroke([(50, 70, 24), (33, 82, 24), (17, 86, 34), (12, 92, 56)], [5, 4, 3.5, 4])
    nose = grid.stroke([(0, 97, 58), (0, 104, 38)], [4.5, 2.2])
    ethmoid = grid.box((0, 66, 46), (13, 24, 14), 4)
    palate = grid.box((0, 68, 2), (28, 22, 2.4), 2)
    plates = grid.stroke([(14, 46, 28), (14, 45, -3)], [4.5, 3.5])
    return join(
        maxilla, _cheek(grid), arch, brow, lower_rim, nose, ethmoid, _arcade(grid), palate, plates, blend=3
    )


def _cavities(grid: Grid) -> list[Field]:
    """Orbits, nasal cavity and sinuses."""
    orbit = grid.stroke([(33, 96, 45), (31, 82, 45), (24, 62, 44), (14, 42, 42)], [18, 17.5, 13, 4])
    nasal = join(grid.box((0, 74, 22), (11.5, 32, 17), 6), grid.box((0, 80, 40), (5.5, 14, 16), 4), blend=5)
    antrum = grid.ellipsoid((29, 64, 15), (12, 17, 14))
    frontal = grid.ellipsoid((10, 95, 69), (10, 3.5, 6.5))
    cells = grid.box((6, 64, 47), (4.5, 18, 9), 3)
    sphenoid = grid.ellipsoid((0, 42, 35), (12, 9, 8))
    return [orbit, nasal, antrum, frontal, cells, sphenoid]


def _thin_walls(grid: Grid) -> Field:
    """Septum, turbinates and vomer inside the nose."""
    septum = grid.box((0, 70, 22), (1.5, 26, 19), 1)
    lower = grid.stroke([(9, 88, 14), (9, 56, 13)], [2.6, 2.4])
    middle = grid.stroke([(8, 80, 27), (8, 56, 26)], [2.2, 2.0])
    return join(septum, lower, middle, blend=1)


def jaw() -> dict[str, trimesh.Trimesh]:
    """The mandible with the mouth closed, and its marrow."""
    grid = Grid((-66, -2, -72), (66, 104, 36), 1.0)
    half = grid.folded()
    field = join(_jaw_body(grid), _ramus(half), blend=4)
    condyle = half.stroke([(46, 17, 20), (56, 15, 20)], [4.6, 4.6])
    neck = half.stroke([(51, 15, 18), (49, 14, 2)], [4.2, 4.6])
    chin = half.stroke([(0, 88, -52), (9, 85, -55)], [7.0, 6.2])
    field = join(field, condyle, neck, chin, blend=4)
    shell = 2.3 - 1.0 / (1 + np.exp(-(grid.z + 33) / 3)) + 0.8 / (1 + np.exp((grid.z + 50) / 2))
    return {
        "jaw": surface(grid, field, 1000),
        "jaw/marrow": surface(
            grid, field + np.broadcast_to(shell, grid.shape).astype(np.float32), 420, smooth=0.4
        ),
    }


def _jaw_body(grid: Grid) -> Field:
    """The body of the mandible: a horseshoe-shaped plate from one angle to the other."""
    base = [(46, 22, -38), (41, 46, -46), (30, 70, -53), (13, 84, -56.5)]
    middle = [(44, 32, -31), (39, 50, -37), (30, 70, -41), (15, 86, -43)]
    rim = [(33, 44, -25), (29.5, 56, -27), (25, 72, -28), (14, 87, -29)]
    rows = []
    for row, front in ((base, (0, 87.5, -57)), (middle, (0, 89, -43)), (rim, (0, 92.5, -29))):
        rows.append([*row, front, *[(-a, b, c) for a, b, c in reversed(row)]])
    thick = [[5, 6.4, 6.4, 6.4], [5.0, 5.8, 5.6, 5.0], [4.4, 5.6, 4.8, 3.6]]
    front_radius = (6.2, 4.8, 3.4)
    radii = [[*row, f, *reversed(row)] for row, f in zip(thick, front_radius, strict=True)]
    return grid.sheet(*patch(rows, radii, step=1.2))


def _ramus(grid: Grid) -> Field:
    """The rami with angle, notch and coronoid process."""
    back = [(50, 13, 6), (48.5, 11.5, -10), (47, 13, -26), (45.5, 22, -38)]
    middle = [(48, 25, -2), (47, 26, -12), (45, 27, -24), (43, 34, -34)]
    front = [(46, 41, 13), (44, 41, -6), (41, 43, -18), (36, 46, -27)]
    return grid.sheet(
        *patch(
            [back, middle, front],
            [[3.8, 4.0, 4.4, 4.8], [2.6, 3.0, 3.4, 4.6], [2.6, 3.2, 3.8, 5.0]],
            step=1.2,
        )
    )


# Width, thickness and crown height in mm of the seven teeth from the middle (Nelson 2015, Wheeler's Dental Anatomy).
UPPER = (
    (8.5, 6.0, 10.5),
    (6.5, 5.5, 9.5),
    (7.5, 7.5, 10.0),
    (7.0, 9.0, 8.5),
    (7.0, 9.0, 8.5),
    (10, 10.5, 7.5),
    (9, 10.5, 7),
)
LOWER = (
    (5.0, 5.5, 9.0),
    (5.5, 5.8, 9.5),
    (7.0, 7.0, 10.5),
    (7.0, 7.5, 8.5),
    (7.0, 8.0, 8.0),
    (11, 10, 7.5),
    (10.5, 9.5, 7),
)


def teeth() -> dict[str, trimesh.Trimesh]:
    """28 teeth with short roots, in occlusion: the upper ones, then the lower ones."""
    upper = _row(
        UPPER, np.array([[0, 95.5], [18, 87], [28.5, 68], [32, 44]]), crown=-22.5, neck=-12.5, root=-3
    )
    lower = _row(
        LOWER, np.array([[0, 93], [16.5, 85.5], [27, 67], [32, 44]]), crown=-21.5, neck=-28.5, root=-37
    )
    return {"skull/teeth": upper, "jaw/teeth": lower}


def _row(
    sizes: tuple[tuple[float, float, float], ...], arch: np.ndarray, crown: float, neck: float, root: float
) -> trimesh.Trimesh:
    """Teeth along an arch (K, 2) of x, y in mm from the middle backward, each as a loft of three hexagons."""
    dense = np.stack([np.interp(np.linspace(0, 3, 200), range(4), arch[:, k]) for k in (0, 1)], -1)
    dense = np.stack(
        [
            np.convolve(
                np.pad(dense[:, k], 20, mode="reflect", reflect_type="odd"), np.ones(41) / 41, "valid"
            )
            for k in (0, 1)
        ],
        -1,
    )
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1))])
    meshes = []
    start = 0.2
    for width, thick, _ in sizes:
        at = start + width / 2
        start += width + 0.25
        place = np.array([np.interp(at, length, dense[:, k]) for k in (0, 1)])
        ahead = np.array([np.interp(at + 1, length, dense[:, k]) for k in (0, 1)]) - place
        along = ahead / np.linalg.norm(ahead)
        across = np.array([along[1], -along[0]])
        angle = np.pi * np.arange(6) / 3 + np.pi / 6
        rings = []
        chewing = 0.85 if width > 6.9 else 0.35  # incisors end in an edge
        for z, wide, deep in (
            (root, 0.3, 0.35),
            (0.45 * neck + 0.55 * crown, 0.5, 0.5),
            (crown, 0.46, 0.5 * chewing),
        ):
            flat = (
                place
                + np.outer(np.cos(angle) * wide * width * 1.1, along)
                + np.outer(np.sin(angle) * deep * thick, across)
            )
            rings.append(np.column_stack([flat, np.full(6, z)]))
        mesh = _closed(np.array(rings))
        meshes += [mesh, mesh.copy().apply_transform(np.diag([-1.0, 1, 1, 1]))]
    row = trimesh.util.concatenate(meshes)
    trimesh.repair.fix_normals(row, multibody=True)
    return row


def _closed(rings: np.ndarray) -> trimesh.Trimesh:
    """A closed surface of (R, S, 3) rings, with a triangle fan at each end."""
    count, sides = rings.shape[:2]
    here = np.arange(count - 1)[:, None] * sides + np.arange(sides)
    beside = np.arange(count - 1)[:, None] * sides + (np.arange(sides) + 1) % sides
    walls = np.concatenate(
        [np.stack([here, beside, beside + sides], -1), np.stack([here, beside + sides, here + sides], -1)]
    )
    fan = np.stack([np.zeros(sides - 2, int), np.arange(1, sides - 1), np.arange(2, sides)], -1)
    faces = np.concatenate([walls.reshape(-1, 3), fan[:, ::-1], fan + (count - 1) * sides])
    mesh = trimesh.Trimesh(rings.reshape(-1, 3), faces, process=False)
    mesh.fix_normals()
    return mesh
