"""A person as a record of numbers, and the meshes and named points built from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from aasce.config import Settings
from aasce.phantom.anatomy.gas import GasRecord, build_gas, draw_gas
from aasce.phantom.anatomy.limbs import LimbsRecord, build_limbs, draw_limbs
from aasce.phantom.anatomy.pelvis import PelvisRecord, build_pelvis, draw_pelvis, hip_centres
from aasce.phantom.anatomy.skin import SkinRecord, build_skin, draw_skin, place_skin
from aasce.phantom.anatomy.skull import SkullRecord, build_skull, draw_skull
from aasce.phantom.anatomy.thorax import ThoraxRecord, build_thorax, draw_thorax, place_thorax
from aasce.phantom.devices.instruments import InstrumentsRecord, build_instruments, draw_instruments
from aasce.phantom.spine.ageing import draw_disc_factors
from aasce.phantom.spine.curves import SpineRecord, draw_spine
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.phantom.spine.statistics import scan_statistics
from aasce.phantom.spine.vertebra import (
    VertebraModel,
    VertebraShape,
    body_height,
    build_vertebra,
    disc_height,
    draw_shapes,
)
from aasce.types import AasceError, Array
from aasce.xray.mesh import Mesh

POPULATIONS: tuple[str, ...] = ("patients", "adults", "elderly")
"""patients: persons examined for scoliosis, mostly girls of 10 to 18 years; adults: straight spines as in the CT scans;
elderly: 65 years and older, with osteophytes, fractures, thin bone and lumbar curves."""

Points = dict[str, dict[str, torch.Tensor]]


class Person(Settings):
    """All numbers of a drawn person; `build_person` always makes the same meshes from them.

    Attributes:
        seed: with which the record was drawn.
        population: one of POPULATIONS.
        age: years.
        female: True for a woman or girl.
        spine: see `SpineRecord`.
        vertebrae: shape of each level, C1 to S1.
        thorax, skin, pelvis, skull, limbs, gas, instruments: the records of the other parts.
    """

    seed: int
    population: str
    age: float
    female: bool
    spine: SpineRecord
    vertebrae: dict[str, VertebraShape]
    thorax: ThoraxRecord
    skin: SkinRecord
    pelvis: PelvisRecord
    skull: SkullRecord
    limbs: LimbsRecord
    gas: GasRecord
    instruments: InstrumentsRecord

    def pose(self) -> SpinePose:
        """Pose of the spine, float64."""
        return self.spine.pose()


@dataclass(frozen=True, slots=True)
class Phantom:
    """A person as meshes, in the person's frame.

    Attributes:
        pose: of the spine.
        models: by level its surfaces and points in its own frame.
        points: by level its named points, (3,) mm each.
        meshes: all meshes to render, from C1 to the devices.
    """

    pose: SpinePose
    models: dict[str, VertebraModel]
    points: Points
    meshes: list[Mesh]

    def bones(self) -> Mapping[str, tuple[torch.Tensor, torch.Tensor]]:
        """By level the outer surface of the vertebra, (V, 3) mm and (F, 3)."""
        found = {mesh.name: (mesh.vertices, mesh.faces) for mesh in self.meshes}
        return {level: found[level] for level in LEVELS}


def draw_person(
    seed: int, population: str = "patients", cobb: float | None = None, curve: str | None = None
) -> Person:
    """Draws one person; the same arguments give the same person.

    Args:
        seed: of every draw.
        population: one of POPULATIONS.
        cobb: nominal major Cobb angle in degrees, 0 to 100; drawn when None.
        curve: a curve type of `aasce.phantom.spine.curves.PATTERNS`; drawn when None.

    Raises:
        AasceError: the population or the curve type is unknown, or the Cobb angle is out of range.
    """
    if population not in POPULATIONS:
        raise AasceError(f"population {population!r} is unknown; choose one of {', '.join(POPULATIONS)}")
    rng = np.random.default_rng((seed, POPULATIONS.index(population)))
    age, female, angle = _draw_patient(rng, population)
    if population == "elderly" and curve is None and rng.random() < 0.7:
        curve = str(rng.choice(["lumbar", "thoracolumbar"])) if angle >= 3 else None
    growth = float(np.interp(age, [9, 12, 15, 18], [0.74, 0.85, 0.95, 1.0])) * (0.97 if female else 1.03)
    if population == "adults":
        growth = 1.0
    spine = draw_spine(rng, angle if cobb is None else cobb, curve, growth, float(rng.uniform(0.4, 1.4)))
    shapes = draw_shapes(rng, None if population == "adults" else age)
    spine, shapes = _fitted(rng, spine, shapes, growth, age if population == "elderly" else None)
    thorax, skin = draw_thorax(rng, age, female), draw_skin(rng, age, female)
    limbs = draw_limbs(rng, age=age, female=female, arms=thorax.girdle.arms)
    return Person(
        seed=seed,
        population=population,
        age=age,
        female=female,
        spine=spine,
        vertebrae=shapes,
        thorax=thorax,
        skin=skin,
        pelvis=draw_pelvis(rng, age=age, female=female),
        skull=draw_skull(rng, age=age, female=female),
        limbs=limbs.model_copy(update={"with_arms": skin.with_arms}),
        gas=draw_gas(rng),
        instruments=draw_instruments(rng, age=age, female=female, cobb=spine.cobb),
    )


def _draw_patient(rng: np.random.Generator, population: str) -> tuple[float, bool, float]:
    """Age in years, sex, and the nominal Cobb angle."""
    if population == "adults":
        return float(rng.uniform(20, 60)), bool(rng.random() < 0.5), float(rng.uniform(0, 8))
    if population == "elderly":
        return float(rng.uniform(65, 90)), bool(rng.random() < 0.7), float(min(rng.gamma(1.5, 8), 50))
    age = float(rng.uniform(10, 18)) if rng.random() < 0.85 else float(rng.uniform(18, 50))
    straight = rng.random() < 0.08
    angle = rng.uniform(0, 10) if straight else 8 + min(rng.gamma(2.2, 12), 85)
    return age, bool(rng.random() < 0.8), float(angle)


def _fitted(
    rng: np.random.Generator,
    spine: SpineRecord,
    shapes: dict[str, VertebraShape],
    growth: float,
    worn_by: float | None,
) -> tuple[SpineRecord, dict[str, VertebraShape]]:
    """Adapts vertebrae to the spine: heights follow the spacing, bodies near an apex are wedged, worn discs are lower.

    Args:
        rng: source of every draw.
        spine: as drawn.
        shapes: by level, as drawn.
        growth: size relative to an adult's.
        worn_by: age in years by which discs are worn; None for no wear.
    """
    spacing = np.array(spine.spacing)
    ratio = spacing / (scan_statistics().spacing_mean * spine.stature)
    level_ratio = np.clip(np.concatenate([ratio[:1], (ratio[:-1] + ratio[1:]) / 2, ratio[-1:]]), 0.8, 1.2)
    slope = np.clip(np.gradient(np.array(spine.coronal)), -12, 12)
    share = float(rng.uniform(0.25, 0.55))
    wedged = {}
    for index, (level, shape) in enumerate(shapes.items()):
        change = {"height": float(np.clip(shape.height * level_ratio[index], 0.5, 2.0))}
        if 0 < index < len(LEVELS) - 1:
            change["coronal_wedging"] = float(np.clip(shape.coronal_wedging + share * slope[index], -15, 15))
        wedged[level] = shape.model_copy(update=change)
    if worn_by is not None:
        spacing = spacing - spine.stature * _lost(draw_disc_factors(rng, worn_by), wedged)
    return spine.model_copy(update={"spacing": tuple(round(float(s), 4) for s in spacing)}), wedged


def _lost(discs: Mapping[str, float], shapes: Mapping[str, VertebraShape]) -> Array:
    """(24,) mm by which worn discs and fractured bodies shorten each step, at scale 1."""
    lost = np.zeros(len(LEVELS) - 1)
    for index, level in enumerate(LEVELS[:-1]):
        if level in discs:
            lost[index] = min(0.0, discs[level] - 1) * -float(np.mean(disc_height(level)))
        for neighbour in (level, LEVELS[index + 1]):
            body = float(np.mean(body_height(neighbour)))
            lost[index] += 0.25 * shapes[neighbour].fracture_loss * body
    return lost


def build_person(person: Person, spine_only: bool = False, dtype: torch.dtype = torch.float32) -> Phantom:
    """Builds the meshes of a person.

    Args:
        person: the record.
        spine_only: True builds vertebrae and sacrum only, for labels without a film.
        dtype: of the vertices.
    """
    pose = person.pose()
    pose = SpinePose(pose.rotation.to(dtype), pose.centre.to(dtype), pose.scale)
    models = {level: build_vertebra(level, person.vertebrae[level], dtype=dtype) for level in LEVELS}
    meshes: list[Mesh] = []
    points: Points = {}
    for level, model in models.items():
        parts, points[level] = model.placed(pose)
        meshes += parts
    if not spine_only:
        meshes += _rest_of_body(person, pose, points, meshes)
    return Phantom(pose, models, points, [mesh.to("cpu", dtype) for mesh in meshes])


def _rest_of_body(person: Person, pose: SpinePose, points: Points, spine: list[Mesh]) -> list[Mesh]:
    placed = place_thorax(person.thorax, pose, points)
    bones = build_thorax(person.thorax, pose, points, placed)
    bones += build_pelvis(person.pelvis, pose)
    bones += build_skull(person.skull, pose)
    # The bones of the arms follow the soft parts, and objects on the skin need the skin.
    body = place_skin(person.skin, placed.cage, placed.girdle, pose, points, [*spine, *bones])
    skin = build_skin(person.skin, placed.cage, placed.girdle, pose, points, placed=body)
    return [
        *bones,
        *build_limbs(person.limbs, pose, hip_centres(person.pelvis, pose), body.arms.joints),
        *skin,
        *build_gas(person.gas, pose, placed.lungs.domes[1]),
        *build_instruments(person.instruments, pose, points, skin),
    ]
