"""The chest as a whole: its record, and all meshes between spine and skin; also the psoas muscles.

Its parts are in ribs.py and girdle.py (bones), heart.py and lungs.py (organs); the body's outline is in skin.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from aasce.config import Settings
from aasce.phantom.anatomy.cage import SIDES, SIGN, Points, RibCage, RibRecord, build_cage
from aasce.phantom.anatomy.girdle import Arms, Girdle, GirdleRecord, build_girdle, place_girdle
from aasce.phantom.anatomy.heart import HeartRecord, Mediastinum, build_mediastinum, place_mediastinum
from aasce.phantom.anatomy.lungs import LungRecord, Lungs, build_lungs, shape_lungs
from aasce.phantom.anatomy.ribs import build_ribs
from aasce.phantom.solids.loft import frames, loft_faces, to_mesh, tube
from aasce.phantom.spine.pose import LEVELS, SpinePose
from aasce.xray.mesh import Mesh


class PsoasRecord(Settings):
    """The psoas muscles beside the lumbar spine, with the fat that makes their edge visible on a film.

    Attributes:
        size: factor on the muscles' cross-section; 0 for no muscles.
        fat: thickness of the fat around them, mm.
    """

    size: float = 1.0
    fat: float = 2.5


class ThoraxRecord(Settings):
    """All numbers of a chest, from which `build_thorax` builds it."""

    ribs: RibRecord = RibRecord()
    girdle: GirdleRecord = GirdleRecord()
    heart: HeartRecord = HeartRecord()
    lungs: LungRecord = LungRecord()
    psoas: PsoasRecord = PsoasRecord()


@dataclass(frozen=True, slots=True)
class Thorax:
    """A chest placed along a spine, without surfaces; the skin is fitted over it."""

    cage: RibCage
    girdle: Girdle
    mediastinum: Mediastinum
    lungs: Lungs


def draw_thorax(
    rng: np.random.Generator, age: float = 15.0, female: bool = True, arms: Arms | None = None
) -> ThoraxRecord:
    """Draws a chest.

    Args:
        rng: source of every draw.
        age: years; children have thinner cortices, old persons calcified cartilages and wide aortas.
        female: sex; women have lower ribs and smaller hearts.
        arms: position of the arms; drawn when None.
    """
    if arms is None:
        arms = cast(Arms, str(rng.choice(["hanging", "folded", "forward"], p=[0.88, 0.09, 0.03])))
    old = float(np.clip((age - 35) / 40, 0, 1))
    young = float(np.clip((18 - age) / 8, 0, 1))
    breath = float(rng.beta(2.2, 2.2))
    return ThoraxRecord(
        ribs=_draw_ribs(rng, female, old, young, breath),
        girdle=_draw_girdle(rng, arms, young),
        heart=HeartRecord(
            size=_around(rng, 0.92 if female else 0.98, 0.07, 0.74, 1.3, old * 0.1),
            upright=_around(rng, 6 - 10 * old, 6, -14, 24),
            shift=_around(rng, 0, 5, -14, 14),
            aorta=_around(rng, 0.86 + 0.3 * old - 0.08 * young, 0.06, 0.65, 1.35),
            airway=_around(rng, 0.9 if female else 1.02, 0.08, 0.65, 1.3),
        ),
        lungs=LungRecord(
            domes=(_around(rng, 34, 6, 18, 52), _around(rng, 27, 6, 12, 46)),
            deep=_around(rng, 0.9 * (breath - 0.5), 0.25, -1.2, 0.9),
            apex=_around(rng, 16, 3, 8, 24),
            vessels=_around(rng, 1.0, 0.2, 0.4, 1.6),
            seed=int(rng.integers(1 << 31)),
        ),
        psoas=PsoasRecord(
            size=_around(rng, 0.85 if female else 1.05, 0.12, 0.5, 1.4), fat=_around(rng, 2.2, 1.3, 0.3, 7)
        ),
    )


def _around(
    rng: np.random.Generator, mean: float, spread: float, low: float, high: float, more: float = 0.0
) -> float:
    return round(float(np.clip(rng.normal(mean + more, spread), low, high)), 4)


def _draw_ribs(rng: np.random.Generator, female: bool, old: float, young: float, breath: float) -> RibRecord:
    limed = rng.beta(1.2, 2.5) if rng.random() < 0.05 + 0.75 * old else 0.0
    return RibRecord(
        width=_around(rng, 0.98 if female else 1.01, 0.045, 0.86, 1.13),
        depth=_around(rng, 1.0 + 0.02 * old, 0.045, 0.87, 1.14),
        drop=_around(rng, (2 if female else -1) - 3 * old, 4, -9, 12),
        swing=_around(rng, 0, 3, -7, 8),
        roll=_around(rng, 1.5 if female else 0, 4, -9, 12),
        stout=_around(rng, 0.93 if female else 1.03, 0.07, 0.75, 1.25),
        cortex=_around(rng, 0.85 - 0.2 * young - 0.2 * old, 0.1, 0.4, 1.2),
        calcified=round(float(limed), 4),
        breath=round(breath, 4),
        follow=round(float(rng.uniform(0.2, 0.5)), 4),
    )


def _draw_girdle(rng: np.random.Generator, arms: Arms, young: float) -> GirdleRecord:
    return GirdleRecord(
        arms=arms,
        raise_shoulders=_around(rng, 2, 5, -9, 16),
        uneven=_around(rng, 0, 3.5, -10, 10),
        clavicle=_around(rng, 0.98 - 0.03 * young, 0.045, 0.85, 1.1),
        sternum=_around(rng, 0.95, 0.08, 0.75, 1.2),
        scapula=_around(rng, 0.97, 0.05, 0.85, 1.12),
        turn=_around(rng, 4, 6, -8, 22),
        cortex=_around(rng, 1.3 - 0.35 * young, 0.15, 0.6, 1.8),
    )


def place_thorax(record: ThoraxRecord, pose: SpinePose, points: Points) -> Thorax:
    """Places ribs, shoulders and organs along a spine; for `points` see `aasce.phantom.anatomy.cage.build_cage`."""
    cage = build_cage(record.ribs, pose, points)
    mediastinum = place_mediastinum(record.heart, cage, pose)
    return Thorax(
        cage, place_girdle(record.girdle, cage), mediastinum, shape_lungs(record.lungs, cage, mediastinum)
    )


def build_thorax(
    record: ThoraxRecord, pose: SpinePose, points: Points, placed: Thorax | None = None
) -> list[Mesh]:
    """All meshes of the chest, about 21,000 faces, mm in the person's frame.

    Args:
        record: see `ThoraxRecord`.
        pose: the spine.
        points: by level, named points of the vertebrae in the person's frame (`aasce.phantom.spine.vertebra`): of T1 to
            T12 `right_costal`, `left_costal`, and `right_costotransverse`, `left_costotransverse` if a level has them.
        placed: the result of `place_thorax` for the same arguments; computed when None.

    Returns:
        Bones ("cortex" in "soft" with "marrow" in "cortex"), cartilages, lungs with their vessels, heart, aorta,
        airways and the psoas muscles; vertices in the pose's dtype.
    """
    placed = place_thorax(record, pose, points) if placed is None else placed
    dtype = pose.centre.dtype
    meshes = build_ribs(record.ribs, placed.cage, dtype)
    meshes += build_girdle(record.girdle, placed.cage, placed.girdle, dtype)
    meshes += build_mediastinum(placed.mediastinum, dtype)
    meshes += build_lungs(record.lungs, placed.lungs, placed.mediastinum, dtype)
    return meshes + _psoas(record.psoas, pose, dtype)


def _psoas(record: PsoasRecord, pose: SpinePose, dtype: torch.dtype) -> list[Mesh]:
    """Psoas muscles from L1 beside the bodies down to the groin: fat in soft tissue, and muscle in the fat."""
    if record.size <= 0:
        return []
    scale = pose.scale
    spine = pose.centre.detach().cpu().double().numpy()[LEVELS.index("L1") :]
    aside = np.array([26, 31, 37, 44, 53, 62.0])
    ahead = np.array([-6, -4, 0, 6, 14, 40.0])
    down = np.array([0, 0, 0, 0, 0, -12.0])
    below = np.array([[79, 58, -70], [92, 66, -104.0]])
    meshes = []
    for side, name in enumerate(SIDES):
        upper = spine + scale * np.stack([SIGN[side] * aside, ahead, down], -1)
        lower = scale * below * np.array([SIGN[side], 1, 1])
        line = np.concatenate([upper, lower])
        size = (
            scale
            * record.size
            * np.array([[5, 6], [10, 13], [14, 18], [17, 21], [18, 21], [17, 19], [14, 15], [9, 10]])
        )
        normals = frames(line, np.array([1.0, 0, 0]))
        for suffix, material, inside, more in (
            ("/fat", "fat", "soft", record.fat * scale),
            ("", "soft", "fat", 0.0),
        ):
            vertices = tube(line, *normals, size + more, 10, 0.3 + 0.2 * (more > 0))
            meshes.append(
                to_mesh(f"psoas {name}{suffix}", material, inside, vertices, loft_faces(8, 10), dtype)
            )
    return meshes
