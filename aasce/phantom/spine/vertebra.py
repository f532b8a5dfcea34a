"""One vertebra: its shape record, a random draw of it, and the closed meshes and named points built from it.

Frame of a vertebra: mm, origin in the middle of the body (C1: of the ring about the dens; C2: the foot of the dens;
S1: of the first sacral body), x to the patient's right, y forward, z up along the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, model_validator

from aasce.config import Settings, nearest
from aasce.phantom.spine.ageing import GENANT, FractureType, signs_of_age
from aasce.phantom.spine.anthropometry import body_height, disc_height, means
from aasce.phantom.spine.deform import MODES, Number, deform, rest
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.types import AasceError
from aasce.xray.mesh import Mesh

__all__ = [
    "GENANT",
    "SACRUM",
    "VertebraModel",
    "VertebraShape",
    "body_height",
    "build_vertebra",
    "disc_height",
    "draw_shape",
    "draw_shapes",
]

SACRUM = "S1"

Factor = Annotated[float, Field(ge=0.3, le=3.0)]
Lip = Annotated[float, Field(ge=0.0, le=12.0)]
Degrees = Annotated[float, Field(ge=-45.0, le=45.0)]


class VertebraShape(Settings):
    """Differences of a vertebra from the mean of its level.

    Attributes:
        width, depth, height: factors on the whole bone: lateral, anteroposterior, vertical.
        coronal_wedging: degrees between the endplates seen from the front, positive if the right side is higher.
        sagittal_wedging: degrees added to the level's mean, positive if the front is higher.
        waist, concavity: factors on the depth of the body's waist and of the endplates' hollows.
        lip_*: osteophytes, mm by which the rim extends outward; landmarks at the rim move with it.
        pedicle_right, pedicle_left: factors on the width of the pedicles.
        transverse_right, transverse_left, spinous_length: factors on the lengths of the processes.
        spinous_deviation: degrees to the right.
        spinous_drop: degrees downward, added to the level's mean.
        asymmetry: coefficients of smooth modes, mm.
        cortex: factor on the thickness of the cortex.
        grain, grain_seed: standard deviation of the logarithm of the cortex's thickness from vertex to vertex (about
            3 mm), and the seed of this pattern.
        marrow_density: factor on the density of the cancellous bone.
        fracture_grade, fracture_type, fracture_loss: Genant's grade, type by the place of the loss, share of height
            lost.
    """

    width: Factor = 1.0
    depth: Factor = 1.0
    height: Factor = 1.0
    coronal_wedging: Degrees = 0.0
    sagittal_wedging: Degrees = 0.0
    waist: Annotated[float, Field(ge=-1.0, le=4.0)] = 1.0
    concavity: Annotated[float, Field(ge=-1.0, le=4.0)] = 1.0
    lip_superior_right: Lip = 0.0
    lip_superior_left: Lip = 0.0
    lip_superior_front: Lip = 0.0
    lip_inferior_right: Lip = 0.0
    lip_inferior_left: Lip = 0.0
    lip_inferior_front: Lip = 0.0
    pedicle_right: Factor = 1.0
    pedicle_left: Factor = 1.0
    transverse_right: Factor = 1.0
    transverse_left: Factor = 1.0
    spinous_length: Factor = 1.0
    spinous_deviation: Degrees = 0.0
    spinous_drop: Degrees = 0.0
    asymmetry: Annotated[tuple[float, ...], Field(min_length=MODES, max_length=MODES)] = (0.0,) * MODES
    cortex: Annotated[float, Field(ge=0.2, le=2.2)] = 1.0
    grain: Annotated[float, Field(ge=0.0, le=0.6)] = 0.0
    grain_seed: Annotated[int, Field(ge=0)] = 0
    marrow_density: Factor = 1.0
    fracture_grade: Annotated[int, Field(ge=0, le=3)] = 0
    fracture_type: FractureType = "wedge"
    fracture_loss: Annotated[float, Field(ge=0.0, le=0.75)] = 0.0

    @model_validator(mode="after")
    def _loss_fits_grade(self) -> VertebraShape:
        low, high = GENANT[self.fracture_grade]
        if not low <= self.fracture_loss <= high:
            raise ValueError(
                f"a fracture of grade {self.fracture_grade} loses {low:.0%} to {high:.0%} of the height, "
                f"not {self.fracture_loss:.0%}"
            )
        return self


@dataclass(frozen=True, slots=True)
class VertebraModel:
    """A vertebra's surfaces and points, mm in its own frame.

    Attributes:
        level: "C1" to "S1".
        outer, marrow: (V, 3) vertices of the bone and of the marrow inside the cortex.
        faces: (F, 3) int64 of both, counter-clockwise from outside.
        points: named points, (3,) each; left and right are the patient's. "superior_" and "inferior_" with "right",
            "left", "front", "back" (on the endplate's rim, where a reader of films marks corners) and "centre"; "body",
            the middle of the two centres; "right_pedicle", "left_pedicle"; "spinous_base", "spinous_tip";
            "right_transverse_base", "right_transverse_tip" and left; T1 to T12 also "right_costal" (the rib's head),
            "right_costotransverse" (its tubercle) and left. C1 has no endplates: its rim points enclose the lateral
            masses and the anterior arch. The sacrum's inferior points are those of its lower end.
        marrow_density: the shape's factor.
    """

    level: str
    outer: torch.Tensor
    marrow: torch.Tensor
    faces: torch.Tensor
    points: dict[str, torch.Tensor]
    marrow_density: float = 1.0

    def placed(self, pose: SpinePose) -> tuple[list[Mesh], dict[str, torch.Tensor]]:
        """Meshes of bone ("cortex" in "soft") and marrow ("marrow" in "cortex"), and points, in the person's frame."""
        outer, marrow = (pose.place(self.level, v) for v in (self.outer, self.marrow))
        meshes = [
            Mesh(self.level, "cortex", "soft", outer, self.faces),
            Mesh(f"{self.level}/marrow", "marrow", "cortex", marrow, self.faces),
        ]
        places = pose.place(self.level, torch.stack(list(self.points.values())))
        return meshes, dict(zip(self.points, places.unbind(), strict=True))


def build_vertebra(
    level: str,
    shape: VertebraShape | None = None,
    numbers: Mapping[str, torch.Tensor] | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> VertebraModel:
    """Deforms the level's template.

    Args:
        level: "C1" to "S1".
        shape: the record; the mean shape when None.
        numbers: tensors that replace numbers of the record by name (scalars; "asymmetry" (8,); "fracture_loss" for
            the record's fracture type); meshes and points are differentiable in them.
        dtype: float32 or float64.
        device: of the tensors.

    Raises:
        AasceError: the level or the name of a number is unknown.
    """
    if level not in LEVELS:
        raise AasceError(f"no vertebra is called {level!r}; name one of C1 to C7, T1 to T12, L1 to L5, S1")
    shape = shape or VertebraShape()
    values = _numbers(shape, numbers or {}, dtype, device)
    r, size = rest(level, dtype, str(device)), means()[level]
    grain = None
    if shape.grain:
        uneven = np.random.default_rng(shape.grain_seed).standard_normal(len(r.x)).clip(-2.5, 2.0)
        grain = torch.as_tensor(np.exp(shape.grain * uneven), dtype=dtype, device=device)
    all_points = deform(r, values, size.waist, (size.upper_concavity, size.lower_concavity), grain)
    points = dict(zip(r.names, all_points[2 * r.count :].unbind(), strict=True))
    points["body"] = (points["superior_centre"] + points["inferior_centre"]) / 2
    outer, marrow = all_points[: r.count], all_points[r.count : 2 * r.count]
    return VertebraModel(level, outer, marrow, r.faces, points, shape.marrow_density)


def _numbers(
    shape: VertebraShape, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype, device: torch.device | str
) -> dict[str, Number]:
    values: dict[str, Number] = {k: v for k, v in shape if isinstance(v, float) and k not in _FIXED}
    values["asymmetry"] = (
        torch.tensor(shape.asymmetry, dtype=dtype, device=device) if any(shape.asymmetry) else 0.0
    )
    for name, tensor in tensors.items():
        if name not in values:
            raise AasceError(f"no number {name!r} in a vertebra's shape{nearest(name, values)}")
        values[name] = tensor.to(device=device, dtype=dtype)
    loss = values["fracture_loss"]
    for key, kind in (("wedge", "wedge"), ("middle", "biconcave"), ("crush", "crush")):
        values[f"fracture_{key}"] = loss if shape.fracture_type == kind else 0.0
    return values


_FIXED = ("grain", "marrow_density")
"""Numbers of a record that cannot be given as tensors, as vertices do not depend on them smoothly."""


@dataclass(frozen=True, slots=True)
class _Person:
    """Factors common to all vertebrae of one person, and the age in years or None."""

    width: float
    depth: float
    height: float
    waist: float
    concavity: float
    age: float | None


def _draw_person(rng: np.random.Generator, age: float | None, spread: float) -> _Person:
    width, depth, height, waist, concavity = rng.standard_normal(5) * spread
    young = 0.0 if age is None else float(np.clip((20 - age) / 8, 0, 1))
    return _Person(
        width=float(np.exp(0.045 * width)),
        depth=float(np.exp(0.045 * depth)),
        # Before growth ends bodies are lower relative to the discs: 0.75 of the spacing on adolescents' films.
        height=float(np.exp(0.03 * height) * (1 - 0.05 * young)),
        waist=float(np.exp(0.22 * waist) * (1 - 0.25 * young)),
        concavity=float(np.exp(0.25 * concavity)),
        age=age,
    )


def draw_shape(
    level: str, rng: np.random.Generator, age: float | None = None, spread: float = 1.0
) -> VertebraShape:
    """Draws a single vertebra; for a whole spine use `draw_shapes`, in which the levels have common factors.

    Args:
        level: "C1" to "S1".
        rng: source of every draw.
        age: years, for osteophytes, fractures and thinner bone; None for an adult without them.
        spread: factor on all natural variation; 0 gives the mean shape (with the signs of age, if any).
    """
    return _draw(level, rng, _draw_person(rng, age, spread), spread)


def draw_shapes(
    rng: np.random.Generator, age: float | None = None, spread: float = 1.0
) -> dict[str, VertebraShape]:
    """Draws the 25 vertebrae of one person; for the arguments see `draw_shape`."""
    person = _draw_person(rng, age, spread)
    return {level: _draw(level, rng, person, spread) for level in LEVELS}


def _draw(level: str, rng: np.random.Generator, person: _Person, spread: float) -> VertebraShape:
    """Multiplies the person's factors by those of the single vertebra."""
    own = rng.standard_normal(14) * spread
    length = np.clip(np.exp(0.09 * own[6:9]), 0.6, 1.5)
    pedicles = np.clip(np.exp(0.11 * own[9] + 0.05 * own[10:12]), 0.6, 1.6)
    values: dict[str, Any] = {
        "width": person.width * float(np.exp(0.018 * own[0])),
        "depth": person.depth * float(np.exp(0.018 * own[1])),
        "height": person.height * float(np.exp(0.018 * own[2])),
        "coronal_wedging": float(0.7 * own[3]),
        "sagittal_wedging": float(np.clip(1.5 * own[4], -6, 6)),
        "waist": float(np.clip(person.waist * np.exp(0.1 * own[5]), 0.2, 2.5)),
        "concavity": float(np.clip(person.concavity * np.exp(0.2 * own[12]), 0.2, 2.5)),
        "transverse_right": float(length[0]),
        "transverse_left": float(length[0] * length[1] ** 0.4),
        "spinous_length": float(length[2]),
        "pedicle_right": float(pedicles[0]),
        "pedicle_left": float(pedicles[1]),
        "spinous_deviation": float(np.clip(3.0 * own[13], -12, 12)),
        "spinous_drop": float(np.clip(spread * 3.5 * rng.standard_normal(), -12, 12)),
        "asymmetry": tuple(float(v) for v in 0.35 * spread * rng.standard_normal(MODES)),
        "cortex": float(np.clip(np.exp(0.12 * spread * rng.standard_normal()), 0.5, 1.8)),
    }
    values |= {"grain": 0.28 * min(spread, 1.5), "grain_seed": int(rng.integers(2**31))}
    if person.age is not None:
        values |= signs_of_age(level, rng, person.age, values["cortex"])
    return VertebraShape(**values)
