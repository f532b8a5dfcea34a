"""Skull, jaw, teeth and hyoid, with the orientation of the head.

Sizes of the template (Howells 1973, Cranial Variation in Man; Young 1993, FAA-AM-93/10): cranial length 180, breadth
140, basion to bregma 133, nasion to prosthion 69, across the cheek bones 130, across the angles of the jaw 98 (95 to
104 with its marrow and ridges; Kerman adults with the skin 102 and 115: J Jiroft Univ 2021), across its condyles 118,
nasion to gnathion 115 mm; crowns of the teeth by Nelson 2015, Wheeler's Dental Anatomy.

Frame of the templates: Frankfort plane horizontal, origin between the lowest points of the occipital condyles.
"""

from __future__ import annotations

import numpy as np
import torch

from aasce.config import Settings
from aasce.phantom.solids.primitives import Solid, ball, merged, mesh_of, rod, spline, stored, thinned
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.types import Array
from aasce.xray.mesh import Mesh

_ON_ATLAS = (0.0, -2.0, 6.0)
"""Position of the condyles in the frame of C1, mm."""
_JOINT = np.array([0.0, 15.0, 20.0])
"""Middle of the axis about which the jaw opens, mm."""
_PARTS = (
    # name in the file, material, what it displaces, mean thickness of the cortex over it
    ("skull", "cortex", "soft", 0.0),
    ("skull/diploe", "marrow", "cortex", 1.7),
    ("skull/petrous", "marrow", "cortex", 2.2),
    ("skull/cheek", "marrow", "cortex", 2.0),
    ("skull/arcade", "marrow", "cortex", 1.8),
    ("skull/air", "air", "soft", 0.0),
    ("skull/teeth", "cortex", "soft", 0.0),
    ("jaw", "cortex", "soft", 0.0),
    ("jaw/marrow", "marrow", "cortex", 2.0),
    ("jaw/teeth", "cortex", "soft", 0.0),
)


class SkullRecord(Settings):
    """Numbers of a head; sizes are factors on the average, in addition to the body's scale.

    Attributes:
        size: of the whole head.
        breadth, length, height: of the cranium.
        face: height of the face from the brow down.
        jaw_width: across the angles of the jaw.
        jaw_length: length of the jaw forward to the chin.
        jaw_open: degrees by which the jaw is open.
        pitch: degrees by which the chin is raised above the Frankfort horizontal.
        roll: degrees by which the head tilts to the patient's right, in addition to half of the tilt of C1.
        yaw: degrees by which the face turns to the patient's left, in addition to half of the rotation of C1.
        cortex: thickness of the cortex.
        fillings: teeth with metal fillings, 0 to 27 in the order of the templates.
        missing: teeth that are missing, by the same numbers.
    """

    size: float = 1.0
    breadth: float = 1.0
    length: float = 1.0
    height: float = 1.0
    face: float = 1.0
    jaw_width: float = 1.0
    jaw_length: float = 1.0
    jaw_open: float = 1.0
    pitch: float = 3.0
    roll: float = 0.0
    yaw: float = 0.0
    cortex: float = 1.0
    fillings: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()


def draw_skull(rng: np.random.Generator, age: float = 15.0, female: bool = True) -> SkullRecord:
    """Draws a head by age in years and sex; a child's is large relative to the body, with a small face."""
    grown = float(np.interp(age, [9, 12, 15, 18], [0.74, 0.85, 0.95, 1.0]))
    head = float(np.interp(age, [9, 12, 15, 18], [0.95, 0.97, 0.985, 1.0]))
    child = float(np.clip((16 - age) / 7, 0, 1))
    filled = rng.random() < (0.12 if age < 20 else 0.5)
    old = age > 60
    teeth = rng.permutation(28)
    fillings = teeth[: rng.integers(1, 6)] if filled else teeth[:0]
    missing = teeth[6 : 6 + rng.integers(0, 18)] if old else teeth[:0]
    return SkullRecord(
        size=round(float(np.clip(min(head / grown, 1.16) + rng.normal(0, 0.02), 0.93, 1.2)), 4),
        breadth=_near(rng, 1.01, 0.03),
        length=_near(rng, 0.99, 0.03),
        height=_near(rng, 1.0, 0.025),
        face=_near(rng, (0.985 if female else 1.02) - 0.09 * child, 0.035),
        jaw_width=_near(rng, (0.975 if female else 1.03) - 0.04 * child, 0.04),
        jaw_length=_near(rng, 1.0 - 0.04 * child, 0.03),
        jaw_open=round(float(rng.uniform(0, 2) if rng.random() < 0.88 else rng.uniform(2, 14)), 2),
        pitch=round(float(np.clip(rng.normal(4, 7), -14, 22)), 2),
        roll=round(float(rng.normal(0, 2.5)), 2),
        yaw=round(float(rng.normal(0, 4)), 2),
        cortex=_near(rng, 1.0 - 0.1 * child, 0.1, 0.6, 1.35),
        fillings=tuple(sorted(int(t) for t in fillings)),
        missing=tuple(sorted(int(t) for t in missing)),
    )


def _near(
    rng: np.random.Generator, mean: float, spread: float, low: float = 0.85, high: float = 1.15
) -> float:
    return round(float(np.clip(rng.normal(mean, spread), low, high)), 4)


def build_skull(record: SkullRecord, pose: SpinePose) -> list[Mesh]:
    """Cranium with diploe, spongy parts and air spaces, teeth, jaw, fillings and hyoid: under 8000 faces.

    The head rests on C1 and is upright except for half of the tilt and rotation of C1. Differentiable in the pose.
    """
    dtype = pose.centre.dtype
    turn = _head(record, pose)
    origin = pose.place("C1", torch.tensor([_ON_ATLAS], dtype=dtype))[0]

    def placed(points: Array) -> torch.Tensor:
        return torch.as_tensor(points).to(turn) * record.size * pose.scale @ turn.T + origin

    meshes = []
    fillings: list[Solid] = []
    for name, material, inside, cortex in _PARTS:
        vertices = thinned(name, record.cortex, cortex) if cortex else stored(name)[0]
        faces = stored(name)[1]
        vertices = shaped(record, vertices, name.startswith("jaw"))
        if name.endswith("teeth"):
            fillings += _fillings(record, vertices, 14 * name.startswith("jaw"))
            faces = _kept(record, faces, len(vertices) // 14, 14 * name.startswith("jaw"))
            if not len(faces):
                continue
            vertices, faces = _compact(vertices, faces)
        meshes.append(mesh_of(name, material, inside, placed(vertices), faces, dtype))
    if fillings:
        filling = merged("fillings", "steel", "cortex", fillings, dtype)
        meshes.append(
            mesh_of(
                "fillings", "steel", "cortex", placed(filling.vertices.numpy()), filling.faces.numpy(), dtype
            )
        )
    return [*meshes, _hyoid(pose)]


def shaped(record: SkullRecord, points: Array, jaw: bool) -> Array:
    """Template points (N, 3) mm with this head's proportions, without its size; `jaw` for points of the jaw."""
    if jaw:
        angle = np.radians(record.jaw_open)
        y, z = points[:, 1] - _JOINT[1], points[:, 2] - _JOINT[2]
        opened = [
            points[:, 0],
            y * np.cos(angle) + z * np.sin(angle) + _JOINT[1],
            z * np.cos(angle) - y * np.sin(angle) + _JOINT[2],
        ]
        points = np.stack(opened, -1)
    x, y, z = points.T
    down = np.maximum(45 - z, 0)
    front = 1 / (1 + np.exp(-(y - 30) / 12))
    low = 1 / (1 + np.exp((z + 12) / 7)) if jaw else np.zeros_like(z)
    wide = record.breadth * (1 + (record.jaw_width - 1) * low)
    deep = record.length * (1 + (record.jaw_length - 1) * np.clip(down / 90, 0, 1) * front)
    high = np.where(z > 0, z * record.height, z) - (record.face - 1) * down * (1.0 if jaw else front)
    return np.stack([x * wide, y * deep, high], -1)


def _head(record: SkullRecord, pose: SpinePose) -> torch.Tensor:
    """Rotation (3, 3) from the head's frame to the person's."""
    atlas = pose.rotation[0]
    roll = 0.5 * torch.atan2(atlas[0, 2], atlas[2, 2]) + np.radians(record.roll)
    yaw = 0.5 * torch.atan2(atlas[1, 0], atlas[0, 0]) + np.radians(record.yaw)
    pitch = torch.zeros_like(roll) + np.radians(record.pitch)
    one, zero = torch.ones_like(roll), torch.zeros_like(roll)
    about_y = [roll.cos(), zero, roll.sin(), zero, one, zero, -roll.sin(), zero, roll.cos()]
    about_z = [yaw.cos(), -yaw.sin(), zero, yaw.sin(), yaw.cos(), zero, zero, zero, one]
    about_x = [one, zero, zero, zero, pitch.cos(), -pitch.sin(), zero, pitch.sin(), pitch.cos()]
    z, y, x = (torch.stack(cells).reshape(3, 3) for cells in (about_z, about_y, about_x))
    return z @ y @ x


def _kept(record: SkullRecord, faces: Array, corners: int, first: int) -> Array:
    """Faces of the teeth that are not missing; the teeth are stored in sequence, `corners` vertices each."""
    gone = [tooth - first for tooth in record.missing]
    return np.asarray(faces[~np.isin(faces[:, 0] // corners, gone)])


def _compact(vertices: Array, faces: Array) -> Solid:
    used, inverse = np.unique(faces, return_inverse=True)
    return vertices[used], inverse.reshape(-1, 3)


def _fillings(record: SkullRecord, vertices: Array, first: int) -> list[Solid]:
    """A piece of metal in the crown of each filled tooth of one row."""
    corners = len(vertices) // 14
    solids = []
    for tooth in record.fillings:
        if first <= tooth < first + 14 and tooth not in record.missing:
            crown = vertices[(tooth - first) * corners : (tooth - first + 1) * corners]
            solids.append(ball(0.35 * crown.mean(0) + 0.65 * crown[-6:].mean(0), 2.3, 0))
    return solids


def _hyoid(pose: SpinePose) -> Mesh:
    """The hyoid bone in front of C3 and C4."""
    right = np.array([[20, 24, 4], [17, 36, 1], [11, 46, -2]], float)
    line = np.concatenate([right, [[0, 49, -3]], right[::-1] * [-1, 1, 1]])
    vertices, faces = rod(spline(line, 1), np.array([1.6, 2.0, 2.6, 4.2, 2.6, 2.0, 1.6]), 5)
    middle = (pose.centre[2] + pose.centre[3]) / 2
    turn = pose.rotation[LEVELS.index("C3")]
    placed = torch.as_tensor(vertices).to(turn) * pose.scale @ turn.T + middle
    return mesh_of("hyoid", "cortex", "soft", placed, faces, pose.centre.dtype)
