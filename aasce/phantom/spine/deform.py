"""Deformation of a template to one person's vertebra, by smooth displacement fields over all of its points.

Every step adds the product of a fixed weight per point and a number of the shape, so the result is differentiable in
every number that is given as a tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from aasce.phantom.spine.anthropometry import means
from aasce.phantom.spine.templates import template
from aasce.types import Array

Number = float | torch.Tensor

MODES = 8
"""Number of smooth asymmetric modes; their coefficients are displacements in mm."""

UPPER_SHARE = 0.7
"""Share of a fracture's loss of height at the upper endplate, which usually breaks first."""

LIPS = tuple(
    f"lip_{plate}_{side}" for plate in ("superior", "inferior") for side in ("right", "left", "front")
)


@dataclass(frozen=True, slots=True)
class Rest:
    """All N points of one template (outer surface, marrow, named points) and their weights, as tensors.

    Attributes:
        count: number of vertices of one surface.
        names: of the named points, which come last.
        faces: (F, 3).
        x, y, z: (N,) mm on the outer surface; for a marrow point, those of the outer vertex above it.
        inset: (N, 3) mm from there to the point itself; zero except for the marrow.
        room: (N,) largest factor on the inset.
        plate: (N,) -1 at and below the lower endplate, 1 at and above the upper one, linear between.
        body: (N,) 1 in the body, falling to 0 through the pedicles.
        side, fore: (N,) x and y, limited to the extent of the body.
        bulge: (N,) weight of the waist.
        hollow: (N,) weight of the endplates' hollows.
        lips: (6, N, 3) displacement per mm of each osteophyte.
        pedicle: (2, N) right and left: weighted lateral distance from the pedicle's axis.
        spinous, transverse: (N,) and (2, N) position along the processes, 0 at the base, 1 at the tip.
        wedge: (N,) weight of an anterior wedge fracture.
        middle: (N,) weight of a biconcave fracture.
        modes: (MODES, N, 3) displacement per mm.
        slope: tangents of the (upper, lower) endplate in the sagittal plane.
        spine_axis, transverse_axis: (y, z) and (2, 3) mm from base to tip.
        heights: mm of the body (at its front edge, middle, back edge).
    """

    count: int
    names: tuple[str, ...]
    faces: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    z: torch.Tensor
    inset: torch.Tensor
    room: torch.Tensor
    plate: torch.Tensor
    body: torch.Tensor
    side: torch.Tensor
    fore: torch.Tensor
    bulge: torch.Tensor
    hollow: torch.Tensor
    lips: torch.Tensor
    pedicle: torch.Tensor
    spinous: torch.Tensor
    transverse: torch.Tensor
    wedge: torch.Tensor
    middle: torch.Tensor
    modes: torch.Tensor
    slope: tuple[float, float]
    spine_axis: tuple[float, float]
    transverse_axis: torch.Tensor
    heights: tuple[float, float, float]


def _step(low: float, high: float, value: Array) -> Array:
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


@lru_cache(maxsize=64)
def rest(level: str, dtype: torch.dtype, device: str) -> Rest:
    """Points and weights of a level's template; computed once."""
    stored, size = template(level), means()[level]
    names = tuple(sorted(stored.points))
    named = np.stack([stored.points[name] for name in names])
    base = np.concatenate([stored.outer, stored.outer, named])
    inset = np.concatenate([np.zeros_like(stored.outer), stored.inner - stored.outer, np.zeros_like(named)])
    x, y, z = base.T
    p = stored.points
    upper, lower = (_edge(p[f"{plate}_front"], p[f"{plate}_back"], y) for plate in ("superior", "inferior"))
    edge = np.where(z >= 0, upper, -lower)
    plate = np.clip(z / (0.75 * edge), -1, 1)
    back, front = min(p["superior_back"][1], p["inferior_back"][1]), p["superior_front"][1]
    body = _step(back - 9.0, back - 0.5, y) if level != "C1" else np.zeros_like(y)
    radius = np.hypot(x / (size.upper_width / 2), y / (size.depth / 2))
    near = np.exp(-(((np.abs(z) - edge) / 2.2) ** 2))
    flat = body * (1 - _step(0.25, 0.95, radius))
    half = max(size.upper_width, size.lower_width) / 2
    values = {
        "x": x,
        "y": y,
        "z": z,
        "inset": inset,
        "room": np.concatenate([np.ones(len(stored.outer)), stored.room, np.ones(len(named))]),
        "plate": plate,
        "body": body,
        "side": np.clip(x, -1.15 * half, 1.15 * half) * (0.5 + 0.5 * body),
        "fore": np.clip(y, back, 1.1 * front) * body,
        "bulge": body * (1 - np.clip(z / edge, -1, 1) ** 2),
        "hollow": flat * np.sign(z) * _step(0.45, 0.75, np.abs(z) / edge),
        "lips": _lips(x / size.upper_width, y / size.depth, z, radius, near * body),
        "pedicle": _pedicles(base, p, size.pedicle_width),
        "spinous": _spinous(base, p),
        "transverse": np.stack([_transverse(base, p, side, level, back) for side in ("right", "left")]),
        "wedge": body * _step(back, 0.9 * front, y),
        "middle": flat,
        "modes": _modes(base),
        "transverse_axis": np.stack(
            [p[f"{s}_transverse_tip"] - p[f"{s}_transverse_base"] for s in ("right", "left")]
        ),
    }
    tensors = {
        k: torch.as_tensor(np.ascontiguousarray(v), dtype=dtype, device=device) for k, v in values.items()
    }
    front_height, height, back_height = (
        float(p[f"superior_{k}"][2] - p[f"inferior_{k}"][2]) for k in ("front", "centre", "back")
    )
    _, backward, downward = p["spinous_tip"] - p["spinous_base"]
    return Rest(
        count=len(stored.outer),
        names=names,
        faces=torch.as_tensor(stored.faces, device=device),
        slope=(
            _slope(p["superior_front"], p["superior_back"]),
            _slope(p["inferior_front"], p["inferior_back"]),
        ),
        spine_axis=(float(backward), float(downward)),
        heights=(front_height, height, back_height),
        **tensors,
    )


def _edge(front: Array, back: Array, y: Array) -> Array:
    """z of the line through an endplate's front and back edge, constant beyond them."""
    return np.asarray(np.interp(y, [back[1], front[1]], [back[2], front[2]]))


def _slope(front: Array, back: Array) -> float:
    return float((front[2] - back[2]) / (front[1] - back[1]))


def _lips(x: Array, y: Array, z: Array, radius: Array, near: Array) -> Array:
    """Osteophytes grow outward from the rim and curve towards the disc."""
    length = np.maximum(np.hypot(x, y), 1e-6)
    cos, sin = x / length, y / length
    ring = near * _step(0.78, 1.02, radius)
    sides = (np.clip(cos, 0, 1) ** 2, np.clip(-cos, 0, 1) ** 2, np.clip(sin, 0, 1) ** 2)
    way = np.stack([cos, sin, 0.35 * np.sign(z)], -1)
    return np.stack([(ring * side * (z * sign > 0))[:, None] * way for sign in (1, -1) for side in sides])


def _pedicles(base: Array, points: Mapping[str, Array], width: float) -> Array:
    out = []
    for side in ("right", "left"):
        dx, dy, dz = (base - points[f"{side}_pedicle"]).T
        out.append(dx * np.exp(-((dx / width) ** 2) - (dy / 5.0) ** 2 - (dz / 12.0) ** 4))
    return np.stack(out)


def _spinous(base: Array, points: Mapping[str, Array]) -> Array:
    root, tip = points["spinous_base"] * [0, 1, 1], points["spinous_tip"] * [0, 1, 1]
    axis = tip - root
    way = np.clip((base - root) @ axis / (axis @ axis), 0, 1.1)
    return np.asarray(
        way * (1 - _step(5.0, 9.0, np.abs(base[:, 0]))) * _step(root[1] + 3, root[1] - 3, base[:, 1])
    )


def _transverse(base: Array, points: Mapping[str, Array], side: str, level: str, back: float) -> Array:
    root, tip = points[f"{side}_transverse_base"][0], points[f"{side}_transverse_tip"][0]
    way = np.clip((base[:, 0] - root) / (tip - root), 0, 1.1)
    if level[0] in "TL":
        way = way * _step(back + 4, back - 2, base[:, 1])
    return np.asarray(way)


def _modes(base: Array) -> Array:
    """Fixed sine waves of 35 to 90 mm length in random directions, each displacing points in one direction."""
    rng = np.random.default_rng(20190)
    out = []
    for _ in range(MODES):
        wave, push = rng.standard_normal((2, 3))
        wave *= 2 * np.pi / rng.uniform(35, 90) / np.linalg.norm(wave)
        out.append(np.sin(base @ wave + rng.uniform(0, 2 * np.pi))[:, None] * push / np.linalg.norm(push))
    return np.stack(out)


def _changed(value: Number, plain: float) -> bool:
    return isinstance(value, torch.Tensor) or value != plain


def _tangent(slope: Number, degrees: Number) -> torch.Tensor:
    """Tangent of a slope turned by some degrees."""
    return torch.tan(torch.atan(torch.as_tensor(slope)) + torch.deg2rad(torch.as_tensor(degrees)))


def deform(
    r: Rest,
    n: Mapping[str, Number],
    waist: float,
    hollows: tuple[float, float],
    grain: torch.Tensor | None = None,
) -> torch.Tensor:
    """(N, 3) mm: all points of a template, deformed.

    Args:
        r: the template.
        n: numbers of a `VertebraShape` by name, floats or scalar tensors; "asymmetry" is a (MODES,) tensor or 0.0;
            "fracture_wedge", "fracture_middle", "fracture_crush" are shares of height lost.
        waist: the level's mean waist.
        hollows: mean depth of the (upper, lower) hollow, mm.
        grain: (N,) factors on the cortex's thickness at each point; None for 1.
    """
    inset = r.inset
    if grain is not None or _changed(n["cortex"], 1.0):
        thicker = n["cortex"] * (torch.ones_like(r.room) if grain is None else grain)
        inset = inset * torch.minimum(thicker, r.room)[:, None]
    x, y, z = (
        (r.x + inset[:, 0]) * n["width"],
        (r.y + inset[:, 1]) * n["depth"],
        (r.z + inset[:, 2]) * n["height"],
    )
    if _changed(n["waist"], 1.0):
        shrink = 1 - r.bulge * (waist * (n["waist"] - 1))
        x, y = x * shrink, y * shrink
    if _changed(n["concavity"], 1.0):
        depth = torch.where(r.z > 0, hollows[0], hollows[1])
        z = z - r.hollow * depth * (n["concavity"] - 1)
    x, y, z = _fracture(r, n, x, y, z)
    z = _wedging(r, n, z)
    x, y, z = _processes(r, n, x, y, z)
    out = torch.stack([x, y, z], -1)
    for k, name in enumerate(LIPS):
        if _changed(n[name], 0.0):
            out = out + r.lips[k] * n[name]
    waves = n["asymmetry"]
    if isinstance(waves, torch.Tensor):
        out = out + torch.tensordot(waves.to(out), r.modes, 1)
    return out


def _fracture(
    r: Rest, n: Mapping[str, Number], x: torch.Tensor, y: torch.Tensor, z: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Lowers the front edge, the middle or the whole body by a share of its height; the walls bulge outward."""
    for key, weight, tall in (
        ("fracture_wedge", r.wedge, r.heights[0]),
        ("fracture_middle", r.middle, r.heights[1]),
        ("fracture_crush", r.body, (r.heights[0] + r.heights[2]) / 2),
    ):
        if _changed(n[key], 0.0):
            share = torch.where(r.z > 0, UPPER_SHARE, 1 - UPPER_SHARE)
            z = z - r.plate * weight * share * (n[key] * tall) * n["height"]
            if key != "fracture_middle":
                swell = 1 + 0.10 * n[key] * r.bulge * weight
                x, y = x * swell, y * swell
    return x, y, z


def _wedging(r: Rest, n: Mapping[str, Number], z: torch.Tensor) -> torch.Tensor:
    """Tilts the endplates against each other: half of each angle at the upper, half at the lower one."""
    if _changed(n["coronal_wedging"], 0.0):
        z = z + r.plate * r.side * (
            n["width"] * torch.tan(torch.deg2rad(torch.as_tensor(n["coronal_wedging"] / 2)))
        )
    if _changed(n["sagittal_wedging"], 0.0):
        squash = n["height"] / n["depth"]
        upper, lower = r.slope[0] * squash, r.slope[1] * squash
        half = n["sagittal_wedging"] / 2
        tilt = torch.where(r.z > 0, _tangent(upper, half) - upper, lower - _tangent(lower, -half))
        z = z + r.plate * r.fore * n["depth"] * tilt
    return z


def _processes(
    r: Rest, n: Mapping[str, Number], x: torch.Tensor, y: torch.Tensor, z: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Changes the thickness of the pedicles and the lengths and directions of the processes."""
    for k, side in enumerate(("right", "left")):
        if _changed(n[f"pedicle_{side}"], 1.0):
            x = x + r.pedicle[k] * (n[f"pedicle_{side}"] - 1)
        if _changed(n[f"transverse_{side}"], 1.0):
            longer = r.transverse[k] * (n[f"transverse_{side}"] - 1)
            x, y, z = (c + longer * r.transverse_axis[k, i] for i, c in enumerate((x, y, z)))
    back, down = r.spine_axis
    length = float(np.hypot(back, down))
    if _changed(n["spinous_length"], 1.0):
        longer = r.spinous * (n["spinous_length"] - 1)
        y, z = y + longer * back, z + longer * down
    if _changed(n["spinous_deviation"], 0.0):
        x = x + r.spinous * length * torch.tan(torch.deg2rad(torch.as_tensor(n["spinous_deviation"])))
    if _changed(n["spinous_drop"], 0.0):
        turn = torch.deg2rad(torch.as_tensor(n["spinous_drop"]))
        y = y + r.spinous * ((torch.cos(turn) - 1) * back - torch.sin(turn) * down)
        z = z + r.spinous * ((torch.cos(turn) - 1) * down + torch.sin(turn) * back)
    return x, y, z
